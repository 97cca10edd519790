"""URLs and ready clients: what they reach, and that a wrong one says so without showing a password."""

from __future__ import annotations

import logging
import socket
import traceback
from collections.abc import Sequence
from typing import Any

import fakeredis
import pytest
import redis
import redis.asyncio

from redis_middleware import ConfigurationError, MemoryStorage, RedisStorage, storage_from_url
from redis_middleware.cli.processes import Server
from redis_middleware.ops import Get, Op, Set
from redis_middleware.storage import storage_from
from redis_middleware.storage.connect import connect


def client(url: str) -> Any:
    made = connect(url, timeout=0.25, max_connections=7)
    assert made.sync is not None
    return made.sync()


def options(url: str) -> dict[str, Any]:
    made: dict[str, Any] = client(url).connection_pool.connection_kwargs
    return made


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://", {"host": "localhost", "port": 6379}),
        ("redis://example.org", {"host": "example.org", "port": 6379}),
        ("valkey://example.org:7000/3", {"host": "example.org", "port": 7000, "db": 3}),
        ("redis://:p%40ss@example.org", {"password": "p@ss"}),
        ("redis://user:p%3Ass@example.org", {"username": "user", "password": "p:ss"}),
        ("redis://[::1]:7000/0", {"host": "::1", "port": 7000}),
        ("redis://example.org?db=4&protocol=2", {"db": 4, "protocol": 2}),
        ("rediss://example.org?ssl_ca_certs=/ca.pem", {"ssl_ca_certs": "/ca.pem"}),
        ("redis+unix:///run/redis.sock?db=2", {"path": "/run/redis.sock", "db": 2}),
        ("unix:///run/redis.sock", {"path": "/run/redis.sock"}),
    ],
)
def test_a_url_is_read(url: str, expected: dict[str, Any]) -> None:
    assert expected.items() <= options(url).items()


def test_tls_verifies_by_default() -> None:
    pool = client("rediss://example.org").connection_pool
    connection = pool.make_connection()
    assert isinstance(connection, redis.SSLConnection)
    assert connection.cert_reqs.name == "CERT_REQUIRED"
    assert connection.check_hostname


@pytest.mark.parametrize("url", ["redis://h", "redis+sentinel://h1:1,h2:2/main/3", "redis://h?protocol=2", "redis+unix:///s"])
def test_nothing_is_asked_twice_and_nothing_waits_long(url: str) -> None:
    pool = client(url).connection_pool
    assert pool.connection_kwargs["retry"].get_retries() == 0
    assert pool.connection_kwargs["socket_timeout"] == 0.25
    assert pool.connection_kwargs["socket_connect_timeout"] == 0.25
    assert pool.max_connections == 7
    assert not pool.maint_notifications_enabled()


def test_a_sentinels_service_database_and_passwords() -> None:
    made = client("redis+sentinel://user:secret@h1:1,h2/main/3")
    manager = made.connection_pool.sentinel_manager
    assert made.connection_pool.service_name == "main"
    nodes = [sentinel.connection_pool.connection_kwargs for sentinel in manager.sentinels]
    assert [(node["host"], node["port"], node["password"]) for node in nodes] == [("h1", 1, "secret"), ("h2", 26379, "secret")]
    assert made.connection_pool.connection_kwargs["db"] == 3


