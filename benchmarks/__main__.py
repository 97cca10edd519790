"""`python -m benchmarks`: measure what the middleware costs, print a Markdown table, and keep the numbers.

Progress goes to stderr, the result to stdout. Takes about five minutes on two cores, `--full` more than half an hour.
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import direct, report, rounds
from .cache import measure as caches
from .cache import report as cache_report
from .cache.contenders import CONTENDERS as CACHES
from .machine import machine
from .peers import environments
from .servers import PLATFORMS
from .sessions import measure as sessions
from .sessions import report as session_report
from .sessions.contenders import CONTENDERS as SESSIONS

SHORT = {"starts": 2, "rounds": 20, "requests": 400}
FULL = {"starts": 10, "rounds": 40, "requests": 400}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks; 0 if they came to an end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are stopped then, too
    options = _options(arguments)
    if options.write:
        report.measured_part(options.write)  # rather now than when all is measured
    plan = _plan(options)
    facts = _facts(plan, sys.argv[1:] if arguments is None else arguments)
    say = _speaker()
    say("the edges called directly")
    called = direct.measure(plan.requests, plan.starts * plan.rounds)
    series = rounds.measure(plan, say)
    session_plan, cache_plan = _session_plan(options, plan), _cache_plan(options, plan)
    session_places = environments([contender.peer for contender in session_plan.contenders], say)
    cache_places = environments([contender.peer for contender in cache_plan.contenders], say)
    session_series = sessions.measure(session_plan, session_places, say)
    cache_series = caches.measure(cache_plan, cache_places, say)
    texts = [
        report.markdown(facts, series, called),
        session_report.markdown(session_series, session_places, session_plan),
        cache_report.markdown(cache_series, cache_places, cache_plan),
    ]
    text = "\n".join(text for text in texts if text)
    print(text, end="")
    if options.json:
        document = {
            **report.document(facts, series, called),
            **session_report.document(session_series),
            **cache_report.document(cache_series),
            "peers": session_places.versions | cache_places.versions,
            "missing_peers": session_places.missing | cache_places.missing,
        }
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if options.write:
        report.replace_measured(options.write, text)
    say("done")
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    apps = [platform.app for platform in PLATFORMS]
    parser.add_argument("--full", action="store_true", help="more starts and rounds: for numbers to publish")
    parser.add_argument("--starts", type=_count, help=f"how often all servers are started anew ({SHORT['starts']})")
    parser.add_argument("--rounds", type=_count, help=f"rounds after each start ({SHORT['rounds']})")
    parser.add_argument("--requests", type=_count, help=f"requests of a round to each stack ({SHORT['requests']})")
    parser.add_argument("--concurrency", type=_count, default=16, help="connections, each with one request at a time (16)")
    parser.add_argument("--apps", nargs="*", choices=apps, default=apps, help="what is served; nothing: no servers")
    keys = [contender.key for contender in SESSIONS]
    parser.add_argument("--sessions", nargs="*", choices=keys, default=keys, help="whose sessions are compared; nothing: none")
    keys = [contender.key for contender in CACHES]
    parser.add_argument("--caches", nargs="*", choices=keys, default=keys, help="whose caches are compared; nothing: none")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write all numbers to this file")
    parser.add_argument("--write", type=Path, metavar="PATH", help=f"put the tables into this file, after {report.BEGIN}")
    return parser.parse_args(arguments)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return number


def _plan(options: argparse.Namespace) -> rounds.Plan:
    counts = FULL if options.full else SHORT
    chosen = {name: getattr(options, name) or count for name, count in counts.items()}
    platforms = [platform for platform in PLATFORMS if platform.app in options.apps]
    return rounds.Plan(platforms, concurrency=options.concurrency, **chosen)


def _session_plan(options: argparse.Namespace, plan: rounds.Plan) -> sessions.Plan:
    """A third of the rounds, and a quarter of the requests: there are five cases of every contender."""
    return sessions.Plan(
        [contender for contender in SESSIONS if contender.key in options.sessions],
        starts=plan.starts,
        rounds=max(plan.rounds // 3, 1),
        requests=max(plan.requests // 4, 1),
        concurrency=plan.concurrency,
    )


def _cache_plan(options: argparse.Namespace, plan: rounds.Plan) -> caches.Plan:
    """Half of the starts, which take long, a third of the rounds, and half of the requests: only hits are put under load."""
    return caches.Plan(
        [contender for contender in CACHES if contender.key in options.caches],
        starts=max(plan.starts // 2, 1),
        rounds=max(plan.rounds // 3, 1),
        requests=max(plan.requests // 2, 1),
        concurrency=plan.concurrency,
    )


def _facts(plan: rounds.Plan, arguments: Sequence[str]) -> dict[str, Any]:
    words = (
        f"{plan.starts} × {plan.rounds} rounds (starts × rounds) of {plan.requests} requests to each stack "
        f"over {plan.concurrency} connections; one worker on one core, gunicorn's with 4 threads"
    )
    return {
        "command": shlex.join(["python", "-m", "benchmarks", *arguments]),
        "date": datetime.now(UTC).date().isoformat(),
        "plan": words,
        "machine": machine(),
    }


def _speaker() -> Callable[[str], None]:
    """A function that prints progress, with the seconds since now."""
    began = time.monotonic()
    return lambda text: print(f"[{time.monotonic() - began:4.0f} s] {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
