"""What a limiter can be told: costs, what counts, for whom, where; and what can be asked of it from outside."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from redis_middleware import ASGIMiddleware, ConfigurationError, MemoryStorage, RateLimit, RedisStorage, Request, arun, run
from redis_middleware.flow import Action, Flow, Layer, proceed
from redis_middleware.layers.rate_limit import Limit, header
from redis_middleware.ops import Get, Op, Set
from redis_middleware.storage import Storage

from ...conftest import Clock
from ...edges import ASGI, WSGI, Edge, Seen, hello, scope
from ...wire import Wire

FAILED = 401


def failing(seen: Seen) -> Any:
    return FAILED, [("content-type", "text/plain"), ("content-length", "2")], [b"no"]


def raising(seen: Seen) -> Any:
    raise ZeroDivisionError


def failed(request: Request, response: Any) -> bool:
    return response is None or response.status >= 400


def remaining(answer: Any) -> int:
    return int(answer.headers.get("ratelimit").partition(";r=")[2].partition(";")[0])


@pytest.mark.parametrize("algorithm", ["fixed-window", "moving-window", "sliding-window-counter", "gcra"])
def test_waiting_as_told_is_enough_at_every_phase(edge: Edge, storage: Storage, clock: Clock, algorithm: Any) -> None:
    """Fifty phases of the clock, each with another history of a few hits."""
    phases = random.Random(algorithm)
    for number in range(50):
        limit = RateLimit("3/minute; 20/hour", name=f"{algorithm}{number}", algorithm=algorithm, clock=clock)
        call = edge.wrap(hello, [limit], storage)
        for _ in range(8):
            clock.move(round(phases.uniform(0, 25), 6))
            answer = call()
            if answer.status == 429:
                clock.move(int(answer.headers.get("retry-after") or 0))
                assert call().status == 200


def test_a_request_costs_what_it_is_worth(edge: Edge, storage: Storage, clock: Clock) -> None:
    worth = {"/": 1, "/report": 6, "/free": 0, "/all": 11}
    call = edge.wrap(hello, [RateLimit("10/minute", cost=lambda request: worth[request.path], clock=clock)], storage)
    assert [call(path="/").status for _ in range(5)] == [200] * 5
    assert call(path="/report").status == 429
    cheap = call(path="/")
    assert (cheap.status, remaining(cheap)) == (200, 4)
    never = call(path="/all")
    assert (never.status, never.headers.get("retry-after")) == (429, None)
    assert remaining(call(path="/free")) == 4


def test_only_what_failed_counts(edge: Edge, storage: Storage, clock: Clock) -> None:
    limit = RateLimit("2/minute", when=failed, clock=clock)
    succeeding, refusing = edge.wrap(hello, [limit], storage), edge.wrap(failing, [limit], storage)
    assert [succeeding().status for _ in range(5)] == [200] * 5
    assert [refusing().status for _ in range(3)] == [FAILED, FAILED, 429]
    assert succeeding().status == 429


def test_an_app_that_raises_counts_as_a_failure(edge: Edge, storage: Storage, clock: Clock) -> None:
    limit = RateLimit("1/minute", when=failed, clock=clock)
    with pytest.raises(ZeroDivisionError):
        edge.wrap(raising, [limit], storage)()
    assert edge.wrap(hello, [limit], storage)().status == 429


def test_the_real_cost_is_charged_when_it_is_known(edge: Edge, storage: Storage, clock: Clock) -> None:
    tokens = iter([3, 30, 0])
    limit = RateLimit("100/hour", cost=10, count=lambda request, response: next(tokens), clock=clock)
    call = edge.wrap(hello, [limit], storage)
    for _ in range(3):
        call()
    [policy] = run(limit.explain("192.0.2.1"), storage)
    assert policy["remaining"] == 100 - 33


@pytest.mark.parametrize("kind", ["threads", "tasks"])
def test_of_parallel_failures_one_reaches_the_app(kind: str, redis_url: str, prefix: str) -> None:
    """The budget is taken before the app runs, so that no two find the last one free."""
    storage = RedisStorage(redis_url, prefix=prefix, timeout=5)
    limit = RateLimit("1/minute", when=failed)
    reached: list[int] = []
    arrived = threading.Barrier(20) if kind == "threads" else None

    def slowly(seen: Seen) -> Any:
        reached.append(1)
        return failing(seen)

    if arrived is not None:
        call = WSGI().wrap(slowly, [limit], storage)
        with ThreadPoolExecutor(20) as pool:
            statuses = list(pool.map(lambda _: (arrived.wait(), call().status)[1], range(20)))
    else:
        statuses = asyncio.run(in_parallel(limit, storage, reached))
    assert len(reached) == 1
    assert sorted(statuses) == [FAILED] + [429] * 19
    storage.close()


async def in_parallel(limit: RateLimit, storage: RedisStorage, reached: list[int]) -> list[int]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        reached.append(1)
        await asyncio.sleep(0.05)
        await send({"type": "http.response.start", "status": FAILED, "headers": []})
        await send({"type": "http.response.body"})

    async def one() -> int:
        statuses: list[int] = []

        async def send(message: Any) -> None:
            statuses.append(message.get("status", 0))

        await middleware(scope(), None, send)  # type: ignore[arg-type]  # it is not read
        return statuses[0]

    middleware = ASGIMiddleware(app, layers=[limit], storage=storage)
    try:
        return list(await asyncio.gather(*[one() for _ in range(20)]))
    finally:
        await storage.aclose()


def test_limits_may_depend_on_the_request(edge: Edge, storage: Storage, clock: Clock) -> None:
    tiers = {"gold": "3/minute", "free": "1/minute"}
    limit = RateLimit(lambda request: tiers.get(request.headers.get("x-tier") or ""), key=header("x-api-key"), clock=clock)
    call = edge.wrap(hello, [limit], storage)

    def statuses(tier: str, key: str) -> list[int]:
        return [call(headers=[("x-tier", tier), ("x-api-key", key)]).status for _ in range(4)]

    assert statuses("gold", "a") == [200, 200, 200, 429]
    assert statuses("free", "b") == [200, 429, 429, 429]
    assert statuses("staff", "c") == [200] * 4


def test_each_limit_may_count_somebody_else(edge: Edge, storage: Storage, clock: Clock) -> None:
    limit = RateLimit("3/minute", Limit("2/minute", name="key", key=header("x-api-key")), clock=clock)
    call = edge.wrap(hello, [limit], storage)
    assert [call(headers=[("x-api-key", "a")]).status for _ in range(3)] == [200, 200, 429]
    assert call(headers=[("x-api-key", "b")]).status == 200, "the denied one took nothing of the address"
    assert call(headers=[("x-api-key", "c")]).status == 429


@pytest.mark.parametrize("atomic", [True, False])
def test_several_subjects_are_one_trip(wire: Wire, edge: Edge, prefix: str, atomic: bool) -> None:
    storage = RedisStorage(wire.url, prefix=prefix, timeout=5)
    limit = RateLimit("9/minute", "9/hour", Limit("9/day", key=header("x-api-key")), atomic=atomic)
    call = edge.wrap(hello, [limit], storage)
    call(headers=[("x-api-key", "a")])
    before = wire.trips
    assert call(headers=[("x-api-key", "a")]).status == 200
    assert wire.trips - before == 1
    storage.close()


def test_apart_a_denied_request_is_given_back(edge: Edge, storage: Storage, clock: Clock) -> None:
    limit = RateLimit("5/minute", Limit("1/minute", name="key", key=header("x-api-key")), atomic=False, clock=clock)
    call = edge.wrap(hello, [limit], storage)
    assert [call(headers=[("x-api-key", "a")]).status for _ in range(4)] == [200, 429, 429, 429]
    assert remaining(call(headers=[("x-api-key", "b")])) == 3


def test_no_key_is_in_clear(redis_url: str, prefix: str, control: Any) -> None:
    storage = RedisStorage(redis_url, prefix=prefix)
    limit = RateLimit("5/minute", key=header("x-api-key"))
    WSGI().wrap(hello, [limit], storage)(headers=[("x-api-key", "hunter2")])
    keys = list(control.scan_iter(match=f"{prefix}*"))
    assert keys
    assert not any(b"hunter2" in key for key in keys)
    storage.close()


def test_a_route_template_is_one_budget(edge: Edge, storage: Storage, clock: Clock) -> None:
    limit = RateLimit("2/minute", paths=["/items/{id}", "/users/{id}"], per_path=True, clock=clock)
    call = edge.wrap(hello, [limit], storage)
    assert [call(path=path).status for path in ("/items/1", "/Items/2/", "/items//3")] == [200, 200, 429]
    assert call(path="/users/1").status == 200
    assert call(path="/").status == 200


def test_what_an_outer_layer_found_out_may_be_counted(edge: Edge, storage: Storage, clock: Clock) -> None:
    class Login(Layer):
        """Stands for a session."""

        eager = True

        def __call__(self, request: Request, /) -> Flow:
            request.native["user"] = ((yield from Get("user:" + request.path)) or b"").decode()
            return (yield from proceed())

    storage.execute([Set("user:/alice", b"alice", 600), Set("user:/too", b"alice", 600)])
    limit = RateLimit("1/minute", key=lambda request: request.native["user"] or None, eager=False, clock=clock)
    call = edge.wrap(hello, [Login(), limit], storage)
    assert [call(path=path).status for path in ("/alice", "/too", "/nobody", "/nobody")] == [200, 429, 200, 200]


def test_methods_preflights_and_head(edge: Edge, storage: Storage, clock: Clock) -> None:
    call = edge.wrap(hello, [RateLimit("2/minute", methods="GET", clock=clock)], storage)
    assert [call(method).status for method in ("POST", "GET", "HEAD", "GET", "POST")] == [200, 200, 200, 429, 200]
    call = edge.wrap(hello, [RateLimit("1/minute", name="all", clock=clock)], storage)
    preflight = [("origin", "https://example.org"), ("access-control-request-method", "PUT")]
    assert [call("OPTIONS", headers=preflight).status for _ in range(3)] == [200] * 3
    assert [call().status, call().status] == [200, 429]


def test_allow_beats_deny_and_deny_beats_limits(edge: Edge, storage: Storage, clock: Clock) -> None:
    limit = RateLimit("1/minute", allow=["192.0.2.7"], deny=["192.0.2.0/24"], clock=clock)
    call = edge.wrap(hello, [limit], storage)
    assert [call(peer="192.0.2.7").status for _ in range(3)] == [200] * 3
    assert [call(peer="192.0.2.8").status for _ in range(3)] == [403] * 3
    assert [call(peer="198.51.100.1").status for _ in range(2)] == [200, 429]


def test_who_is_exempt_is_not_counted(edge: Edge, storage: Storage, clock: Clock) -> None:
    limit = RateLimit("1/minute", exempt=lambda request: request.headers.get("x-staff") == "yes", clock=clock)
    call = edge.wrap(hello, [limit], storage)
    assert [call(headers=[("x-staff", "yes")]).status for _ in range(3)] == [200] * 3
    assert call().status == 200


def test_behind_a_proxy_the_client_is_counted(edge: Edge, storage: Storage, clock: Clock) -> None:
    limit = RateLimit("1/minute", trusted_proxies=["10.0.0.0/8"], clock=clock)
    call = edge.wrap(hello, [limit], storage)

    def through(forwarded: str, peer: str = "10.0.0.1") -> int:
        return call(headers=[("x-forwarded-for", forwarded)], peer=peer).status

    assert [through("203.0.113.1"), through("203.0.113.2"), through("6.6.6.6, 203.0.113.1")] == [200, 200, 429]
    assert [through("203.0.113.9", peer="198.51.100.1"), through("203.0.113.8", peer="198.51.100.1")] == [200, 429]


def test_a_shadow_lets_pass_and_is_not_shown(edge: Edge, storage: Storage, clock: Clock) -> None:
    limit = RateLimit("5/minute", Limit("1/hour", shadow=True), clock=clock)
    answers = [edge.wrap(hello, [limit], storage)() for _ in range(3)]
    assert [answer.status for answer in answers] == [200] * 3
    assert answers[0].headers.get("ratelimit-policy") == '"minute";q=5;w=60'


@pytest.mark.parametrize(
    ("headers", "name", "value"),
    [
        ("draft", "ratelimit", '"hour";r=4;t=3600'),
        ("legacy", "x-ratelimit-remaining", "4"),
        ("draft-6", "ratelimit-remaining", "4"),
    ],
)
def test_the_fields_are_the_users_choice(edge: Edge, storage: Storage, headers: Any, name: str, value: str) -> None:
    answer = edge.wrap(hello, [RateLimit("5/hour", headers=headers)], storage)()
    assert answer.headers.get(name) == value
    assert not [key for key, _ in edge.wrap(hello, [RateLimit("5/hour", headers=None)], storage)().headers if "ratelimit" in key]


def test_the_answer_may_be_replaced(edge: Edge, storage: Storage, clock: Clock) -> None:
    limit = RateLimit("1/hour", status=503, body="Busy.", response_headers=[("x-why", "limit")], clock=clock)
    call = edge.wrap(hello, [limit], storage)
    call()
    answer = call()
    assert (answer.status, answer.body, answer.headers.get("x-why")) == (503, b"Busy.", "limit")
    assert answer.headers.get("retry-after") == "3600"


class TestWithoutATrip:
    """A denied subject is told so again without asking."""

    @pytest.fixture
    def over(self, wire: Wire, prefix: str) -> Iterator[RedisStorage]:
        storage = RedisStorage(wire.url, prefix=prefix, timeout=5)
        yield storage
        storage.close()

    @pytest.mark.parametrize("options", [{}, {"max_in_flight": 5}])
    def test_a_denied_subject_takes_no_trip(
        self, wire: Wire, edge: Edge, over: RedisStorage, clock: Clock, options: dict[str, Any]
    ) -> None:
        call = edge.wrap(hello, [RateLimit("1/minute; 5/hour; 9/day", clock=clock, **options)], over)
        assert [call().status, call().status] == [200, 429]
        before = wire.trips
        clock.move(0.9)
        answers = [call() for _ in range(10)]
        assert wire.trips == before
        assert {answer.status for answer in answers} == {429}
        assert int(answers[0].headers.get("retry-after") or 0) in (59, 60)
        clock.move(0.2)
        assert call().status == 429
        assert wire.trips - before == 1, "and asks again after a second"

    def test_exempt_and_allowed_take_none(self, wire: Wire, edge: Edge, over: RedisStorage) -> None:
        limit = RateLimit("1/minute", allow=["192.0.2.1"], exempt=lambda request: request.path == "/free")
        call = edge.wrap(hello, [limit], over)
        before = wire.trips
        assert [call().status, call().status, call(path="/free", peer="192.0.2.2").status] == [200, 200, 200]
        assert wire.trips == before

    def test_a_reset_holds_at_once_here_and_in_a_second_elsewhere(self, over: RedisStorage, clock: Clock) -> None:
        here, elsewhere = RateLimit("1/minute", clock=clock), RateLimit("1/minute", clock=clock)
        call, call_elsewhere = (WSGI().wrap(hello, [limit], over) for limit in (here, elsewhere))
        assert [call().status, call().status, call_elsewhere().status] == [200, 429, 429]
        assert run(here.reset("192.0.2.1"), over) is True
        assert run(here.reset("192.0.2.1"), over) is False
        assert call_elsewhere().status == 429
        clock.move(1)
        assert call_elsewhere().status == 200


def test_what_is_given_back_can_be_taken_at_once(redis_url: str, prefix: str) -> None:
    storage = RedisStorage(redis_url, prefix=prefix, timeout=5)
    limit = RateLimit("1/hour", when=failed)
    inner: list[int] = []

    def busy(seen: Seen) -> Any:
        if not inner:
            inner.append(0)
            inner.append(call().status)
        return hello(seen)

    call = WSGI().wrap(busy, [limit], storage)
    assert call().status == 200
    assert inner[1] == 429, "while the first is running, the budget is taken"
    assert call().status == 200, "and then it is free again, though a denial was remembered"
    storage.close()


def test_what_is_given_back_by_hand_can_be_taken_at_once(storage: Storage) -> None:
    limit = RateLimit("1/hour")
    taken = [run(limit.check("192.0.2.1"), storage).allowed for _ in range(2)]
    assert taken == [True, False]
    run(limit.check("192.0.2.1", cost=-1), storage)
    assert run(limit.check("192.0.2.1"), storage).allowed


def test_limiters_about_different_things_do_not_share_counts(edge: Edge, storage: Storage, clock: Clock) -> None:
    layers = [RateLimit("100/minute", clock=clock), RateLimit("2/minute", paths="/login", clock=clock)]
    call = edge.wrap(hello, layers, storage)
    assert [call(path="/login").status for _ in range(3)] == [200, 200, 429]
    assert [call().status for _ in range(5)] == [200] * 5


def test_who_is_denied_is_denied_everywhere(edge: Edge, storage: Storage) -> None:
    limit = RateLimit("5/minute", paths="/login", deny="192.0.2.1", exempt=lambda request: True)
    call = edge.wrap(hello, [limit], storage)
    assert [call(path="/").status, call(path="/login").status, call("OPTIONS").status] == [403] * 3


def test_an_operator_may_paste_an_address(edge: Edge, storage: Storage, clock: Clock) -> None:
    limit = RateLimit("1/minute", clock=clock)
    call = edge.wrap(hello, [limit], storage)
    assert [call(peer="2001:db8::5").status, call(peer="2001:db8::6").status] == [200, 429]
    assert run(limit.explain("2001:db8::5"), storage)[0]["remaining"] == 0
    assert run(limit.reset("2001:db8::7"), storage)
    assert call(peer="2001:db8::8").status == 200


def test_user_ids_may_be_numbers(edge: Edge, storage: Storage, clock: Clock) -> None:
    call = edge.wrap(hello, [RateLimit("1/minute", key=lambda request: 42, clock=clock)], storage)  # type: ignore[arg-type, return-value]
    assert [call().status, call().status] == [200, 429]


@pytest.mark.parametrize("options", [{"cost": lambda request: 0.5}, {"cost": lambda request: "5"}, {"key": lambda request: 1.5}])
def test_a_callable_that_gives_nonsense_is_told_so(options: Any) -> None:
    with pytest.raises(TypeError, match=r"must give|whole number"):
        WSGI().wrap(hello, [RateLimit("5/minute", **options)], MemoryStorage())()


def test_a_checked_request_is_treated_as_on_its_way_in(storage: Storage) -> None:
    limit = RateLimit("1/minute", paths="/chat", deny="192.0.2.9", exempt=lambda request: request.method == "PUT")

    def check(**options: Any) -> list[bool]:
        return [run(limit.check(Request(**options)), storage).allowed for _ in range(2)]

    assert check(path="/chat", peer="192.0.2.1") == [True, False]
    assert check(path="/other", peer="192.0.2.1") == [True, True]
    assert check(path="/chat", method="PUT", peer="192.0.2.1") == [True, True]
    assert check(path="/other", peer="192.0.2.9") == [False, False]


def test_apart_a_denied_check_is_given_back(storage: Storage) -> None:
    limit = RateLimit("5/minute", Limit("1/minute", name="one", key=header("x-key")), atomic=False)
    request = Request(headers=[("x-key", "a")], peer="192.0.2.1")
    assert [run(limit.check(request), storage).allowed for _ in range(4)] == [True, False, False, False]
    assert run(limit.explain("192.0.2.1"), storage)[0]["remaining"] == 4


def test_what_a_subject_has_left_is_explained(storage: Storage, loop: asyncio.Runner) -> None:
    limit = RateLimit("5/minute", Limit("7/hour", algorithm="gcra"))
    WSGI().wrap(hello, [limit], storage)()
    explained = loop.run(arun(limit.explain("192.0.2.1"), storage))
    assert [(policy["policy"], policy["algorithm"], policy["remaining"]) for policy in explained] == [
        ("minute", "fixed-window", 4),
        ("hour", "gcra", 6),
    ]
    assert explained[0]["key"] == "l:{192.0.2.1}:minute:f"
    loop.run(storage.aclose())


def test_messages_are_counted_by_hand(storage: Storage, clock: Clock) -> None:
    limit = RateLimit("3/minute", clock=clock)
    allowed = [run(limit.check("user:42"), storage).allowed for _ in range(4)]
    assert allowed == [True, True, True, False]
    assert run(limit.check(Request(peer="192.0.2.1"), cost=2), storage).states[0].remaining == 1


def test_a_changed_algorithm_meets_no_state_of_another_kind(edge: Edge, storage: Storage) -> None:
    names: list[Any] = ["fixed-window", "moving-window", "sliding-window-counter", "gcra"]
    for name in names * 2:
        assert edge.wrap(hello, [RateLimit("9/minute", algorithm=name)], storage)().status == 200


@pytest.mark.parametrize("algorithm", ["fixed-window", "moving-window", "gcra"])
def test_a_raised_limit_keeps_what_was_counted(edge: Edge, storage: Storage, algorithm: Any) -> None:
    small, large = (edge.wrap(hello, [RateLimit(limit, algorithm=algorithm)], storage) for limit in ("100/hour", "200/hour"))
    for _ in range(40):
        small()
    assert remaining(large()) in (159, 158)


class Down(MemoryStorage):
    def execute(self, ops: Any, /) -> list[Op[Any]]:
        raise ConnectionError("gone")


def test_alone_a_worker_allows_its_share(edge: Edge, caplog: pytest.LogCaptureFixture) -> None:
    limit = RateLimit("10/minute", fallback_share=0.25)
    call = edge.wrap(hello, [limit], Down())
    assert [call().status for _ in range(3)] == [200, 200, 429]


def test_alone_a_worker_settles_too(edge: Edge, caplog: pytest.LogCaptureFixture) -> None:
    call = edge.wrap(hello, [RateLimit("1/minute", when=failed)], Down())
    assert [call().status for _ in range(3)] == [200] * 3


@pytest.mark.parametrize(
    "options",
    [
        {"algorithm": "leaky"},
        {"burst": 5},
        {"fallback_share": 0},
        {"status": 200},
        {"headers": "drafts"},
        {"deny": ["10.0.0.0/33"]},
        {"trusted_proxies": ["nginx"]},
        {"ipv6_prefix": 0},
        {"paths": []},
        {"per_path": True},
        {"on_error": "shut"},
        {"cost": 0.5},
        {"cost": "5"},
        {"key": "address"},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        RateLimit("5/minute", **options)


def test_an_action_is_a_flow_outside_a_request(storage: Storage) -> None:
    action: Action[bool] = RateLimit("5/minute").reset("192.0.2.1")
    assert run(action, storage) is False


def test_both_edges_agree(storage: Storage) -> None:
    limit, asgi = RateLimit("2/minute", algorithm="gcra"), ASGI()
    assert asgi.wrap(hello, [limit], storage)().headers.get("ratelimit") is not None
    assert remaining(WSGI().wrap(hello, [limit], storage)()) == 0
    asgi.close()
