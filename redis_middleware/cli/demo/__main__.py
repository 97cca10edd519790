"""Start the three servers, send the requests, and print what came back and whether it is right."""

from __future__ import annotations

import argparse
import io
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from functools import partial
from http.client import HTTPConnection, HTTPException
from secrets import token_hex
from tempfile import TemporaryDirectory

from ... import ConfigurationError, MemoryStorage, StorageError, run
from ...ops import Delete, Set, gather
from ...storage import Storage
from ..processes import HOST, Server, free_port, python, redis_server, serving
from . import APPS, HEALTH, PREFIX, URL, Answer, App, Ask, budgets, document, faults, storage, tour

DESCRIPTION = """\
Start a Flask, a Django and a FastAPI app on real servers, each behind Health() and RateLimit("100/hour; 5/minute"),
send them requests, and check every answer. In memory each server counts for itself; in Redis the three count together.
"""

EPILOG = "Exit status: 0 if every answer was right, 1 if one was not, 2 if the Redis cannot be used."

ADVICE = "Start that Redis or correct its URL, let the demo start one (make demo REDIS=1), or do without (make demo REDIS_URL=)."

PATIENCE = 30
"""Seconds to wait for an answer. The first one waits until the app is imported."""

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Servers = Mapping[App, Server]

BOLD, DIM, RED, GREEN = 1, 2, 31, 32


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; its exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    _prepare()
    try:
        with ExitStack() as running:
            url = f"redis://{_start(running, redis_server).address}/0" if options.redis else options.redis_url
            env = {URL: url or "memory://", PREFIX: f"demo:{token_hex(4)}:"}  # nothing is counted from an earlier run
            chosen = _reached(env, parser)
            servers = {app: _start(running, partial(_serving, app, env)) for app in APPS}
            right = _show(servers, chosen)
            if options.serve:
                _wait(servers)
            return 0 if right else 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m redis_middleware.cli.demo",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where = parser.add_mutually_exclusive_group()
    url = os.environ.get("REDIS_URL")
    where.add_argument("--redis-url", metavar="URL", default=url, help="the Redis to use; default: REDIS_URL, else memory")
    where.add_argument("--redis", action="store_true", help="start a Redis server for the demo, and use that")
    parser.add_argument("--serve", action="store_true", help="leave the servers running after the requests, until Ctrl-C")
    return parser


def _prepare() -> None:
    """Every way to be ended stops the servers too, and whatever stands in an answer can be printed."""
    for number in ENDS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, _interrupt)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True, errors="replace")
    logging.getLogger("redis_middleware").addHandler(logging.NullHandler())  # what is logged here is told in `_reached`


def _interrupt(number: int, frame: object) -> None:
    """End once: a second Ctrl-C must not keep the servers from being stopped."""
    for each in ENDS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def _reached(env: Mapping[str, str], parser: argparse.ArgumentParser) -> Storage:
    """The storage of this run, tried once. Ends the program if it does not work."""
    try:
        chosen = storage(env)
        with closing(chosen):
            run(gather(Set("try", b"", ttl=10), Delete("try")), chosen)
    except ConfigurationError as exc:
        parser.exit(2, f"The Redis URL cannot be used: {exc}\n")
    except StorageError as exc:
        parser.exit(2, f"{chosen!r} cannot be used: {_first_cause(exc)}\n{ADVICE}\n")
    return chosen


def _first_cause(exc: BaseException) -> BaseException:
    return _first_cause(exc.__cause__) if exc.__cause__ else exc


def _start(running: ExitStack, make: Callable[[], AbstractContextManager[Server]]) -> Server:
    """Start a server; twice more if that fails, as somebody else may have taken its port. Ends the program if it fails."""
    for _ in range(2):
        with suppress(RuntimeError):
            return running.enter_context(make())
    try:
        return running.enter_context(make())
    except RuntimeError as exc:
        sys.exit(str(exc))


@contextmanager
def _serving(app: App, env: Mapping[str, str]) -> Iterator[Server]:
    """A running server of an app, with one worker: in memory, two would count apart."""
    port, module = free_port(), f"{__package__}.{app.module}:app"
    if app.server == "uvicorn":  # no proxy is in front of it: what X-Forwarded-For says was made up by a client
        options = ["--host", HOST, "--port", str(port), "--no-proxy-headers"]
    else:
        options = ["--bind", f"{HOST}:{port}", "--worker-class", "gthread", "--threads", "4"]
    command = python("-m", app.server, module, "--workers", "1", *options)
    # A directory of its own for gunicorn's control socket: else all gunicorns of a user take the same one from each other.
    with TemporaryDirectory() as own, serving(command, port, env={**env, "XDG_RUNTIME_DIR": own}) as server:
        yield server


