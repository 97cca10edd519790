"""How numbers, times and verdicts are said on the page."""

from __future__ import annotations

from typing import Any

from ..checks import Status

WORDS: dict[Status, str] = {"pass": "Well", "warn": "Degraded", "fail": "Down"}
SENTENCES: dict[Status, str] = {
    "pass": "Everything works.",
    "warn": "It works, but something needs a look.",
    "fail": "The storage does not work.",
}
COLOURS: dict[Status, str] = {"pass": "good", "warn": "warn", "fail": "bad"}
VERDICTS: dict[Status, str] = {"pass": "✓ well", "warn": "! look", "fail": "✕ fails"}


def number(value: float | None) -> str:
    """With thousands apart; a dash for what is not known."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


def size(value: int | None) -> str:
    """Bytes, by powers of 1024."""
    if value is None:
        return "–"
    amount = float(value)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def milliseconds(value: float | None) -> str:
    """A time in milliseconds, with as many digits as one reads."""
    if value is None:
        return "–"
    return f"{value:.0f} ms" if value >= 100 else f"{value:.1f} ms" if value >= 10 else f"{value:.2f} ms"


def share(part: float, whole: float) -> str:
    """A share in per cent; a dash of nothing."""
    return f"{100 * part / whole:.1f} %" if whole else "–"


def duration(seconds: int | None) -> str:
    """How long something has lasted, by its two largest units."""
    if seconds is None:
        return ""
    days, hours, minutes = seconds // 86_400, seconds // 3600 % 24, seconds // 60 % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{seconds} s"


def plain(value: Any) -> str:
    """Any value of a document."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value) if isinstance(value, int | float) else "–" if value in (None, "") else str(value)
