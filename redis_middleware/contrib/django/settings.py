"""What Django's settings say about sessions, made into a layer and a storage.

    REDIS_MIDDLEWARE = {
        "storage": "redis://localhost:6379/0",
        "sessions": {"absolute_timeout": 30 * 86_400, "max_per_user": 5},
    }

Rules:

* One thing is said in one place: what Django has a setting for is said there, and an option that says it again is refused.
* The storage is made once for each value of its setting, and the layer anew when a setting changes, as in tests.
"""

# mypy: disable-error-code="import-untyped"
# (Django ships no types.)

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from inspect import signature
from threading import Lock
from typing import Any

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from ...errors import ConfigurationError
from ...layers.sessions import Sessions
from ...storage import Storage, storage_from

__all__ = ["Configured", "configured"]

WHERE = "REDIS_MIDDLEWARE"

DJANGOS = {
    "cookie": "SESSION_COOKIE_NAME",
    "idle_timeout": "SESSION_COOKIE_AGE",
    "persistent": "SESSION_EXPIRE_AT_BROWSER_CLOSE",
    "secure": "SESSION_COOKIE_SECURE",
    "samesite": "SESSION_COOKIE_SAMESITE",
    "domain": "SESSION_COOKIE_DOMAIN",
    "path": "SESSION_COOKIE_PATH",
}
"""Options of `Sessions` for which Django has a setting."""

OUR_OWN = ("bind_users", "import_engine")
"""What is said beside the options of `Sessions`."""

OPTIONS = tuple(name for name in signature(Sessions).parameters if name not in DJANGOS)

NO_STORE = "{} is no session engine: a module with a SessionStore is, such as 'django.contrib.sessions.backends.db'"

PICKLES = (
    "{} keeps sessions in a cache, and caches pickle: to unpickle lets whoever can write to the cache run code. Of cached_db, "
    "import the rows: 'import_engine': 'django.contrib.sessions.backends.db'. Of a cache in the same Redis that writes JSON, use "
    "'import_from': [DjangoCache()] (redis_middleware.layers.sessions.moving)"
)


@dataclass(frozen=True, slots=True)
class Configured:
    """What the settings say. `sessions` and `storage` are for the edge, if there is one:

    WSGIMiddleware(get_wsgi_application(), layers=[configured().sessions], storage=configured().storage)
    """

    sessions: Sessions
    bind_users: bool
    """Whether a login says whose session it is."""
    takes_over: bool
    """Whether sessions of other libraries are taken over."""
    old: type[Any] | None
    """The `SessionStore` of another engine that they are taken over from."""
    grace: int
    """Seconds for which those stay."""

    @property
    def storage(self) -> Storage:
        """Where the sessions are. It is made when it is first asked for."""
        return _made.storage(_read(settings, "storage"))


def configured() -> Configured:
    """What Django's settings say now: `SESSION_COOKIE_…` and `REDIS_MIDDLEWARE`, which is a dict of

    * `"storage"`: a URL or a Storage; by default the URL in the setting or the environment variable `REDIS_URL`, else memory.
    * `"sessions"`: a dict of options of `Sessions`. `secret` is by default `SECRET_KEY` and `SECRET_KEY_FALLBACKS`; what Django
      has a setting for stands there. And `bind_users`: whether `auth.login` binds the session to the user (True);
      `import_engine`: the `SESSION_ENGINE` of before, whose sessions are taken over.

    Raises `ImproperlyConfigured` for what is neither, and for what `Sessions` does not take.
    """
    return _made.configured()