def _show(servers: Servers, chosen: Storage) -> bool:
    """Go on the tour and print it; True if every answer was right."""
    shared = not isinstance(chosen, MemoryStorage)
    _introduce(servers, chosen, shared)
    left, outcomes = budgets(shared), []
    for block in tour(shared):
        print()
        for app, ask in block:
            answer = _send(ask, servers[app])
            wrong = faults(app, ask, answer, left[app]) if isinstance(answer, Answer) else [answer]
            outcomes.append((app, wrong))
            print(f"  {_paint('✗', RED) if wrong else _paint('✓', GREEN)} {app.name:8} {ask!s:24} {_gist(ask, answer)}")
            for fault in wrong:
                print(_paint(f"      {fault}", RED))
    return _conclude(servers, outcomes)


def _send(ask: Ask, server: Server) -> Answer | str:
    """Send a request on a connection of its own: the answer, or why there is none."""
    headers = {"X-Forwarded-For": ask.forged} if ask.forged else {}
    with closing(HTTPConnection(server.host, server.port, timeout=PATIENCE)) as connection:
        try:
            connection.request(ask.method, ask.path, ask.body or None, headers)
            response = connection.getresponse()
            return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
        except (OSError, HTTPException) as exc:
            return f"no answer: {exc!r}"


def _introduce(servers: Servers, chosen: Storage, shared: bool) -> None:
    print(_paint('Three apps, each behind Health() and RateLimit("100/hour; 5/minute"):', BOLD), end="\n\n")
    for app, server in servers.items():
        print(f"  {app.name:8} {app.server:9} http://{server.address}/")
    counting = "the three count together, and allow 5 requests a minute" if shared else "each server counts for itself"
    print(f"\nStorage: {chosen!r}: {counting}.")
    print(_paint("In RateLimit, r is how many requests remain, and t in how many seconds all are back.", DIM))
    print(_paint("+X-Forwarded-For claims another address than the client's: it must not help.", DIM))


def _gist(ask: Ask, answer: Answer | str) -> str:
    """What a person wants to see of an answer."""
    if isinstance(answer, str):
        return "---"
    text = answer.body.decode(errors="replace").strip()
    if answer.status == 429:
        says = f"Retry-After: {answer.headers.get('retry-after')}  {document(answer).get('detail')}"
    elif ask.path == HEALTH:
        says = text if len(text) <= 60 else f"{text[:60]}…"
    else:
        says = f"RateLimit: {answer.headers.get('ratelimit')}" + (f"  {text}" if ask.method == "POST" else "")
    return f"{_paint(str(answer.status), BOLD)}  {says}"


def _conclude(servers: Servers, outcomes: Sequence[tuple[App, list[str]]]) -> bool:
    """The sum of it; and of the servers that were wrong, the last they printed."""
    wrong = [app for app, told in outcomes if told]
    if not wrong:
        print()
        print(_paint(f"✓ All {len(outcomes)} answers were right.", GREEN))
        return True
    print()
    print(_paint(f"✗ {len(wrong)} of {len(outcomes)} answers were wrong; above is how.", RED))
    for app in dict.fromkeys(wrong):
        tail = servers[app].output().splitlines()[-20:]
        print(f"\nThe last that {app.server} printed, with the {app.name} app:\n", *tail, sep="\n  ")
    return False


def _wait(servers: Servers) -> None:
    """Leave the servers running until somebody ends the program."""
    with suppress(KeyboardInterrupt):
        print("\nThe servers stay up. Try these (they count with the requests above: for up to a minute they are denied):\n")
        for server in servers.values():
            print(f"  curl -i http://{server.address}/")
        print(f"  curl -i http://{server.address}/shout -d hello")
        print(f"  curl -i http://{server.address}{HEALTH}")
        print("\nCtrl-C stops them.")
        while True:
            time.sleep(1)  # not signal.pause(): a signal just before it would go unseen
    print("\nStopping them.")


def _paint(text: str, colour: int) -> str:
    """Coloured for a terminal whose user did not ask for none (https://no-color.org)."""
    return f"\x1b[{colour}m{text}\x1b[0m" if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else text


if __name__ == "__main__":
    sys.exit(main())
