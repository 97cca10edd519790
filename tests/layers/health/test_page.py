"""The page, as it leaves the server: what a browser makes of it is in tests/browser."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import pytest

from redis_middleware import Health, MemoryStorage, RateLimit, RedisStorage, Sessions, StorageUnavailable
from redis_middleware.layers.health import Thresholds
from redis_middleware.layers.health.page import POLICY, wording
from redis_middleware.layers.health.page.charts import day
from redis_middleware.storage import Storage

from ...edges import Answer, Edge, hello

PATH, NEAR = "/api/redis/", "127.0.0.1"
CALM = Thresholds(latency=5)
VOID = {"meta", "link", "input", "br"}


class Parsed(HTMLParser):
    """Tags that are balanced, attributes, and the text between."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.raw: dict[str, str] = {}
        self.text = ""
        self.feed(answer.body.decode())
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("script", "style"):
            self.raw[self.open[-1]] = self.raw.get(self.open[-1], "") + data
        else:
            self.text += f"{data} "

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


def test_it_tells_what_stats_and_health_tell(edge: Edge, storage: Storage) -> None:
    answer = edge.wrap(hello, [Health(thresholds=CALM), RateLimit("9/hour")], storage)(path=PATH, peer=NEAR)
    assert answer.status == 200
    assert answer.headers.get("content-type") == "text/html; charset=utf-8"
    assert answer.headers.get("cache-control") == "no-store"
    page = Parsed(answer)
    for words in ("Well Everything works.", "Last 24 hours", "Advice", "storage: write ✓ well", "RateLimit limits fallback 0"):
        assert words in page.words


def test_the_policy_lets_its_own_style_and_script_be_and_nothing_else(edge: Edge) -> None:
    answer = edge.wrap(hello, [Health()], MemoryStorage())(path=PATH, peer=NEAR)
    assert answer.headers.get("content-security-policy") == POLICY
    page = Parsed(answer)
    for kind in ("style", "script"):
        digest = b64encode(sha256(page.raw[kind].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in POLICY
    assert "unsafe" not in POLICY
    assert not [one for one in page.attributes if one[1].startswith("on") or one[1] == "style"]
    sources = [value or "" for _, name, value in page.attributes if name == "src" or (_, name) == ("link", "href")]
    assert all(source.startswith("data:") for source in sources)


def test_a_stranger_gets_the_status_and_no_more(edge: Edge, storage: Storage) -> None:
    page = Parsed(edge.wrap(hello, [Health(thresholds=CALM), RateLimit("9/hour")], storage)(path=PATH))
    known = "Well · redis_middleware ◇ redis_middleware as of now Pause Health of the storage Well Everything works. health"
    assert page.words.startswith(known)
    assert "RateLimit" not in page.words


@pytest.mark.parametrize(("token", "asked"), [(None, False), ("s3cret", True)])
def test_a_token_is_asked_for_only_where_there_is_one(edge: Edge, token: str | None, asked: bool) -> None:
    page = Parsed(edge.wrap(hello, [Health(token=token)], MemoryStorage())(path=PATH))
    assert ("input" in [tag for tag, _, _ in page.attributes]) == asked


class Down:
    """A storage that is out of reach."""

    def execute(self, ops: Any, /) -> list[Any]:
        raise StorageUnavailable("switched off")


def test_it_says_that_the_storage_is_down(edge: Edge) -> None:
    answer = edge.wrap(hello, [Health(), RateLimit("9/hour")], Down())(path=PATH, peer=NEAR)  # type: ignore[arg-type]  # completed by the edge
    assert answer.status == 200, "the page works"
    words = Parsed(answer).words
    assert "Down The storage does not work. Failed." in words
    assert "What was counted cannot be read now: failed." in words


def test_so_it_does_for_a_server_that_is_gone(edge: Edge) -> None:
    storage = RedisStorage("redis://127.0.0.1:1/0")
    words = Parsed(edge.wrap(hello, [Health()], storage)(path=PATH, peer=NEAR)).words
    assert "Down The storage does not work. Unreachable." in words
    assert "Nothing is known while the storage does not work." in words


def test_what_clients_choose_is_escaped(edge: Edge, storage: Storage) -> None:
    call = edge.wrap(hello, [Health(), RateLimit("1/hour")], storage)
    for _ in range(3):
        call(path="/<script>alert('x')</script>")
    edge.flush()
    answer = call(path=PATH, peer=NEAR)
    assert b"<script>alert" not in answer.body
    assert "/<script>alert('x')</script> 2" in Parsed(answer).words


def test_a_limiter_and_a_session_layer_leave_their_counts(edge: Edge, storage: Storage) -> None:
    call = edge.wrap(hello, [Health(), RateLimit("1/hour"), Sessions("0123456789abcdef0123456789abcdef")], storage)
    for _ in range(4):
        call()
    edge.flush()
    words = Parsed(call(path=PATH, peer=NEAR)).words
    assert "Denied 75.0 % 3 in 24 h" in words
    assert "Active sessions 0 0 created in 24 h" in words
    assert "Limited subjects 192.0.2.1 3 Denied paths / 3" in words


def test_bars_are_as_high_as_what_they_count() -> None:
    hours = [{"time": f"2027-01-15T{hour:02}:00:00.000Z", "a": hour, "b": 0} for hour in range(24)]
    drawn = day("Things", hours, {"a": "first", "b": "second"})
    heights = [float(height) for height in re.findall(r'<rect class="a" .*? height="(.*?)"', drawn)]
    assert len(heights) == 23, "none for an hour without any"
    assert heights == sorted(heights)
    assert heights[-1] == 76
    assert 'aria-label="Things, the last 24 hours: 276 first, 0 second"' in drawn
    assert "<title>23:00 UTC: 23 first, 0 second</title>" in drawn


def test_an_empty_day_is_one() -> None:
    assert "<rect" not in day("Things", [], {"a": "first"})


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (wording.number(1234567), "1,234,567"),
        (wording.number(None), "–"),
        (wording.number(0.5), "0.50"),
        (wording.size(0), "0 B"),
        (wording.size(1536), "1.5 KiB"),
        (wording.size(64 << 20), "64.0 MiB"),
        (wording.size(3 << 40), "3.0 TiB"),
        (wording.size(None), "–"),
        (wording.milliseconds(0.123), "0.12 ms"),
        (wording.milliseconds(12.34), "12.3 ms"),
        (wording.milliseconds(1234.5), "1234 ms"),
        (wording.milliseconds(None), "–"),
        (wording.share(1, 3), "33.3 %"),
        (wording.share(0, 0), "–"),
        (wording.duration(59), "59 s"),
        (wording.duration(150), "2 min"),
        (wording.duration(7260), "2 h 1 min"),
        (wording.duration(90_000), "1 d 1 h"),
        (wording.duration(None), ""),
        (wording.plain(True), "yes"),
        (wording.plain(""), "–"),
        (wording.plain("noeviction"), "noeviction"),
    ],
)
def test_numbers_are_said_as_people_read_them(said: str, text: str) -> None:
    assert said == text
