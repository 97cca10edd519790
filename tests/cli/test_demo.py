"""The demo, run as a person runs it; and that it would notice a wrong answer."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

from redis_middleware import MemoryStorage, RedisStorage
from redis_middleware.cli.demo import APPS, COUNTED, HEALTH, PREFIX, URL, Answer, Ask, Budget, budgets, faults, storage, tour
from redis_middleware.cli.processes import HOST, free_port, python

FLASK = APPS[0]
DEMO = python("-m", "redis_middleware.cli.demo")
NAMES = [app.name for app in APPS]


def environment() -> dict[str, str]:
    """This process's, without what would choose a storage for the demo."""
    return {name: value for name, value in os.environ.items() if name != "REDIS_URL"}


def demo(*arguments: str, command: list[str] = DEMO) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*command, *arguments], env=environment(), capture_output=True, text=True, timeout=180)


def test_in_memory_each_app_is_served_then_limited_and_healthy() -> None:
    done = demo()
    assert (done.returncode, done.stderr) == (0, "")
    assert "✗" not in done.stdout
    assert "\x1b" not in done.stdout  # no colours for a pipe
    for name in NAMES:
        lines = [line for line in done.stdout.splitlines() if line.startswith(f"  ✓ {name} ")]
        assert [re.findall(r" (200|429) ", line) for line in lines] == [["200"]] * 5 + [["429"]] * 3 + [["200"]]
        assert '"minute";r=4;' in lines[0]
        assert "Retry-After: " in lines[5]
        assert '"status":"pass"' in lines[8]


def test_in_redis_the_apps_share_one_limit(redis_url: str) -> None:
    done = demo("--redis-url", redis_url)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.findall(r'"minute";r=(\d)', done.stdout) == ["4", "3", "2", "1", "0"]
    for name in NAMES:
        assert re.search(rf"✓ {name} .* 429 ", done.stdout)
        assert re.search(rf'✓ {name} .* {HEALTH} .*"status":"pass"', done.stdout)


def test_it_brings_its_own_redis() -> None:
    done = demo("--redis")
    assert (done.returncode, done.stderr) == (0, "")
    assert "RedisStorage" in done.stdout
    for name in NAMES:
        assert re.search(rf"✓ {name} .* 429 ", done.stdout)
        assert re.search(rf'✓ {name} .* {HEALTH} .*"status":"pass"', done.stdout)


def test_redis_that_is_out_of_reach_is_said_in_two_lines() -> None:
    port = free_port()
    done = demo("--redis-url", f"redis://:hush@{HOST}:{port}/0")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{HOST}:{port}" in done.stderr
    assert "make demo REDIS=1" in done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert "hush" not in done.stderr


def test_a_url_that_is_none_is_said_in_one_line() -> None:
    done = demo("--redis-url", "http://localhost")
    assert (done.returncode, done.stdout) == (2, "")
    assert "unknown scheme" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_wrong_answers_are_shown_with_the_log_of_their_server() -> None:
    """Expecting one request a minute less makes the fifth answer of each app wrong."""
    code = "import sys; from redis_middleware.cli import demo; demo.Budget.minute = 4; "
    done = demo(command=python("-c", code + "from redis_middleware.cli.demo.__main__ import main; sys.exit(main([]))"))
    assert done.returncode == 1
    assert "status should be 429, is 200" in done.stdout
    assert "of 27 answers were wrong" in done.stdout
    assert "Listening at: http://127.0.0.1" in done.stdout


def test_a_server_that_does_not_start_is_said_without_a_traceback() -> None:
    code = (
        "import sys; from redis_middleware.cli.demo import __main__ as m; m.python = lambda *a: ['false']; sys.exit(m.main([]))"
    )
    done = demo(command=python("-c", code))
    assert done.returncode == 1
    assert "ended with 1" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_explains() -> None:
    done = demo("--help")
    assert done.returncode == 0
    for option in ("--redis-url URL", "--redis ", "--serve", "Exit status"):
        assert option in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_stays_until_it_is_stopped(number: signal.Signals, tmp_path: Path) -> None:
    with serving(tmp_path / "output") as (process, output):
        addresses = re.findall(r"^  \w+ +\w+ +(http://\S+/)$", output, re.MULTILINE)
        assert len(addresses) == 3
        for address in addresses:
            assert f"curl -i {address}\n" in output
            with urlopen(address.rstrip("/") + HEALTH, timeout=10) as response:
                assert response.status == 200
        process.send_signal(number)
        assert process.wait(30) == 0
        for address in addresses:
            with pytest.raises(OSError, match="refused"):
                urlopen(address, timeout=10)


