"""The self-test: each kind of data once, on one random key with a ttl, and how long that took.

Each line leaves for the server in one trip that ends with the key's removal, so it is gone also if nobody waits for the
answer; and it expires if the server itself is cut off halfway.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from secrets import token_hex
from typing import Any, ClassVar

from ...errors import StorageError
from ...flow import Action, sleep
from ...ops import Delete, Get, Inspect, Inspection, Key, Node, Op, Script, Set, SetIfAbsent, Table, Touch, Unavailable, gather
from .checks import ORDER, Status, worst
from .facts import BUDGET, SCRATCH

TTL = str(SCRATCH * 1000)

NONE = "memory has no such type: it keeps bytes, and what Scripts make of tuples, lists and dicts"


@dataclass(frozen=True, slots=True)
class Line:
    """One kind of data: commands on the key (`""` stands for it), and what some of them have to answer, by their place."""

    name: str
    commands: tuple[tuple[str, ...], ...]
    expected: Mapping[int, Any]

    def op(self, key: Key) -> Inspect:
        """All of it in one trip."""
        words = [tuple([key if word == "" else word for word in command]) for command in (*self.commands, ("UNLINK", ""))]
        return Inspect(tuple(words), BUDGET)

    def result(self, node: Node) -> dict[str, Any]:
        """What came of it."""
        if isinstance(node.replies, Unavailable):
            return _line(self.name, node.replies.reason, node.seconds)
        refused = [reply.reason for reply in node.replies if isinstance(reply, Unavailable)]
        wrong = [place for place, wanted in self.expected.items() if node.replies[place] != wanted]
        return _line(self.name, refused[0] if refused else "another answer than expected" if wrong else "", node.seconds)


LINES = (
    Line("strings", (("SET", "", "a", "PX", TTL), ("APPEND", "", "b"), ("GET", "")), {2: b"ab"}),
    Line("hashes", (("HSET", "", "f", "a"), ("PEXPIRE", "", TTL), ("HGET", "", "f")), {2: b"a"}),
    Line("lists", (("RPUSH", "", "a", "b"), ("PEXPIRE", "", TTL), ("LRANGE", "", "0", "-1")), {2: [b"a", b"b"]}),
    Line("sets", (("SADD", "", "a", "b"), ("PEXPIRE", "", TTL), ("SCARD", "")), {2: 2}),
    Line("sorted sets", (("ZADD", "", "2", "b", "1", "a"), ("PEXPIRE", "", TTL), ("ZRANK", "", "b")), {2: 1}),
    Line("expiry", (("SET", "", "a", "PX", TTL), ("PEXPIRE", "", "0"), ("GET", "")), {2: None}),
    Line("script", (("SET", "", "a", "PX", TTL), ("EVAL", "return redis.call('GET', KEYS[1])", "1", "")), {1: b"a"}),
)


class Echo(Script[bytes | None]):
    """Reads its key: a script on whatever storage it runs."""

    lua: ClassVar[str] = "return redis.call('GET', keys[1])"

    def apply(self, table: Table, now: int, /) -> bytes | None:
        return Get(self.keys[0]).apply(table, now)


def self_test() -> Action[dict[str, Any]]:
    """An action: the document of `POST test`: `status`, and `tests` with a line for each kind of data."""
    yield from sleep(0)  # so that what comes now leaves alone: the reads of other layers would go over the pool
    key = Key(f"h:{{{token_hex(8)}}}")
    try:
        found: tuple[Inspection, ...] = yield from gather(*[line.op(key) for line in LINES])
    except StorageError:
        found = (Inspection({}),)
    if found[0].nodes:
        lines = [line.result(inspection.nodes[0]) for line, inspection in zip(LINES, found, strict=True)]
    else:
        lines = yield from _without_servers(str(key))
    statuses: list[Status] = [line["status"] for line in lines if line["status"] in ORDER]
    return {"status": worst(statuses), "tests": lines}


def _without_servers(key: str) -> Action[list[dict[str, Any]]]:
    """The same by ops, for a storage that takes no commands; the types that only Redis has are said to be missing."""
    trials: dict[str, tuple[tuple[Op[Any], ...], Any]] = {
        "strings": ((Set(key, b"a", SCRATCH), Get(key), Delete(key)), (None, b"a", True)),
        "expiry": ((SetIfAbsent(key, b"a", SCRATCH), Touch(key, SCRATCH), Delete(key), Touch(key, 1)), (True, True, True, False)),
        "script": ((Set(key, b"a", SCRATCH), Echo((key,)), Delete(key)), (None, b"a", True)),
    }
    lines = []
    for line in LINES:
        if line.name not in trials:
            lines.append({"test": line.name, "status": "absent", "output": NONE})
            continue
        ops, expected = trials[line.name]
        began, output = time.perf_counter(), ""
        try:
            results = yield from gather(*ops)
            output = "" if results == expected else "another answer than expected"
        except StorageError:
            output = "failed"
        lines.append(_line(line.name, output, time.perf_counter() - began))
    return lines


def _line(name: str, output: str, seconds: float) -> dict[str, Any]:
    told: dict[str, Any] = {"test": name, "status": "fail" if output else "pass", "milliseconds": round(seconds * 1000, 3)}
    return told | ({"output": output} if output else {})
