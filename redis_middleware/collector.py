"""What becomes of a body while it passes an edge."""

from __future__ import annotations

from .http import Headers, content_length


class Collector:
    """The body of one response as it goes by: kept up to `limit` bytes, None if it was cut short or is longer.

    The end is the app's word or the last byte that `Content-Length` announced, whichever comes first.
    """

    __slots__ = ("_announced", "_pieces", "_size", "limit")

    def __init__(self, limit: int, headers: Headers, *, empty: bool = False) -> None:
        self.limit = limit
        self._announced = 0 if empty else content_length(headers)
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> bool:
        """Take a piece; True if it is known to be the last."""
        self._size += len(piece)
        if self._size <= self.limit:
            self._pieces.append(piece)
        else:
            self._pieces.clear()
        return self._size == self._announced

    def whole(self) -> bytes | None:
        """The body, now that it has ended; None if bytes are missing, too many, or were not kept."""
        if self._size > self.limit or self._announced not in (None, self._size):
            return None
        return b"".join(self._pieces)
