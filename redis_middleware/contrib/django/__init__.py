"""Limits on single Django views: `limit("5/minute")`."""

from .limits import REQUEST, limit

__all__ = ["REQUEST", "limit"]
