"""Django's `SessionMiddleware`, for sessions that an edge has opened and for those that the engine opens by itself."""

# mypy: disable-error-code="import-untyped,misc"
# (Django ships no types.)

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.sessions.middleware import SessionMiddleware as DjangosMiddleware
from django.http import HttpResponse
from django.utils.cache import patch_vary_headers

from ...errors import StorageError
from ...http import unavailable
from ...layers.sessions import Session, Sessions
from ...layers.sessions.layer import SESSION
from ...stack import ACTING, STORAGE
from .settings import configured
from .store import SessionStore


class SessionMiddleware(DjangosMiddleware):
    """Stands in place of Django's `SessionMiddleware` in `MIDDLEWARE`, and is one, as the admin wants it.

    A session that an edge around the app has opened is `request.session`; the edge commits it and sets the cookie. Where no edge
    has, it does what Django's middleware does, with the engine in `SESSION_ENGINE`; a storage that is out of reach is then 503
    with `Retry-After` where the session is used. Whatever happens to the storage, no cookie is deleted.

    Raises `ImproperlyConfigured` for what is wrong with the settings.
    """

    def __init__(self, get_response: Callable[..., Any]) -> None:
        super().__init__(get_response)
        if issubclass(self.SessionStore, SessionStore):
            configured()

    async def __acall__(self, request: Any) -> Any:
        self.process_request(request)
        response = await self.get_response(request)
        store = getattr(request, "session", None)
        if isinstance(store, SessionStore) and store.is_settled:
            return self.process_response(request, response)
        return await sync_to_async(self.process_response, thread_sensitive=True)(request, response)

    def process_request(self, request: Any) -> None:
        """Give the request its session."""
        native: Mapping[str, Any] = getattr(request, "scope", request.META)
        session = native.get(SESSION)
        if isinstance(session, Session):
            request.session = SessionStore(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
            layer = [layer for layer in native[ACTING] if isinstance(layer, Sessions)][-1]
            request.session.was_opened(session, layer, native[STORAGE])
        else:
            super().process_request(request)
        if isinstance(request.session, SessionStore):
            request.session.belongs_to(request)

    def process_exception(self, request: Any, exception: Exception) -> HttpResponse | None:
        """Answer for a view that the storage was out of reach of."""
        return _unavailable() if isinstance(exception, StorageError) and _was_refused(request) else None

    def process_response(self, request: Any, response: Any) -> Any:
        """Store the session and tell the client its key, if that is not the edge's to do."""
        store = getattr(request, "session", None)
        if not isinstance(store, SessionStore):
            return super().process_response(request, response)
        if store.is_at_edge:
            if response.status_code < 500:
                store.settle()
            return response
        if response.status_code >= 500 and store.was_refused:
            return _unavailable()
        try:
            return super().process_response(request, response)
        except StorageError:
            if not store.may_be_lost:
                return _unavailable()
        patch_vary_headers(response, ("Cookie",))
        return response


def _was_refused(request: Any) -> bool:
    store = getattr(request, "session", None)
    return isinstance(store, SessionStore) and store.was_refused


def _unavailable() -> HttpResponse:
    answer = unavailable()
    return HttpResponse(answer.body, status=answer.status, headers=dict(answer.headers))
