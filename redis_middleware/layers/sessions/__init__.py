"""Server-side sessions: one session for Flask, Django, Starlette and plain apps, that loses nothing."""

from __future__ import annotations

from .layer import Sessions
from .mapping import Session

__all__ = ["Session", "Sessions"]
