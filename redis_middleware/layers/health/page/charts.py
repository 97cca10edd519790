"""Charts: the last day as bars, drawn here; and the frames of those that the page's script draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from .wording import number

WIDTH, HEIGHT, SLOT, BAR = 480, 80, 20, 14
"""Of a chart of 24 hours, in units of its own."""

BARS = Markup(
    """<figure class="card"><figcaption><span class="name">{title}</span><span class="keys">{keys}</span></figcaption>
<div class="plot"><svg viewBox="0 0 480 80" preserveAspectRatio="none" role="img" aria-label="{told}">
<line class="rule" x1="0" x2="480" y1="80" y2="80"/>{bars}</svg><span class="most">{most}</span></div>
<div class="axis"><span>{first}</span><span>this hour</span></div></figure>"""
)
HOUR = Markup('<g class="hour"><title>{title}</title><rect class="none" x="{x}" y="79" width="14" height="1"/>{rects}</g>')
RECT = Markup('<rect class="{kind}" x="{x}" y="{y}" width="14" height="{height}"/>')
KEY = Markup('<span class="{kind}"><i></i>{name} <b>{total}</b></span>')

LIVE = Markup(
    """<figure class="card" data-chart="{chart}" data-unit="{unit}"><figcaption><span class="name">{title}</span>
<span class="keys">{keys}</span></figcaption>
<div class="plot"><svg viewBox="0 0 300 80" preserveAspectRatio="none" role="img" aria-label="{title}">
<line class="rule" x1="0" x2="300" y1="80" y2="80"/><path class="under"/><path class="a"/><path class="b"/></svg>
<span class="most"></span></div>
<div class="axis"><span>5 min ago</span><span>now</span></div></figure>"""
)


def day(
    title: str, hours: Sequence[Mapping[str, Any]], names: Mapping[str, str], said: Callable[[float], str] = number
) -> Markup:
    """Bars for each hour: one or two counts on top of each other. `names` is how the counts of an hour are called here, and
    `said` how a number is; one without a name is no count, and has no sum.
    """
    most = max([sum(hour[count] for count in names) for hour in hours], default=0)
    totals = {name: said(sum(hour[count] for hour in hours)) for count, name in names.items() if name}
    keys = [KEY.format(kind="ab"[place], name=name, total=total) for place, (name, total) in enumerate(totals.items())]
    told = ", ".join([f"{total} {name}" for name, total in totals.items()]) or f"at most {said(most)}"
    bars = [_hour(place, hour, names, said, most or 1) for place, hour in enumerate(hours)]
    return BARS.format(
        title=title,
        keys=Markup(" ").join(keys),
        told=f"{title}, the last 24 hours: {told}",
        bars=Markup("").join(bars),
        most=said(most) if most else "",
        first=f"{hours[0]['time'][11:16]} UTC" if hours else "",
    )


def live(chart: str, title: str, unit: str, names: Sequence[str]) -> Markup:
    """The frame of a chart of the last minutes."""
    keys = Markup(" ").join([KEY.format(kind="ab"[place], name=name, total="–") for place, name in enumerate(names)])
    return LIVE.format(chart=chart, title=title, unit=unit, keys=keys)


def _hour(place: int, hour: Mapping[str, Any], names: Mapping[str, str], said: Callable[[float], str], most: float) -> Markup:
    """A stack of bars, and what they mean, for who points at them."""
    x, top, rects = place * SLOT + (SLOT - BAR) // 2, float(HEIGHT), []
    for at, count in enumerate(names):
        height = round(hour[count] / most * (HEIGHT - 4), 2)
        if hour[count]:
            height = max(height, 1.5)  # what happened once is to be seen
            top -= height
            rects.append(RECT.format(kind="ab"[at], x=x, y=round(top, 2), height=height))
    counts = ", ".join([f"{said(hour[count])} {name}".strip() for count, name in names.items()])
    return HOUR.format(title=f"{hour['time'][11:16]} UTC: {counts}", x=x, rects=Markup("").join(rects))
