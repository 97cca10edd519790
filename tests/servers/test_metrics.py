"""Eight workers of a real server: whichever answers, the totals are those of all."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from redis_middleware.cli.processes import Server

from ..layers.health.workers import LIMIT
from .launch import mounted

WORKERS, SEVERAL, REQUESTS, PATIENCE = 8, 4, 60, 25


@pytest.mark.parametrize(("kind", "app"), [("gunicorn sync", "wsgi_app()"), ("uvicorn httptools", "asgi_app")])
def test_every_worker_tells_the_totals_of_all(kind: str, app: str, redis_url: str) -> None:
    options = ["--workers", str(WORKERS), *(["--factory", "--lifespan", "off"] if app == "asgi_app" else [])]
    database = f"{redis_url.removesuffix('/0')}/{4 if app == 'asgi_app' else 5}"  # for this test alone
    true = {"allowed": LIMIT, "denied": REQUESTS - LIMIT}
    with mounted(kind, f"tests.layers.health.workers:{app}", *options, REDIS_URL=database) as running:
        deadline = time.monotonic() + PATIENCE
        while len(workers_of(asked(running, "/livez", REQUESTS))) < SEVERAL:
            assert time.monotonic() < deadline, "one worker alone answers"
        answers = asked(running, "/", REQUESTS)
        assert [answer.status_code for answer in answers].count(200) == LIMIT
        told: list[dict[str, float]] = []
        while told != [true] * REQUESTS:
            assert time.monotonic() < deadline, told
            answers = asked(running, "/api/redis/metrics", REQUESTS)
            told = [decisions(answer) for answer in answers]
        assert len(workers_of(answers)) > 1


def asked(server: Server, path: str, times: int) -> list[httpx.Response]:
    """Many requests at once, each on a connection of its own, so that many workers answer."""
    alone = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=f"http://{server.address}", limits=alone) as client, ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(lambda _: client.get(path, headers={"accept": "text/plain"}), range(times)))


def workers_of(answers: list[httpx.Response]) -> set[str]:
    return {answer.headers["x-worker"] for answer in answers}


def decisions(answer: httpx.Response) -> dict[str, float]:
    told = {family.name: family.samples for family in text_string_to_metric_families(answer.text)}
    return {sample.labels["outcome"]: sample.value for sample in told["redis_middleware_limit_decisions"]}
