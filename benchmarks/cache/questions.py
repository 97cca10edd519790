"""What a cache gives to whom, seen by asking it: nothing here is taken from what a library says of itself.

Alice asks for a page, and then Bob does. If he gets what was made for her, the cache has stored it and does not mind who asks.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.client import parse_headers
from io import BytesIO

from redis_middleware.cli.processes import HOST

from ..load import client, get
from .kept import Kept

AT_ONCE, MANY = 50, 400
"""How many ask for a cold page at once, and how many ask for one each in a way of his own."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `run` is the run of the handler that made it, None if there was no body."""

    status: int
    headers: Message
    run: int | None


def _run(answer: Answer) -> object:
    return answer.run


def _cookie(answer: Answer) -> object:
    return answer.headers["set-cookie"]


@dataclass(frozen=True, slots=True)
class Question:
    """What Alice says and what Bob says when they ask for a page, and what of her answer he must not get."""

    page: str
    alice: Mapping[str, str] = field(default_factory=dict)
    bob: Mapping[str, str] = field(default_factory=dict)
    queries: tuple[str, str] = ("", "")
    hers: Callable[[Answer], object] = _run


ALICE = {"Authorization": "Bearer alice"}

GIVEN: Mapping[str, Question] = {
    "her `Set-Cookie`": Question("cookie", hers=_cookie),
    "asked with `Cookie`": Question("page", {"Cookie": "user=alice"}),
    "asked with `Authorization`": Question("silent", ALICE),
    "the same, `max-age=60`": Question("minute", ALICE),
    "`private`": Question("private"),
    "`no-store`": Question("no-store"),
    "another query": Question("page", queries=("?q=1", "?q=2")),
    "another `Accept-Encoding`, with `Vary`": Question("encoding", {"Accept-Encoding": "gzip"}, {"Accept-Encoding": "br"}),
}
"""What no one else must get: in each case a response to Alice."""

SHARED: Mapping[str, Question] = {
    "hit with a `Cookie`": Question("page", bob={"Cookie": "user=bob"}),
    "the same, `public`": Question("public", bob={"Cookie": "user=bob"}),
}
"""What somebody else may get, and wants to: who has been to a site before has a cookie."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What was seen of a cache: `given` of what no one else must get, `shared` of what they may.

    `error` is the status with which an error of status 500 was given to somebody else, None if the app was asked again.
    `runs` is how often a handler of 100 ms ran for 50 requests at once. `agents` and `languages` is what was kept of a page
    that varies by it, after 400 requests from as many of them.
    """

    given: dict[str, bool]
    shared: dict[str, bool]
    error: int | None
    runs: int
    agents: Kept
    languages: Kept


async def findings(port: int, kept: Callable[[], Kept]) -> Findings:
    """Ask everything. Raises `RuntimeError` if not even a page that anybody may have is stored."""
    if not await _given(port, Question("page"), "control"):
        raise RuntimeError("expected the second answer to come from the cache, it came from the app")
    given = {name: await _given(port, question, f"given-{place}") for place, (name, question) in enumerate(GIVEN.items())}
    shared = {name: await _given(port, question, f"shared-{place}") for place, (name, question) in enumerate(SHARED.items())}
    errors = [await ask(port, "/error/question") for _ in range(2)]
    cold = await asyncio.gather(*(ask(port, "/slow/question") for _ in range(AT_ONCE)))
    return Findings(
        given=given,
        shared=shared,
        error=errors[1].status if errors[0].run == errors[1].run else None,
        runs=len({answer.run for answer in cold}),
        agents=await _after_many(port, "agent", "User-Agent", kept),
        languages=await _after_many(port, "language", "Accept-Language", kept),
    )


async def _given(port: int, question: Question, which: str) -> bool:
    """Whether Bob got what was Alice's."""
    paths = [f"/{question.page}/{which}{query}" for query in question.queries]
    alice = question.hers(await ask(port, paths[0], **question.alice))
    bob = question.hers(await ask(port, paths[1], **question.bob))
    return alice is not None and alice == bob


async def _after_many(port: int, page: str, name: str, kept: Callable[[], Kept]) -> Kept:
    before = await asyncio.to_thread(kept)
    async with client(port, 8) as load:
        await load.run(MANY, (get(f"/{page}/many", **{name: f"x-{number}"}) for number in range(MANY)))
    return (await asyncio.to_thread(kept)).since(before)


async def ask(port: int, path: str, **fields: str) -> Answer:
    """Send one request over a connection of its own. Raises `RuntimeError` if the answer says no length of its body."""
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(get(path, Connection="close", **fields))
    raw = await reader.read()
    writer.close()
    await writer.wait_closed()
    lines = BytesIO(raw)
    status = int(lines.readline().split()[1])
    headers = parse_headers(lines)
    body = lines.read()
    if body and "content-length" not in headers:
        raise RuntimeError(f"expected a Content-Length, got {headers.items()}")
    return Answer(status, headers, json.loads(body).get("run") if body else None)
