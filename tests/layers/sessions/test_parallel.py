"""Many requests at once, by threads and by tasks, with a moment between reading and writing: nothing is lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from http.cookies import SimpleCookie
from typing import Any

import pytest

from redis_middleware import ASGIMiddleware, Session, Sessions, WSGIMiddleware, run
from redis_middleware.storage import Storage

from ...edges import Answer, asgi_call, environ, scope, wsgi_call
from .browser import SECRET

Deed = Callable[[Session], object]
MOMENT = 0.002


def by_threads(sessions: Sessions, storage: Storage, deed: Deed, cookies: Iterable[str]) -> list[Answer]:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        session = environ["redis_middleware.session"]
        len(session)
        time.sleep(MOMENT)
        said = repr(deed(session)).encode()
        start_response("200 OK", [("content-length", str(len(said))), ("content-type", "text/plain")])
        return [said]

    wrapped = WSGIMiddleware(app, layers=[sessions], storage=storage)
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(lambda cookie: wsgi_call(wrapped, environ(headers=[("cookie", cookie)])), cookies))


def by_tasks(sessions: Sessions, storage: Storage, deed: Deed, cookies: Iterable[str]) -> list[Answer]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        session = scope["session"]
        len(session)
        await asyncio.sleep(MOMENT)
        said = repr(deed(session)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(said)).encode())]})
        await send({"type": "http.response.body", "body": said})

    async def main() -> list[Answer]:
        wrapped = ASGIMiddleware(app, layers=[sessions], storage=storage)
        try:
            calls = [asgi_call(wrapped, scope(headers=[("cookie", cookie)])) for cookie in cookies]
            return list(await asyncio.gather(*calls))
        finally:
            await storage.aclose()

    return asyncio.run(main())


Crowd = Callable[[Sessions, Storage, Deed, Iterable[str]], list[Answer]]


@pytest.fixture(params=[by_threads, by_tasks])
def crowd(request: pytest.FixtureRequest) -> Crowd:
    return request.param  # type: ignore[no-any-return]


def cookie_of(answer: Answer) -> str:
    [line] = answer.headers.getall("set-cookie")
    return f"session={SimpleCookie(line)['session'].value}"


def test_200_increments_leave_200(crowd: Crowd, storage: Storage) -> None:
    sessions = Sessions(SECRET)
    cookie = cookie_of(crowd(sessions, storage, lambda session: session.update(a=1), [""])[0])
    crowd(sessions, storage, lambda session: session.increment("n"), [cookie] * 200)
    [answer] = crowd(sessions, storage, lambda session: session["n"], [cookie])
    assert answer.body == b"200"


def test_200_writes_of_different_keys_leave_200(crowd: Crowd, storage: Storage) -> None:
    sessions = Sessions(SECRET)
    cookie = cookie_of(crowd(sessions, storage, lambda session: session.update(a=1), [""])[0])
    names = iter(range(200))
    crowd(sessions, storage, lambda session: session.update({f"k{next(names)}": 1}), [cookie] * 200)
    [answer] = crowd(sessions, storage, len, [cookie])
    assert answer.body == b"201"


@pytest.mark.parametrize("when_full", ["evict", "refuse"])
def test_50_parallel_logins_leave_at_most_2(crowd: Crowd, storage: Storage, when_full: Any) -> None:
    sessions = Sessions(SECRET, max_per_user=2, when_full=when_full)
    answers = crowd(sessions, storage, lambda session: session.bind("42"), [""] * 50)
    assert len(run(sessions.list("42"), storage)) == 2
    cookies = [cookie_of(answer) for answer in answers if answer.status == 200]
    assert len(cookies) == (50 if when_full == "evict" else 2)
    alive = crowd(sessions, storage, lambda session: session.id, cookies)
    assert sum(answer.body != b"None" for answer in alive) == 2


def test_20_parallel_rotates_leave_one_live_id(crowd: Crowd, storage: Storage, clock: Any) -> None:
    sessions = Sessions(SECRET, rotation_grace=5)
    cookie = cookie_of(crowd(sessions, storage, lambda session: session.update(a=1), [""])[0])
    answers = crowd(sessions, storage, lambda session: session.rotate(), [cookie] * 20)
    assert sum("set-cookie" in answer.headers for answer in answers) == 1
    [new] = [cookie_of(answer) for answer in answers if "set-cookie" in answer.headers]
    clock.move(6)
    before, after = crowd(sessions, storage, lambda session: session.get("a"), [cookie, new])
    assert (before.body, after.body) == (b"None", b"1")


def test_a_logout_among_many_writes_is_final(crowd: Crowd, storage: Storage) -> None:
    sessions = Sessions(SECRET)
    cookie = cookie_of(crowd(sessions, storage, lambda session: session.update(n=0), [""])[0])
    turns = iter(range(50))

    def deed(session: Session) -> None:
        session.clear() if next(turns) == 25 else session.increment("n")

    crowd(sessions, storage, deed, [cookie] * 50)
    [answer] = crowd(sessions, storage, len, [cookie])
    assert answer.body == b"0"
