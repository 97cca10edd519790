"""What holds for a limit on a view in every framework: written once, and run by the test of each.

A view is written as a `Behaviour`: a function that returns a status and headers, or raises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
import pytest

from redis_middleware import ConfigurationError, MemoryStorage, RateLimit
from redis_middleware.flow import Layer
from redis_middleware.ops import Op
from redis_middleware.storage import Storage

from ..conftest import Clock

Behaviour = Callable[[], tuple[int, list[tuple[str, str]]]]


@dataclass
class Answer:
    """What the client gets."""

    status: int
    headers: httpx.Headers
    body: bytes


class Refused(Exception):
    """A behaviour raises it to have the framework's own error for 403."""


class Site(Protocol):
    """An app of some framework, with an edge around it."""

    def limit(self, *limits: Any, **options: Any) -> Any: ...
    def add(self, path: str, limited: Any, behaviour: Behaviour) -> None: ...
    def get(self, path: str, method: str = "GET", **headers: str) -> Answer: ...


class Sites(Protocol):
    """Makes sites."""

    def __call__(self, storage: Storage, layers: Sequence[Layer] = ()) -> Site: ...


class Idle(Layer):
    """A layer that does nothing: for an edge that is there for its storage only."""

    def __call__(self, request: Any, /) -> Any:
        return None
        yield


class Down(MemoryStorage):
    """A storage that is gone."""

    def execute(self, ops: Any, /) -> list[Op[Any]]:
        raise ConnectionError("gone")


def fine() -> tuple[int, list[tuple[str, str]]]:
    return 200, [("x-own", "kept"), ("set-cookie", "a=1"), ("set-cookie", "b=2")]


def unauthorized() -> tuple[int, list[tuple[str, str]]]:
    return 401, []


def refusing() -> Any:
    raise Refused


def broken() -> Any:
    raise ZeroDivisionError


def failed(request: Any, response: Any) -> bool:
    return response is None or response.status in (401, 403)


def remaining(answer: Answer) -> int:
    return int(answer.headers["ratelimit"].partition(";r=")[2].partition(";")[0])


