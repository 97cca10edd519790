"""The pages on the response cache: every snippet runs as it stands, what they say happens, and each requirement has its tests."""

# mypy: disable-error-code="import-untyped"
# (Django ships no types.)

from __future__ import annotations

import ast
import inspect
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from redis_middleware import RedisStorage, ResponseCache, Sessions, WSGIMiddleware
from redis_middleware.cli.processes import Server
from redis_middleware.layers.cache.caution import PRIVATE_HEADERS
from redis_middleware.layers.cache.key import TWISTED
from redis_middleware.storage import Storage

from .conftest import Clock
from .edges import ASGI, WSGI, Edge, Seen
from .layers.cache.site import Lines, Site, is_hit, is_stored, query, settle, told
from .servers.launch import mounted
from .snippets import ROOT, snippets
from .test_readme import MYSITE

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # newer ones would rather have httpx2 than httpx
    from starlette.testclient import TestClient

PAGE, STANDARD = "docs/cache.md", "docs/rfc9111.md"
TEXT, RFCS = ((ROOT / page).read_text() for page in (PAGE, STANDARD))
SNIPPETS = snippets(PAGE)
FLASK, IMPORTS, DJANGO, DJANGO_VIEW, FASTAPI, PRIVATE, LIFETIMES, BOTH, KEYS, STALE, TAGS, PURGES, ASYNC_PURGE, WARM, STATS = (
    SNIPPETS
)

MINUTE = [("cache-control", "max-age=60")]
TAGGED = [*MINUTE, ("etag", '"one"')]
SECRET = "a secret of more than thirty-two bytes, for tests"

Row = list[str]


def executed(code: str, address: str = "localhost:6379") -> dict[str, Any]:
    """What a snippet defines, with the names that the page asks for. Only the address of the Redis is that of the test's."""
    names: dict[str, Any] = {"__name__": "tests.shop"}
    exec(compile(IMPORTS, "<imports>", "exec"), names)
    exec(compile(code.replace("localhost:6379", address), "<docs>", "exec"), names)
    return names


def cache_of(code: str) -> ResponseCache:
    made = executed(code)["cache"]
    assert isinstance(made, ResponseCache)
    return made


def rows(title: str, text: str = TEXT) -> list[Row]:
    """The cells of the tables whose first column has this title."""
    tables = re.findall(rf"^\| {re.escape(title)} ?\|.*\n\|[-|:]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [[cell.strip() for cell in line[1:-1].split("|")] for table in tables for line in table.splitlines()]


def codes(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@pytest.fixture
def empty(control: redis.Redis) -> None:
    """The real server without anything that a snippet has stored before."""
    for key in control.scan_iter("rm:c:*"):
        control.delete(key)


# the page itself


@pytest.mark.parametrize("code", [code for code in SNIPPETS if code is not DJANGO])  # which see below
def test_every_snippet_runs(code: str, server: Server) -> None:
    made = executed(code, server.address)
    if isinstance(made.get("storage"), RedisStorage):
        made["storage"].close()


def test_every_option_is_on_the_page_with_its_default() -> None:
    found = {name: parameter.default for name, parameter in inspect.signature(ResponseCache).parameters.items()}
    said = {row[0].strip("`"): row[1].strip("`") for row in rows("`ResponseCache(…)`")}
    assert said.keys() == found.keys()
    for name, default in found.items():
        assert eval(said[name], {"PRIVATE_HEADERS": PRIVATE_HEADERS}) == default, name


def test_what_purge_takes_is_on_the_page() -> None:
    [(said, _)] = [row for row in rows("") if row[0].startswith("`cache.purge(")]
    found = {name: one.default for name, one in inspect.signature(ResponseCache.purge).parameters.items() if name != "self"}
    assert eval(said.strip("`").replace("cache.purge", "dict")) == found


@pytest.mark.parametrize("page", [PAGE, STANDARD])
def test_links_lead_somewhere(page: str) -> None:
    for path, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]+))?\)", (ROOT / page).read_text()):
        target = (ROOT / page).parent / path if path else ROOT / page
        titles = re.findall(r"^##* (.*)$", target.read_text(), re.MULTILINE)
        slugs = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
        assert not anchor or anchor in slugs, f"{path}#{anchor}"


