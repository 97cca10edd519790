"""A Django project with accounts and the admin, which real servers serve in the tests.

`python -m tests.contrib.django_site` makes its database, with the account `ada`, and says what Django's checks find.
"""

# mypy: disable-error-code="import-untyped"
# (Django ships no types.)

from __future__ import annotations

import os
from typing import Any

from redis_middleware import ASGIMiddleware, Health, WSGIMiddleware

from .apps import storage

SECRET = "a secret of more than thirty-two bytes, for tests"
COOKIE = "sessionid"
APPS = ["admin", "auth", "contenttypes", "sessions", "messages"]
MIDDLEWARE = [
    "redis_middleware.contrib.django.sessions.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = {
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


def configure() -> None:
    import django
    from django.conf import settings

    settings.configure(
        ALLOWED_HOSTS=["*"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DATABASE"]}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=[f"django.contrib.{name}" for name in APPS],
        MIDDLEWARE=MIDDLEWARE,
        MIGRATION_MODULES=dict.fromkeys(APPS),
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        REDIS_MIDDLEWARE={"storage": storage(), "sessions": {"import_engine": "django.contrib.sessions.backends.db"}},
        ROOT_URLCONF="tests.contrib.django_urls",
        SECRET_KEY=SECRET,
        SESSION_COOKIE_NAME=COOKIE,
        SESSION_ENGINE="redis_middleware.contrib.django.sessions",
        TEMPLATES=[TEMPLATES],
        USE_TZ=True,
    )
    django.setup()


def alone() -> Any:
    from django.core.wsgi import get_wsgi_application

    configure()
    return get_wsgi_application()


def alone_asgi() -> Any:
    from django.core.asgi import get_asgi_application

    configure()
    return get_asgi_application()


def at_edge() -> Any:
    from redis_middleware.contrib.django.settings import configured

    app, found = alone(), configured()
    return WSGIMiddleware(app, layers=[Health(), found.sessions], storage=found.storage)


def at_edge_asgi() -> Any:
    from redis_middleware.contrib.django.settings import configured

    app, found = alone_asgi(), configured()
    return ASGIMiddleware(app, layers=[Health(), found.sessions], storage=found.storage)


def main() -> None:
    configure()
    from django.contrib.auth.models import User
    from django.core.management import call_command

    call_command("migrate", run_syncdb=True, verbosity=0)
    call_command("check")
    call_command("clearsessions")
    User.objects.create_superuser("ada", password="lovelace")


if __name__ == "__main__":
    main()
