"""The page on the rate limit: every snippet runs as it stands, and what the page says happens."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import redis

from redis_middleware import (
    ConfigurationError,
    Layer,
    MemoryStorage,
    RateLimit,
    RedisStorage,
    Request,
    StorageError,
    StorageUnavailable,
    run,
)
from redis_middleware.cli.processes import Server
from redis_middleware.counting.top import Add
from redis_middleware.layers.rate_limit import ClientAddress, Limit, header
from redis_middleware.storage import Storage

from .conftest import Clock
from .edges import WSGI, Answer, Caller, Edge, Seen, environ, hello, scope, wsgi_call
from .snippets import ROOT, snippets
from .wire import Wire

PAGE = "docs/rate-limit.md"
TEXT = (ROOT / PAGE).read_text()
SNIPPETS = snippets(PAGE)
FLASK, IMPORTS, SEVERAL, TERMS, LAYERS, ITEM, TIERS, SHADOW, BURST, *OTHERS = SNIPPETS
(
    PROXIES,
    API_KEY,
    KEY_AND_ADDRESS,
    USER,
    PATHS,
    EXEMPT,
    LISTS,
    FLASK_VIEW,
    FASTAPI_VIEW,
    COSTS,
    LOGINS,
    NOT_CACHED,
    TOKENS,
    *LATER,
) = OTHERS
BANS, AT_ONCE, BUSY, SORRY, FALLBACK, ONE_SCRIPT, APART, RESET, TOP, EXPLAIN, CHAT = LATER

ALGORITHMS: list[Any] = ["fixed-window", "moving-window", "sliding-window-counter", "gcra"]
BROWSER = [("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")]


def executed(code: str, address: str = "localhost:6379") -> dict[str, Any]:
    """What a snippet defines, with the names that the page asks for. Only the address of the Redis is that of the test's."""
    names: dict[str, Any] = {"__name__": "tests.shop"}
    exec(compile(IMPORTS, "<imports>", "exec"), names)
    exec(compile(code.replace("localhost:6379", address), "<docs>", "exec"), names)
    return names


def limiter(code: str) -> RateLimit:
    made = executed(code)["limiter"]
    assert isinstance(made, RateLimit)
    return made


def rows(title: str) -> list[list[str]]:
    """The cells of the table whose first column has this title."""
    [table] = re.findall(rf"^\| {re.escape(title)} \|.*\n\|[-|]+\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def asks(limit: RateLimit, request: Request) -> bool:
    """Whether a request is counted: its flow asks the storage, rather than stepping aside without a trip."""
    flow = limit(request)
    try:
        return isinstance(next(flow), tuple)
    except StopIteration:
        return False
    finally:
        flow.close()


def keys(limit: RateLimit, request: Request) -> tuple[str, ...]:
    """Where a request is counted."""
    flow = limit(request)
    found = tuple(key for op in next(flow) for key in op.keys)  # type: ignore[union-attr]  # it asks for scripts
    flow.close()
    return found


def left(answer: Answer) -> dict[str, int]:
    """What remains by each policy, as the header says."""
    return {name: int(n) for name, n in re.findall(r'"([^"]+)";r=(\d+)', answer.headers.get("ratelimit", ""))}


def statuses(call: Caller, count: int, **request: Any) -> list[int]:
    return [call(**request).status for _ in range(count)]


def answers(status: int, *headers: tuple[str, str]) -> Callable[[Seen], Any]:
    return lambda seen: (status, [("content-type", "text/plain"), ("content-length", "2"), *headers], [b"ok"])


@pytest.mark.parametrize("code", SNIPPETS)
def test_every_snippet_runs(code: str, server: Server) -> None:
    executed(code, server.address)


def test_every_option_is_on_the_page() -> None:
    code = RateLimit.__init__.__code__
    options = {*code.co_varnames[1 : 1 + code.co_kwonlyargcount], *Limit.__slots__}
    assert not [
        option for option in options - {"limit", "limits"} if not re.search(rf"`[^`\n]*\b{option}\b|^.*\b{option}=", TEXT, re.M)
    ]


# a limit in one line


@pytest.mark.parametrize("place", range(3))
def test_what_a_client_sees(place: int, edge: Edge, clock: Clock) -> None:
    [code] = re.findall(r'RateLimit\("[^"]+"\)', FLASK)
    call = edge.wrap(hello, [eval(code, {"RateLimit": RateLimit})], MemoryStorage(clock=clock))
    answer = call()
    if place:
        assert statuses(call, 49) == [200] * 49
        clock.move(25 * 60)
        answer = call(headers=BROWSER if place == 2 else [])
    head, _, body = snippets(PAGE, "http")[place].partition("\n\n")
    status, *lines = head.splitlines()
    assert answer.status == int(status.split()[1])
    ours = [(name, value) for name, value in answer.headers if name != "content-length"]
    said = [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines)]
    assert [line for line in ours if place or line[0].startswith("ratelimit")] == said
    if place == 1:
        assert json.loads(answer.body) == json.loads(body)
    elif place == 2:
        assert answer.body.decode() == body