@pytest.mark.parametrize("page", [PAGE, STANDARD])
def test_the_site_has_the_pages(page: str) -> None:
    assert f": {Path(page).name}\n" in (ROOT / "mkdocs.yml").read_text()


# quick start


@pytest.mark.usefixtures("empty")
def test_the_flask_app(server: Server) -> None:
    client = executed(FLASK, server.address)["app"].test_client()
    first, second = client.get("/menu"), client.get("/menu")
    assert [answer.text for answer in (first, second)] == ["soup", "soup"]
    assert first.headers["cache-status"] == "redis_middleware; fwd=uri-miss; stored"
    assert second.headers["cache-status"] == "redis_middleware; hit; ttl=59"


@pytest.mark.usefixtures("empty")
def test_the_fastapi_app(server: Server) -> None:
    with TestClient(executed(FASTAPI, server.address)["app"]) as client:
        first, second = client.get("/menu"), client.get("/menu")
    assert [answer.json() for answer in (first, second)] == [{"soup": "tomato"}] * 2
    assert first.headers["cache-status"] == "redis_middleware; fwd=uri-miss; stored"
    assert second.headers["cache-status"].startswith("redis_middleware; hit; ttl=5")


@pytest.mark.usefixtures("empty")
def test_the_django_app(tmp_path: Path, server: Server) -> None:
    urls = f"{DJANGO_VIEW}\nfrom django.urls import path\n\nurlpatterns = [path('menu', menu)]\n"
    for name, text in (MYSITE | {"mysite/urls.py": urls, "mysite/wsgi.py": IMPORTS + DJANGO}).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text.replace("localhost:6379", server.address))
    with mounted("gunicorn gthread", "mysite.wsgi:application", cwd=tmp_path) as site:
        first, second = (httpx.get(f"http://{site.address}/menu") for _ in range(2))
    assert [answer.text for answer in (first, second)] == ["soup", "soup"]
    assert first.headers["cache-status"] == "redis_middleware; fwd=uri-miss; stored"
    assert second.headers["cache-status"].startswith("redis_middleware; hit; ttl=5")


# what is stored


@pytest.fixture
def site(edge: Edge, storage: Storage) -> Site:
    return Site(edge, storage, MINUTE, inside=[Sessions(SECRET)], max_body_bytes=1000)


def answered(site: Site, headers: Lines = MINUTE, status: int = 200, **asked: str) -> str:
    site.headers, site.status = list(headers), status
    return told(site.get(**asked))


def look(seen: Seen) -> None:
    seen.native["redis_middleware.session"].get("user")


def with_session(site: Site) -> str:
    site.act = look
    return answered(site)


def with_size(site: Site) -> str:
    site.body = b"x" * 1001
    return answered(site)


def with_stream(site: Site) -> str:
    site.act = lambda seen: (200, [*MINUTE, ("content-type", "text/event-stream")], iter([b"data: x\n\n"]))
    return answered(site)


def with_another(site: Site) -> str:
    """While the app makes one, another one comes who does not wait."""
    found: list[str] = []

    def act(seen: Seen) -> None:
        if site.runs == 1:
            found.append(told(impatient.get()))

    site.act = act
    impatient = Site(WSGI(), site.storage, MINUTE, wait=0)  # a loop that runs cannot run another one
    site.get()
    return found[0]


def with_a_304_about_another(site: Site) -> str:
    answered(site, [("cache-control", "no-cache"), ("etag", '"one"')])
    return answered(site, [*MINUTE, ("etag", '"two"')], 304)


