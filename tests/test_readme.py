"""The README's examples, run as they stand under real servers. Only the address of the Redis is that of the test's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

import redis_middleware
from redis_middleware.cli.processes import Server

from .servers.launch import mounted
from .snippets import ROOT, snippets

FLASK, DJANGO, FASTAPI = snippets("README.md")

MYSITE = {
    "mysite/__init__.py": "",
    "mysite/settings.py": "SECRET_KEY = 'x'\nROOT_URLCONF = 'mysite.urls'\nALLOWED_HOSTS = ['*']\n",
    "mysite/urls.py": "from django.http import HttpResponse\nfrom django.urls import path\n"
    "urlpatterns = [path('', lambda request: HttpResponse('hello'))]\n",
}
EXAMPLES = {
    "Flask": ("gunicorn gthread", "shop:app", {"shop.py": FLASK}),
    "Django": ("gunicorn gthread", "mysite.wsgi:application", MYSITE | {"mysite/wsgi.py": DJANGO}),
    "FastAPI": ("uvicorn httptools", "shop:app", {"shop.py": FASTAPI}),
}


@pytest.fixture(params=EXAMPLES)
def running(request: pytest.FixtureRequest, tmp_path: Path, server: Server, control: redis.Redis) -> Iterator[Server]:
    """An example on a real server and a Redis with nothing counted yet."""
    kind, app, files = EXAMPLES[request.param]
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text.replace("localhost:6379", server.address))
    control.delete(*[f"rm:l:{{127.0.0.1}}:{period}:f" for period in ("day", "hour")])
    with mounted(kind, app, cwd=tmp_path, REDIS_URL=f"redis://{server.address}/0", SESSION_SECRET="s" * 32) as made:
        yield made


def test_an_example_does_what_the_readme_says(running: Server, control: redis.Redis) -> None:
    with httpx.Client(base_url=f"http://{running.address}") as client:
        answers = [client.get("/") for _ in range(51)]
        health = client.get("/api/redis/health")
    assert [answer.status_code for answer in answers] == [200] * 50 + [429]
    assert "hello" in answers[0].text
    assert answers[0].headers["ratelimit"] == '"day";r=199;t=86400, "hour";r=49;t=3600'
    assert 3500 < int(answers[50].headers["retry-after"]) <= 3600
    if "set-cookie" in answers[0].headers:  # the one with a session
        assert "visit 50" in answers[49].text
    assert health.json()["status"] == "pass"
    assert control.exists("rm:l:{127.0.0.1}:hour:f")


def test_what_the_readme_links_to_is_there() -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / link).exists(), link


def test_every_public_name_is_documented() -> None:
    undocumented: list[Any] = []
    for name in redis_middleware.__all__:
        thing = getattr(redis_middleware, name)
        if name != "Flow" and not thing.__doc__:
            undocumented.append(name)
    assert not undocumented