def test_the_flask_app(server: Server, control: redis.Redis) -> None:
    control.delete("rm:l:{192.0.2.77}:hour:f")
    app = executed(FLASK, server.address)["app"]
    codes = [wsgi_call(app, environ("GET", "/nowhere", peer="192.0.2.77")).status for _ in range(51)]
    assert codes == [404] * 50 + [429], "unknown paths count, too"


# writing limits


def test_the_table_of_limits() -> None:
    for written, allows, name in rows("written"):
        [policy] = Limit("").policies(written.strip("`"))
        assert f"{policy.limit} in {policy.window // 1_000_000} s" == allows
        assert policy.name == name.strip("`")


def test_several_limits_are_decided_together(edge: Edge, storage: Storage) -> None:
    call = edge.wrap(hello, [limiter(SEVERAL)], storage)
    assert statuses(call, 21) == [200] * 20 + [429]
    assert left(call()) == {"day": 980, "hour": 80, "minute": 0}
    for separator in ";,|":
        assert len(Limit("").policies(f"5/hour{separator}9/day")) == 2


def test_two_limits_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="name"):
        RateLimit("100/minute", "5/minute")


def test_a_limit_has_terms_of_its_own(edge: Edge, storage: Storage) -> None:
    call = edge.wrap(hello, [limiter(TERMS)], storage)
    answer = call()
    assert left(answer) == {"minute": 99, "peak": 9}
    assert answer.headers.get("ratelimit-policy") == '"minute";q=100;w=60, "peak";q=5;w=1;rm-burst=10'


def test_limiters_are_told_apart_by_the_names_of_limits(edge: Edge, storage: Storage) -> None:
    call = edge.wrap(hello, executed(LAYERS)["layers"], storage)
    assert statuses(call, 6, method="POST", path="/login") == [200] * 5 + [429]
    answer = call()
    assert (answer.status, left(answer)) == (200, {"minute": 93})
    request = Request(path="/login", peer="192.0.2.1")
    assert keys(RateLimit("100/minute"), request) == keys(RateLimit("5/minute"), request)
    assert keys(RateLimit("100/minute"), request) != keys(RateLimit("5/minute", paths="/login"), request)
    assert keys(RateLimit("50/hour", name="shop"), request) == ("l:{192.0.2.1}:shop.hour:f",)


def test_an_item_of_limits_is_taken(edge: Edge, storage: Storage) -> None:
    answer = edge.wrap(hello, [limiter(ITEM)], storage)()
    assert answer.headers.get("ratelimit-policy") == '"5minute";q=10;w=300'


def test_the_plan_limits(edge: Edge, storage: Storage) -> None:
    made = executed(TIERS)
    call = edge.wrap(hello, [made["limiter"]], storage)

    def with_key(key: str) -> dict[str, int]:
        found = left(call(headers=[("x-api-key", key)]))
        assert found.pop("minute") >= 990
        return found

    assert with_key("k-1") == {"plan": 59}
    assert with_key("k-2") == {"plan": 599, "plan-2": 19_999}
    assert with_key("k-3") == {}
    made["KEYS"]["k-1"] = "gold"
    assert with_key("k-1") == {"plan": 598, "plan-2": 19_999}, "what was counted is kept"
    made["TIERS"]["gold"] = "9/second; 9/minute; 9/hour; 9/day; 9/month"
    with pytest.raises(ConfigurationError, match="at most 4"):
        with_key("k-1")


