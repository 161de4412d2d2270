"""The example's settings; what concerns Overture comes from variables, as it would be deployed."""

import os
from pathlib import Path

DATA = Path(os.environ.get("HOST_DATA", Path(__file__).parent.parent))
SECRET_KEY = os.environ.get("HOST_SECRET_KEY", "for an example on this machine alone")
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "people",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
ROOT_URLCONF = "people.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.contrib.auth.context_processors.auth"]},
    }
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATA / "host.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGIN_URL = "/sign-in"
TIME_ZONE = "UTC"
USE_TZ = True
# Beside Overture's on the same machine.
SESSION_COOKIE_NAME = "host_session"
CSRF_COOKIE_NAME = "host_csrf"

OVERTURE_URL = os.environ.get("OVERTURE_URL", "http://127.0.0.1:8000")
OVERTURE_TOKEN = os.environ.get("OVERTURE_OPERATOR_TOKEN", "")
OVERTURE_HANDOVER_SECRET = os.environ.get("OVERTURE_HANDOVER_SECRET", "")
OVERTURE_HANDOVER_ISSUER = os.environ.get("OVERTURE_HANDOVER_ISSUER", "the example")
OVERTURE_WEBHOOK_SECRET_FILE = DATA / "webhook-secret"
