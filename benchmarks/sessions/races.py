"""What is left of a session when several requests use it at once: nobody's fault if it is lost, and everybody's trouble.

Requests of one session overlap whenever a page loads more than one thing.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

from redis_middleware.cli.processes import HOST

from ..contenders import Contender
from ..load import client, get
from .apps import LINGER, SLOW

TIMES, CLIENTS = 200, 8


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of 200 requests from 8 clients that each changed the same session, so many changes were there at the end.

    `incremented` is None if the library has nothing for it. `revived`: somebody logged out while a slow request was under
    way, and was logged in again when it had ended.
    """

    added: int
    """A number: `session["n"] = session["n"] + 1`."""
    incremented: int | None
    """A number: `session.increment("n")`."""
    keys: int
    """Each request set a key of its own."""
    revived: bool


async def race(contender: Contender, port: int) -> Outcome:
    """Let requests of one session overlap, and see what is left."""
    return Outcome(
        added=(await _after(port, "both"))["n"],
        incremented=(await _after(port, "increment"))["n"] if contender.ours else None,
        keys=(await _after(port, "add"))["keys"],
        revived=await asyncio.to_thread(_revived, port),
    )


async def _after(port: int, path: str) -> dict[str, int]:
    cookie = await asyncio.to_thread(login, port)
    async with client(port, CLIENTS) as load:
        await load.run(TIMES, get(f"/{path}", cookie))
    shown: dict[str, int] = await asyncio.to_thread(_shown, port, cookie)
    return shown


def _revived(port: int) -> bool:
    cookie = login(port)
    slow = HTTPConnection(HOST, port, timeout=10)
    slow.request("GET", f"/{SLOW}", headers={"Cookie": cookie})
    time.sleep(LINGER / 2)  # it has looked at its session, and lingers
    _get(port, "logout", cookie)
    slow.getresponse().read()  # whatever it is: Django refuses the request
    slow.close()
    return _shown(port, cookie)["user"] is not None


def login(port: int) -> str:
    """Begin a session. The value of the `Cookie` field that a browser would send from now on."""
    cookies, _ = _get(port, "login")
    return "; ".join(cookie.partition(";")[0] for cookie in cookies)


def _shown(port: int, cookie: str) -> dict[str, Any]:
    _, body = _get(port, "show", cookie)
    shown: dict[str, Any] = json.loads(body)
    return shown


def _get(port: int, path: str, cookie: str = "") -> tuple[list[str], bytes]:
    """The cookies that one request is answered with, and the body."""
    connection = HTTPConnection(HOST, port, timeout=10)
    connection.request("GET", f"/{path}", headers={"Cookie": cookie} if cookie else {})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"expected 200 for /{path}, got {answer.status} {body!r}")
    return answer.headers.get_all("set-cookie", []), body
