"""What sessions cost in round trips, counted at the socket of a real server; beside two limits and the health route."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from redis_middleware import Health, RateLimit, RedisStorage

from ...conftest import Clock
from ...edges import Edge
from ...wire import Wire
from .browser import Browser, Deed, Site


@pytest.fixture
def over(wire: Wire, prefix: str, clock: Clock) -> Iterator[RedisStorage]:
    storage = RedisStorage(wire.url, prefix=prefix, timeout=5, clock=clock)
    yield storage
    storage.close()


@pytest.fixture
def trips(edge: Edge, over: RedisStorage, wire: Wire, clock: Clock) -> Callable[..., int]:
    site = Site(edge, over, layers=[Health(), RateLimit("200/day; 50/hour")], clock=clock)
    browsers = [site.browser(), site.browser()]
    deeds: list[Deed] = [
        lambda s: s.update(a=2, n=0),
        len,
        lambda s: s.increment("n"),
        lambda s: s.bind("42"),
        lambda s: s.rotate(),
    ]
    for browser in browsers:  # the server gets to know the scripts
        for deed in deeds:
            clock.move(400)
            browser.does(deed)
    browsers[1].does(lambda session: session.clear())
    browsers[0].does(lambda session: session.update(a=2))

    def count(deed: Deed = lambda session: None, *, wait: float = 0, cookies: dict[str, str] | None = None) -> int:
        clock.move(wait)
        browser = browsers[0] if cookies is None else Browser(site, cookies)
        before = wire.trips
        browser.does(deed)
        return wire.trips - before

    return count


@pytest.mark.parametrize(
    ("deed", "expected"),
    [
        pytest.param(lambda session: None, 1, id="untouched"),
        pytest.param(lambda session: session["a"], 1, id="read"),
        pytest.param(lambda session: session.update(a=3), 2, id="written"),
        pytest.param(lambda session: session.update(a=2), 1, id="the same written again"),
        pytest.param(lambda session: session.increment("n"), 2, id="incremented"),
        pytest.param(lambda session: session.rotate(), 2, id="rotated"),
        pytest.param(lambda session: session.bind("42"), 2, id="the same user logs in again"),
        pytest.param(lambda session: session.bind("43"), 4, id="another user logs in: to another slot, by three steps"),
        pytest.param(lambda session: session.clear(), 2, id="cleared"),
    ],
)
def test_with_a_session(trips: Callable[..., int], deed: Deed, expected: int) -> None:
    assert trips(deed) == expected


def test_the_counters_of_the_last_requests_travel_along(trips: Callable[..., int]) -> None:
    assert trips(lambda session: session["a"], wait=2) == 1


@pytest.mark.parametrize("cookies", [{}, {"session": "made up"}, {"session": "A" * 51 + "." + "B" * 43}])
@pytest.mark.parametrize(("deed", "expected"), [(lambda session: session.get("a"), 1), (lambda session: session.update(a=1), 2)])
def test_without_one_the_limit_alone_makes_a_trip(
    trips: Callable[..., int], cookies: dict[str, str], deed: Deed, expected: int
) -> None:
    assert trips(deed, cookies=cookies) == expected


@pytest.mark.parametrize("cookies", [{}, {"session": "made up"}, {"session": "A" * 51 + "." + "B" * 43}])
def test_without_one_there_is_no_trip(
    edge: Edge, over: RedisStorage, wire: Wire, cookies: dict[str, str], control: Any, prefix: str
) -> None:
    browser = Browser(Site(edge, over), cookies)
    before = wire.trips
    assert browser.does(lambda session: session.get("a")) == "None"
    assert wire.trips == before
    assert browser.set_cookies == []
    assert [*control.scan_iter(prefix + "*")] == []


def test_use_is_noted_once_in_a_tenth_of_the_idle_timeout(trips: Callable[..., int]) -> None:
    assert [trips(lambda session: session["a"], wait=wait) for wait in (359, 1, 1, 358, 1)] == [1, 2, 1, 1, 2]
