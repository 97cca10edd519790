"""`python -m benchmarks.conformance`: run the public suite of HTTP cache tests against the layers, and print the score.

Needs Node.js 18 or newer; the suite is brought by npm the first time. Takes half a minute. Without --layer it shows what a
server with no cache scores, and with --edge none what the suite says about its own origin.
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.report import measured_part, replace_measured

from . import apps, report
from .score import outcomes
from .stage import NOTHING, SERVERS, Stage, standing
from .suite import Suite, installed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suite; 0 if it came to an end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are stopped then, too
    options = _options(arguments)
    if options.write:
        measured_part(options.write)  # rather now than when all is measured
    stage = Stage(options.edge, options.storage, tuple(options.layer), options.workers)
    suite = Suite(options.suite.resolve()) if options.suite else installed()
    if options.only:
        _run_some(suite, stage, options.only)
        return 0
    before = report.read(options.compare, suite.tests) if options.compare else None
    with suite.origin() as origin, standing(stage, origin) as server:
        results = suite.run(server.address)
        found = outcomes(suite.tests, results)
        if not any(outcome.verdict.good for outcome in found.values()):
            print(f"Nothing passed. The server printed at last:\n{server.output()[-3000:]}", file=sys.stderr)
    facts = _facts(suite, stage, sys.argv[1:] if arguments is None else arguments)
    print(report.text(facts, found), end="")
    if before is not None:
        print(report.compared(found, before, stage.edge), end="")
    if options.json:
        options.json.write_text(json.dumps(report.document(facts, found, results), indent=1) + "\n", encoding="utf-8")
    if options.write:
        replace_measured(options.write, report.markdown(facts, found))
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.conformance", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--edge", choices=[*SERVERS, NOTHING], default="asgi", help="asgi: uvicorn; wsgi: gunicorn (asgi)")
    parser.add_argument("--storage", choices=["memory", "redis"], default="memory", help="redis: one is started (memory)")
    parser.add_argument("--layer", action="append", default=[], metavar="MODULE:FACTORY", help=(
        "what makes a layer or a list of layers; also MODULE:FACTORY(option=True); outermost first"
    ))  # fmt: skip
    parser.add_argument("--workers", type=int, default=1, help="processes of the server (1); more need --storage redis")
    parser.add_argument(
        "--suite", type=Path, metavar="PATH", help="a checkout of http-tests/cache-tests after npm install, instead"
    )
    parser.add_argument("--only", action="append", metavar="TEST_ID", help="run this test, and show all that is sent")
    parser.add_argument(
        "--compare", type=Path, metavar="PATH", help="what changed since this --json, or a file of the suite's results/"
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="write all outcomes to this file")
    parser.add_argument("--write", type=Path, metavar="PATH", help="put the score into this file, as python -m benchmarks does")
    options = parser.parse_args(arguments)
    if options.workers > 1 and options.storage == "memory":
        parser.error("--workers needs --storage redis: each process has a memory of its own")
    if options.layer and options.edge == NOTHING:
        parser.error("--layer needs an edge")
    for spec in options.layer:
        try:
            apps.layers(spec)
        except Exception as exc:
            parser.error(f"--layer {spec}: {exc!r}")
    return options


def _run_some(suite: Suite, stage: Stage, tests: Sequence[str]) -> None:
    """Run single tests and print what the client, the origin and the app's server say."""
    unknown = set(tests) - suite.tests.keys()
    if unknown:
        raise SystemExit(f"no such test: {', '.join(sorted(unknown))}")
    with suite.origin() as origin, standing(stage, origin) as server:
        for test in tests:
            print(suite.run_one(server.address, test))
        print(f"The origin:\n{origin.output()}")
        if server is not origin:
            print(f"The server:\n{server.output()}")


def _facts(suite: Suite, stage: Stage, arguments: Sequence[str]) -> dict[str, Any]:
    return {
        "command": shlex.join(["python", "-m", "benchmarks.conformance", *arguments]),
        "date": datetime.now(UTC).date().isoformat(),
        "suite": f"{suite.package['name']} {suite.version}",
        "edge": stage.edge,
        "stage": stage.describe(),
    }


if __name__ == "__main__":
    raise SystemExit(main())
