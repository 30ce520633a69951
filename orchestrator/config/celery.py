"""The Celery app; its settings are in `broker`, read when the app is first used."""

import os

from celery import Celery
from celery.signals import setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.config.settings")

app = Celery("amends")
# By name: reading it now would read Django's settings while they are being made.
app.config_from_object("orchestrator.config.broker:SETTINGS")
app.autodiscover_tasks(["orchestrator"])


@setup_logging.connect
def keep_our_logging(**_: object) -> None:
    """Stop Celery from adding log handlers of its own: Django's settings have done it."""
