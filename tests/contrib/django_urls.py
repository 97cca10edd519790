"""The pages of the Django project in `django_site`."""

# mypy: disable-error-code="import-untyped"
# (Django ships no types.)

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth import aauthenticate, alogin, alogout, get_user_model
from django.contrib.sessions.backends.db import SessionStore as OldStore
from django.contrib.sessions.models import Session
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.utils import timezone


def who(request: Any) -> JsonResponse:
    """Who is logged in, and what is in the session."""
    contents = {key: value for key, value in request.session.items() if not key.startswith("_")}
    return JsonResponse({"user": request.user.get_username(), "session": contents})


def put(request: Any, key: str, value: str) -> JsonResponse:
    request.session[key] = value
    return who(request)


async def login(request: Any) -> HttpResponse:
    user = await aauthenticate(request, username="ada", password="lovelace")
    await alogin(request, user)
    return HttpResponse(request.session.session_key)


async def logout(request: Any) -> HttpResponse:
    await alogout(request)
    return HttpResponse("bye")


def old(request: HttpRequest) -> HttpResponse:
    """Log in with the engine that was there before; its key."""
    user = get_user_model().objects.get()
    store = OldStore()
    store.update(
        {
            "_auth_user_id": str(user.pk),
            "_auth_user_backend": "django.contrib.auth.backends.ModelBackend",
            "_auth_user_hash": user.get_session_auth_hash(),
            "cart": ["tea"],
        }
    )
    store.save()
    return HttpResponse(store.session_key)


def left(request: HttpRequest, key: str) -> HttpResponse:
    """For how many seconds a session of that engine is still there."""
    found = Session.objects.filter(session_key=key).first()
    return HttpResponse(int((found.expire_date - timezone.now()).total_seconds()) if found else 0)


urlpatterns = [
    path("admin/", admin.site.urls),
    path("who", who),
    path("put/<key>/<value>", put),
    path("login", login),
    path("logout", logout),
    path("old", old),
    path("left/<key>", left),
]
