"""All of Django's settings, made from the environment; there is no second file for production."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from orchestrator.config.databases import database_settings
from orchestrator.config.env import read_environment
from orchestrator.config.logging import logging_settings

BASE_DIR = Path(__file__).resolve().parents[2]
ENVIRONMENT = read_environment(os.environ, root=BASE_DIR)

# --- ours: read by the layers below through django.conf.settings -------------------------------
AMENDS_ROLE = ENVIRONMENT.role
AMENDS_BROKER_URL = ENVIRONMENT.broker_url
AMENDS_EMBEDDED = ENVIRONMENT.embedded
AMENDS_DATA_DIR = ENVIRONMENT.data_dir
AMENDS_HANDLERS = list(ENVIRONMENT.handlers)
AMENDS_HTTP_ALLOW = list(ENVIRONMENT.http_allow)
AMENDS_COVERAGE_FLOOR = ENVIRONMENT.coverage_floor
AMENDS_SHUTDOWN_SECONDS = ENVIRONMENT.shutdown_seconds
AMENDS_ENCRYPTION_KEYS = ENVIRONMENT.encryption_keys
AMENDS_DEMO = ENVIRONMENT.demo
AMENDS_PORT = ENVIRONMENT.port
AMENDS_DEMO_ADDRESS = f"127.0.0.1:{ENVIRONMENT.port}"
REDIS_URL = ENVIRONMENT.redis_url

# --- core --------------------------------------------------------------------------------------
DEBUG = ENVIRONMENT.debug
SECRET_KEY = ENVIRONMENT.secret_key
ALLOWED_HOSTS = list(ENVIRONMENT.allowed_hosts)
ROOT_URLCONF = "orchestrator.config.urls"
ASGI_APPLICATION = "orchestrator.config.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
APPEND_SLASH = False
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False
LOGGING_CONFIG = "logging.config.dictConfig"
LOGGING = logging_settings(level=ENVIRONMENT.log_level, role=ENVIRONMENT.role)
# Bodies are counted and refused by orchestrator.border.input; this is the backstop for forms.
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "guardian",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "axes",
    "orchestrator.apps.OrchestratorConfig",
    "orchestrator.audit.apps.AuditConfig",
    "orchestrator.demo.apps.DemoConfig",
    "designer.apps.DesignerConfig",
    "approvals.apps.ApprovalsConfig",
]

# Every entry must be able to run async: one that cannot would hold a thread per open event stream.
MIDDLEWARE = [
    "orchestrator.audit.middleware.request_context",
    "orchestrator.views.headers.security_headers",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "orchestrator.api.middleware.Door",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "orchestrator.views.refusals.RefusalPages",
    "axes.middleware.AxesMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "approvals.context.waiting",
            ],
        },
    },
]

# --- data --------------------------------------------------------------------------------------
DATABASES = {"default": database_settings(ENVIRONMENT)}

CACHES: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {"socket_timeout": 1, "socket_connect_timeout": 1},
    }
    if REDIS_URL
    else {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        # By default it forgets at 300 entries, and with them what somebody has guessed.
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    },
}

# --- static files: served by orchestrator.config.static in front of Django ----------------------
STATIC_URL = "/static/"
STATIC_ROOT = AMENDS_DATA_DIR / "static"
STATICFILES_DIRS = [folder for folder in [BASE_DIR / "static"] if folder.is_dir()]

# --- people ------------------------------------------------------------------------------------
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/login/"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
    "guardian.backends.ObjectPermissionBackend",
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# Nobody is somebody: without a login there are no rights, so there is no row for it either.
ANONYMOUS_USER_NAME = None
GUARDIAN_MONKEY_PATCH_USER = False
GUARDIAN_MONKEY_PATCH_GROUP = False

AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
AXES_HTTP_RESPONSE_CODE = 429
AXES_LOCKOUT_CALLABLE = "orchestrator.views.login.locked_out"

SESSION_ENGINE = "django.contrib.sessions.backends.db"
SESSION_COOKIE_AGE = 12 * 60 * 60
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "orchestrator.views.refusals.form_expired"
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
if not ENVIRONMENT.is_loopback:
    # Off this machine everything is TLS; uvicorn takes the scheme from the proxy it trusts.
    SESSION_COOKIE_NAME = "__Host-sessionid"
    CSRF_COOKIE_NAME = "__Host-csrftoken"
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
    SECURE_HSTS_SECONDS = 365 * 24 * 60 * 60
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True

# --- API ---------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["orchestrator.api.authentication.ActorAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["orchestrator.api.parsers.LimitedJSONParser"],
    "EXCEPTION_HANDLER": "orchestrator.api.errors.handle",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Amends",
    "DESCRIPTION": "Durable workflows that undo themselves.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
    "PREPROCESSING_HOOKS": ["orchestrator.api.schema.only_ours"],
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "ENUM_NAME_OVERRIDES": {
        "ExecutionState": "orchestrator.engine.states.ExecutionState",
        "StepState": "orchestrator.engine.states.StepState",
        "EntryState": "orchestrator.engine.states.EntryState",
    },
}
