"""What stands between the client of the suite and its origin: a real server with our edge and the layers under test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from redis_middleware.cli.processes import Server, redis_server
from tests.servers.launch import mounted

from .apps import LAYERS, ORIGIN, STORAGE

ROOT = Path(__file__).parents[2]

NOTHING = "none"
"""The edge that is none: the client talks to the origin itself. What differs from it without layers is the server's doing."""

SERVERS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "asgi": (
        "uvicorn httptools",
        "benchmarks.conformance.apps:asgi",
        # or uvicorn would add its own Date and Server; the app's pass
        ("--factory", "--no-date-header", "--no-server-header", "--no-access-log", "--log-level", "warning"),
    ),
    "wsgi": (
        "gunicorn gthread",
        "benchmarks.conformance.apps:wsgi()",
        # the suite runs 100 tests at once, and each has one request at a time
        ("--threads", "100", "--log-level", "warning"),
    ),
}
"""For each edge a server (see `tests.servers.launch`), the app that it calls, and its options."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What is tested. `storage` is memory or redis; `layers` are as `apps.layers` reads them."""

    edge: str
    storage: str
    layers: tuple[str, ...]
    workers: int

    def describe(self) -> str:
        """In words."""
        if self.edge == NOTHING:
            return "the origin itself, without any server of ours"
        package = SERVERS[self.edge][0].split()[0]
        layers = ", ".join(f"`{spec}`" for spec in self.layers) or "no layers"
        workers = f"{self.workers} workers" if self.workers > 1 else "one worker"
        return f"{self.edge.upper()} on {package} {version(package)} ({workers}), storage {self.storage}, {layers}"


@contextmanager
def standing(stage: Stage, origin: Server) -> Iterator[Server]:
    """Start it until the block ends: the server to send requests to. An error gets what the server printed."""
    if stage.edge == NOTHING:
        yield origin
        return
    name, app, options = SERVERS[stage.edge]
    with ExitStack() as started:
        url = "memory://"
        if stage.storage == "redis":
            url = f"redis://{started.enter_context(redis_server()).address}/0"
        env = {ORIGIN: str(origin.port), LAYERS: "\n".join(stage.layers), STORAGE: url}
        command = (name, app, *options, "--workers", str(stage.workers))
        server = started.enter_context(mounted(*command, cwd=ROOT, **env))
        try:
            yield server
        except Exception as exc:
            exc.add_note(f"the server printed:\n{server.output()}")
            raise