SECRET = "hunter2"


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{SECRET}@example.org:port",
        f"redis://:{SECRET}/x@example.org",
        f"redis://:{SECRET}",
        f"redis://:{SECRET}@example.org/db",
        f"redis://:{SECRET}@example.org/0/1",
        f"redis://:{SECRET}@example.org?wrong=1",
        f"redis://:{SECRET}@example.org?password={SECRET}&db=x",
        f"redis://:{SECRET}#x@example.org",
        f"redis://:{SECRET}@[::1",
        f"redis://:{SECRET}@a,b",
        f"redis://:{SECRET}@h?protocol=9",
        f"redis://:{SECRET}@h?db=-5",
        f"rediss://:{SECRET}@h?ssl_cert_reqs=bogus",
        f"redis+cluster://:{SECRET}@h/3",
        f"redis+cluster://:{SECRET}@h?db=3",
        f"redis+unix://:{SECRET}@relative/path",
        f"redis://:{SECRET}@[::1]junk:7000",
        f"redis+sentinel://:{SECRET}@h1",
        f"redis+unix://:{SECRET}@",
        f"http://:{SECRET}@example.org",
        SECRET,
        "",
    ],
)
def test_a_wrong_url_says_what_is_wrong_and_hides_the_password(url: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(ConfigurationError) as caught:
        storage_from_url(url)
    shown = "".join(traceback.format_exception(caught.value, chain=True)).replace(f"storage_from_url({url!r})", "")
    assert SECRET not in shown
    assert SECRET not in caplog.text
    assert "URL" in str(caught.value)


def test_a_storage_does_not_show_its_password() -> None:
    assert SECRET not in repr(RedisStorage(f"redis://user:{SECRET}@example.org"))


def test_nothing_is_connected_before_it_is_used() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.05)
        storage = RedisStorage(f"redis://127.0.0.1:{listening.getsockname()[1]}")
        with pytest.raises(TimeoutError):
            listening.accept()
        storage.close()


@pytest.mark.parametrize("arguments", [{"timeout": 0}, {"timeout": -1}, {"max_connections": 0}])
def test_options_out_of_range_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        RedisStorage("redis://h", **arguments)


def test_a_target_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="client of redis-py"):
        RedisStorage(42)


@pytest.mark.parametrize("kind", [redis.Redis, redis.asyncio.Redis])
def test_a_ready_client_gives_its_address_and_not_its_retries(kind: Any) -> None:
    made = connect(kind(host="example.org", port=7, password="p", socket_timeout=60), timeout=0.25, max_connections=7)
    assert made.sync is not None
    kwargs = made.sync().connection_pool.connection_kwargs
    assert (kwargs["host"], kwargs["port"], kwargs["password"]) == ("example.org", 7, "p")
    assert kwargs["retry"].get_retries() == 0
    assert kwargs["socket_timeout"] == 0.25


def test_a_ready_client_of_a_sentinel() -> None:
    ready = redis.Sentinel([("h1", 1)], password="p").master_for("main")  # type: ignore[no-untyped-call]  # redis-py's
    made = connect(ready, timeout=0.25, max_connections=7)
    assert made.sync is not None
    assert made.sync().connection_pool.service_name == "main"


def test_a_client_with_a_connection_of_its_own_kind_serves_its_own_kind_only() -> None:
    storage = RedisStorage(fakeredis.FakeRedis())
    assert storage.execute([Set("a", b"1", 10), Get("a")]) == [None, b"1"]
    with pytest.raises(ConfigurationError, match="give it a URL"):
        RedisStorage(fakeredis.FakeAsyncRedis()).execute([Get("a")])


def test_without_a_setting_it_is_redis_url_or_else_memory(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, server: Server
) -> None:
    monkeypatch.setenv("REDIS_URL", f"redis://{server.address}/0")
    assert isinstance(storage_from(None), RedisStorage)
    monkeypatch.delenv("REDIS_URL")
    with caplog.at_level(logging.INFO):
        assert isinstance(storage_from(None), MemoryStorage)
    assert len(caplog.records) == 1
    assert "memory" in caplog.text


def test_a_class_with_nothing_but_execute_is_a_storage() -> None:
    class Plain:
        def execute(self, ops: Sequence[Op[Any]], /) -> list[Any]:
            return [None for _ in ops]

    storage = storage_from(Plain())  # type: ignore[arg-type]  # completed
    assert storage.execute([Get("a")]) == [None]
    storage.close()


def test_what_is_no_storage_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="storage must be"):
        storage_from(42)  # type: ignore[arg-type]
