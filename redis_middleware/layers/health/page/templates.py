"""The templates of the page's sections. `Markup.format` escapes what is put into them."""

from __future__ import annotations

from markupsafe import Markup

ICONS = {
    "pass": Markup('<path d="M20 33l9 9 16-20"/>'),
    "warn": Markup('<path d="M32 18v18M32 45v.5"/>'),
    "fail": Markup('<path d="M22 22l20 20M42 22L22 42"/>'),
}

HERO = Markup(
    """<svg class="{kind}" viewBox="0 0 64 64" aria-hidden="true"><circle cx="32" cy="32" r="32"/>{icon}</svg>
<div><p class="word {kind}">{word}</p><p class="sentence">{sentence}{more}</p></div>"""
)

MORE = Markup(' <a href="#advice">{} of advice</a>')

SECTION = Markup('<section id="{id}" aria-labelledby="{id}-title" data-fresh><h2 id="{id}-title">{title}</h2>{body}</section>')
UNAVAILABLE = Markup('<p class="soft">What was counted cannot be read now: {reason}.</p>')

LIVE = Markup(
    """<section id="live" aria-labelledby="live-title" data-script hidden><h2 id="live-title">Live</h2>
{charts}</section>"""
)

GRID = Markup('<div class="grid">{}</div>')
PAIRS = Markup('<div class="grid pairs">{}</div>')
COLUMNS = Markup('<div class="columns"><div>{}</div><div>{}</div></div>')

DAY = Markup("{charts}<details><summary>The same as a table</summary>{table}</details>")
TABLE = Markup(
    """<div class="scroll" role="region" aria-label="The last 24 hours as a table" tabindex="0"><table>
<caption>Hours in UTC, the latest first</caption>
<thead><tr><th scope="col">Hour</th><th scope="col" class="amount">Allowed</th><th scope="col" class="amount">Denied</th>
<th scope="col" class="amount">Hits</th><th scope="col" class="amount">Misses</th><th scope="col" class="amount">Sessions</th>
<th scope="col" class="amount">Trips</th><th scope="col" class="amount">Mean trip</th>
<th scope="col" class="amount">Degraded</th></tr>
</thead><tbody>{rows}</tbody></table></div>"""
)
TABLE_ROW = Markup(
    '<tr><th scope="row">{hour}</th><td class="amount">{allowed}</td><td class="amount">{denied}</td>'
    '<td class="amount">{hits}</td><td class="amount">{misses}</td><td class="amount">{sessions_created}</td>'
    '<td class="amount">{trips}</td><td class="amount">{trip}</td><td class="amount">{degraded}</td></tr>'
)

MOST = Markup(
    """<section id="most" class="most" aria-labelledby="most-title" data-fresh><h2 id="most-title">Most, today (UTC)</h2>
{body}</section>"""
)
RANKED = Markup('<div class="card"><h3>{title}</h3><ol>{rows}</ol></div>')
RANK = Markup(
    '<li><svg viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true"><rect width="{width}" height="1"/></svg>'
    '<span class="name">{name}</span> <b>{count}</b></li>'
)

ADVICE = Markup(
    '<section id="advice" aria-labelledby="advice-title" data-fresh><h2 id="advice-title">Advice</h2>{body}</section>'
)
ADVISORY = Markup(
    """<li class="{css}"><p><span class="tag {kind}">{name}</span><span class="seen">{seen}</span></p>
<p class="wanted">Wanted: {wanted}
<a href="{link}" rel="noreferrer">Why, and how<span class="unseen"> ({id})</span></a></p></li>"""
)

CHECKS = Markup(
    """<section id="checks" aria-labelledby="checks-title" data-fresh><h2 id="checks-title">Checks</h2>
<div class="card"><table><thead><tr><th scope="col">What</th><th scope="col">Verdict</th><th scope="col">Seen</th></tr></thead>
<tbody>{rows}</tbody></table></div></section>"""
)
CHECK = Markup(
    '<tr><th scope="row">{name}</th><td class="verdict {kind}">{verdict}</td>'
    '<td>{seen} <span class="soft">{output}</span></td></tr>'
)

TEST = Markup(
    """<section id="test" aria-labelledby="test-title"><h2 id="test-title">Self-test</h2><div class="card">
<div class="test" data-script hidden><button type="button" id="run-test">Test the storage</button>
<p id="test-said" class="soft" role="status">Writes each kind of data once, and removes it.</p></div>
<div><table id="test-lines" hidden><thead><tr><th scope="col">Data</th><th scope="col">Verdict</th><th scope="col">Time</th></tr>
</thead><tbody></tbody></table></div>
<p class="soft" data-plain>It is posted: <code>curl -X POST -H 'X-Redis-Middleware: yes' …/test</code></p>
</div></section>"""
)

LAYERS = Markup(
    """<section id="layers" aria-labelledby="layers-title" data-fresh><h2 id="layers-title">Layers</h2><div class="card"><table>
<thead><tr><th scope="col">Layer</th><th scope="col">Keeps</th><th scope="col">On error</th>
<th scope="col" class="amount">Degraded</th></tr></thead><tbody>{rows}</tbody></table></div></section>"""
)
LAYER = Markup('<tr><th scope="row">{name}</th><td>{concern}</td><td>{on_error}</td><td class="amount">{degraded}</td></tr>')

NODES = Markup(
    """<section id="nodes" aria-labelledby="nodes-title" data-fresh><h2 id="nodes-title">The storage in detail</h2>
<details><summary>All that it tells of itself</summary><div class="grid nodes">{sections}</div></details></section>"""
)
NODE = Markup('<div class="card"><h3>{section}</h3><dl>{rows}</dl></div>')

FACT = Markup("<dt>{}</dt><dd>{}</dd>")

UNLOCK = Markup(
    """<section id="unlock" aria-labelledby="unlock-title" data-script hidden><h2 id="unlock-title">Details</h2>
<form class="unlock card" method="post"><label>Token <input type="password" name="token" autocomplete="off" required></label>
<button type="submit">Show</button><p class="bad" role="alert"></p></form></section>"""
)