REFUSALS: dict[str, Callable[[Site], str]] = {
    "no-store": lambda site: answered(site, [("cache-control", "no-store, max-age=60")]),
    "private": lambda site: answered(site, [("cache-control", "private, max-age=60")]),
    "authorization": lambda site: answered(site, authorization="Ada"),
    "vary": lambda site: answered(site, [*MINUTE, ("vary", "*")]),
    "must-understand": lambda site: answered(site, [("cache-control", "max-age=60, must-understand")], 299),
    "freshness": lambda site: answered(site, []),
    "status": lambda site: answered(site, [("etag", '"one"')], 302),
    "partial": lambda site: answered(site, status=412),
    "set-cookie": lambda site: answered(site, [*MINUTE, ("set-cookie", "a=1")]),
    "session": with_session,
    "credentials": lambda site: answered(site, cookie="a=1"),
    "vary-cookie": lambda site: answered(site, [*MINUTE, ("vary", "cookie")]),
    "vary-user-agent": lambda site: answered(site, [*MINUTE, ("vary", "user-agent")]),
    "size": with_size,
    "stream": with_stream,
    "head": lambda site: told(site.head()),
    "collapsed": with_another,
    "next-time": lambda site: [answered(site, [("cache-control", "no-store")]), answered(site)][-1],
    "validator": with_a_304_about_another,
}


def test_every_refusal_is_on_the_page() -> None:
    said = [code for row in rows("`detail`") if len(row) == 3 for code in codes(row[0])]
    assert said == [*REFUSALS]


@pytest.mark.parametrize("detail", REFUSALS)
def test_a_refusal_has_its_word(site: Site, detail: str) -> None:
    assert REFUSALS[detail](site).endswith(f"; detail={detail}")


@pytest.mark.parametrize("status", [400, 413, 429, 431, 500, 502, 503, 504])
def test_errors_that_are_never_stored(site: Site, status: int) -> None:
    assert answered(site, status=status) == "fwd=uri-miss; detail=status"


def test_other_errors_are_if_they_say_for_how_long(site: Site) -> None:
    site.status = 404
    assert told(site.get("/a")) == "fwd=uri-miss; stored"
    site.headers = [("etag", '"one"')]
    assert told(site.get("/b")) == "fwd=uri-miss; detail=status"


def test_what_may_be_stored_again_is_with_the_second_response(site: Site) -> None:
    said = [answered(site, [("cache-control", "no-store")]), answered(site), answered(site)]
    assert said == ["fwd=uri-miss; detail=no-store", "fwd=uri-miss; detail=next-time", "fwd=uri-miss; stored"]


BYPASSES = [code for row in rows("`detail`") if len(row) == 2 for code in codes(row[0])]


@pytest.mark.parametrize("detail", [name for name in BYPASSES if name != "storage"])  # which is in test_trouble
def test_what_passes_by(site: Site, detail: str) -> None:
    site.get()
    asked = [("transfer-encoding", "chunked")] if detail == "body" else [(detail, "x")]
    answer = site.call(host="?") if detail == "host" else site.call(headers=asked)
    assert told(answer) == f"fwd=bypass; detail={detail}"


def test_no_other_fields_make_a_request_pass_by() -> None:
    assert ["body", "upgrade", "host", *TWISTED, "storage"] == BYPASSES


def test_who_is_logged_in_gets_and_leaves_what_is_for_everybody(site: Site) -> None:
    assert is_stored(site.get("/a"))
    assert not is_hit(site.get("/a", cookie="a=1"))
    site.headers = [("cache-control", "public, max-age=60")]
    assert is_stored(site.get("/b", cookie="a=1"))
    assert is_hit(site.get("/b", cookie="a=2"))
    assert is_hit(site.get("/b"))


def test_private_headers_of_ones_own(edge: Edge, storage: Storage) -> None:
    site = Site(edge, storage, MINUTE, cache=cache_of(PRIVATE))
    assert is_stored(site.get(cookie="_ga=1"))
    assert is_hit(site.get(cookie="_ga=2"))
    assert not is_hit(site.get(x_api_key="a"))


# for how long, and under which key


def test_lifetimes_of_ones_own(edge: Edge, storage: Storage, clock: Clock) -> None:
    site = Site(edge, storage, cache=cache_of(LIFETIMES))
    for path, seconds in (("/menu/today", 10), ("/menu/2027/week/3", 600), ("/about", 30)):
        assert is_stored(site.get(path))
        answer = site.get(path)
        assert told(answer) == f"hit; ttl={seconds}"
        assert "cache-control" not in answer.headers
    site.status = 404
    assert not is_stored(site.get("/menu/none"))


