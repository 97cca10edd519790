"""The health route: whether the storage works, for probes and for people."""

from .layer import Health

__all__ = ["Health"]
