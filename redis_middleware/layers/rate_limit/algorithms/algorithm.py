"""What an algorithm is: five functions over one policy, in Lua and in Python, that mean the same.

`load` its state, how long to `wait` until a cost fits (0: it fits now), `take` a cost (a negative one gives back; `at` is
when it was taken), `save`, and `report` what remains and when all of it is back. In Lua a policy is a table `p`, in Python the
object. Rules:

* Windows are half-open: what began at `s` and lasts `w` covers `s <= now < s + w`.
* Times are integer microseconds of the storage's clock, and all arithmetic is on integers below 2^53, which Lua has
  exactly. Every state carries its own times; the expiry of its key only has it collected.
* A clock that stepped back locks nobody out for longer than one window: times that lie ahead are brought back to now.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

EXACT = 2**53
"""Integers up to this are exact in Lua, whose numbers are doubles."""


@dataclass(slots=True)
class Algorithm:
    """One policy of one subject while a script runs. What `unit` and `weight` are, the algorithm says."""

    code: ClassVar[str]
    lua: ClassVar[str]

    key: str
    now: int
    limit: int
    window: int
    cost: int
    shadow: int
    unit: int
    weight: int


def numbers_in(value: bytes | None, count: int) -> list[int]:
    """The numbers of a state; as many zeros if there is none."""
    return [int(number) for number in value.split(b":")] if value is not None else [0] * count
