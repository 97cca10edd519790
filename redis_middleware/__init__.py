"""Rate limit, server-side sessions, response cache and health route for any WSGI or ASGI app, over one storage.

    flask_app.wsgi_app = WSGIMiddleware(flask_app.wsgi_app, layers=[Health(), RateLimit("200/day; 50/hour")])
    fastapi_app.add_middleware(ASGIMiddleware, layers=[Health(), RateLimit("200/day; 50/hour")])

The ops that a layer of your own asks for are in `redis_middleware.ops`, what a storage of your own inherits is in
`redis_middleware.storage`.
"""

from .asgi import ASGIMiddleware
from .errors import ConfigurationError, StorageError, StorageUnavailable
from .flow import Flow, Layer, arun, body, proceed, run
from .http import Request, Response
from .layers.health import Health
from .layers.rate_limit import RateLimit
from .storage import MemoryStorage, RedisStorage, storage_from_url
from .wsgi import WSGIMiddleware

__version__ = "0.1.0"

__all__ = [
    "ASGIMiddleware",
    "ConfigurationError",
    "Flow",
    "Health",
    "Layer",
    "MemoryStorage",
    "RateLimit",
    "RedisStorage",
    "Request",
    "Response",
    "StorageError",
    "StorageUnavailable",
    "WSGIMiddleware",
    "arun",
    "body",
    "proceed",
    "run",
    "storage_from_url",
]