def test_a_shadow_is_seen_by_explain_only(edge: Edge, storage: Storage) -> None:
    limit = limiter(SHADOW)
    call = edge.wrap(hello, [limit], storage)
    assert statuses(call, 30) == [200] * 30
    assert call().headers.get("ratelimit-policy") == '"minute";q=100;w=60'
    assert [(policy["policy"], policy["shadow"]) for policy in run(limit.explain("192.0.2.1"), storage)] == [
        ("minute", False),
        ("second", True),
    ]


# algorithms


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_drawing(algorithm: Any) -> None:
    [drawn] = re.findall(rf"^{algorithm}  +(#.*)$", TEXT, re.MULTILINE)
    clock = Clock(1_800_000_000)
    limit, storage = RateLimit("6/minute", algorithm=algorithm), MemoryStorage(clock=clock)
    seen = ""
    for place in range(len(drawn)):
        asked = place == 0 or place * 4 >= 40
        seen += " " if not asked else "#" if run(limit.check("192.0.2.1"), storage).allowed else "."
        clock.move(4)
    assert seen == drawn


def test_what_the_algorithms_cost(redis_url: str, prefix: str, control: redis.Redis) -> None:
    storage = RedisStorage(redis_url, prefix=prefix)
    for (_, _, said, _), algorithm in zip(rows("algorithm"), ALGORITHMS, strict=True):
        limit = RateLimit("1000/hour", algorithm=algorithm)
        for _ in range(1000):
            run(limit.check("203.0.113.42"), storage)
        [key] = control.scan_iter(match=f"{prefix}*", count=10_000)
        taken, (number, unit) = control.memory_usage(key, samples=0), re.findall(r"(\d+) (bytes|KB)", said)[0]
        about = int(number) * {"bytes": 1, "KB": 1000}[unit]
        assert taken is not None
        assert about / 2 < taken < about * 2, "servers differ"
        control.delete(key)
    storage.close()


@pytest.mark.parametrize("algorithm", ["fixed-window", "moving-window"])
def test_windows_are_half_open(algorithm: Any, edge: Edge, clock: Clock) -> None:
    call = edge.wrap(hello, [RateLimit("2/minute", algorithm=algorithm)], MemoryStorage(clock=clock))
    assert statuses(call, 3) == [200, 200, 429]
    clock.move(59.999)
    assert call().status == 429
    clock.move(0.001)
    assert call().status == 200


def test_a_burst(edge: Edge, clock: Clock) -> None:
    call = edge.wrap(hello, [limiter(BURST)], MemoryStorage(clock=clock))
    assert statuses(call, 11) == [200] * 10 + [429]
    for _ in range(3):
        clock.move(1)
        assert statuses(call, 2) == [200, 429]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_changed_limit_keeps_what_was_counted(algorithm: Any, edge: Edge) -> None:
    storage = MemoryStorage(clock=Clock())
    statuses(edge.wrap(hello, [RateLimit("100/hour", algorithm=algorithm)], storage), 40)
    assert left(edge.wrap(hello, [RateLimit("200/hour", algorithm=algorithm)], storage)()) == {"hour": 159}
    for other in (RateLimit("200/day", algorithm=algorithm), RateLimit(Limit("200/hour", name="new"), algorithm=algorithm)):
        assert set(left(edge.wrap(hello, [other], storage)()).values()) == {199}


# who is counted


def test_an_ipv6_client_is_its_network(edge: Edge, storage: Storage) -> None:
    call = edge.wrap(hello, [RateLimit("1/hour")], storage)
    peers = ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1")
    assert [call(peer=peer).status for peer in peers] == [200, 429, 200]
    for prefix, subject in ((56, "2001:db8::/56"), (48, "2001:db8::/48"), (128, "2001:db8:0:1::1")):
        request = Request(peer="2001:db8:0:1::1")
        assert keys(RateLimit("1/hour", ipv6_prefix=prefix), request) == (f"l:{{{subject}}}:hour:f",)