class _Made:
    """What has been made of the settings. Serves all threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._configured: Configured | None = None
        self._storages: dict[str | None, Storage] = {}

    def configured(self) -> Configured:
        found = self._configured
        if found is None:
            with self._lock:
                found = self._configured = self._configured or _configured()
        return found

    def storage(self, given: Storage | str | None) -> Storage:
        if given is None:
            given = getattr(settings, "REDIS_URL", None) or os.environ.get("REDIS_URL")
        if given is not None and not isinstance(given, str):
            made: Storage = _checked(f"{WHERE}['storage']", lambda: storage_from(given))
            return made
        found = self._storages.get(given)
        if found is None:
            with self._lock:
                found = self._storages.get(given) or _checked(f"{WHERE}['storage']", lambda: storage_from(given))
                self._storages[given] = found
        return found

    def forget(self, *, setting: str, **_: Any) -> None:
        if setting in (WHERE, *DJANGOS.values(), "SECRET_KEY", "SECRET_KEY_FALLBACKS", "SESSION_SERIALIZER"):
            self._configured = None


_made = _Made()
setting_changed.connect(_made.forget, dispatch_uid="redis_middleware.contrib.django.settings")


def _read(settings: Any, name: str) -> Any:
    """One part of the setting, which is all checked."""
    given = getattr(settings, WHERE, {})
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(f"{WHERE} must be a dict, got {type(given).__name__}")
    _check_names(WHERE, given, ("storage", "sessions"))
    return given.get(name)


def _configured() -> Configured:
    options = _read(settings, "sessions")
    options = {} if options is None else options
    where = f"{WHERE}['sessions']"
    if not isinstance(options, Mapping):
        raise ImproperlyConfigured(f"{where} must be a dict of options, got {type(options).__name__}")
    options = dict(options)
    for name in options:
        if name in DJANGOS:
            raise ImproperlyConfigured(f"{where}[{name!r}] is {DJANGOS[name]} in Django: set that")
    _check_names(where, options, (*OPTIONS, *OUR_OWN))
    bind_users, engine = options.pop("bind_users", True), options.pop("import_engine", None)
    if not isinstance(bind_users, bool):
        raise ImproperlyConfigured(f"{where}['bind_users'] must be True or False, got {bind_users!r}")
    options.setdefault("secret", [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS])
    sessions = _checked(where, lambda: Sessions(**_of_django(), **options))
    old = None if engine is None else _old(f"{where}['import_engine']", engine)
    takes_over = old is not None or bool(options.get("import_from"))
    return Configured(sessions, bind_users, takes_over, old, max(round(options.get("rotation_grace", 10)), 1))


def _of_django() -> dict[str, Any]:
    return {
        "cookie": settings.SESSION_COOKIE_NAME,
        "idle_timeout": settings.SESSION_COOKIE_AGE,
        "persistent": not settings.SESSION_EXPIRE_AT_BROWSER_CLOSE,
        "secure": settings.SESSION_COOKIE_SECURE or "auto",
        "samesite": (settings.SESSION_COOKIE_SAMESITE or "lax").lower(),
        "domain": settings.SESSION_COOKIE_DOMAIN or None,
        "path": settings.SESSION_COOKIE_PATH,
    }


def _old(where: str, engine: object) -> type[SessionBase]:
    """The store of another engine, if its sessions can be read without running code, and ended."""
    try:
        store = import_module(engine).SessionStore if isinstance(engine, str) else None
    except (ImportError, AttributeError) as exc:
        raise ImproperlyConfigured(f"{where}: {NO_STORE.format(engine)}") from exc
    if not (isinstance(store, type) and issubclass(store, SessionBase)):
        raise ImproperlyConfigured(f"{where}: {NO_STORE.format(repr(engine))}")
    modules = [base.__module__ for base in store.__mro__]
    if f"{__package__}.store" in modules:
        raise ImproperlyConfigured(f"{where} is the engine that sessions are moved to: name the one of before")
    if "django.contrib.sessions.backends.signed_cookies" in modules:
        raise ImproperlyConfigured(f"{where}: sessions that are in cookies cannot be ended, and so not be moved; leave it out")
    if hasattr(store, "cache_key_prefix"):
        raise ImproperlyConfigured(f"{where}: {PICKLES.format(engine)}")
    if "pickle" in settings.SESSION_SERIALIZER.lower():
        raise ImproperlyConfigured(
            f"{where}: SESSION_SERIALIZER is {settings.SESSION_SERIALIZER}, and to unpickle lets whoever can write to the old "
            "sessions run code: let one that writes JSON run for as long as sessions last, first"
        )
    return store


def _check_names(where: str, given: Mapping[str, Any], known: Collection[str]) -> None:
    for name in given:
        if name not in known:
            near = get_close_matches(str(name), known, 1)
            meant = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(known))}"
            raise ImproperlyConfigured(f"{where} has no {name!r}: {meant}")


def _checked(where: str, make: Any) -> Any:
    try:
        return make()
    except (ConfigurationError, TypeError) as exc:
        raise ImproperlyConfigured(f"{where}: {exc}") from exc
