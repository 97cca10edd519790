"""The pages on sessions: every snippet runs as it stands, and what the pages say happens."""

# mypy: disable-error-code="import-untyped"
# (Django and Flask-Login ship no types.)

from __future__ import annotations

import ast
import inspect
import json
import pickle
import re
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import redis
from django.core.cache.backends.redis import RedisCache
from flask_login import LoginManager, UserMixin, login_user, user_logged_in
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from werkzeug.middleware.proxy_fix import ProxyFix

from redis_middleware import ASGIMiddleware, ConfigurationError, RedisStorage, Session, Sessions, WSGIMiddleware, run
from redis_middleware.cli.processes import Server
from redis_middleware.contrib.django.settings import DJANGOS
from redis_middleware.errors import SessionError
from redis_middleware.layers.sessions import moving, record
from redis_middleware.layers.sessions.statistics import Statistics
from redis_middleware.layers.sessions.users import UserSession
from redis_middleware.storage import Storage

from .conftest import Clock
from .edges import WSGI, Answer, Edge, Seen, environ, wsgi_call
from .layers.sessions.browser import SECRET, Browser, Site, session_of
from .layers.sessions.test_trouble import Switch
from .servers.launch import mounted
from .snippets import ROOT, snippets

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # newer ones would rather have httpx2 than httpx
    from starlette.testclient import TestClient

PAGE = "docs/sessions.md"
TEXT = (ROOT / PAGE).read_text()
ASVS = (ROOT / "docs/asvs.md").read_text()
SNIPPETS = snippets(PAGE)
FLASK, IMPORTS, WSGI_APP, FASTAPI, WEBSOCKET, VALUES, NESTED, COUNT, LOGIN, DEVICES, AT_MOST, TIMEOUTS, *OTHERS = SNIPPETS
REMEMBER, STRICT, EXPORT, GREETING, SEALED, SECRETS, IMPORT, SEE, SERIALIZER, CACHES, STATISTICS, *FRAMEWORKS = OTHERS
FLASK_LOGIN, DJANGO, DJANGO_VIEWS, DJANGO_EDGE = FRAMEWORKS
[STANDARD] = snippets("docs/asvs.md")

ENVIRONMENT = {
    "SESSION_SECRET": SECRET,
    "NEW_SECRET": "another secret of more than thirty-two bytes",
    "SESSION_KEY": "k" * 32,
}
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

Row = list[str]


@pytest.fixture(autouse=True)
def secrets_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def executed(code: str, address: str = "localhost:6379") -> dict[str, Any]:
    """What a snippet defines, with the names that the page asks for. Only the address of the Redis is that of the test's."""
    names: dict[str, Any] = {"__name__": "tests.shop"}
    exec(compile(IMPORTS, "<imports>", "exec"), names)
    exec(compile(code.replace("localhost:6379", address), "<docs>", "exec"), names)
    return names


def sessions_of(code: str) -> Sessions:
    made = executed(code)["sessions"]
    assert isinstance(made, Sessions)
    return made


