"""The long look, for statistics: the storage, what each layer tells of itself, and what all workers have counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from ...errors import StorageError
from ...flow import Action
from . import counted
from .analytics import rankings_of
from .counted import Counted
from .facts import Facts, look


def survey(layers: Sequence[Any]) -> Action[Facts]:
    """An action: all there is to know."""
    facts = yield from look(deep=True)
    connections = facts.storage.get("connections", {"in_use": 0, "limit": 1})
    busy = connections["in_use"] >= connections["limit"]  # to wait for one might take longer than the route has
    trouble, told = facts.trouble or ("busy" if busy else None), []
    for layer in layers:
        about: dict[str, Any] = {"layer": type(layer).__name__}
        about |= {name: getattr(layer, name) for name in ("concern", "on_error") if hasattr(layer, name)}
        if callable(getattr(layer, "stats", None)):
            about["stats"] = {"unavailable": trouble} if trouble else (yield from _stats(layer.stats()))
        told.append(about)
    counts = Counted(trouble=trouble) if trouble else (yield from counted.read(rankings_of(layers), facts.time))
    return replace(facts, layers=tuple(told), counted=counts)


def _stats(stats: Action[Any]) -> Action[Any]:
    """What a layer counts, as plain values."""
    try:
        return msgspec.to_builtins((yield from stats), enc_hook=str)
    except StorageError:
        return {"unavailable": "failed"}
