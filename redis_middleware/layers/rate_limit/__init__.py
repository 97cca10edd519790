"""The rate limit: who may send how many requests in how much time."""

from .bans import Ban
from .layer import RateLimit
from .limit import Limit
from .subjects import ClientAddress, client_address, cookie, header

__all__ = ["Ban", "ClientAddress", "Limit", "RateLimit", "client_address", "cookie", "header"]