def test_proxies_that_are_trusted_say_who_the_client_is() -> None:
    def counted(limit: RateLimit, forwarded: str, peer: str) -> str:
        [key] = keys(limit, Request(headers=[("x-forwarded-for", forwarded)], peer=peer))
        return key[key.index("{") + 1 : key.index("}")]

    trusting, plain = limiter(PROXIES), RateLimit("50/hour")
    assert counted(trusting, "203.0.113.7", "10.0.0.1") == "203.0.113.7"
    assert counted(trusting, "6.6.6.6, 203.0.113.7, 10.9.9.9", "2001:db8:1::5") == "203.0.113.7"
    assert counted(trusting, "6.6.6.6", "198.51.100.1") == "198.51.100.1"
    assert counted(plain, "6.6.6.6", "10.0.0.1") == "10.0.0.1"


def test_the_table_of_proxies() -> None:
    for name, value in (
        ("x-forwarded-for", "6.6.6.6, 203.0.113.7"),
        ("cf-connecting-ip", "203.0.113.7"),
        ("forwarded", "for=203.0.113.7"),
    ):
        limit = RateLimit("50/hour", trusted_proxies=["10.0.0.1", "unix"], proxy_header=name)
        for peer in ("10.0.0.1", None):
            assert keys(limit, Request(headers=[(name, value)], peer=peer)) == ("l:{203.0.113.7}:hour:f",)


def test_a_header_is_counted(edge: Edge, storage: Storage) -> None:
    call = edge.wrap(hello, [limiter(API_KEY)], storage)
    assert left(call(headers=[("x-api-key", "a")])) == {"hour": 999}
    assert left(call(headers=[("x-api-key", "a")], peer="192.0.2.9")) == {"hour": 998}
    assert left(call(headers=[("x-api-key", "b")])) == {"hour": 999}
    assert left(call()) == {"hour": 999}
    assert left(call(peer="192.0.2.9")) == {"hour": 999}
    assert keys(limiter(API_KEY), Request(headers=[("x-api-key", "a"), ("x-api-key", "b")], peer="192.0.2.1")) == (
        "l:{192.0.2.1}:hour:f",
    )
    assert not asks(RateLimit("1000/hour", key=header("x-api-key", None)), Request(peer="192.0.2.1"))


@pytest.mark.parametrize("code", [KEY_AND_ADDRESS, APART])
def test_made_up_keys_are_stopped_by_the_address(code: str, edge: Edge, storage: Storage) -> None:
    call = edge.wrap(hello, [limiter(code.replace("5000/", "5/").replace("1000/", "2/"))], storage)
    assert [call(headers=[("x-api-key", key)]).status for key in "aaabcde"] == [200, 200, 429, 200, 200, 200, 429]


def test_a_key_of_one_s_own(edge: Edge, storage: Storage) -> None:
    call = edge.wrap(hello, [limiter(USER)], storage)
    visitor = [("cookie", "visitor=v1")]
    assert [call(headers=[("x-user", str(n)), *visitor]).status for n in range(11)] == [200] * 10 + [429]
    assert left(call(headers=[("x-user", "admin"), ("cookie", "visitor=v2")])) == {"visitor": 9}
    assert left(call(headers=[("x-user", "alice"), ("cookie", "visitor=v3")])) == {"minute": 99, "visitor": 9}


def test_a_callable_does_not_know_the_limiter_s_proxies() -> None:
    request = Request(headers=[("x-forwarded-for", "203.0.113.7")], peer="10.0.0.1")
    client_address = executed("")["client_address"]
    for address, found in ((client_address, "10.0.0.1"), (ClientAddress("10.0.0.1"), "203.0.113.7")):
        limit = RateLimit("5/hour", key=lambda request, address=address: address(request), trusted_proxies="10.0.0.1")  # type: ignore[misc]
        assert keys(limit, request) == (f"l:{{{found}}}:hour:f",)


