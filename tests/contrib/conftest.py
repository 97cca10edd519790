"""Django is configured once for a process, and for nothing but the tests of its views."""

# mypy: disable-error-code="import-untyped"
# (Django ships no types.)

from __future__ import annotations

import django
import pytest
from django.conf import settings

pytest.register_assert_rewrite("tests.contrib.scenarios")

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        INSTALLED_APPS=["django.contrib.sessions"],
        MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
        ROOT_URLCONF=(),
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
        SECRET_KEY="for the tests",
    )
    django.setup()
