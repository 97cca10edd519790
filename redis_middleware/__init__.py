"""Rate limit, sessions and health route for any WSGI or ASGI app, over one storage: Redis or memory.

    flask_app.wsgi_app = WSGIMiddleware(flask_app.wsgi_app, layers=[Health(), RateLimit("200/day; 50/hour")])
    fastapi_app.add_middleware(ASGIMiddleware, layers=[Health(), RateLimit("200/day; 50/hour")])

For a layer of your own: what a flow may say is in `redis_middleware.flow` (`proceed`, `body`, `sleep`), what it may ask for
in `redis_middleware.ops` (`Get`, `Set`, `gather`, …). For a storage of your own: `redis_middleware.storage.Storage`.
"""

from .asgi import ASGIMiddleware
from .errors import ConfigurationError, SessionError, StorageError, StorageUnavailable, TooManySessions
from .flow import Flow, Layer, body, proceed
from .http import Request, Response
from .layers.cache import ResponseCache
from .layers.health import Health
from .layers.rate_limit import Ban, Limit, RateLimit
from .layers.sessions import Session, Sessions
from .pump import arun, run
from .storage import MemoryStorage, RedisStorage, storage_from_url
from .wsgi import WSGIMiddleware

__version__ = "0.1.0"

__all__ = [
    "ASGIMiddleware",
    "Ban",
    "ConfigurationError",
    "Flow",
    "Health",
    "Layer",
    "Limit",
    "MemoryStorage",
    "RateLimit",
    "RedisStorage",
    "Request",
    "Response",
    "ResponseCache",
    "Session",
    "SessionError",
    "Sessions",
    "StorageError",
    "StorageUnavailable",
    "TooManySessions",
    "WSGIMiddleware",
    "arun",
    "body",
    "proceed",
    "run",
    "storage_from_url",
]
