"""A real Django project under real servers, with its admin, its database, and a Flask and a Starlette app beside it."""

# mypy: disable-error-code="import-untyped,misc"
# (Django ships no types.)

from __future__ import annotations

import asyncio
import os
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from flask import Flask
from flask import session as flask_session
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from redis_middleware import ASGIMiddleware, RedisStorage, Sessions, WSGIMiddleware, run
from redis_middleware.cli.processes import Server, python
from redis_middleware.contrib.flask import SessionInterface
from redis_middleware.storage import Storage

from ..servers.launch import ROOT, mounted
from .django_site import COOKIE, SECRET


def flask_app(storage: Storage) -> Flask:
    app = Flask(__name__)
    app.session_interface = SessionInterface()
    app.wsgi_app = WSGIMiddleware(app.wsgi_app, layers=[Sessions(SECRET, cookie=COOKIE)], storage=storage)  # type: ignore[method-assign]

    @app.get("/put/<key>/<value>")
    def put(key: str, value: str) -> dict[str, Any]:
        flask_session[key] = value
        return dict(flask_session)

    return app


def starlette_app(storage: Storage) -> Starlette:
    async def put(request: Request) -> JSONResponse:
        request.session[request.path_params["key"]] = request.path_params["value"]
        return JSONResponse(dict(request.session))

    async def logout(request: Request) -> JSONResponse:
        request.session.clear()
        return JSONResponse({})

    app = Starlette(routes=[Route("/put/{key}/{value}", put), Route("/logout", logout)])
    app.add_middleware(ASGIMiddleware, layers=[Sessions(SECRET, cookie=COOKIE)], storage=storage)
    return app


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The database of the project, of which Django's checks have nothing to say."""
    path = str(tmp_path_factory.mktemp("django") / "db.sqlite3")
    env = {**os.environ, "DATABASE": path, "REDIS_URL": "redis://localhost:1/0", "PREFIX": "none:"}
    made = subprocess.run(
        python("-W", "error", "-m", "tests.contrib.django_site"), cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert made.stdout == "System check identified no issues (0 silenced).\n", made.stderr
    return path


@pytest.fixture(
    params=[
        ("gunicorn gthread", "alone"),
        ("gunicorn gthread", "at_edge"),
        ("uvicorn h11", "alone_asgi"),
        ("uvicorn h11", "at_edge_asgi"),
    ],
    ids=lambda param: param[1],
)
def running(request: pytest.FixtureRequest, database: str, redis_url: str, prefix: str) -> Iterator[Server]:
    server, app = request.param
    factory = ["--factory"] if server.startswith("uvicorn") else []
    name = f"tests.contrib.django_site:{app}" + ("" if factory else "()")
    with mounted(server, name, *factory, REDIS_URL=redis_url, PREFIX=prefix, DATABASE=database) as made:
        yield made
        assert "Traceback" not in made.output()


def test_a_real_project_under_a_real_server(running: Server, redis_url: str, prefix: str, loop: asyncio.Runner) -> None:
    storage = RedisStorage(redis_url, prefix=prefix, timeout=5)
    sessions = Sessions(SECRET, cookie=COOKIE)
    with httpx.Client(base_url=f"http://{running.address}") as django:
        # log in by the admin's own page
        page = django.get("/admin/login/").text
        token = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[0]
        form = {"username": "ada", "password": "lovelace", "csrfmiddlewaretoken": token, "next": "/admin/"}
        assert django.post("/admin/login/", data={**form, "password": "wrong"}).status_code == 200
        assert COOKIE not in django.cookies
        answer = django.post("/admin/login/", data=form)
        assert (answer.status_code, answer.headers["location"]) == (302, "/admin/")
        assert "Log out" in django.get("/admin/").text
        assert [one.device for one in run(sessions.list("1"), storage)] == [f"python-httpx/{httpx.__version__}"]
        assert django.get("/put/tea/black").json() == {"user": "ada", "session": {"tea": "black"}}
        # the same session in Flask and Starlette
        with httpx.Client(
            transport=httpx.WSGITransport(flask_app(storage)), base_url="http://x", cookies=dict(django.cookies)
        ) as flask:
            seen = flask.get("/put/milk/some").json()
        assert (seen["_auth_user_id"], seen["tea"], seen["milk"]) == ("1", "black", "some")
        loop.run(in_starlette(storage, dict(django.cookies), "/put/sugar/none"))
        assert django.get("/who").json() == {"user": "ada", "session": {"tea": "black", "milk": "some", "sugar": "none"}}
        stolen = dict(django.cookies)
        # log out by the admin's own page
        token = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', django.get("/admin/").text)[0]
        assert "Logged out" in django.post("/admin/logout/", data={"csrfmiddlewaretoken": token}).text
        assert COOKIE not in django.cookies
    assert httpx.get(f"http://{running.address}/who", cookies=stolen).json() == {"user": "", "session": {}}
    assert run(sessions.list("1"), storage) == []
    with httpx.Client(base_url=f"http://{running.address}") as django:
        # in and out by async views, and out by Starlette
        key = django.get("/login").text
        assert django.cookies[COOKIE] == key
        assert django.get("/who").json()["user"] == "ada"
        assert len(run(sessions.list("1"), storage)) == 1
        loop.run(in_starlette(storage, dict(django.cookies), "/logout"))
        assert django.get("/who").json()["user"] == ""
        django.get("/login")
        django.get("/logout")
        assert django.get("/who").json()["user"] == ""
    storage.close()


async def in_starlette(storage: Storage, cookies: Any, path: str) -> None:
    transport = httpx.ASGITransport(starlette_app(storage))
    async with httpx.AsyncClient(transport=transport, base_url="http://x", cookies=cookies) as client:
        assert (await client.get(path)).status_code == 200
    await storage.aclose()


def test_sessions_in_djangos_database_are_taken_over(running: Server) -> None:
    base = f"http://{running.address}"
    key = httpx.get(f"{base}/old").text
    with httpx.Client(base_url=base, cookies={COOKIE: key}) as client:
        assert client.get("/who").json() == {"user": "ada", "session": {"cart": ["tea"]}}
    answer = httpx.get(f"{base}/who", cookies={COOKIE: key})
    assert answer.json()["user"] == "ada"  # it was under way
    assert answer.cookies[COOKIE] != key
    assert 0 < int(httpx.get(f"{base}/left/{key}").text) <= 10
    assert httpx.get(f"{base}/who", cookies={COOKIE: answer.cookies[COOKIE]}).json()["user"] == "ada"
    other = httpx.get(f"{base}/old").text
    httpx.get(f"{base}/logout", cookies={COOKIE: other})
    assert httpx.get(f"{base}/left/{other}").text == "0"