def test_another_lifetime_here_than_in_browsers(edge: Edge, storage: Storage, clock: Clock) -> None:
    body, headers = executed(BOTH)["news"]()
    site = Site(edge, storage, [*headers.items()])
    site.body = body.encode()
    site.get()
    clock.move(500)
    answer = site.get()
    assert (told(answer), answer.headers.get("cache-control")) == ("hit; ttl=100", "max-age=10")
    assert answer.headers.get("cdn-cache-control") == "max-age=600"


def test_queries(edge: Edge, storage: Storage) -> None:
    site = Site(edge, storage, MINUTE, cache=cache_of(KEYS))
    site.get("/a?y=2&utm_source=news&x=1&fbclid=abc")
    assert query(site.seen[-1]) == "x=1&y=2"
    assert is_hit(site.get("/a?x=1&y=2&gclid=def"))
    plain = Site(edge, storage, MINUTE)
    plain.get("/b?x=1&y=2")
    assert not is_hit(plain.get("/b?y=2&x=1"))


DEMANDS: dict[str, dict[str, str]] = {
    "only-if-cached": {"cache_control": "only-if-cached"},
    "no-cache": {"cache_control": "no-cache"},
    "max-age": {"cache_control": "max-age=10"},
    "min-fresh": {"cache_control": "min-fresh=50"},
    "max-stale": {"cache_control": "max-stale"},
    "Pragma: no-cache": {"pragma": "no-cache"},
    "no-store": {"cache_control": "no-store"},
}


def follows(edge: Edge, storage: Storage, clock: Clock, client_demand: Any, demand: str) -> bool:
    site = Site(edge, storage, [*MINUTE, ("etag", '"one"')], client_demand=client_demand)
    path = f"/{client_demand}/{demand.replace(': ', '-')}"
    if demand == "only-if-cached":
        return site.get(path, **DEMANDS[demand]).status == 504
    site.get(path)
    clock.move(100 if demand == "max-stale" else 20)
    return is_hit(site.get(path, **DEMANDS[demand])) is (demand == "max-stale")


def test_what_clients_may_ask_for(edge: Edge, storage: Storage, clock: Clock) -> None:
    followed: set[str] = set()
    for name, cell in rows("`client_demand`"):
        followed |= set(codes(cell))
        for demand in DEMANDS:
            assert follows(edge, storage, clock, eval(name.strip("`")), demand) is (demand in followed), (name, demand)
    assert followed == DEMANDS.keys()


# stale


def test_stale_while_it_is_renewed_and_in_place_of_an_error(edge: Edge, storage: Storage, clock: Clock) -> None:
    site = Site(edge, storage, MINUTE, cache=cache_of(STALE))
    site.get()
    clock.move(80)
    answer = site.get()
    settle(edge)
    assert told(answer) == "hit; ttl=-20; detail=stale-while-revalidate"
    assert told(site.get()) == "hit; ttl=60"
    clock.move(3600)
    site.status = 503
    answer = site.get()
    assert (answer.status, told(answer)) == (200, "hit; detail=stale-if-error")
    clock.move(100)
    assert site.get().status == 503


@pytest.mark.parametrize("directive", ["must-revalidate", "proxy-revalidate", "s-maxage=60", "no-cache"])
def test_what_forbids_both(edge: Edge, storage: Storage, clock: Clock, directive: str) -> None:
    site = Site(edge, storage, [("cache-control", f"max-age=60, {directive}")], cache=cache_of(STALE))
    site.get()
    clock.move(70)
    site.status = 503
    assert site.get().status == 503


# purging


class Dishes:
    """A site whose responses have the tags of the page, and the actions of the page upon it."""

    def __init__(self, edge: Edge, storage: Storage) -> None:
        self.site = Site(edge, storage)
        self.site.act = self._act
        self.storage = storage

    def _act(self, seen: Seen) -> Any:
        body, headers = executed(TAGS)["dish"](seen.path.rpartition("/")[2])
        return 200, [*headers.items(), ("content-type", "text/plain")], [body.encode()]

    def get(self, path: str) -> Any:
        return self.site.get(path)

    def purge(self, line: str) -> None:
        names = executed("") | {"cache": self.site.cache, "storage": self.storage}
        exec(line.replace("https://example.org", "http://example.org"), names)


