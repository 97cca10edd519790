"""What an operator wants to know of the last day, as a document: how much, when, and of whom and what the most.

Subjects of limits stand in rankings as they do in keys: addresses in clear, others by digest. They are shown so, or `hashed`
all, or `hidden`. A hash of an address keeps it from being read, and not from being found by who tries all addresses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Literal

from .checks import timestamp
from .counted import Counted, Ranking, Totals, parts, trips

Subjects = Literal["shown", "hashed", "hidden"]

DENIED = "denied:"
"""What the rankings of limiters begin with; the name of the limiter follows."""

PATHS: Mapping[str, str] = {"denied_paths": "denied paths", "hit_paths": "cache hits", "missed_paths": "cache misses"}
"""Rankings of paths, by how the document calls them."""

HOURLY: Mapping[str, str] = {
    "allowed": "limit allowed",
    "denied": "limit denied",
    "hits": "cache hits",
    "misses": "cache misses",
    "sessions_created": "session created",
}


def rankings_of(layers: Iterable[Any]) -> list[str]:
    """The rankings that are read: those of paths, and of each layer that names one by an attribute `ranking`."""
    return [*PATHS.values(), *[layer.ranking for layer in layers if isinstance(getattr(layer, "ranking", None), str)]]


def analytics(counted: Counted, layers: Sequence[Mapping[str, Any]], subjects: Subjects) -> dict[str, Any]:
    """The document. `layers` is what each of them told of itself."""
    if counted.trouble is not None:
        return {"unavailable": counted.trouble}
    times = trips(counted.totals)
    return {
        "active_sessions": active_sessions(layers),
        "totals": counted.totals,
        "trips": {
            "count": times.count,
            "failed": times.failed,
            "seconds": round(times.seconds, 6),
            "buckets": [{"at_most": _number(bound), "count": count} for bound, count in times.buckets],
        },
        "hours": [_hour(began, totals) for began, totals in counted.hours.items()],
        "today": {
            "most_limited": _limited(counted.rankings, subjects),
            **{name: _ranked("path", counted.rankings.get(ranking, ())) for name, ranking in PATHS.items()},
        },
    }


def active_sessions(layers: Sequence[Mapping[str, Any]]) -> int | None:
    """How many sessions are active; None if nobody keeps any."""
    told = [layer.get("stats", {}).get("active") for layer in layers if layer.get("concern") == "sessions"]
    known = [number for number in told if isinstance(number, int)]
    return sum(known) if known else None


def _hour(began: int, totals: Totals) -> dict[str, Any]:
    times = trips(totals)
    mean = None if times.mean is None else round(times.mean * 1000, 3)
    counts = {name: totals.get(counted, 0) for name, counted in HOURLY.items()}
    degraded = sum(parts(totals, "degraded ").values())
    return {"time": timestamp(began), **counts, "degraded": degraded, "trips": times.count, "trip_ms": mean}


def _limited(rankings: Mapping[str, Ranking], subjects: Subjects) -> Any:
    """Who was denied most, by limiter; the first is one without a name."""
    if subjects == "hidden":
        return []
    found = []
    for name, ranking in rankings.items():
        if name.startswith(DENIED):
            shown = ranking if subjects == "shown" else [(_hashed(subject), count) for subject, count in ranking]
            found.append({"limiter": name.removeprefix(DENIED), "subjects": _ranked("subject", shown)})
    return found


def _hashed(subject: str) -> str:
    """What has a digest already keeps it."""
    return subject if subject.startswith("#") else "#" + blake2b(subject.encode(), digest_size=16).hexdigest()


def _ranked(kind: str, ranking: Ranking) -> list[dict[str, Any]]:
    return [{kind: name, "count": count} for name, count in ranking]


def _number(bound: float) -> float | None:
    """JSON has no infinity."""
    return None if bound == float("inf") else bound