def test_keys_hold_no_secrets(redis_url: str, prefix: str, control: redis.Redis) -> None:
    storage = RedisStorage(redis_url, prefix=prefix)
    call = WSGI().wrap(hello, [limiter(API_KEY), RateLimit("5/hour")], storage)
    call(headers=[("x-api-key", "hunter2")])
    found = list(control.scan_iter(match=f"{prefix}*", count=10_000))
    assert f"{prefix}l:{{192.0.2.1}}:hour:f".encode() in found
    assert len(found) == 2
    assert not any(b"hunter2" in key for key in found)
    storage.close()


# which requests


@pytest.mark.parametrize(
    ("method", "path", "counted"),
    [
        ("POST", "/login", True),
        ("PUT", "//Login/", True),
        ("POST", "/%6cogin", True),
        ("POST", "/items/7", True),
        ("POST", "/api", True),
        ("POST", "/api/a/b", True),
        ("GET", "/login", False),
        ("POST", "/items/7/more", False),
        ("POST", "/", False),
    ],
)
def test_paths_and_methods(method: str, path: str, counted: bool) -> None:
    limit = limiter(PATHS)
    assert asks(limit, Request(method, path, peer="192.0.2.1")) == counted
    assert asks(limit, Request(method, path, root_path="/shop", peer="192.0.2.1")) == counted


def test_a_budget_for_all_or_for_each_pattern(edge: Edge, storage: Storage) -> None:
    def left_after(*paths: str, **options: Any) -> list[dict[str, int]]:
        call = edge.wrap(hello, [RateLimit("5/minute", paths=["/login", "/items/{id}"], **options)], storage)
        return [left(call(path=path)) for path in paths]

    assert left_after("/login", "/items/1") == [{"minute": 4}, {"minute": 3}]
    assert left_after("/login", "/items/1", "/items/2", per_path=True) == [{"minute": 4}, {"minute": 4}, {"minute": 3}]


def test_get_is_more_and_preflights_are_free() -> None:
    get, every, options = (RateLimit("5/minute", methods=methods) for methods in ("get", None, "OPTIONS"))
    preflight = Request(
        "OPTIONS", headers=[("origin", "https://a.example"), ("access-control-request-method", "PUT")], peer="192.0.2.1"
    )
    assert asks(get, Request("HEAD", peer="192.0.2.1"))
    assert asks(get, Request(kind="websocket", peer="192.0.2.1"))
    assert not asks(get, Request("POST", peer="192.0.2.1"))
    assert asks(every, Request("OPTIONS", peer="192.0.2.1"))
    assert not asks(every, preflight)
    assert asks(options, preflight)


def test_exempt() -> None:
    assert not asks(limiter(EXEMPT), Request(path="/healthz", peer="192.0.2.1"))
    assert asks(limiter(EXEMPT), Request(path="/", peer="192.0.2.1"))


def test_allow_and_deny(edge: Edge, storage: Storage) -> None:
    call = edge.wrap(hello, [limiter(LISTS)], storage)
    assert call(peer="198.51.100.7").status == 403
    assert call(peer="2001:db8:bad::1").status == 403
    assert call(peer="198.51.100.7", headers=[("x-api-key", "k-staff")]).status == 200
    assert "ratelimit" not in call(peer="10.1.2.3").headers
    assert left(call()) == {"hour": 49}
    call = edge.wrap(hello, [RateLimit("5/hour", deny="192.0.2.1", paths="/a", exempt=lambda r: r.method == "PUT")], storage)
    assert [call(path="/b").status, call("PUT", "/a").status, call(path="/a").status] == [403, 403, 403]


# what it costs


def test_costs(edge: Edge, storage: Storage) -> None:
    call = edge.wrap(hello, [limiter(COSTS)], storage)
    assert left(call()) == {"minute": 99}
    assert left(call(path="/export")) == {"minute": 79}
    assert left(call(path="/status")) == {"minute": 79}
    assert left(call(path="/refund")) == {"minute": 84}
    never = call(path="/everything")
    assert (never.status, never.headers.get("retry-after"), left(never)) == (429, None, {"minute": 84})
    assert statuses(call, 4, path="/refund") == [200] * 4
    assert left(call(path="/status")) == {"minute": 100}
    assert statuses(call, 6, path="/export") == [200] * 5 + [429]
    assert [call(path="/status").status, call(path="/refund").status] == [200, 200]


