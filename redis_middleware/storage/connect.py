"""How a storage reaches its server: from a URL or a ready client to the redis-py clients that are as calm as we promise.

redis-py's defaults wait 5 s for an answer, ask again up to ten times, and relax both during maintenance. Whatever was
given, the clients made here ask once and wait for `timeout` at most.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.asyncio.retry
import redis.asyncio.sentinel
import redis.cluster
import redis.sentinel
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from ..errors import ConfigurationError

SCHEMES = "redis://, rediss://, redis+unix://, redis+sentinel://, redis+cluster:// (or valkey for redis), memory://"

_BOOLEAN = {"true": True, "True": True, "1": True, "false": False, "False": False, "0": False}.__getitem__

OPTIONS: Mapping[str, Callable[[str], Any]] = {
    "db": lambda text: _number("the database", text),
    "username": str,
    "password": str,
    "protocol": {"2": 2, "3": 3}.__getitem__,
    "client_name": str,
    "health_check_interval": float,
    "sentinel_username": str,
    "sentinel_password": str,
    "ssl": _BOOLEAN,
    "ssl_ca_certs": str,
    "ssl_ca_path": str,
    "ssl_certfile": str,
    "ssl_keyfile": str,
    "ssl_password": str,
    "ssl_cert_reqs": {name: name for name in ("required", "optional", "none")}.__getitem__,
    "ssl_check_hostname": _BOOLEAN,
}
"""What may stand in the query of a URL, and how it is read."""

TAKEN_OVER = frozenset(OPTIONS) | {
    "host", "port", "path", "credential_provider", "ssl_ca_data", "ssl_min_version", "ssl_ciphers",
    "ssl_include_verify_flags", "ssl_exclude_verify_flags", "ssl_validate_ocsp", "socket_keepalive",
    "socket_keepalive_options", "driver_info", "encoding", "encoding_errors",
}  # fmt: skip
"""What is taken over from a ready client for both kinds of client; the rest belongs to its own kind."""


@dataclass(frozen=True, slots=True)
class Connect:
    """How to make the clients of one storage: one for threads, one for each event loop; None where there is no way."""

    where: str
    sync: Callable[[], Any] | None
    asynchronous: Callable[[], Any] | None
    is_cluster: bool = False


@dataclass(frozen=True, slots=True)
class _Calm:
    timeout: float
    max_connections: int

    def kwargs(self, retry: type[Any]) -> dict[str, Any]:
        return {
            "socket_timeout": self.timeout,
            "socket_connect_timeout": self.timeout,
            "retry": retry(NoBackoff(), 0),
        }

    def pool(self, module: Any, connection_class: type[Any], kwargs: Mapping[str, Any], retry: type[Any]) -> Any:
        """A client with a pool of its own."""
        pool = module.ConnectionPool(
            connection_class=connection_class,
            max_connections=self.max_connections,
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
            **{**kwargs, **self.kwargs(retry)},
        )
        return module.Redis.from_pool(pool)


def connect(target: Any, *, timeout: float, max_connections: int) -> Connect:
    """How to reach `target`, a URL or a ready client. Raises `ConfigurationError`, without the URL in its message."""
    calm = _Calm(timeout, max_connections)
    if isinstance(target, str):
        return _from_url(target, calm)
    if isinstance(target, (redis.cluster.RedisCluster, redis.asyncio.cluster.RedisCluster)):
        nodes = [(str(node.host), int(node.port)) for node in target.nodes_manager.startup_nodes.values()]
        return _cluster(nodes, _portable(target.get_connection_kwargs()), calm)
    if isinstance(target, (redis.Redis, redis.asyncio.Redis)):
        return _from_client(target, calm)
    raise ConfigurationError(f"expected a URL or a client of redis-py, got {type(target).__name__}")


def _from_url(url: str, calm: _Calm) -> Connect:
    scheme, parts = _split(url)
    options = _options(parts)
    if scheme in ("redis+unix", "unix"):
        if not parts.path or parts.netloc.rpartition("@")[2]:
            raise ConfigurationError("the URL has no path: a unix socket is redis+unix:///path/to/socket?db=0")
        return _single(False, {**options, "path": unquote(parts.path)}, calm)
    nodes = _nodes(parts.netloc.rpartition("@")[2], 26379 if "sentinel" in scheme else 6379)
    path = [unquote(part) for part in parts.path.split("/") if part]
    if scheme == "redis+cluster":
        if path or "db" in options:
            raise ConfigurationError("the URL names a database: a cluster has only one")
        return _cluster(nodes, options, calm)
    if scheme == "redis+sentinel":
        if not path:
            raise ConfigurationError("the URL names no service: a sentinel's is redis+sentinel://host:26379/service/0")
        if len(path) > 1:
            options.setdefault("db", _number("the database", path[1]))
        return _sentinel(nodes, path[0], options, calm)
    if len(nodes) != 1 or len(path) > 1:
        raise ConfigurationError("the URL must be redis://[[user]:password@]host[:port][/database][?options]")
    if path:
        options.setdefault("db", _number("the database", path[0]))
    host, port = nodes[0]
    return _single(scheme == "rediss" or options.get("ssl", False), {**options, "host": host, "port": port}, calm)


def _split(url: str) -> tuple[str, SplitResult]:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigurationError(f"the storage URL does not parse; expected one of {SCHEMES}") from None
    scheme = parts.scheme.replace("valkey", "redis", 1)
    if scheme not in ("redis", "rediss", "redis+unix", "unix", "redis+sentinel", "redis+cluster"):
        raise ConfigurationError(f"the storage URL has an unknown scheme; expected one of {SCHEMES}")
    return scheme, parts


def _options(parts: SplitResult) -> dict[str, Any]:
    options: dict[str, Any] = {}
    userinfo = parts.netloc.rpartition("@")[0]
    username, _, password = userinfo.partition(":")
    if username:
        options["username"] = unquote(username)
    if password:
        options["password"] = unquote(password)
    if parts.fragment:
        raise ConfigurationError("the storage URL has a '#': write it as %23 if it belongs to a password")
    for name, values in parse_qs(parts.query, keep_blank_values=True).items():
        read = OPTIONS.get(name)
        if read is None:
            raise ConfigurationError(f"the storage URL has an unknown option; known are {', '.join(sorted(OPTIONS))}")
        try:
            options[name] = read(values[-1])
        except (KeyError, ValueError):
            raise ConfigurationError(f"the option {name} of the storage URL has a value that is none") from None
    return options


def _nodes(netloc: str, port: int) -> list[tuple[str, int]]:
    nodes = []
    for part in netloc.split(","):
        host, bracket, rest = part.rpartition("]")  # [::1]:6379
        name, colon, number = rest.partition(":")
        if bracket:
            name = host.removeprefix("[")
        if (not name and colon) or ":" in number or (bracket and rest and not rest.startswith(":")):
            raise ConfigurationError("the storage URL has a host that does not parse; expected host[:port]")
        nodes.append((unquote(name) or "localhost", _number("a port", number) if colon else port))
    return nodes


def _number(what: str, text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) < 65536:
        return int(text)
    raise ConfigurationError(
        f"{what} in the storage URL must be a number; a '/', ':' or '@' in a password is written %2F, %3A, %40"
    )


def _single(tls: bool, kwargs: dict[str, Any], calm: _Calm) -> Connect:
    options = {name: value for name, value in kwargs.items() if name != "ssl" and not name.startswith("sentinel_")}
    kind = "UnixDomainSocketConnection" if "path" in kwargs else "SSLConnection" if tls else "Connection"
    if not tls:
        options = {name: value for name, value in options.items() if not name.startswith("ssl_")}
    where = kwargs.get("path") or f"{kwargs.get('host', 'localhost')}:{kwargs.get('port', 6379)}/{kwargs.get('db', 0)}"
    return Connect(
        where,
        lambda: calm.pool(redis, getattr(redis.connection, kind), options, Retry),
        lambda: calm.pool(redis.asyncio, getattr(redis.asyncio.connection, kind), options, redis.asyncio.retry.Retry),
    )


def _sentinel(nodes: list[tuple[str, int]], service: str, options: dict[str, Any], calm: _Calm) -> Connect:
    auth = {name: options[f"sentinel_{name}"] for name in ("username", "password") if f"sentinel_{name}" in options}
    auth = auth or {name: options[name] for name in ("username", "password") if name in options}
    kwargs = {name: value for name, value in options.items() if not name.startswith("sentinel_")}

    def make(module: Any, retry: type[Any]) -> Any:
        common = {**calm.kwargs(retry), "maint_notifications_config": MaintNotificationsConfig(enabled=False)}
        manager = module.Sentinel(nodes, sentinel_kwargs={**auth, **common}, **kwargs, **common)
        return manager.master_for(service, max_connections=calm.max_connections)

    return Connect(
        f"sentinel {service}",
        lambda: make(redis.sentinel, Retry),
        lambda: make(redis.asyncio.sentinel, redis.asyncio.retry.Retry),
    )


def _cluster(nodes: list[tuple[str, int]], options: dict[str, Any], calm: _Calm) -> Connect:
    kwargs = {name: value for name, value in options.items() if name not in ("db", "host", "port")}

    def make(module: Any, retry: type[Any]) -> Any:
        startup = [module.ClusterNode(host, port) for host, port in nodes]
        return module.RedisCluster(
            startup_nodes=startup,
            max_connections=calm.max_connections,
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
            **{**kwargs, **calm.kwargs(retry)},
        )

    return Connect(
        f"cluster {nodes[0][0]}:{nodes[0][1]}",
        lambda: make(redis.cluster, Retry),
        lambda: make(redis.asyncio.cluster, redis.asyncio.retry.Retry),
        is_cluster=True,
    )


def _from_client(client: Any, calm: _Calm) -> Connect:
    """Clients of our own that go where a ready client goes."""
    pool = client.connection_pool
    if isinstance(pool, (redis.sentinel.SentinelConnectionPool, redis.asyncio.sentinel.SentinelConnectionPool)):
        manager = pool.sentinel_manager
        nodes = [_address(sentinel) for sentinel in manager.sentinels]
        auth = {f"sentinel_{k}": v for k, v in manager.sentinel_kwargs.items() if k in ("username", "password")}
        return _sentinel(nodes, pool.service_name, {**_portable(manager.connection_kwargs), **auth}, calm)
    kind = pool.connection_class
    for tls, module in ((tls, module) for tls in (False, True) for module in (redis.connection, redis.asyncio.connection)):
        names = ("SSLConnection",) if tls else ("Connection", "UnixDomainSocketConnection")
        if kind in [getattr(module, name) for name in names]:
            return _single(tls, _portable(pool.connection_kwargs), calm)
    return _own_kind(client, kind, calm)


def _own_kind(client: Any, kind: type[Any], calm: _Calm) -> Connect:
    """A connection class of somebody else's (fakeredis, a tunnel): only its own kind of client can be made."""
    left_out = ("maint", "orig_", "himport", "event_dispatcher", "retry")
    kwargs = {k: v for k, v in client.connection_pool.connection_kwargs.items() if not k.startswith(left_out)}
    asynchronous = isinstance(client, redis.asyncio.Redis)
    module, retry = (redis.asyncio, redis.asyncio.retry.Retry) if asynchronous else (redis, Retry)

    def make() -> Any:
        return calm.pool(module, kind, kwargs, retry)

    return Connect(kind.__name__, None if asynchronous else make, make if asynchronous else None)


def _address(client: Any) -> tuple[str, int]:
    kwargs = client.connection_pool.connection_kwargs
    return kwargs["host"], kwargs["port"]


def _portable(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in kwargs.items() if name in TAKEN_OVER and value is not None}
