"""What a rule looks at, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from .facts import Facts, Section

Severity = Literal["critical", "warning", "notice"]


@dataclass(frozen=True, slots=True)
class Advisory:
    """One advice. `id` never changes; `seen` and `wanted` are sentences."""

    id: str
    severity: Severity
    seen: str
    wanted: str
    link: str

    def document(self) -> dict[str, str]:
        """As JSON has it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class View:
    """What a rule looks at: the facts, one server's sections now and at the reading before, and what the layers store."""

    facts: Facts
    node: Mapping[str, Section]
    before: Mapping[str, Section]
    concerns: frozenset[str]

    def get(self, section: str, name: str) -> Any:
        """An observation, or None if there is none."""
        return self.node.get(section, {}).get(name)

    def rise(self, section: str, name: str) -> int:
        """By how much a counter has grown since the reading before."""
        now, then = self.get(section, name), self.before.get(section, {}).get(name)
        return max(0, now - then) if now is not None and then is not None else 0

    @property
    def remote(self) -> bool:
        """Whether the way to the server leaves this machine."""
        return self.facts.storage.get("loopback") is False

    @property
    def evicts_anything(self) -> bool:
        return str(self.get("memory", "policy")).startswith("allkeys-")


Rule = Callable[[View], Advisory | None]
