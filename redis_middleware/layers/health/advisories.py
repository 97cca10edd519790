"""Advice: what the facts say is set up in a way that will hurt, though everything may work today.

What a server refuses to say is no reason for advice. A Cluster gets each advice once, with the first of its servers that it
holds for. All of it is pure: a command line may ask it too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .facts import Facts
from .rules import RULES
from .view import Advisory, View

__all__ = ["Advisory", "advisories"]

ORDER = ("critical", "warning", "notice")


def advisories(facts: Facts, concerns: Iterable[str], before: Facts | None = None) -> list[Advisory]:
    """All advice that there is, the most severe first. `concerns` are those of the layers: "cache", "limits", "sessions"."""
    stored = frozenset(concerns)
    earlier = before.nodes if before is not None and len(before.nodes) == len(facts.nodes) else ({},) * len(facts.nodes)
    found: dict[str, Advisory] = {}
    for node, then in zip(facts.nodes, earlier, strict=True):
        for advisory in _of(View(facts, node, then, stored)):
            found.setdefault(advisory.id, advisory)
    return sorted(found.values(), key=lambda one: ORDER.index(one.severity))


def _of(view: View) -> Iterator[Advisory]:
    for rule in RULES:
        advisory = rule(view)
        if advisory is not None:
            yield advisory