@pytest.mark.parametrize(
    ("place", "gone"), [(0, ["/menu/7"]), (1, ["/menu?week=3"]), (2, ["/menu/7", "/menu/8", "/menu?week=3", "/menu?week=4"])]
)
def test_purges(edge: Edge, storage: Storage, clock: Clock, place: int, gone: list[str]) -> None:
    line = [line for line in PURGES.splitlines() if line.startswith("run(")][place]
    dishes = Dishes(edge, storage)
    paths = ["/menu/7", "/menu/8", "/menu?week=3", "/menu?week=4", "/about"]
    for path in paths:
        answer = dishes.get(path)
        assert (is_stored(answer), "cache-tag" in answer.headers) == (True, False)
    clock.move(10)
    dishes.purge(line)
    assert [path for path in paths if not is_hit(dishes.get(path))] == gone


def test_a_purge_from_a_task(storage: Storage, clock: Clock) -> None:
    edge = ASGI()
    dishes = Dishes(edge, storage)
    dishes.get("/menu/7")
    clock.move(10)
    edge.runner.run(executed(ASYNC_PURGE)["changed"](dishes.site.cache, storage))
    assert told(dishes.get("/menu/7")) == "fwd=stale; stored"
    edge.runner.run(storage.aclose())
    edge.close()


def test_filling_it_beforehand(storage: Storage, capsys: pytest.CaptureFixture[str]) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [*MINUTE, ("content-type", "text/plain")])
        return [b"https://example.org/menu\nhttps://example.org/about" if environ["PATH_INFO"] == "/sitemap.xml" else b"page"]

    cache = ResponseCache()
    wrapped = WSGIMiddleware(app, layers=[cache], storage=storage)
    warmth = executed(WARM)["warm"](wrapped, cache, storage)
    assert (warmth.stored, capsys.readouterr().out) == (2, "\r1 of 2\r2 of 2")