def test_only_failed_logins_count(edge: Edge, storage: Storage) -> None:
    limit = limiter(LOGINS)
    right, wrong = (edge.wrap(answers(status), [limit], storage) for status in (200, 401))
    login: Any = {"method": "POST", "path": "/login"}
    assert statuses(right, 20, **login) == [200] * 20
    assert left(right(**login)) == {"login": 4}, "its own headers show it as counted"
    assert statuses(wrong, 6, **login) == [401] * 5 + [429]
    assert right(**login).status == 429
    assert right().status == 200


def test_an_app_that_raises_is_no_response(edge: Edge, storage: Storage) -> None:
    def raises(seen: Seen) -> Any:
        raise ZeroDivisionError

    limit = limiter(LOGINS)
    with pytest.raises(ZeroDivisionError):
        edge.wrap(raises, [limit], storage)("POST", "/login")
    assert [policy["remaining"] for policy in run(limit.explain("192.0.2.1"), storage)] == [4]


def test_cache_hits_are_free(edge: Edge, storage: Storage) -> None:
    limit = limiter(NOT_CACHED)
    statuses(edge.wrap(answers(200, ("cache-status", "Cache; hit; ttl=5")), [limit], storage), 10)
    statuses(edge.wrap(answers(200, ("cache-status", "Cache; fwd=miss")), [limit], storage), 3)
    assert [policy["remaining"] for policy in run(limit.explain("192.0.2.1"), storage)] == [997]


def test_tokens_are_charged_as_they_were_used(edge: Edge, storage: Storage) -> None:
    limit = limiter(TOKENS)

    def used(tokens: int) -> int:
        edge.wrap(answers(200, ("x-tokens", str(tokens))), [limit], storage)()
        [policy] = run(limit.explain("192.0.2.1"), storage)
        assert isinstance(policy["remaining"], int)
        return policy["remaining"]

    assert [used(300), used(5_000), used(92_500)] == [99_700, 94_700, 2_200]
    assert used(50_000) == 0, "charged even beyond the limit"
    assert used(1) == 0, "nothing can be reserved any more"


def test_what_was_reserved_for_a_stream_is_given_back(storage: Storage) -> None:
    limit = limiter(TOKENS)
    assert run(limit.check("192.0.2.1"), storage).states[0].remaining == 98_000
    assert run(limit.check("192.0.2.1", cost=-1_500), storage).states[0].remaining == 99_500


# the answer


def test_the_forms_of_the_headers(edge: Edge) -> None:
    for mode, _, written in rows("`headers=`"):
        said = [tuple(line.strip("`").split(": ", 1)) for line in written.split("<br>") if line]
        made = RateLimit("5/hour; 9/day", headers=eval(mode.partition(",")[0].strip("`")))
        answer = edge.wrap(hello, [made], MemoryStorage(clock=Clock()))()
        ours = [(name, value) for name, value in answer.headers if "ratelimit" in name]
        assert [name for name, _ in ours] == [name.lower() for name, _ in said]
        assert [value for name, value in ours if name != "x-ratelimit-reset"] == [
            value for name, value in said if name != "X-RateLimit-Reset"
        ]


def test_the_answer_is_replaced(edge: Edge, storage: Storage) -> None:
    call = edge.wrap(hello, [limiter(BUSY)], storage)
    statuses(call, 50)
    answer = call()
    assert (answer.status, answer.body, answer.headers.get("x-support")) == (503, b"Busy.\n", "help@example.org")
    assert answer.headers.get("retry-after") == "3600"


