"""The servers under load: uvicorn and gunicorn, each with one worker on one core that serves one app."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from redis_middleware.cli.processes import HOST, Server, free_port, serving
from tests.servers.launch import SERVERS

from .apps import APP, STACK
from .cpu import children, one_core

ROOT = Path(__file__).parents[1]

UVICORN, GUNICORN = "uvicorn httptools", "gunicorn gthread"

OPTIONS: Mapping[str, tuple[str, ...]] = {
    UVICORN: ("--factory", "--log-level", "warning", "--no-access-log", "--timeout-keep-alive", "60"),
    GUNICORN: ("--log-level", "warning", "--workers", "1", "--keep-alive", "60"),
}
"""Connections are kept for 60 s, as those to one server idle while another one is measured."""


@dataclass(frozen=True, slots=True)
class Platform:
    """A server with a framework, or none, on it. `app` is a key of `apps.APPS`."""

    app: str
    title: str
    server: str


PLATFORMS = (
    Platform("asgi", "uvicorn", UVICORN),
    Platform("fastapi", "uvicorn, FastAPI", UVICORN),
    Platform("wsgi", "gunicorn", GUNICORN),
    Platform("flask", "gunicorn, Flask", GUNICORN),
)


@dataclass(frozen=True, slots=True)
class Target:
    """A server that takes load: where it listens, and the process that does the work."""

    port: int
    worker: int


@contextmanager
def running(platform: Platform, stack: str, redis_url: str) -> Iterator[Target]:
    """Serve a platform's app with a stack around it until the block ends."""
    env = {APP: platform.app, STACK: stack, "REDIS_URL": redis_url}
    with serving_app(platform.server, "benchmarks.apps", f"{platform.title} with the stack {stack!r}", env) as target:
        yield target


@contextmanager
def serving_app(
    server: str, module: str, title: str, env: Mapping[str, str], interpreter: str = sys.executable
) -> Iterator[Target]:
    """Serve what `application()` of a module makes until the block ends. An error gets what the server printed."""
    port = free_port()
    names = {
        "app": f"{module}:application" + ("()" if server == GUNICORN else ""),
        "host": HOST,
        "port": str(port),
        "address": f"{HOST}:{port}",
    }
    command = [interpreter, "-m", *[part.format(**names) for part in SERVERS[server]], *OPTIONS[server]]
    with ExitStack() as started:
        own = started.enter_context(TemporaryDirectory())
        with one_core():
            served = started.enter_context(serving(command, port, cwd=ROOT, env={"XDG_RUNTIME_DIR": own, **env}))
        try:
            yield Target(port, _worker(server, served))
        except Exception as exc:
            exc.add_note(f"{title} printed:\n{served.output()}")
            raise


def _worker(kind: str, server: Server, patience: float = 10) -> int:
    """The process that handles requests: uvicorn itself, gunicorn's only child."""
    master = server.process.pid
    if kind == UVICORN:
        return master
    deadline = time.monotonic() + patience
    while not (workers := children(master)):  # the master listens before it forks
        if time.monotonic() > deadline:
            raise RuntimeError(f"gunicorn started no worker in {patience} s")
        time.sleep(0.02)
    return workers[0]
