"""What goes to Redis and comes back, counted at the socket: trips, commands and bytes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from hiredis import Reader

from tests.wire import Wire


@dataclass(frozen=True, slots=True)
class Traffic:
    """So many of each; `size` is the bytes of both directions together."""

    trips: float
    commands: float
    size: float

    def since(self, before: Traffic, requests: int) -> Traffic:
        """What has come since then, for each of so many requests."""
        differences = (self.trips - before.trips, self.commands - before.commands, self.size - before.size)
        return Traffic(*(difference / requests for difference in differences))

    def __str__(self) -> str:
        return f"{self.trips:.3g} · {self.commands:.3g} · {self.size:,.0f}"


class Meter(Wire):
    """A wire that counts commands and bytes, too. A command that a script executes within the server is none of them."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self._commands = 0
        self._size = 0

    @property
    def traffic(self) -> Traffic:
        """All that was counted so far."""
        return Traffic(self.trips, self._commands, self._size)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests = Reader()  # of hiredis: requests are written as answers are
        read, write = reader.read, writer.write

        async def counted(n: int = -1) -> bytes:
            data = await read(n)
            self._size += len(data)
            requests.feed(data)
            while requests.gets() is not False:
                self._commands += 1
            return data

        def count(data: Any) -> None:
            self._size += len(data)
            write(data)

        reader.read, writer.write = counted, count  # type: ignore[method-assign]  # of these two objects alone
        await super()._serve(reader, writer)