def test_the_answer_is_made_by_a_callable(edge: Edge, storage: Storage) -> None:
    call = edge.wrap(hello, [limiter(SORRY)], storage)
    statuses(call, 50)
    shop, other = call(path="/shop/1"), call(path="/")
    assert (shop.status, shop.headers.get("content-type")) == (429, "text/html; charset=utf-8")
    assert b"Sorry" in shop.body
    assert (shop.headers.get("retry-after"), shop.headers.get("cache-control")) == ("3600", "no-store")
    assert other.headers.get("content-type") == "application/problem+json"


# when the storage fails


class Down(MemoryStorage):
    def execute(self, ops: Any, /) -> list[Any]:
        raise StorageUnavailable("gone")


@pytest.mark.parametrize(("on_error", "expected"), [("fallback", [200, 200, 429]), ("open", [200] * 3), ("closed", [503] * 3)])
def test_the_table_of_errors(on_error: Any, expected: list[int], edge: Edge) -> None:
    limit = RateLimit("2/minute", on_error=on_error)
    call = edge.wrap(hello, [limit], Down())
    assert statuses(call, 3) == expected
    answer = call()
    assert ("ratelimit" in answer.headers) == (on_error == "fallback")
    if on_error == "closed":
        assert answer.headers.get("retry-after") == "1"
        with pytest.raises(StorageError):
            run(limit.check("192.0.2.9"), Down())
    else:
        assert run(limit.check("192.0.2.9"), Down()).allowed


def test_a_share_of_the_limit(edge: Edge) -> None:
    assert statuses(edge.wrap(hello, [limiter(FALLBACK)], Down()), 26) == [200] * 25 + [429]


# one trip, and none


@pytest.fixture
def over(wire: Wire, prefix: str) -> Iterator[RedisStorage]:
    storage = RedisStorage(wire.url, prefix=prefix, timeout=5)
    yield storage
    storage.close()


@pytest.mark.parametrize(
    ("code", "trips"), [(SEVERAL, 1), (LAYERS, 2), (ONE_SCRIPT, 1), (KEY_AND_ADDRESS, 1), (APART, 1), (EXEMPT, 1)]
)
def test_trips(code: str, trips: int, wire: Wire, edge: Edge, over: RedisStorage) -> None:
    made = executed(code)
    layers: list[Layer] = made.get("layers") or [made["limiter"]]
    call = edge.wrap(hello, layers, over)
    request: Any = {"method": "POST", "path": "/login", "headers": [("x-api-key", "a")]}
    call(**request)
    before = wire.trips
    assert call(**request).status == 200
    assert wire.trips - before == trips


def test_a_limit_for_some_requests_only(edge: Edge, storage: Storage) -> None:
    call = edge.wrap(hello, [limiter(ONE_SCRIPT)], storage)
    assert statuses(call, 6, path="/login") == [200] * 5 + [429]
    assert left(call()) == {"minute": 94}


def test_who_was_denied_is_remembered_for_a_second(wire: Wire, edge: Edge, over: RedisStorage, clock: Clock) -> None:
    call = edge.wrap(hello, [RateLimit("1/minute", clock=clock)], over)
    assert statuses(call, 2) == [200, 429]
    before = wire.trips
    assert statuses(call, 5) == [429] * 5
    assert wire.trips == before
    clock.move(1)
    assert call().status == 429
    assert wire.trips == before + 1


def test_where_several_keys_are_counted() -> None:
    def slots(code: str) -> set[str]:
        requests = [Request(headers=[("x-api-key", key)], peer=peer) for key, peer in (("a", "192.0.2.1"), ("b", "192.0.2.2"))]
        found = [key for request in requests for key in keys(limiter(code), request)]
        return {key[key.index("{") : key.index("}")] for key in found}

    assert (len(slots(API_KEY)), len(slots(KEY_AND_ADDRESS)), len(slots(APART))) == (2, 1, 4)


# from outside a request


def test_reset(server: Server) -> None:
    made = executed(RESET, server.address)
    limit, storage = made["limiter"], made["storage"]
    call = WSGI().wrap(hello, [limit], storage)
    peers = ("192.0.2.1", "2001:db8::7")
    for peer in peers:
        assert statuses(call, 6, peer=peer)[-1] == 429
    exec(RESET.partition("\n\n")[2], made)
    assert [call(peer=peer).status for peer in peers] == [200, 200]
    call(headers=[("x-api-key", "k-1")])
    assert run(limit.reset(("header", "x-api-key", "k-1")), storage) is True
    assert [run(limit.reset(peer), storage) for peer in ("192.0.2.1", "2001:db8::/64")] == [True, True]
    assert run(limit.reset("192.0.2.1"), storage) is False
    storage.close()