def rows(title: str, text: str = TEXT) -> list[Row]:
    """The cells of the tables whose first column has this title."""
    tables = re.findall(rf"^\| {re.escape(title)} ?\|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [[cell.strip() for cell in line[1:-1].split("|")] for table in tables for line in table.splitlines()]


def look(session: Session) -> dict[str, Any]:
    return session.copy()


def put(**values: Any) -> Callable[[Session], object]:
    return lambda session: session.update(values)


@pytest.mark.parametrize("code", [*[code for code in SNIPPETS if code is not DJANGO_EDGE], STANDARD])  # which see below
def test_every_snippet_runs(code: str, server: Server) -> None:
    made = executed(code, server.address)
    if isinstance(made.get("storage"), RedisStorage):
        made["storage"].close()
    if code is FLASK_LOGIN:
        user_logged_in.disconnect(made["bind"])  # or it would hear of the logins of other tests


def test_every_option_is_on_the_page_with_its_default() -> None:
    found = {name: parameter.default for name, parameter in inspect.signature(Sessions).parameters.items()}
    said = {row[0].strip("`"): row[1].strip("`") for row in rows("`Sessions(…)`")}
    assert said.keys() == found.keys()
    for name, default in found.items():
        assert (eval(said[name], {"time": time}) if said[name] else inspect.Parameter.empty) == default, name


def test_every_member_of_a_session_is_on_the_page() -> None:
    members = {name for name in vars(Session) if not name.startswith("_")} - set(dir(dict)) - {"state"}
    said = " ".join([row[0] for row in rows("`Session`")])
    assert not [name for name in members if not re.search(rf"`{name}\b", said)]
    for name in members:
        if inspect.isfunction(made := vars(Session)[name]):
            parameters = [name for name in inspect.signature(made).parameters if name != "self"]
            assert re.search(rf"`{name}\({', '.join([f'{one}[^,]*' for one in parameters])}\)`", said), name


@pytest.mark.parametrize("kind", [UserSession, Statistics, Sessions])
def test_what_else_is_public_is_on_the_page(kind: Any) -> None:
    names = kind.__slots__ if hasattr(kind, "__slots__") else ["list", "revoke", "stats", "counts"]
    assert not [name for name in names if not re.search(rf"`[^`\n]*\b{name}\b", TEXT)]


def test_links_within_the_page() -> None:
    titles = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in re.findall(r"^## (.*)$", TEXT, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= titles


def test_no_section_is_empty() -> None:
    assert not re.search(r"^## .*\n+(?=## |\Z)", TEXT, re.MULTILINE)


# quick start


def test_the_flask_app(server: Server) -> None:
    client = executed(FLASK, server.address)["app"].test_client()
    assert [client.post(f"/cart/{item}").json for item in ("tea", "milk")] == [["tea"], ["tea", "milk"]]
    assert executed(FLASK, server.address)["app"].test_client().post("/cart/tea").json == ["tea"]


def cookie_of(answer: Answer) -> str:
    [line] = answer.headers.getall("set-cookie")
    return line.partition(";")[0]


def test_the_wsgi_app(server: Server) -> None:
    made = executed(WSGI_APP, server.address)
    first = wsgi_call(made["app"], environ())
    second = wsgi_call(made["app"], environ(headers=[("cookie", cookie_of(first))]))
    assert [first.body, second.body] == [b"visit 1\n", b"visit 2\n"]
    made["app"].storage.close()


def test_the_fastapi_app_shares_its_sessions_with_the_others(server: Server) -> None:
    flask = executed(FLASK, server.address)["app"].test_client()
    with TestClient(executed(FASTAPI, server.address)["app"]) as client:
        assert client.post("/cart/tea").json() == ["tea"]
        flask.set_cookie("session", client.cookies["session"])
        assert flask.post("/cart/milk").json == ["tea", "milk"]
        assert client.post("/cart/bread").json() == ["tea", "milk", "bread"]


def test_the_websocket(server: Server) -> None:
    app = executed(WEBSOCKET, server.address)["app"]

    def looked(request: Request) -> Any:
        return dict(request.session)

    def logout(request: Request) -> None:
        request.session.clear()

    app.add_api_route("/look", looked)
    app.add_api_route("/logout", logout)
    with TestClient(app) as client, client.websocket_connect("/chat") as chat:
        handshake: Any = chat.extra_headers
        [cookie] = [value.decode() for name, value in handshake if name == b"set-cookie"]
        client.headers["cookie"] = cookie.partition(";")[0]
        chat.send_text("hello")
        assert chat.receive_text() == "hello"
        assert client.get("/look").json() == {"chats": True, "messages": 1}
        client.get("/logout")
        chat.send_text("anybody there?")
        assert chat.receive()["code"] == 1008


# what can be stored


def test_values_come_back(edge: Edge, storage: Storage) -> None:
    browser = Site(edge, storage).browser()
    browser.does(executed(VALUES)["checkout"])
    browser.does(executed(NESTED)["add"])
    assert browser.does(lambda session: session["cart"]) == repr([{"item": "tea", "price": Decimal("4.80")}])
    assert browser.does(lambda session: type(session["since"]) is datetime and session["since"].utcoffset()) == (
        "datetime.timedelta(0)"
    )
    with pytest.raises(TypeError, match="a session holds"):
        browser.does(put(user=SimpleNamespace(id=1)))
    with pytest.raises(TypeError, match="a session holds"):
        browser.does(lambda session: session["cart"].append(object()))


def test_the_types_are_those_of_the_error() -> None:
    with pytest.raises(TypeError) as caught:
        Session({"a": object()})
    [listed] = re.findall(r"a session holds (.*);", str(caught.value))
    words = re.findall(r"\w+", listed.replace(" and ", " "))
    assert not [word for word in words if word not in re.findall(r"\w+", TEXT)]


def test_counting(edge: Edge, storage: Storage) -> None:
    browser = Site(edge, storage).browser()
    browser.does(put(credit=10))
    assert browser.does(executed(COUNT)["visited"]) == "5"
    assert browser.does(look) == "{'credit': 5, 'visits': 1}"


def test_how_large(edge: Edge, storage: Storage) -> None:
    browser = Site(edge, storage).browser()
    browser.does(put(a=1))
    browser.does(put(b="x" * 65_000))
    with pytest.raises(SessionError):
        browser.does(put(c="x" * 1000))
    assert browser.does(list) == "['a', 'b']"


# logging in and out


def user(number: int, name: str) -> Any:
    return SimpleNamespace(id=number, name=name)


def test_login_and_logout(edge: Edge, storage: Storage, clock: Clock) -> None:
    made = executed(LOGIN)
    site = Site(edge, storage)
    browser = site.browser()
    browser.does(put(cart=["tea"]))
    before = browser.twin()
    browser.does(lambda session: made["login"](session, user(42, "Ada")))
    assert browser.cookies != before.cookies
    assert before.does(look) == "{'cart': ['tea']}"
    before.does(put(cart=[]))
    assert site.sessions.counts["refused"] == 1
    assert browser.does(look) == "{'cart': ['tea'], 'name': 'Ada'}"
    clock.move(10)
    assert before.does(look) == "{}"
    assert len(run(site.sessions.list("42"), storage)) == 1
    browser.does(made["logout"])
    assert browser.cookies == {}


def test_a_login_ends_the_token_before(edge: Edge, storage: Storage) -> None:
    browser = Site(edge, storage, rotation_grace=0).browser()
    browser.does(put(cart=["tea"]))
    for deed in (lambda session: session.bind("42"), lambda session: session.bind("42"), lambda session: session.rotate()):
        before = browser.twin()
        browser.does(deed)
        assert before.does(look) == "{}"
        assert browser.does(look) == "{'cart': ['tea']}"


# my other devices


def test_the_page_of_devices(server: Server) -> None:
    made = executed(DEVICES, server.address)
    run(made["sessions"].revoke(user="ada"), made["storage"])
    phone, laptop, desktop, stranger = [made["app"].test_client() for _ in range(4)]
    for client, name in ((phone, "ada"), (laptop, "ada"), (desktop, "ada"), (stranger, "bob")):
        assert client.get("/devices").status_code == 401
        client.post(f"/login/{name}", headers={"user-agent": f"Agent/{name}"})
    shown = phone.get("/devices").json
    assert [one["device"] for one in shown] == ["Agent/ada"] * 3
    assert sum(one["this one"] for one in shown) == 1
    assert datetime.fromisoformat(shown[0]["last seen"]).utcoffset() is not None
    [mine] = [one["id"] for one in shown if one["this one"]]
    [laptops] = [one["id"] for one in laptop.get("/devices").json if one["this one"]]
    assert stranger.post(f"/devices/{mine}/end").status_code == 302
    assert phone.get("/devices").status_code == 200, "not ended by somebody else"
    phone.post(f"/devices/{laptops}/end")
    assert [client.get("/devices").status_code for client in (phone, laptop, desktop)] == [200, 401, 200]
    phone.post("/devices/end-others")
    assert [client.get("/devices").status_code for client in (phone, laptop, desktop)] == [200, 401, 401]
    assert stranger.get("/devices").status_code == 200
    made["storage"].close()


@pytest.mark.parametrize("edge", [WSGI], indirect=True)  # on an event loop it is awaited
def test_at_most_so_many(edge: Edge, storage: Storage) -> None:
    made = executed(AT_MOST)
    site = Site(edge, storage, made["sessions"])
    said = [site.browser().does(lambda session: made["login"](session, "42")) for _ in range(3)]
    assert said == ["'welcome'", "'welcome'", "'Please log out somewhere else first.'"]


# timeouts


def test_the_idle_timeout_is_never_late(edge: Edge, storage: Storage, clock: Clock) -> None:
    site = Site(edge, storage, sessions_of(TIMEOUTS))
    for used, ends in ((0, 3600), (359, 3600), (360, 3960)):
        browser = site.browser()
        browser.does(put(a=1))
        clock.move(used)
        assert browser.does(look) == "{'a': 1}"
        assert ends - used >= 3600 * 0.9
        clock.move(ends - used - 1)
        assert browser.twin().does(lambda session: session.state.token is not None) == "True"
        clock.move(1)
        assert browser.does(look) == "{}"


def test_the_absolute_timeout_and_the_renewal(edge: Edge, storage: Storage, clock: Clock) -> None:
    browser = Site(edge, storage, sessions_of(TIMEOUTS)).browser()
    browser.does(put(a=1))
    first = dict(browser.cookies)
    for _ in range(47):
        clock.move(1800)
        assert browser.does(look) == "{'a': 1}"
    assert browser.cookies != first
    clock.move(1800)
    assert browser.does(look) == "{}"


def test_remember_me(edge: Edge, storage: Storage, clock: Clock) -> None:
    made = executed(REMEMBER)
    site = Site(edge, storage, made["sessions"])
    one, two = site.browser(), site.browser()
    one.does(lambda session: made["login"](session, "42", remember=True))
    two.does(lambda session: made["login"](session, "42", remember=False))
    assert "Max-Age=2592000" in one.set_cookies[0]
    assert "Max-Age" not in two.set_cookies[0]
    clock.move(29 * 86_400)
    assert [browser.does(lambda session: session.id is not None) for browser in (one, two)] == ["True", "False"]


# the cookie, and caches


@pytest.mark.parametrize("code", [STRICT, STANDARD])
def test_the_strictest_cookie(edge: Edge, storage: Storage, code: str) -> None:
    browser = Site(edge, storage, sessions_of(code)).browser()
    browser.does(put(a=1))
    [line] = browser.set_cookies
    pair, *attributes = line.split("; ")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} < set(attributes)
    assert not any(attribute.startswith("Domain") for attribute in attributes)
    name, _, value = pair.partition("=")
    assert name == "__Host-session"
    assert len(value) == 95


@pytest.mark.parametrize("around", [True, False])
def test_behind_a_proxy_the_server_has_to_know(around: bool) -> None:
    def fixed(app: Any) -> Any:
        return ProxyFix(app)

    def edged(app: Any) -> Any:
        return WSGIMiddleware(app, layers=[Sessions(SECRET)], storage="memory://")

    def app(environ: Any, start_response: Any) -> Any:
        environ["redis_middleware.session"]["a"] = 1
        start_response("200 OK", [("content-type", "text/plain")])
        return [b"ok"]

    wrapped = fixed(edged(app)) if around else edged(fixed(app))
    answer = wsgi_call(wrapped, environ(headers=[("x-forwarded-proto", "https")]))
    assert ("; Secure" in answer.headers.getall("set-cookie")[0]) == around


def test_the_cookie_of_the_page_is_one(edge: Edge, storage: Storage) -> None:
    browser = Site(edge, storage).browser()
    browser.does(put(a=1))
    [said] = [one for one in snippets(PAGE, "http") if one.startswith("Set-Cookie")]
    shape = [re.sub(r"=.*", "", part) for part in said.strip().removeprefix("Set-Cookie: ").split("; ")]
    assert [re.sub(r"=.*", "", part) for part in browser.set_cookies[0].split("; ")] == shape


def test_what_caches_are_told(edge: Edge, storage: Storage) -> None:
    browser = Site(edge, storage).browser()
    [said] = [one for one in snippets(PAGE, "http") if one.startswith("Vary")]
    browser.does(look)
    assert browser.last is not None
    for line in said.splitlines():
        name, _, value = line.partition(": ")
        assert browser.last.headers.getall(name) == [value]


def test_a_renamed_cookie_logs_out(edge: Edge, storage: Storage) -> None:
    browser = Site(edge, storage).browser()
    browser.does(put(a=1))
    renamed = Browser(Site(edge, storage, cookie="id"), {"id": browser.cookies["session"]})
    assert renamed.does(look) == "{}"


def test_combinations_that_browsers_would_refuse() -> None:
    wrong: list[dict[str, Any]] = [{"samesite": "none"}, {"cookie": "__Host-id", "secure": True, "domain": "example.org"}]
    for options in wrong:
        with pytest.raises(ConfigurationError):
            Sessions(SECRET, **options)


def test_others_see_what_was_saved_at_once(server: Server, prefix: str) -> None:
    storage = RedisStorage(f"redis://{server.address}/0", prefix=prefix)
    seen: list[Any] = []

    async def begin(request: Request) -> Any:
        request.session["a"] = 1
        return JSONResponse(None)

    async def export(request: Request) -> Any:
        await executed(EXPORT)["export"](request)
        [key] = control.scan_iter(f"{prefix}s:{{*")
        seen.append(control.hget(key, ".export"))
        return JSONResponse(None)

    app = Starlette(routes=[Route("/begin", begin), Route("/export", export)])
    with redis.Redis.from_url(f"redis://{server.address}/0") as control:
        app.add_middleware(ASGIMiddleware, layers=[Sessions(SECRET)], storage=storage)
        with TestClient(app) as client:
            client.get("/begin")
            client.get("/export")
    assert seen == [b"\xa7running"]


# trouble


@pytest.fixture
def switch(storage: Storage) -> Switch:
    return Switch(storage)


ROWS: dict[str, tuple[tuple[str, ...], Callable[[Session], object]]] = {
    "the request leaves the session alone": (("all",), lambda session: None),
    "it reads the session, and Redis is out of reach": (("all",), look),
    "it writes or ends it then": (("all",), lambda session: session.clear()),
    "what it wrote cannot be stored, as Redis is away or full by now": (("Commit",), put(a=2)),
    "a logout cannot be stored": (("End",), lambda session: session.clear()),
    "that the session was used cannot be noted": (("Touch",), look),
}


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("place", [1, 2])
def test_the_table_of_trouble(edge: Edge, switch: Switch, clock: Clock, row: str, place: int) -> None:
    [said] = [line[place] for line in rows("") if line[0] == row]
    browser = Site(edge, switch, on_error=("closed", "open")[place - 1]).browser()
    browser.does(put(a=1))
    kept = dict(browser.cookies)
    clock.move(1000)
    down, deed = ROWS[row]
    switch.down = down
    came = browser.does(deed)
    assert browser.last is not None
    assert browser.last.status == (503 if said.startswith("503") else 200)
    assert browser.last.headers.get("retry-after") == ("1" if said.startswith("503") else None)
    assert (came == "{}") == (said == "sees an empty session")
    assert browser.cookies == kept
    switch.down = ()
    assert browser.does(look) == "{'a': 1}", "nobody is logged out"


@pytest.mark.parametrize("place", [1, 2])
def test_what_cannot_be_stored_at_the_end_of_a_stream(
    edge: Edge, switch: Switch, place: int, caplog: pytest.LogCaptureFixture
) -> None:
    [said] = [line[place] for line in rows("") if line[0] == "what was changed while the body streamed cannot be stored"]
    site = Site(edge, switch, on_error=("closed", "open")[place - 1])
    browser = site.browser()
    browser.does(put(a=1))

    def stream(seen: Seen) -> Any:
        def pieces() -> Iterator[bytes]:
            yield b"1"
            session_of(seen)["late"] = 1
            switch.down = ("all",)
            yield b"2"

        return 200, [("content-type", "text/plain")], pieces()

    site.handler = stream
    answer = browser.get()
    assert (answer.status, answer.body) == (200, b"12")
    assert ("failed after the head had gone" in caplog.text) == (said == "is served; it is logged")
    switch.down, site.handler = (), None
    assert browser.does(look) == "{'a': 1}"


def test_a_page_that_decides_for_itself(edge: Edge, switch: Switch) -> None:
    greeting = executed(GREETING)["greeting"]
    browser = Site(edge, switch).browser()
    browser.does(put(name="Ada"))
    assert browser.does(greeting) == "'Hello Ada'"
    switch.down = ("all",)
    assert browser.does(greeting) == "'Hello'"


# keys


@pytest.fixture
def redis_storage(redis_url: str, prefix: str) -> Iterator[RedisStorage]:
    storage = RedisStorage(redis_url, prefix=prefix, timeout=5)
    yield storage
    storage.close()


def test_what_encryption_hides(edge: Edge, redis_storage: RedisStorage, control: redis.Redis, prefix: str) -> None:
    plain = Site(edge, redis_storage).browser()
    plain.does(put(name="Ada"))
    browser = Browser(Site(edge, redis_storage, sessions_of(SEALED)), plain.cookies)
    assert browser.does(look) == "{'name': 'Ada'}", "what was stored before there was a key"

    def write(session: Session) -> None:
        session["name"] = "Ada Lovelace"
        session.increment("visits", 4711)

    browser.does(write)
    [key] = control.scan_iter(f"{prefix}s:{{*")
    fields: Any = control.hgetall(key)
    assert b"Ada" not in b"".join(fields.values())
    assert (b".name" in fields, fields[b"+visits"]) == (True, b"4711")


STEPS = [["old"], ["old", "new"], ["new", "old"]]


def test_to_change_the_secret_logs_nobody_out(edge: Edge, storage: Storage) -> None:
    browser = Site(edge, storage, Sessions("old")).browser()
    browser.does(lambda session: session.bind("42"))
    browser.does(put(a=1))
    for before, after in pairwise(STEPS):
        for keys in (before, after, before, after):  # while it is deployed, some workers have these and some those
            browser = Browser(Site(edge, storage, Sessions(keys)), browser.cookies)
            assert browser.does(look) == "{'a': 1}"
            assert len(run(Sessions(keys).list("42"), storage)) == 1
    assert Browser(Site(edge, storage, Sessions("new")), browser.cookies).does(look) == "{'a': 1}"


def test_to_change_an_encryption_key_loses_nothing(edge: Edge, storage: Storage) -> None:
    browser = Browser(Site(edge, storage))
    turns = [step for before, after in pairwise(STEPS) for step in (before, after, before, after)]
    for turn, step in enumerate(turns):
        keys = [name * 8 for name in step]
        browser = Browser(Site(edge, storage, encryption_keys=keys), browser.cookies)
        assert browser.does(lambda session: session.get("turn")) == str(turn - 1 if turn else None)
        browser.does(put(turn=turn))


def test_another_secret_ends_all_sessions(edge: Edge, storage: Storage) -> None:
    browser = Site(edge, storage).browser()
    browser.does(lambda session: session.bind("42"))
    other = Browser(Site(edge, storage, Sessions(ENVIRONMENT["NEW_SECRET"])), browser.cookies)
    assert other.does(lambda session: session.id) == "None"
    assert isinstance(sessions_of(SECRETS), Sessions)


# moving in


def test_the_readers_have_the_options_that_the_table_says() -> None:
    said = rows("from")
    names = []
    for row in said:
        [(name, given)] = re.findall(r"^`(\w+)\((.*?)\)`", row[1])
        names.append(name)
        reader = getattr(moving, name)
        parameters = inspect.signature(reader).parameters
        for part in given.split(", "):
            option, _, default = part.partition("=")
            assert option in parameters
            assert not default or eval(default) == parameters[option].default
    assert sorted(names) == sorted(set(moving.__all__) - {"Reader", "Unreadable"})


def test_who_comes_with_a_cookie_of_flask_session_stays_logged_in(
    edge: Edge, redis_storage: RedisStorage, control: redis.Redis
) -> None:
    sid = "D0cs_" * 8 + "abc"
    control.set(f"session:{sid}", json.dumps({"user": 42}))
    site = Site(edge, redis_storage, sessions_of(IMPORT))
    browser = Browser(site, {"session": sid})
    assert browser.does(look) == "{'user': 42}"
    assert browser.cookies["session"] != sid
    assert 0 < control.pttl(f"session:{sid}") <= 10_000
    assert run(site.sessions.list("42"), redis_storage) == []
    for _ in range(2):
        browser.does(executed(SEE)["see"])
        assert len(run(site.sessions.list("42"), redis_storage)) == 1
    assert browser.does(look) == "{'bound': True, 'user': 42}"
    run(site.sessions.revoke(user="42"), redis_storage)


def test_the_serializer_reads_pickle_and_writes_what_is_taken_over(server: Server) -> None:
    serializer = executed(SERIALIZER)["JSONReadsPickle"]
    url = f"redis://{server.address}/0"
    key = "d" * 32
    before, after = RedisCache(url, {}), RedisCache(url, {"OPTIONS": {"serializer": serializer}})
    name = f"django.contrib.sessions.cache{key}"
    before.set(name, {"_auth_user_id": "42", "until": "x"})
    contents = after.get(name)
    assert contents == {"_auth_user_id": "42", "until": "x"}
    after.set(name, contents)
    reader = moving.DjangoCache()
    with redis.Redis.from_url(url) as client:
        plain = reader.key(key)
        assert plain is not None
        raw: Any = client.get(plain)
        client.delete(plain)
    assert reader.decode(raw) == contents
    with pytest.raises(moving.Unreadable):
        reader.decode(pickle.dumps(contents))
    for cache in (before, after):
        for pool in cache._cache._pools.values():
            pool.disconnect()


def test_the_caches_have_the_serializer_in_their_place() -> None:
    made = executed(CACHES)
    assert made["CACHES"][made["SESSION_CACHE_ALIAS"]]["LOCATION"] == made["CACHES"]["default"]["LOCATION"]
    assert made["CACHES"]["sessions"]["OPTIONS"]["SERIALIZER"].endswith(".JSONReadsPickle")


# how many, and in Redis


def test_statistics(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    executed(STATISTICS, server.address)["storage"].close()
    assert re.fullmatch(r"\d+ \{.*\} \{.*\} \{.*\}\n0 0 0\n", capsys.readouterr().out)


def test_the_fields_are_those_of_the_table(edge: Edge, redis_url: str, control: redis.Redis, prefix: str, clock: Clock) -> None:
    storage = RedisStorage(redis_url, prefix=prefix, timeout=5, clock=clock)
    browser = Site(edge, storage, renewal_timeout=60, encryption_keys=["k" * 32]).browser()
    found: set[bytes] = set()

    def everything(session: Session) -> None:
        session["name"] = 1
        session.increment("count")
        session.idle_timeout, session.persistent = 3600, True
        session.bind("42")

    for deed in (everything, lambda session: session.rotate(), look):
        browser.does(deed)
        clock.move(60)
        for key in control.scan_iter(f"{prefix}s:{{*"):
            if control.type(key) == b"hash":
                found.update(control.hgetall(key))  # type: ignore[arg-type]  # it is no awaitable
    said = set(re.findall(r"`([^`]+)`", " ".join([row[0] for row in rows("field")])))
    assert {name.decode().replace("count", "name") for name in found} <= said
    known = re.findall(r"^\| ([a-z](?:, [a-z])*) \|", record.__doc__ or "", re.MULTILINE)
    assert said == {".name", "+name", *", ".join(known).split(", ")}
    storage.close()


def test_the_keys_are_those_of_the_table(edge: Edge, redis_storage: RedisStorage, control: redis.Redis, prefix: str) -> None:
    site = Site(edge, redis_storage)
    browser = site.browser()
    browser.does(lambda session: session.bind("42"))
    run(site.sessions.stats(), redis_storage)
    identity = browser.does(lambda session: session.id).strip("'")
    kinds: Any = {key.decode().removeprefix(prefix): control.type(key) for key in control.scan_iter(prefix + "*")}
    types = {key: kind.decode() for key, kind in kinds.items()}
    tag, digest = identity[:8], identity[8:]
    shapes = {f"s:{{{tag}}}:{digest}": "s:{tag}:digest", "s:statistics:session": "s:statistics:session"}
    found = {(f"rm:{shapes.get(key, 's:{tag}:udigest')}", kind.replace("zset", "sorted set")) for key, kind in types.items()}
    assert {(row[0].strip("`"), row[1]) for row in rows("key")} == found
    assert (len(tag), len(digest)) == (8, 43)


@pytest.mark.parametrize("row", range(3))
@pytest.mark.parametrize("sealed", [False, True])
def test_what_a_session_takes(row: int, sealed: bool, redis_storage: RedisStorage, control: redis.Redis, prefix: str) -> None:
    options: dict[str, Any] = {"encryption_keys": ["k" * 32]} if sealed else {}
    browser = Site(WSGI(), redis_storage, **options).browser()

    def deed(session: Session) -> None:
        session.update(user_id=4711, name="Ada Lovelace", role="editor", language="en", theme="dark")
        if row:
            session.bind("4711", device="Firefox, Linux" if row == 1 else AGENT)

    browser.does(deed)
    for key in control.scan_iter(f"{prefix}s:{{*"):
        taken: Any = control.memory_usage(key, samples=0)
        said = 180 if control.type(key) == b"zset" else int(rows("session")[row][1 + sealed].split()[0])
        assert said * 0.7 <= taken <= said * 1.3


# other storages


def test_sessions_work_on_the_storage_of_the_page_on_storages(edge: Edge, tmp_path: Path) -> None:
    names: dict[str, Any] = {"__name__": "tests.shop"}
    exec(compile(snippets("docs/storages.md")[0], "<docs>", "exec"), names)
    storage = names["SQLiteStorage"](str(tmp_path / "x.db"), timeout=10)
    site = Site(edge, storage, max_per_user=2)
    browser = site.browser()
    browser.does(put(a=1))
    for deed in (lambda session: session.increment("n"), lambda session: session.bind("42"), lambda session: session.rotate()):
        browser.does(deed)
    assert browser.does(look) == "{'a': 1, 'n': 1}"
    assert len(run(site.sessions.list("42"), storage)) == run(site.sessions.stats(), storage).active == 1
    browser.does(lambda session: session.clear())
    assert run(site.sessions.list("42"), storage) == []
    storage.close()


# flask


def test_flask_login(server: Server) -> None:
    class User(UserMixin):  # type: ignore[misc]
        id = "lovelace"

    made, hooks = executed(DEVICES, server.address), executed(FLASK_LOGIN)
    app, storage = made["app"], made["storage"]
    app.secret_key = SECRET  # for the cookie of Flask-Login
    LoginManager(app).user_loader(lambda name: User())
    app.add_url_rule("/login", view_func=lambda: str(login_user(User(), remember=True)), endpoint="flask_login")
    app.add_url_rule("/logout", view_func=hooks["logout"])
    run(made["sessions"].revoke(user="lovelace"), storage)
    client = app.test_client()
    try:
        client.get("/login")
        assert len(run(made["sessions"].list("lovelace"), storage)) == 1
        assert client.get_cookie("remember_token") is not None
        client.get("/logout")
        assert run(made["sessions"].list("lovelace"), storage) == []
        assert [client.get_cookie(name) for name in ("session", "remember_token")] == [None, None]
    finally:
        user_logged_in.disconnect(hooks["bind"])
        storage.close()


# django

MYSITE = {
    "mysite/__init__.py": "",
    "mysite/settings.py": """
SECRET_KEY = "for the tests, and long enough for them"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "mysite.urls"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
"""
    + DJANGO,
    "mysite/views.py": IMPORTS + DJANGO_VIEWS,
    "mysite/urls.py": """
from django.contrib.auth import login, logout
from django.contrib.auth.models import User
from django.http import JsonResponse
from django.urls import path

from . import views

def do(deed):
    def view(request):
        deed(request)
        return JsonResponse(dict(request.session))
    return view

def visit(request):
    request.session.increment("visits")
    request.session.setdefault("seen", []).append(request.session["visits"])

urlpatterns = [
    path("devices", views.devices, name="devices"),
    path("end-others", views.end_others),
    path("visit", do(visit)),
    path("login", do(lambda request: login(request, User.objects.get_or_create(username="ada")[0]))),
    path("logout", do(logout)),
]
""",
    "mysite/wsgi.py": """
import os
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
application = get_wsgi_application()
call_command("migrate", verbosity=0)
""",
}


def write(files: dict[str, str], folder: Path, server: Server) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text.replace("localhost:6379", server.address))


@contextmanager
def browsing(server: Server, count: int) -> Iterator[list[httpx.Client]]:
    with ExitStack() as stack:
        yield [stack.enter_context(httpx.Client(base_url=f"http://{server.address}")) for _ in range(count)]


@pytest.mark.parametrize("module", ["wsgi", "edge"])
def test_django(module: str, tmp_path: Path, server: Server, control: redis.Redis) -> None:
    """The engine alone, and at an edge."""
    control.delete("rm:l:{127.0.0.1}:hour:f")
    write(MYSITE | {"mysite/edge.py": "import mysite.wsgi\n" + DJANGO_EDGE}, tmp_path, server)
    with mounted("gunicorn gthread", f"mysite.{module}:application", cwd=tmp_path) as site, browsing(site, 3) as clients:
        one, two, stranger = clients
        assert [one.get("/visit").json() for _ in range(2)] == [{"visits": 1, "seen": [1]}, {"visits": 2, "seen": [1, 2]}]
        assert one.get("/devices").status_code == 302
        before = dict(one.cookies)
        for client, name in ((one, "One/1"), (two, "Two/1")):
            client.headers["user-agent"] = name
            assert client.get("/login").json()["_auth_user_id"] == "1"
        assert dict(one.cookies) != before
        shown = one.get("/devices").json()["devices"]
        assert {(device["device"], device["this one"]) for device in shown} == {("One/1", True), ("Two/1", False)}
        assert one.get("/visit").json()["visits"] == 3
        one.post("/end-others")
        assert [client.get("/devices").status_code for client in (one, two, stranger)] == [200, 302, 302]
        one.get("/logout")
        assert dict(one.cookies) == {}


def test_who_comes_with_a_session_of_djangos_table_stays_logged_in(tmp_path: Path, server: Server) -> None:
    [engine] = re.findall(r'"import_engine": "([^"]+)"', TEXT)
    base = MYSITE["mysite/settings.py"].removesuffix(DJANGO) + 'INSTALLED_APPS.append("django.contrib.sessions")\n'
    before = f'SESSION_ENGINE = "{engine}"\nMIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware"]\n'
    after = DJANGO.replace('"sessions": {', f'"sessions": {{"import_engine": "{engine}", ')
    write(MYSITE | {"mysite/settings.py": base + before}, tmp_path, server)
    with mounted("gunicorn gthread", "mysite.wsgi:application", cwd=tmp_path) as site, browsing(site, 1) as [client]:
        assert client.get("/login").json()["_auth_user_id"] == "1"
        old = client.cookies["sessionid"]
    write({"mysite/settings.py": base + after}, tmp_path, server)
    with mounted("gunicorn gthread", "mysite.wsgi:application", cwd=tmp_path) as site, browsing(site, 1) as [client]:
        assert client.get("/visit", headers={"cookie": f"sessionid={old}"}).json()["_auth_user_id"] == "1"
        assert client.cookies["sessionid"] != old
        assert client.get("/devices").status_code == 200


def test_the_settings_that_django_has_are_on_the_page() -> None:
    section = TEXT.partition("## Django\n")[2].partition("\n## ")[0]
    for name in DJANGOS.values():
        assert name in section or name.replace("SESSION_COOKIE_", "…_") in section


# the standard

LEVELS = {"7.1": "222", "7.2": "1111", "7.3": "22", "7.4": "11222", "7.5": "223", "7.6": "22", "3.3": "12223"}
"""The levels of 7.1.1, 7.1.2 and so on: all of V7 and V3.3 of ASVS 5.0.0."""

REQUIREMENTS = rows("#", ASVS)


def test_every_requirement_is_there_with_its_level() -> None:
    expected = {f"{name}.{i}": level for name, levels in LEVELS.items() for i, level in enumerate(levels, 1)}
    assert {row[0]: row[1] for row in REQUIREMENTS} == expected
    assert {row[3] for row in REQUIREMENTS} == {"Held", "Option", "App"}


@pytest.mark.parametrize("row", REQUIREMENTS, ids=[row[0] for row in REQUIREMENTS])
def test_the_tests_that_are_named_are_there(row: Row) -> None:
    named = re.findall(r"`(tests/[^`]+)`", row[4] if len(row) > 4 else "")
    assert named or row[3] == "App"
    for path, *names in [one.split("::") for one in named]:
        found: Any = ast.parse((ROOT / path).read_text())
        for name in names:
            [found] = [node for node in found.body if getattr(node, "name", None) == name]


def test_every_option_of_the_standard_is_in_its_snippet() -> None:
    said = {option for row in REQUIREMENTS if row[3] == "Option" for option in re.findall(r"(\w+)=", row[4])}
    named = {option for row in REQUIREMENTS for option in re.findall(r"`(absolute_timeout|idle_timeout|max_per_user)`", row[-1])}
    assert not [option for option in said | named if f"{option}=" not in STANDARD]


def test_links_of_the_pages() -> None:
    for page, text in ((PAGE, TEXT), ("docs/asvs.md", ASVS)):
        for link in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (Path(ROOT / page).parent / link).exists(), link
