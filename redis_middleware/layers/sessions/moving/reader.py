"""What a reader is: the three things that are to be known of another library to take over its sessions."""

from __future__ import annotations

from typing import Any, Protocol

from ....errors import MiddlewareError


class Unreadable(MiddlewareError, ValueError):
    """A record of another library cannot be taken over; the message says why and what to do, and nothing of its contents."""


class Reader(Protocol):
    """Reads the records of one library. Never changes, so it serves all threads and tasks."""

    @property
    def cookie(self) -> str:
        """The name of the library's cookie."""
        ...

    def key(self, value: str) -> str | None:
        """The plain Redis key of the record that a cookie's value names; None if it is not one of the library's. Raises nothing.

        The key is the reader's prefix and an id of bounded length, in the library's own shape.
        """
        ...

    def decode(self, raw: bytes) -> dict[str, Any]:
        """A session's contents, without what is the library's own; empty if there is nothing to take over.

        Values are what JSON has, and where the record is MessagePack also bytes and aware datetimes: a session can store all of
        them. Raises `Unreadable` for pickle, and for what is no record of the library.
        """
        ...
