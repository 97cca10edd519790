"""The servers that people mount apps in, as commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from redis_middleware.cli.processes import HOST, Server, free_port, python, serving

ROOT = Path(__file__).parent.parent.parent

WSGI_SERVERS = {
    "gunicorn gthread": ["gunicorn", "{app}", "--bind", "{address}", "--worker-class", "gthread", "--threads", "4"],
    "gunicorn sync": ["gunicorn", "{app}", "--bind", "{address}"],
    "granian wsgi": ["granian", "{app}", "--interface", "wsgi", "--host", "{host}", "--port", "{port}"],
}
ASGI_SERVERS = {
    "uvicorn h11": ["uvicorn", "{app}", "--host", "{host}", "--port", "{port}", "--http", "h11"],
    "uvicorn httptools": ["uvicorn", "{app}", "--host", "{host}", "--port", "{port}", "--http", "httptools"],
    "hypercorn": ["hypercorn", "{app}", "--bind", "{address}"],
    "granian asgi": ["granian", "{app}", "--interface", "asgi", "--host", "{host}", "--port", "{port}"],
}
SERVERS = WSGI_SERVERS | ASGI_SERVERS


@contextmanager
def mounted(server: str, app: str, *options: str, cwd: str | Path = ROOT, **env: str) -> Iterator[Server]:
    """An app (`module:name`) mounted in a real server, until the block ends."""
    port = free_port()
    names = {"app": app, "host": HOST, "port": str(port), "address": f"{HOST}:{port}"}
    command = python("-m", *[part.format(**names) for part in SERVERS[server]], *options)
    with TemporaryDirectory() as own, serving(command, port, cwd=cwd, env={"XDG_RUNTIME_DIR": own, **env}) as running:
        yield running
