"""Keys: nobody can make one answer be stored for another question."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_middleware import Request
from redis_middleware.http import Headers
from redis_middleware.layers.cache.key import TWISTED, Url, Urls, digest, variant


def asked(host: str = "example.org", path: str = "/", **options: Any) -> Request:
    headers = [("host", host), *options.pop("headers", [])]
    return Request("GET", path, headers=headers, **options)


def url(host: str = "example.org", path: str = "/", **options: Any) -> Url:
    found = Urls().of(asked(host, path, **options))
    assert isinstance(found, Url)
    return found


# The parts


def test_a_url_has_all_that_the_client_wrote() -> None:
    found = url("Example.org", "/a b", query="x=1&y=%20", scheme="https", root_path="/app")
    assert found == Url("https", "example.org", "/app/a%20b", "x=1&y=%20")
    assert found.text == "https://example.org/app/a%20b?x=1&y=%20"
    assert Urls().parse(found.text) == found


def test_the_raw_path_tells_apart_what_the_decoded_one_does_not() -> None:
    assert url(path="/a/b", raw_path="/a%2Fb").key != url(path="/a/b", raw_path="/a/b").key


def test_a_key_has_one_hash_tag_and_shows_nothing() -> None:
    assert re.fullmatch(r"c:\{[0-9a-f]{32}\}", url(path="/secret").key)


text = st.text(max_size=4)
parts = st.tuples(text, text, text, text)
Four = tuple[str, str, str, str]


@given(parts, parts)
def test_urls_that_differ_in_any_part_never_share_a_key(one: Four, other: Four) -> None:
    assert (Url(*one).key == Url(*other).key) is (one == other)


@given(parts, st.integers(0, 3), st.integers(0, 4))
def test_nor_do_those_in_which_a_part_begins_elsewhere(one: Four, place: int, cut: int) -> None:
    moved = list(one)
    moved[place - 1] += moved[place][:cut]
    moved[place] = moved[place][cut:]
    scheme, host, path, query = moved
    assert (Url(*one).key == Url(scheme, host, path, query).key) is (list(one) == moved)


@given(st.lists(text, max_size=4), st.lists(text, max_size=4))
def test_nothing_passes_for_a_part_of_another(one: list[str], other: list[str]) -> None:
    assert (digest(*one) == digest(*other)) is (one == other)


# The host (RFC 3986 §3.2.2, §6.2.2.1, §6.2.3)


@pytest.mark.parametrize(
    ("host", "scheme", "expected"),
    [
        ("example.org", "http", "example.org"),
        ("EXAMPLE.org", "http", "example.org"),
        ("example.org:80", "http", "example.org"),  # the port that the scheme has anyway
        ("example.org:443", "https", "example.org"),
        ("example.org:443", "http", "example.org:443"),
        ("example.org:8000", "http", "example.org:8000"),
        ("example.org.", "http", "example.org"),  # the root may be named
        ("Example.org.:80", "http", "example.org"),
        ("localhost", "http", "localhost"),
        ("my_service:8000", "http", "my_service:8000"),
        ("192.0.2.1", "http", "192.0.2.1"),
        ("[2001:DB8::1]", "http", "[2001:db8::1]"),
        ("[::1]:80", "http", "[::1]"),
        ("[::1]:8000", "http", "[::1]:8000"),
        ("[::ffff:192.0.2.1]", "http", "[::ffff:192.0.2.1]"),
    ],
)
def test_hosts_that_are_the_same_look_the_same(host: str, scheme: str, expected: str) -> None:
    assert url(host, scheme=scheme).host == expected


@pytest.mark.parametrize(
    "host",
    [
        "",
        ".",
        "..",
        "example..org",
        ".example.org",
        "example.org..",
        "user@example.org",
        "user:secret@example.org",
        "example.org:",
        "example.org:x",
        "example.org:123456",
        "example.org:80:80",
        "example.org/path",
        "example.org?x",
        "example.org#x",
        "example.org, other.org",
        "example.org other.org",
        " example.org",
        "example.org\t",
        "ex%61mple.org",
        "\xe4.org",
        "[::1",
        "::1",
        "[::1%25eth0]",
        "[example.org]",
        "[]",
    ],
)
def test_what_is_no_host_is_refused(host: str) -> None:
    assert Urls().of(asked(host)) == "host"


def test_one_host_is_needed() -> None:
    assert Urls().of(Request("GET", "/")) == "host"
    assert Urls().of(asked(headers=[("Host", "example.org")])) == "host"


@pytest.mark.parametrize("name", TWISTED)
def test_a_request_that_says_it_is_another_is_refused(name: str) -> None:
    assert Urls().of(asked(headers=[(name.title(), "x")])) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/menu",
        "example.org/menu",
        "//example.org/menu",
        "ftp://example.org/",
        "http:///menu",
        "http://[",
        "http://a@b/",
        "http://a:x/",
    ],
)
def test_only_an_absolute_url_is_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected an absolute URL|Invalid IPv6 URL"):
        Urls().parse(text)


def test_the_path_of_a_url_is_never_empty() -> None:  # RFC 9110 §4.2.3
    assert Urls().parse("HTTP://Example.org:80?a=b#c") == Url("http", "example.org", "/", "a=b")


@given(st.text(st.characters(max_codepoint=255), max_size=12))
def test_no_soup_of_a_host_raises(host: str) -> None:
    found = Urls().of(Request("GET", "/", headers=lambda: [("host", host)]))
    assert found == "host" or (isinstance(found, Url) and found.host and "@" not in found.host)


# Queries


@pytest.mark.parametrize(
    ("query", "cleaned"),
    [
        ("", ""),
        ("a=1&utm_source=x&b=2", "a=1&b=2"),
        ("utm_source=x", ""),
        ("utm%5Fsource=x&a", "a"),
        ("utm_source", ""),
        ("fbclid=1&FBCLID=2", "FBCLID=2"),
        ("a=utm_x", "a=utm_x"),
        ("a=1;utm_source=x", "a=1;utm_source=x"),
        ("b=1&a=2&b=0&&", "b=1&a=2&b=0&&"),
    ],
)
def test_ignored_parameters_are_taken_away(query: str, cleaned: str) -> None:
    assert Urls(["utm_*", "fbclid"]).cleaned(query) == cleaned


def test_sorted_parameters_keep_the_order_of_those_with_one_name() -> None:
    assert Urls(sort=True).cleaned("b=2&a=9&b=1&a") == "a=9&a&b=2&b=1"
    assert Urls(["b"], sort=True).cleaned("c&b=2&a") == "a&c"
    assert Urls().cleaned("b=2&a=9") == "b=2&a=9"


@given(st.text(st.sampled_from("ab=&%;+5F_utm"), max_size=20), st.booleans())
def test_a_query_is_cleaned_once(query: str, sort: bool) -> None:
    urls = Urls(["utm_*", ""], sort)
    assert urls.cleaned(urls.cleaned(query)) == urls.cleaned(query)


# Variants (RFC 9111 §4.1)


def same(name: str, one: list[str] | str | None, other: list[str] | str | None) -> bool:
    def of(lines: list[str] | str | None) -> str:
        found = [lines] if isinstance(lines, str) else lines or []
        return variant([name], Headers([(name.title(), line) for line in found]))

    return of(one) == of(other)


def test_4_1_without_vary_there_is_one_variant() -> None:
    assert variant([], Headers([("accept", "x")])) == ""


def test_4_1_absent_matches_absent_alone() -> None:
    assert same("x-a", None, None)
    assert not same("x-a", None, "")
    assert not same("x-a", None, "-")
    assert not same("x-a", "", "-")


def test_4_1_all_fields_have_to_match() -> None:
    both = [("a", "1"), ("b", "2")]
    assert variant(["a", "b"], Headers(both)) == variant(["a", "b"], Headers(both[::-1]))
    assert variant(["a", "b"], Headers(both)) != variant(["a", "b"], Headers([("a", "2"), ("b", "1")]))
    assert variant(["a"], Headers(both)) != variant(["b"], Headers(both))


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("x-a", "1, 2", ["1", "2"]),  # several lines are one list
        ("x-a", " 1\t", "1"),  # space around a value is none of it
        ("x-a", "1,2", " 1\t,  2 "),
        ("accept-encoding", "gzip, br", "br,gzip"),
        ("accept-encoding", "GZIP;q=1.0 , br ; q=0.5", "br;q=0.5,gzip; q=1.0"),
        ("accept-encoding", "gzip, gzip", "gzip"),
        ("accept-language", "de-CH, en;q=0.5", "DE-ch,en ; q = 0.5"),
        ("accept", "text/HTML, */*;q=0.1", "text/html,*/*; q=0.1"),
    ],
)
def test_4_1_what_means_the_same_matches(name: str, one: list[str] | str, other: list[str] | str) -> None:
    assert same(name, one, other)


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("accept-encoding", "gzip", "gzip, br"),
        ("accept-encoding", "gzip", "gzip;q=0"),
        ("accept-encoding", "gzip", "g zip"),
        ("accept-encoding", "", "gzip"),
        ("accept-language", "de, en", "en, de"),  # some apps take the first
        ("accept", 'text/html;x="A"', 'text/html;x="a"'),
        ("x-a", "a", "A"),  # nothing is known of other fields
        ("x-a", "1, 2", "2, 1"),
        ("x-a", "1", "1,"),
        ("x-a", "a b", "a  b"),
        ("x-a", '"1,2"', '"1, 2"'),
        ("cookie", "a=1,2", "a=1, 2"),
        ("x-a", '"a"', "a"),
        ("x-a", 'a"b', "ab"),
        ("origin", "https://a.example", "https://a.example,"),
    ],
)
def test_4_1_what_an_app_may_tell_apart_does_not(name: str, one: str, other: str) -> None:
    assert not same(name, one, other)


def test_4_1_a_plain_cache_takes_languages_in_any_order() -> None:
    one, other = (variant(["accept-language"], Headers([("accept-language", line)]), plain=True) for line in ("de,en", "en, de"))
    assert one == other


def test_4_1_a_url_tells_nothing_of_a_variant() -> None:
    assert variant(["accept"], Headers([("accept", "x")])) == digest("accept", "+x")


@given(st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=20))
def test_no_soup_raises(line: str) -> None:
    for name in ("accept", "accept-encoding", "accept-language", "cookie"):
        variant([name], Headers([(name, line)]))
