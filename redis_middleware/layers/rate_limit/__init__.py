"""The rate limit: who may send how many requests in how much time."""

from .layer import RateLimit
from .subjects import client_address

__all__ = ["RateLimit", "client_address"]
