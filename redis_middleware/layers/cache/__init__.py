"""The response cache: RFC 9111 in full, safe by default, one cache for WSGI and ASGI."""

from __future__ import annotations

from .counts import Statistics
from .layer import ResponseCache
from .warming import Warmth

__all__ = ["ResponseCache", "Statistics", "Warmth"]