def test_explain(server: Server, control: redis.Redis, capsys: pytest.CaptureFixture[str]) -> None:
    control.delete("rm:l:{192.0.2.1}:hour:f")
    executed(EXPLAIN, server.address)["storage"].close()
    assert capsys.readouterr().out in snippets(PAGE, "text")


def test_a_view_of_flask(server: Server, control: redis.Redis) -> None:
    forget(control)
    client = executed(FLASK_VIEW, server.address)["app"].test_client()
    assert [client.post("/login").status_code for _ in range(6)] == [200] * 5 + [429]


def test_a_view_of_fastapi(server: Server, control: redis.Redis) -> None:
    forget(control)
    app = executed(FASTAPI_VIEW, server.address)["app"]

    async def post() -> list[int]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://example.org") as client:
            return [(await client.post("/login")).status_code for _ in range(6)]

    assert asyncio.run(post()) == [200] * 5 + [429]
    assert "429" in app.openapi()["paths"]["/login"]["post"]["responses"]


def forget(control: redis.Redis) -> None:
    for key in control.scan_iter(match="rm:l:*login*"):
        control.delete(key)


def test_bans(edge: Edge, storage: Storage) -> None:
    call = edge.wrap(hello, [executed(BANS.partition('limiter = RateLimit("100')[0])["limiter"]], storage)
    answers = [call() for _ in range(13)]
    assert [answer.status for answer in answers] == [200] * 10 + [429] * 3
    assert answers[-1].headers.get("retry-after") == "600"


def test_so_many_at_once(edge: Edge, storage: Storage) -> None:
    limit = limiter(AT_ONCE)
    assert edge.wrap(hello, [limit], storage)().status == 200
    explained = {policy["policy"]: policy["remaining"] for policy in run(limit.explain("192.0.2.1"), storage)}
    assert explained == {"hour": 999, "in-flight": 10}


def test_top(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    made = executed(TOP, server.address)
    storage = made["storage"]
    [denied] = storage.execute([Add((f"n:top:denied::{int(time.time() // 86_400)}",), (10, "192.0.2.77", 1_000_000))]) or [None]
    assert denied is None
    exec(TOP.partition("\n\n")[2], made)
    assert "192.0.2.77 1000000" in capsys.readouterr().out
    storage.close()


def test_messages_are_counted(server: Server) -> None:
    made = executed(CHAT, server.address)
    app, messages, storage, who = made["app"], made["messages"], made["storage"], ("user", "alice")
    run(messages.reset(who), storage)
    incoming = iter([{"type": "websocket.connect"}, *[{"type": "websocket.receive", "text": text} for text in "abcd"]])
    sent: list[Any] = []

    async def receive() -> Any:
        return next(incoming)

    async def send(message: Any) -> None:
        sent.append(message.get("text") or message.get("code") or message["type"])

    async def talk() -> None:
        await app(scope(path="/chat/alice") | {"type": "websocket"}, receive, send)
        await storage.aclose()

    asyncio.run(talk())
    assert sent == ["websocket.accept", "a", "b", "c", 1008]
    assert run(messages.check(who, cost=-2), storage).states[0].remaining == 2
    storage.close()


# coming from others


def test_the_equivalent_of_a_decorator(edge: Edge, storage: Storage) -> None:
    [code] = re.findall(r'`(RateLimit\(Limit\("5/minute".*?paths="/login"\))`', TEXT)
    call = edge.wrap(hello, [eval(code, {"RateLimit": RateLimit, "Limit": Limit})], storage)
    assert statuses(call, 6, path="/login") == [200] * 5 + [429]
    assert call().status == 200


def test_links_within_the_page() -> None:
    titles = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in re.findall(r"^## (.*)$", TEXT, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= titles