class Scenarios:
    """Inherit, and have a fixture `sites`."""

    def test_who_sends_too_many_is_denied(self, sites: Sites, storage: Storage, clock: Clock) -> None:
        site = sites(storage)
        site.add("login", site.limit("2/minute", clock=clock), fine)
        answers = [site.get("login") for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]
        assert [remaining(answer) for answer in answers] == [1, 0, 0]
        assert answers[0].headers["ratelimit-policy"] == '"minute";q=2;w=60'
        denied = answers[2]
        assert 1 <= int(denied.headers["retry-after"]) <= 60
        assert denied.headers["cache-control"] == "no-store"
        assert denied.headers["content-type"] == "application/problem+json"
        assert denied.headers["content-length"] == str(len(denied.body))
        assert httpx.Response(429, content=denied.body).json()["violated-policies"] == ["minute"]
        clock.move(60)
        assert site.get("login").status == 200

    def test_the_views_own_head_is_kept(self, sites: Sites, storage: Storage) -> None:
        site = sites(storage)
        site.add("login", site.limit("2/minute"), fine)
        answer = site.get("login")
        assert (answer.status, answer.body, answer.headers["x-own"]) == (200, b"hello", "kept")
        assert sorted(value.partition(";")[0].strip() for value in answer.headers.get_list("set-cookie")) == ["a=1", "b=2"]
        assert len(answer.headers.get_list("content-type")) == 1

    def test_head_is_denied_without_a_body(self, sites: Sites, storage: Storage) -> None:
        site = sites(storage)
        site.add("login", site.limit("1/minute"), fine)
        site.get("login")
        assert (site.get("login", "HEAD").status, site.get("login", "HEAD").body) == (429, b"")

    def test_each_view_has_a_budget_of_its_own(self, sites: Sites, storage: Storage) -> None:
        site = sites(storage)
        limited = site.limit("1/minute")
        for path in ("login", "logout"):
            site.add(path, limited, fine)
        site.add("free", None, fine)
        assert [site.get(path).status for path in ("login", "logout", "login", "logout")] == [200, 200, 429, 429]
        assert [site.get("free").status for _ in range(3)] == [200] * 3

    def test_views_of_one_name_share_one(self, sites: Sites, storage: Storage) -> None:
        site = sites(storage)
        for path in ("login", "logout"):
            site.add(path, site.limit("2/minute", name="auth"), fine)
        assert [site.get(path).status for path in ("login", "logout", "login", "logout")] == [200, 200, 429, 429]

    def test_a_view_and_the_app_are_limited_together(self, sites: Sites, storage: Storage) -> None:
        site = sites(storage, [RateLimit("3/minute")])
        site.add("login", site.limit("1/hour"), fine)
        site.add("front", None, fine)
        assert [site.get(path).status for path in ("login", "login", "front", "front")] == [200, 429, 200, 429]

    def test_two_limits_on_one_view(self, sites: Sites, storage: Storage) -> None:
        site = sites(storage)
        site.add("login", site.limit("3/minute", "2/hour"), fine)
        answers = [site.get("login") for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]
        assert answers[0].headers["ratelimit-policy"] == '"minute";q=3;w=60, "hour";q=2;w=3600'

    @pytest.mark.parametrize(("behaviour", "status"), [(unauthorized, 401), (refusing, 403)])
    def test_only_what_failed_counts(
        self, sites: Sites, storage: Storage, clock: Clock, behaviour: Behaviour, status: int
    ) -> None:
        site = sites(storage)
        limited = site.limit("2/minute", name="auth", when=failed, clock=clock)
        site.add("right", limited, fine)
        site.add("wrong", limited, behaviour)
        assert [site.get("right").status for _ in range(4)] == [200] * 4
        assert [site.get("wrong").status for _ in range(3)] == [status, status, 429]
        assert site.get("right").status == 429

    def test_the_status_of_an_http_error_is_seen(self, sites: Sites, storage: Storage) -> None:
        seen: list[int | None] = []

        def when(request: Any, response: Any) -> bool:
            seen.append(response and response.status)
            return True

        site = sites(storage)
        site.add("secret", site.limit("2/minute", when=when), refusing)
        assert site.get("secret").status == 403
        assert seen == [403]

    def test_a_view_that_raises_counts_and_its_error_goes_on(self, sites: Sites, storage: Storage, clock: Clock) -> None:
        seen: list[object] = []

        def when(request: Any, response: Any) -> bool:
            seen.append(response and response.status)
            return failed(request, response)

        site = sites(storage)
        site.add("broken", site.limit("1/minute", when=when, clock=clock), broken)
        assert [site.get("broken").status for _ in range(2)] == [500, 429]
        assert seen == [None]

    def test_the_real_cost_is_charged_when_it_is_known(self, sites: Sites, storage: Storage) -> None:
        costs = iter([3, 30, 0])
        site = sites(storage)
        site.add("tokens", site.limit("100/hour", cost=10, count=lambda *_: next(costs)), fine)
        assert [remaining(site.get("tokens")) for _ in range(3)] == [90, 87, 57]

    def test_the_answer_may_be_replaced(self, sites: Sites, storage: Storage) -> None:
        site = sites(storage)
        site.add("login", site.limit("1/hour", status=503, body="Busy.", response_headers=[("x-why", "limit")]), fine)
        site.get("login")
        answer = site.get("login")
        assert (answer.status, answer.body, answer.headers["x-why"]) == (503, b"Busy.", "limit")

    def test_who_is_on_the_deny_list_is_answered_403(self, sites: Sites, storage: Storage) -> None:
        site = sites(storage)
        site.add("login", site.limit("1/hour", deny="127.0.0.0/8"), fine)
        assert site.get("login").status == 403

    @pytest.mark.parametrize(
        ("on_error", "statuses"), [("open", [200] * 3), ("closed", [503] * 3), ("fallback", [200, 200, 429])]
    )
    def test_without_a_storage_the_policy_decides(self, sites: Sites, on_error: str, statuses: list[int]) -> None:
        site = sites(Down())
        site.add("login", site.limit("2/minute", on_error=on_error), fine)
        assert [site.get("login").status for _ in range(3)] == statuses

    @pytest.mark.parametrize("options", [{"status": 200}, {"on_error": "shut"}, {"paths": []}])
    def test_what_makes_no_sense_is_refused_at_once(self, sites: Sites, storage: Storage, options: dict[str, Any]) -> None:
        with pytest.raises(ConfigurationError):
            sites(storage).limit("2/minute", **options)
        with pytest.raises(ConfigurationError):
            sites(storage).limit("two a minute")
