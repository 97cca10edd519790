"""Which requests a limit is about."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_middleware import ConfigurationError, Request
from redis_middleware.layers.rate_limit.scopes import Scope

PREFLIGHT = [("origin", "https://example.org"), ("access-control-request-method", "PUT")]


def label(scope: Scope, path: str = "/", method: str = "GET", **options: Any) -> str | None:
    return scope.of(Request(method, path, **options))


@given(st.text(), st.sampled_from(["GET", "POST", "OPTIONS", "PURGE", "get"]))
def test_by_default_everything_is_in_scope_and_one_budget(path: str, method: str) -> None:
    assert label(Scope(), path, method) == ""


# paths


@pytest.mark.parametrize(
    ("pattern", "inside", "outside"),
    [
        ("/login", ["/login"], ["/", "", "/login2", "/log", "/a/login", "/login/x"]),
        ("/", ["/", "", "//"], ["/x"]),
        (
            "/items/{id}",
            ["/items/1", "/items/{id}", "/items/a.b c", "/items/ ", "/items/.", "/items/%2F"],
            ["/items", "/items/", "/items/1/2", "/item/1"],
        ),
        ("/items/{id:int}", ["/items/1", "/items/x"], ["/items/1/2"]),
        ("/{shop}/items/{id}", ["/a/items/1"], ["/a/b/items/1", "/items/1"]),
        ("/@{user}/v{number}.json", ["/@me/v1.json", "/@me/v.json.json"], ["/me/v1.json", "/@me/v1.xml", "/@me/v.json"]),
        ("/files/{rest:path}", ["/files/a", "/files/a/b/c", "/files/", "/files"], ["/filesystem", "/", "/a/files/b"]),
        ("/files/*", ["/files/a", "/files/a\nb/c", "/files/", "/files"], ["/filesystem", "/"]),
        ("/files*", ["/files", "/filesystem/x"], ["/file"]),
        ("/users/{id}/*", ["/users/1", "/users/1/a/b"], ["/users", "/user/1/a"]),
        ("/*", ["/", "", "/a/b", "*"], []),
        ("/a.b", ["/a.b"], ["/axb"]),
        ("/Straße/100%", ["/STRASSE/100%", "/straße/100%"], ["/strase/100%"]),
    ],
)
def test_a_pattern_matches_whole_paths(pattern: str, inside: list[str], outside: list[str]) -> None:
    scope = Scope(pattern)
    assert [label(scope, path) for path in inside] == [""] * len(inside)
    assert [label(scope, path) for path in outside] == [None] * len(outside)


SPELLINGS = [
    *("/items/new", "/items/new/", "/ITEMS/New", "//items///new//", "/items/new\n", " /items/new ", "items/new", "/items/new/\n"),
    *("/items/./new", "/items/new/.", "/./items/new", "/x/../items/new", "/items/x/../new", "/../items/new", "/items/new/x/.."),
    *(
        "/items%2Fnew",
        "/items%2fnew/",
        "/%69tems/new",
        "/items/%2e/new",
        "/x/%2E%2e/items/new",
        "/items/new%0A",
        "/items/%6e%65w",
    ),
]


@pytest.mark.parametrize("path", SPELLINGS)
def test_however_a_path_is_written_its_budget_is_the_same(path: str) -> None:
    assert label(Scope(["/items/new", "/*"], per_path=True), path) == "/items/new"


@pytest.mark.parametrize("path", ["/files/../x", "/files/a/../../x", "/files/%2e%2e/x", "/files%2Fx"])
def test_a_path_is_in_scope_as_it_stands_and_as_it_may_be_resolved(path: str) -> None:
    assert label(Scope("/files/*"), path) == ""
    assert label(Scope("/x") if "2F" not in path else Scope("/files/x"), path) == ""


@given(
    st.lists(st.text(min_size=1).filter(lambda text: not set(text) & set("/{}<>*?#%") and text == text.strip()), min_size=1),
    st.data(),
)
def test_a_path_matches_itself_in_every_spelling(segments: list[str], data: st.DataObject) -> None:
    path = "/" + "/".join(segments)
    scope = Scope(path)
    slashes = data.draw(st.lists(st.integers(1, 3), min_size=len(segments), max_size=len(segments)))
    doubled = "".join("/" * number + segment for number, segment in zip(slashes, segments, strict=True))
    for spelled in (path, doubled, path.upper(), path + "/", path + "\n", path + "/\n"):
        assert label(scope, spelled) == ""
        assert label(scope, quote(spelled, errors="surrogatepass")) == "" or "\ud800" <= max(path) <= "\udfff"


@given(st.text(), st.text())
def test_no_path_ever_raises(path: str, root_path: str) -> None:
    scope = Scope(["/items/{id}", "/files/{rest:path}"], per_path=True)
    found = label(scope, path, root_path=root_path)
    assert found is None or found.endswith(("/items/{id}", "/files/{rest:path}"))


def test_several_patterns_are_one_budget_or_one_each() -> None:
    patterns = ["/items/new", "/items/{id}", "/login"]
    together, apart = Scope(patterns), Scope(patterns, per_path=True)
    paths = ["/items/1", "/items/2", "/items/new", "/login", "/other"]
    assert [label(together, path) for path in paths] == ["", "", "", "", None]
    assert [label(apart, path) for path in paths] == ["/items/{id}", "/items/{id}", "/items/new", "/login", None]


def test_the_first_pattern_that_matches_counts() -> None:
    assert label(Scope(["/items/{id}", "/items/new"], per_path=True), "/items/new") == "/items/{id}"


def test_mounted_apps_are_told_apart_where_paths_are() -> None:
    scope = Scope(["/login", "/b/login"], per_path=True)
    mounts = [("", "/login"), ("/a", "/login"), ("/b", "/login"), ("", "/b/login"), ("/a/b", "/login"), ("/a", "/b/login")]
    labels = {label(scope, path, root_path=root) for root, path in mounts}
    assert len(labels) == len(mounts)
    assert label(scope, "/login", root_path="/A/") == label(scope, "/login", root_path="//a")
    assert label(Scope("/login"), "/login", root_path="/a") == ""


def test_all_labels_of_a_mount_are_known() -> None:
    assert [*Scope().labels()] == [*Scope(["/a", "/b"]).labels("/mount")] == [""]
    scope = Scope(["/a", "/b/{id}"], per_path=True)
    for root in ("", "/mount"):
        assert [*scope.labels(root)] == [label(scope, "/a", root_path=root), label(scope, "/b/1", root_path=root)]


@pytest.mark.parametrize("path", ["/LOGİN", "/logın", "/LOGIN", "/Login", "/lo\u0261in"])
def test_letters_are_equal_wherever_a_route_that_ignores_case_has_them_equal(path: str) -> None:
    assert (label(Scope("/login"), path) == "") == bool(re.fullmatch("(?i)/login", path))
    assert (label(Scope(path), "/login") == "") == bool(re.fullmatch("(?i)/login", path))


@given(
    st.text("/0123:ab"), st.text("/0123:ab"), st.sampled_from(["/a", "/1:/b", "/b/a"]), st.sampled_from(["/a", "/1:/b", "/b/a"])
)
def test_no_mount_and_pattern_read_like_another(root: str, other: str, pattern: str, second: str) -> None:
    scope = Scope(["/a", "/1:/b", "/b/a"], per_path=True)
    one, two = label(scope, pattern, root_path=root), label(scope, second, root_path=other)
    if one == two:
        assert pattern == second
        assert [part for part in root.split("/") if part] == [part for part in other.split("/") if part]


@pytest.mark.parametrize(
    "path", ["/" * 200_000, "/a" * 100_000, "/" + "-x" * 100_000, "/" + "%25" * 70_000, "/.." * 70_000, "/a/." * 50_000]
)
def test_matching_takes_time_linear_in_the_path(path: str) -> None:
    scope = Scope(["/{a}-x/{b}-x/{c}-y", "/{a}/{b}/{c}/d", "/{a}-{rest:path}", "/a{b}c/*", "/login"])
    assert label(scope, path + "!") in (None, "")  # in tenths of a second; quadratic time would be minutes


NO_PATTERNS = [
    *(
        "",
        "login",
        "*",
        "items/{id}",
        "/items/{id",
        "/items/id}",
        "/items/{}",
        "/items/{{id}}",
        "/items/{a}{b}",
        "/items/{a}-{b}",
    ),
    *("/a/*/b", "/{rest:path}/b", "/a**", "/items/<id>", "/items/<int:id>", "/search?q=1", "/a#b", "/a%20b", "/{a:}", "/{:int}"),
    *("/login ", "/api/*\n", 5, None),
]


@pytest.mark.parametrize("pattern", NO_PATTERNS)
def test_a_pattern_that_could_not_match_is_refused(pattern: Any) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Scope([pattern])
    assert repr(pattern) in str(raised.value)


# methods


@pytest.mark.parametrize(
    ("methods", "inside", "outside"),
    [
        ("POST", ["POST", "post"], ["GET", "HEAD", "OPTIONS", "PUT"]),
        (["post", "Put"], ["POST", "PUT"], ["GET"]),
        ("GET", ["GET", "HEAD", "get", "head"], ["POST"]),
        ("HEAD", ["HEAD"], ["GET"]),
        ("OPTIONS", ["OPTIONS"], ["GET"]),
        ("M-SEARCH", ["M-SEARCH"], ["GET"]),
    ],
)
def test_methods_compare_without_case_and_get_means_head(methods: Any, inside: list[str], outside: list[str]) -> None:
    scope = Scope(methods=methods)
    assert [label(scope, method=method) for method in inside] == [""] * len(inside)
    assert [label(scope, method=method) for method in outside] == [None] * len(outside)


def test_a_websocket_handshake_is_a_get() -> None:
    assert label(Scope(methods="GET"), kind="websocket") == ""
    assert label(Scope(methods="GET"), method="CONNECT", kind="websocket") == ""
    assert label(Scope(methods="POST"), kind="websocket") is None


def test_cors_preflights_count_only_if_they_are_named() -> None:
    assert label(Scope(), method="OPTIONS", headers=PREFLIGHT) is None
    assert label(Scope(), method="options", headers=PREFLIGHT) is None
    assert label(Scope(methods=["GET", "OPTIONS"]), method="OPTIONS", headers=PREFLIGHT) == ""
    assert label(Scope(), method="OPTIONS", headers=PREFLIGHT[:1]) == ""
    assert label(Scope(), method="OPTIONS", headers=PREFLIGHT[1:]) == ""
    assert label(Scope(), method="PUT", headers=PREFLIGHT) == ""


def test_path_and_method_must_both_be_in_scope() -> None:
    scope = Scope("/login", "POST")
    assert label(scope, "/login", "POST") == ""
    assert label(scope, "/login", "GET") is None
    assert label(scope, "/other", "POST") is None


@pytest.mark.parametrize("methods", ["", "GET, POST", "GET POST", [""], [5], []])
def test_methods_that_make_no_sense_are_refused(methods: Any) -> None:
    with pytest.raises(ConfigurationError, match="methods"):
        Scope(methods=methods)


def test_a_scope_that_nothing_is_in_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="paths is empty"):
        Scope(paths=[])


def test_a_budget_for_every_path_there_is_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="per_path needs paths"):
        Scope(per_path=True)
