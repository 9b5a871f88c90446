"""Stock Django with auth, admin and sessions, token authentication, guardian, reversion and auditlog. RELEASE chooses the release."""

import os
from typing import Any

from psycopg.conninfo import conninfo_to_dict

RELEASE = os.environ["RELEASE"]
DSN = conninfo_to_dict(os.environ["DSN"])

SECRET_KEY = "not-to-be-shown-52"
ALLOWED_HOSTS = ["testserver"]
ROOT_URLCONF = "tests.apps.django_site.urls"
AUTH_USER_MODEL = "accounts.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
STATIC_URL = "static/"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "rest_framework",
    "rest_framework.authtoken",
    "guardian",
    "reversion",
    "auditlog",
    "tests.apps.django_site.accounts",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "tests.apps.django_site.accounts.keys.SessionKeys",  # before AuthenticationMiddleware reads the session
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "reversion.middleware.RevisionMiddleware",
    "auditlog.middleware.AuditlogMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend", "guardian.backends.ObjectPermissionBackend"]
ANONYMOUS_USER_NAME = None
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # cheap: the traffic logs in all the time
DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": DSN["dbname"],
        "USER": DSN["user"],
        "PASSWORD": DSN.get("password", ""),
        "HOST": DSN["host"],
        "PORT": DSN["port"],
        "CONN_MAX_AGE": 60,
        "DISABLE_SERVER_SIDE_CURSORS": True,  # as behind any pooler in transaction mode
    }
}
