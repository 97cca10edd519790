"""The sections of the page, each from what `stats` and `health` tell. What is marked `data-fresh` is renewed by the script."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from ..answers import Document, flat
from ..checks import timestamp
from . import templates
from .charts import day, live
from .figures import figures
from .wording import COLOURS, SENTENCES, VERDICTS, WORDS, milliseconds, number, plain

LINES = 24
"""Of a section of a server, at most."""

SEVERITIES = {"critical": "bad", "warning": "warn", "notice": "soft"}

RANKINGS = {"denied_paths": "Denied paths", "hit_paths": "Paths hit in the cache", "missed_paths": "Paths missed in the cache"}


def hero(document: Document) -> Markup:
    """The status, as a sign, a word and a sentence."""
    status = document["status"]
    wrong = [check["output"] for checks in document.get("checks", {}).values() for check in checks if check.get("output")]
    sentence = f"{SENTENCES[status]} {'; '.join(dict.fromkeys(wrong)).capitalize()}{'.' if wrong else ''}"
    pieces = len(document.get("advisories", ()))
    more = templates.MORE.format("1 piece" if pieces == 1 else f"{pieces} pieces") if pieces else ""
    return templates.HERO.format(
        kind=COLOURS[status], icon=templates.ICONS[status], word=WORDS[status], sentence=sentence.strip(), more=more
    )


def content(document: Document) -> Markup:
    """Everything below; for a stranger, at most where to put the token."""
    if "nodes" not in document:
        return templates.UNLOCK if document.get("challenge") else Markup("")
    memory = document["storage"].get("kind") == "memory"
    analytics = document["analytics"]
    looked_at = templates.COLUMNS.format(checks(document), templates.TEST + layers(document))
    parts = (
        figures(document),
        lively(memory),
        lately(analytics, memory),
        advice(document),
        most(analytics),
        looked_at,
        nodes(document),
    )
    return Markup("\n").join(parts)


def lively(memory: bool) -> Markup:
    """Charts of the last minutes. Memory makes no trips."""
    charts = [
        live("limits", "Limits", "/s", ("allowed", "denied")),
        live("cache", "Cache", "/s", ("hits", "misses")),
        live("sessions", "Active sessions", "", ("now",)),
    ]
    if not memory:
        charts += [
            live("trips", "Trips to the storage", "/s", ("made", "failed")),
            live("times", "Time of a trip", "ms", ("mean", "95 %")),
        ]
    return templates.LIVE.format(charts=_grid([*charts, live("ping", "Ping", "ms", ("now",))]))


def lately(analytics: Document, memory: bool) -> Markup:
    """Charts of the last day, and the same as a table."""
    if "unavailable" in analytics:
        return templates.SECTION.format(
            id="day", title="Last 24 hours", body=templates.UNAVAILABLE.format(reason=analytics["unavailable"])
        )
    hours = analytics["hours"]
    charts = [
        day("Limits", hours, {"allowed": "allowed", "denied": "denied"}),
        day("Cache", hours, {"hits": "hits", "misses": "misses"}),
        day("Sessions created", hours, {"sessions_created": "created"}),
    ]
    if not memory:
        times = [{**hour, "trip_ms": hour["trip_ms"] or 0} for hour in hours]
        charts += [day("Trips", hours, {"trips": "made"}), day("Mean time of a trip", times, {"trip_ms": ""}, milliseconds)]
    charts += [day("Without the storage", hours, {"degraded": "requests"})]
    rows = [
        templates.TABLE_ROW.format(
            hour=hour["time"][11:16],
            trip=milliseconds(hour["trip_ms"]),
            **{name: number(value) for name, value in hour.items() if name not in ("time", "trip_ms")},
        )
        for hour in reversed(hours)
    ]
    return templates.SECTION.format(
        id="day",
        title="Last 24 hours",
        body=templates.DAY.format(charts=_grid(charts), table=templates.TABLE.format(rows=_joined(rows))),
    )


def most(analytics: Document) -> Markup:
    """Who and what comes first today."""
    if "unavailable" in analytics:
        return Markup("")
    lists = [
        (f"Limited subjects of {one['limiter']}" if one["limiter"] else "Limited subjects", "subject", one["subjects"])
        for one in analytics["today"]["most_limited"]
    ]
    lists += [(title, "path", analytics["today"][name]) for name, title in RANKINGS.items()]
    shown = [
        templates.RANKED.format(title=title, rows=_joined(_ranks(kind, ranking))) for title, kind, ranking in lists if ranking
    ]
    if not shown:
        return templates.MOST.format(body=Markup('<p class="soft">Nothing was limited or cached today.</p>'))
    return templates.MOST.format(body=_grid(shown))


def advice(document: Document) -> Markup:
    """What should be changed."""
    items = [
        templates.ADVISORY.format(
            **{**one, "kind": SEVERITIES[one["severity"]], "name": one["severity"].capitalize(), "css": one["severity"]}
        )
        for one in document["advisories"]
    ]
    none = "Nothing is known while the storage does not work." if document["status"] == "fail" else "None: all is set up well."
    body = Markup('<ul class="advice">{}</ul>').format(_joined(items)) if items else Markup('<p class="soft">{}</p>').format(none)
    return templates.ADVICE.format(body=body)


def checks(document: Document) -> Markup:
    """What was looked at."""
    rows = [
        templates.CHECK.format(
            name=name.replace(":", ": "),
            verdict=VERDICTS[check["status"]],
            kind=COLOURS[check["status"]],
            seen=" ".join([plain(check.get("observedValue")), check.get("observedUnit", "")]),
            output=check.get("output", ""),
        )
        for name, found in document["checks"].items()
        for check in found
    ]
    return templates.CHECKS.format(rows=_joined(rows))


def layers(document: Document) -> Markup:
    """The layers, and how often each had to do without the storage."""
    totals = document["analytics"].get("totals", {})
    rows = [
        templates.LAYER.format(
            name=one["layer"],
            concern=one.get("concern", "–"),
            on_error=one.get("on_error", "–"),
            degraded=number(totals.get(f"degraded {one['layer']}", 0)) if "on_error" in one else "–",
        )
        for one in document["layers"]
    ]
    return templates.LAYERS.format(rows=_joined(rows))


def nodes(document: Document) -> Markup:
    """All that each server has told."""
    found = [
        templates.NODE.format(section=section.replace("_", " ").capitalize(), rows=_joined(rows))
        for node in document["nodes"]
        for section, observed in node.items()
        if (rows := _facts(observed))
    ]
    return templates.NODES.format(sections=_joined(found)) if found else Markup("")


def _facts(observed: Mapping[str, Any]) -> list[Markup]:
    """The first lines of a section: a slow log has many."""
    lines = [(path, observed.get(path, text)) for path, text in flat(observed)]
    return [templates.FACT.format(path.replace("_", " "), _said(path, value)) for path, value in lines[:LINES]]


def _said(path: str, value: Any) -> str:
    """A value, or a time that is told in seconds since the epoch."""
    if not path.endswith("time") or not str(value).isdigit():
        return plain(value)
    return timestamp(int(value))[:19].replace("T", " ")


def _ranks(kind: str, ranking: Iterable[Mapping[str, Any]]) -> list[Markup]:
    entries = list(ranking)
    highest = max([one["count"] for one in entries], default=1)
    return [
        templates.RANK.format(name=one[kind], count=number(one["count"]), width=round(100 * one["count"] / highest, 1))
        for one in entries
    ]


def _grid(parts: Sequence[Markup]) -> Markup:
    """Side by side, with no hole at the end."""
    template = templates.GRID if len(parts) % 3 == 0 else templates.PAIRS
    return template.format(_joined(parts))


def _joined(parts: Iterable[Markup]) -> Markup:
    return Markup("\n").join(parts)
