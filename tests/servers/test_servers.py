"""Real apps under real servers on a real Redis: what a client gets over a socket."""

from __future__ import annotations

import re
import signal
import socket
from collections.abc import Iterator

import httpx
import pytest
import redis
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from redis_middleware.cli.processes import Server

from .launch import ASGI_SERVERS, SERVERS, WSGI_SERVERS, mounted

APPS = [(server, "flask_app") for server in WSGI_SERVERS]
APPS += [("gunicorn gthread", "django_app()"), ("gunicorn sync", "django_app()")]
APPS += [(server, "fastapi_app") for server in ASGI_SERVERS]


@pytest.fixture(params=APPS, ids=lambda param: f"{param[1]} under {param[0]}")
def running(request: pytest.FixtureRequest, redis_url: str, prefix: str) -> Iterator[Server]:
    server, app = request.param
    with mounted(server, f"tests.servers.apps:{app}", REDIS_URL=redis_url, PREFIX=prefix) as made:
        yield made


def test_a_real_app_under_a_real_server(running: Server, prefix: str, control: redis.Redis) -> None:
    control.set(f"{prefix}a", "stored")
    with httpx.Client(base_url=f"http://{running.address}") as client:
        answers = [client.get("/") for _ in range(6)]
        health = client.get("/api/redis/health")
        head = client.head("/api/redis/health")
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert "hello" in answers[0].text
    assert answers[0].headers["x-a"] == "stored"
    assert answers[0].headers["ratelimit"] == '"minute";r=4;t=60'
    assert 1 <= int(answers[5].headers["retry-after"]) <= 60
    assert control.get(f"{prefix}written") == b"yes"
    assert health.json()["status"] == "pass"
    assert (head.status_code, head.content) == (200, b"")
    for answer in (*answers, health, head):
        assert len(answer.headers.get_list("content-length")) + ("transfer-encoding" in answer.headers) == 1
    assert "Traceback" not in running.output()


@pytest.mark.parametrize(("kind", "app"), [("gunicorn gthread", "flask_app"), ("uvicorn httptools", "fastapi_app")])
def test_a_stream_arrives_in_pieces_with_one_head(kind: str, app: str, redis_url: str, prefix: str) -> None:
    with mounted(kind, f"tests.servers.apps:{app}", REDIS_URL=redis_url, PREFIX=prefix) as running:
        raw = ask(running, [b"GET /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"])
    assert raw.count(b"HTTP/1.1") == 1
    assert re.findall(rb"2\r\n(\d)\n\r\n", raw) == [b"0", b"1", b"2"]


EVIL = b"GET /evil HTTP/1.1\r\nHost: x\r\n\r\n"
SECOND = b"GET /api/redis/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def post(body: bytes, length: int | None = None, *lines: bytes) -> bytes:
    headers = [b"POST / HTTP/1.1", b"Host: x", b"Content-Length: %d" % (len(body) if length is None else length), *lines]
    return b"\r\n".join([*headers, b"", body])


CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(EVIL), EVIL)
SMUGGLED = {
    "all at once": [post(EVIL) + SECOND],
    "the body later": [post(b"", len(EVIL)), b"", EVIL + SECOND],
    "a large body": [post(EVIL * 4000), SECOND],
    "chunked": [CHUNKED + SECOND],
    "asked to continue": [post(b"", len(EVIL), b"Expect: 100-continue"), b"", EVIL + SECOND],
}


@pytest.mark.parametrize("kind", SERVERS)
def test_the_unread_body_of_a_refused_request_is_not_the_next_request(kind: str, redis_url: str, prefix: str) -> None:
    app = "flask_app" if kind in WSGI_SERVERS else "fastapi_app"
    with mounted(kind, f"tests.servers.apps:{app}", REDIS_URL=redis_url, PREFIX=prefix, LIMIT="1/hour") as running:
        httpx.get(f"http://{running.address}/")
        for name, pieces in SMUGGLED.items():
            statuses = re.findall(rb"HTTP/1\.1 (\d+)", ask(running, pieces))
            final = [status for status in statuses if status != b"100"]
            assert final in ([b"429"], [b"429", b"200"]), (name, statuses)


def ask(server: Server, pieces: list[bytes]) -> bytes:
    """Send pieces on one connection, and return all that comes back. An empty piece waits for the first answer."""
    received = b""
    with socket.create_connection((server.host, server.port), timeout=10) as connection:
        try:
            for piece in pieces:
                if piece:
                    connection.sendall(piece)
                else:
                    received += connection.recv(1 << 16)
            while data := connection.recv(1 << 16):
                received += data
        except ConnectionError:
            pass  # the server closed it, as it may: the rest of the body is not wanted
    return received


def test_a_websocket_handshake_is_counted_and_refused_with_429(redis_url: str, prefix: str) -> None:
    app = "tests.servers.apps:fastapi_app"
    with mounted("uvicorn httptools", app, REDIS_URL=redis_url, PREFIX=prefix, LIMIT="1/hour") as running:
        with connect(f"ws://{running.address}/ws") as websocket:
            assert websocket.recv() == "hello"
            assert websocket.response is not None
            assert websocket.response.headers["ratelimit"].startswith('"hour";r=0;')
        with pytest.raises(InvalidStatus) as refused:
            connect(f"ws://{running.address}/ws")
    assert refused.value.response.status_code == 429
    assert 1 <= int(refused.value.response.headers["retry-after"]) <= 3600


@pytest.mark.parametrize(("kind", "app"), [("gunicorn gthread", "flask_app"), ("uvicorn httptools", "fastapi_app")])
def test_several_workers_share_one_limit_and_stop_quietly(kind: str, app: str, redis_url: str, prefix: str) -> None:
    with mounted(kind, f"tests.servers.apps:{app}", "--workers", "2", REDIS_URL=redis_url, PREFIX=prefix) as running:
        statuses = [httpx.get(f"http://{running.address}/").status_code for _ in range(8)]
        running.process.send_signal(signal.SIGTERM)
        running.process.wait(10)
        assert "Traceback" not in running.output()
    assert statuses == [200] * 5 + [429] * 3
