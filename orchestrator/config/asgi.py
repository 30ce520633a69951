"""The ASGI application: static files in front, Django behind."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.config.settings")

django_application = get_asgi_application()

# Static files need the app registry, which the line above has filled.
from orchestrator.config.static import StaticFiles  # noqa: E402

application = StaticFiles(django_application)