def test_statistics(edge: Edge, site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.get("/menu")
    site.get("/menu")
    edge.flush()
    executed(STATS)["report"](site.cache, site.storage)
    assert capsys.readouterr().out == "50% of 2 {} [('/menu', 1)] [('/menu', 1)]\n"


# what stands in the tables


def test_what_the_table_says_of_cache_status_is_said(edge: Edge, storage: Storage, clock: Clock) -> None:
    options: dict[str, Any] = {"client_demand": "revalidate", "stale_if_error": 1000}
    site = Site(edge, storage, [*MINUTE, ("vary", "accept-language"), ("etag", '"one"')], **options)
    said = [told(site.get()), told(site.get(accept_language="de"))]
    said += [told(site.get(cache_control="no-cache")), told(site.call("POST", "/b"))]
    clock.move(40)
    said.append(told(site.get()))
    clock.move(25)
    said.append(told(site.get(cache_control="max-stale")))
    site.status = 503
    said.append(told(site.get()))
    site.status = 304
    said.append(told(site.get()))
    clock.move(100)
    site.status = 200
    said.append(told(site.get()))
    site.headers = [("cache-control", "max-age=60, stale-while-revalidate=60"), ("cache-tag", "a")]
    site.get("/c")
    clock.move(65)
    said.append(told(site.get("/c")))
    settle(edge)
    clock.move(10)
    site.purge(tags=["a"])
    said.append(told(site.get("/c")))
    site.status, site.body = 206, b"x"
    for place in (0, 1):
        site.headers = [*TAGGED, ("content-range", f"bytes {place}-{place}/9")]
        answer = site.get("/d", range=f"bytes={place}-{place}")
    said.append(told(answer))
    listed = [codes(row[0])[0] for row in rows("") if row[0].startswith(("`hit", "`fwd"))]
    elsewhere = [one for one in listed if "…" in one or "collapsed" in one]  # refusals above, waiting in test_stampede
    assert sorted(said + elsewhere) == sorted(listed)


def test_the_keys_of_the_table_are_those_in_redis(redis_url: str, control: redis.Redis, prefix: str, edge: Edge) -> None:
    storage = RedisStorage(redis_url, prefix=prefix, timeout=5)
    site = Site(edge, storage, [*MINUTE, ("vary", "accept-language")], early_renewal=0)
    site.body = b"x" * 5000
    site.get()
    site.purge(tags=["a"], prefix="http://example.org/b")
    found: set[tuple[str, str]] = set()
    for key in control.scan_iter(prefix + "*"):
        name = re.sub(r"[0-9a-f]{32}", "digest", key.decode()).replace(prefix, "rm:")
        name = re.sub(r"tag:\d+", "tag:number", name)
        kind: Any = control.type(key)
        found.add((name, kind.decode()))
    said = {(codes(row[0])[0].replace(":variant", ":digest"), row[1]) for row in rows("key")}
    assert said <= found
    storage.close()


# the RFCs

SPECIFICATION = ["storing", "reuse", "directives", "stale", "cache_status", "targeted", "ranges"]
"""The files of tests that are nothing but requirements."""

REQUIREMENTS = [row for row in rows("§", RFCS) if len(row) == 5]

SECTIONS = [
    "3",
    "3.1",
    "3.2",
    "3.3",
    "3.4",
    "3.5",
    "4",
    "4.1",
    "4.2",
    "4.2.1",
    "4.2.2",
    "4.2.3",
    "4.2.4",
    "4.3.1",
    "4.3.2",
    "4.3.3",
    "4.3.4",
    "4.3.5",
    "4.4",
    "1.2.2",
    "5.1",
    "5.2",
    "5.2.1.5",
    "5.2.1.7",
    "5.2.2",
    "5.2.2.2",
    "5.2.2.3",
    "5.2.2.4",
    "5.2.2.5",
    "5.2.2.6",
    "5.2.2.7",
    "5.2.2.8",
    "5.2.2.9",
    "5.2.2.10",
    "5.2.3",
    "5.3",
    "5.4",
    "5.5",
]
"""Of RFC 9111, all that say something to a shared cache with a word in capitals, and 4.2.1, 5.4 and 5.5, which say it without."""


def functions(file: str) -> dict[str, ast.FunctionDef]:
    tree = ast.parse((ROOT / "tests/layers/cache" / file).read_text())
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


def fixtures(file: str, test: str) -> Iterator[str]:
    """What a test asks for, by itself or by way of the fixtures of its file."""
    found = functions(file)
    for argument in found[test].args.args:
        yield argument.arg
        if argument.arg in found:
            yield from fixtures(file, argument.arg)


def named_tests(row: Row) -> list[tuple[str, str]]:
    return re.findall(r"`(test_\w+\.py)::(test_\w+)`", row[4])


def test_every_section_is_there() -> None:
    ours = RFCS.partition("## What is not ours")[0]
    assert list(dict.fromkeys(row[0] for row in rows("§", ours))) == SECTIONS


@pytest.mark.parametrize("row", REQUIREMENTS, ids=[f"{row[0]}-{place}" for place, row in enumerate(REQUIREMENTS)])
def test_a_requirement_has_tests_that_are_there(row: Row) -> None:
    assert row[3] in ("Held", "Option", "None", "Not held")
    assert named_tests(row) or row[3] in ("None", "Not held")
    for file, test in named_tests(row):
        assert test in functions(file)


@pytest.mark.parametrize(("file", "test"), sorted({one for row in REQUIREMENTS for one in named_tests(row)}))
def test_they_run_over_both_edges_and_both_storages(file: str, test: str) -> None:
    expected = {"storage"} if test == "test_3_1_trailers_never_become_header_fields" else {"edge", "storage"}  # WSGI has none
    assert expected <= {*fixtures(file, test)}


@pytest.mark.parametrize("name", SPECIFICATION)
def test_every_test_of_the_specification_is_in_the_table(name: str) -> None:
    file = f"test_{name}.py"
    written = {test for test in functions(file) if test.startswith("test_")}
    assert written == {test for row in REQUIREMENTS for named, test in named_tests(row) if named == file}


def test_what_is_not_held_is_what_the_page_names() -> None:
    """One that comes to be held is to be said so."""
    assert [row[0] for row in REQUIREMENTS if row[3] == "Not held"] == ["6.6.1", "15.3.7"]
