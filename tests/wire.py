"""A TCP proxy that counts round trips: how often a client asked again after the server had answered."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType


class Wire:
    """Listens on a port of its own and passes everything on to `host:port`. Runs in a thread of its own."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.port = 0
        self.trips = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Wire:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, "127.0.0.1"), self._loop).result()
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self) -> None:
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(*self._target)
        asking = False

        async def ask() -> None:
            nonlocal asking
            while data := await reader.read(1 << 16):
                self.trips += not asking
                asking = True
                server_writer.write(data)
            server_writer.close()

        async def answer() -> None:
            nonlocal asking
            while data := await server_reader.read(1 << 16):
                asking = False
                writer.write(data)
            writer.close()

        try:
            await asyncio.gather(ask(), answer(), return_exceptions=True)
        finally:
            server_writer.close()
            writer.close()