@contextmanager
def serving(output: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The demo with `--serve`, when it has printed everything."""
    with output.open("wb") as file:
        process = subprocess.Popen([*DEMO, "--serve"], env=environment(), stdout=file, stderr=file)
    try:
        until(lambda: "Ctrl-C stops them." in output.read_text() or process.poll() is not None)
        yield process, output.read_text()
    finally:
        process.terminate()  # not kill(): it has servers to stop
        process.wait(30)


def until(condition: Callable[[], bool], patience: float = 120) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


# What is right, without any server.

POLICY = '"hour";q=100;w=3600, "minute";q=5;w=60'
PAGE = Answer(
    200,
    {
        "content-type": "text/html; charset=utf-8",
        "ratelimit-policy": POLICY,
        "ratelimit": '"hour";r=99;t=3600, "minute";r=4;t=60',
    },
    b"<h1>Hello from Flask</h1>",
)
DENIED = Answer(
    429,
    {
        "content-type": "application/problem+json",
        "ratelimit-policy": POLICY,
        "ratelimit": '"hour";r=95;t=3541, "minute";r=0;t=1',
        "retry-after": "1",
    },
    b'{"status":429,"violated-policies":["minute"]}',
)
PASS = Answer(200, {"content-type": "application/health+json"}, b'{"status":"pass"}')


def changed(answer: Answer, *, status: int | None = None, body: bytes | None = None, **headers: str) -> Answer:
    fields = {**answer.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Answer(status or answer.status, fields, answer.body if body is None else body)


def spent() -> Budget:
    budget = Budget()
    while budget.take():
        pass
    return budget


def test_right_answers_have_no_faults() -> None:
    assert faults(FLASK, Ask("GET", "/"), PAGE, Budget()) == []
    assert faults(FLASK, Ask("GET", "/"), DENIED, spent()) == []
    assert faults(FLASK, Ask("GET", HEALTH), PASS, spent()) == []


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (changed(PAGE, status=500), "status should be 200, is 500"),
        (changed(PAGE, content_type="text/plain"), "Content-Type should be 'text/html; charset=utf-8', is 'text/plain'"),
        (changed(PAGE, body=b"<h1>It works!</h1>"), "body should say 'Hello from Flask'"),
        (changed(PAGE, ratelimit_policy=""), "RateLimit-Policy should be"),
        (changed(PAGE, ratelimit=""), "RateLimit should say r and t"),
        (changed(PAGE, ratelimit='"hour";r=99;t=3600, "minute";r=5;t=60'), "should be (99, 4), is (99, 5)"),
        (changed(PAGE, ratelimit='"hour";r=99;t=3600, "minute";r=4;t=61'), "within the window"),
    ],
)
def test_a_wrong_page_has_one_fault(answer: Answer, told: str) -> None:
    [fault] = faults(FLASK, Ask("GET", "/"), answer, Budget())
    assert told in fault


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (changed(DENIED, status=200), "status should be 429, is 200"),
        (changed(DENIED, body=b""), "violated-policies in the body should be ['minute'], is None"),
        (changed(DENIED, retry_after="0"), "should be 1 to 60, is '0'"),
        (changed(DENIED, retry_after="2"), "should be the t of RateLimit"),
    ],
)
def test_a_wrong_denial_has_one_fault(answer: Answer, told: str) -> None:
    [fault] = faults(FLASK, Ask("GET", "/"), answer, spent())
    assert told in fault


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (changed(PASS, status=503), "status should be 200, is 503"),
        (changed(PASS, body=b'{"status":"fail"}'), "status in the body should be 'pass', is 'fail'"),
        (changed(PASS, body=b"ok"), "status in the body should be 'pass', is None"),
        (changed(PASS, body=b"[]"), "status in the body should be 'pass', is None"),
        (changed(PASS, ratelimit=POLICY), "RateLimit should be None"),
    ],
)
def test_a_wrong_health_answer_has_one_fault(answer: Answer, told: str) -> None:
    [fault] = faults(FLASK, Ask("GET", HEALTH), answer, Budget())
    assert told in fault


def test_a_denied_request_takes_nothing() -> None:
    budget = spent()
    assert (budget.hour, budget.minute) == (95, 0)


def test_apart_each_app_is_asked_everything() -> None:
    assert [len(block) for block in tour(shared=False)] == [len(COUNTED) + 1] * 3
    assert len({id(budget) for budget in budgets(shared=False).values()}) == 3


def test_together_the_apps_are_asked_by_turns() -> None:
    counted, health = tour(shared=True)
    assert [app for app, _ in counted[:4]] == [*APPS, APPS[0]]
    assert [app for app, _ in health] == list(APPS)
    assert len({id(budget) for budget in budgets(shared=True).values()}) == 1


def test_the_apps_are_told_their_storage() -> None:
    assert isinstance(storage({}), MemoryStorage)
    assert isinstance(storage({URL: "memory://"}), MemoryStorage)
    assert isinstance(storage({URL: "redis://localhost", PREFIX: "demo:1:"}), RedisStorage)
