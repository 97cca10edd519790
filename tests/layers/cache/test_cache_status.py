"""RFC 9211, requirement by requirement: what `Cache-Status` says. Names begin with their section."""

from __future__ import annotations

from typing import Any

import http_sf
import pytest

from redis_middleware import RateLimit
from redis_middleware.storage import Storage

from ...conftest import Clock
from ...edges import Answer, Edge
from .site import Site

MINUTE = [("cache-control", "max-age=60")]
TAGGED = [*MINUTE, ("etag", '"one"')]


def members(answer: Answer) -> list[tuple[Any, dict[str, Any]]]:
    """The field as a List of Structured Fields: an item and its parameters for each cache."""
    line = answer.headers.get("cache-status", "").encode("latin-1")
    parsed: Any = http_sf.parse(line, tltype="list")
    return list(parsed)


def said(answer: Answer) -> dict[str, Any]:
    """The parameters of the last cache, which is this one."""
    *_, (name, parameters) = members(answer)
    assert isinstance(name, http_sf.Token)
    assert name == "redis_middleware"
    return parameters


@pytest.fixture
def site(edge: Edge, storage: Storage) -> Site:
    return Site(edge, storage, MINUTE)


def visits(site: Site, clock: Clock) -> list[Answer]:
    """One answer of each kind."""
    site.headers = list(TAGGED)
    answers = [
        site.get(),
        site.get(),
        site.head(),
        site.get(if_none_match='"one"'),
        site.get(range="bytes=0-0"),
        site.call("POST", "/b"),
    ]
    clock.move(100)
    site.status = 304
    answers.append(site.get())
    site.status, site.headers = 200, [("cache-control", "max-age=60, stale-if-error=1000"), ("vary", "accept-language")]
    answers += [site.get("/c", accept_language="de"), site.get("/c", accept_language="en")]
    clock.move(100)
    site.status = 500
    answers.append(site.get("/c", accept_language="de"))
    site.status, site.headers = 200, [("cache-control", "private")]
    answers += [site.get("/d"), site.call(host="?"), site.get(transfer_encoding="chunked")]
    return answers


def test_2_it_is_a_list_whose_members_name_their_caches_by_tokens(site: Site, clock: Clock) -> None:
    for answer in visits(site, clock):
        assert said(answer)


def test_2_what_another_cache_has_said_stays_before_it(site: Site) -> None:
    site.headers.append(("Cache-Status", 'Origin; hit; ttl=100, "Another One"; fwd=miss'))
    for answer in (site.get(), site.get(), site.head()):
        assert [str(name) for name, _ in members(answer)] == ["Origin", "Another One", "redis_middleware"]


def test_2_what_is_made_of_a_stored_response_has_one(site: Site) -> None:
    site.headers = list(TAGGED)
    site.get()
    answers = [site.get(if_none_match='"one"'), site.get(range="bytes=0-0")]
    assert [answer.status for answer in answers] == [304, 206]
    assert [said(answer)["hit"] for answer in answers] == [True, True]


def test_2_what_another_layer_answers_has_none(edge: Edge, storage: Storage) -> None:
    site = Site(edge, storage, MINUTE, outside=[RateLimit("1/hour")])
    assert said(site.get())
    answer = site.get()
    assert (answer.status, "cache-status" in answer.headers) == (429, False)


def test_2_hit_and_fwd_exclude_each_other(site: Site, clock: Clock) -> None:
    found = [said(answer) for answer in visits(site, clock)]
    assert [("hit" in one) != ("fwd" in one) for one in found] == [True] * len(found)


def test_2_parameters_have_their_types(site: Site, clock: Clock) -> None:
    types = {"hit": bool, "stored": bool, "ttl": int, "fwd-status": int, "fwd": http_sf.Token, "detail": http_sf.Token}
    found = [said(answer) for answer in visits(site, clock)]
    assert {name for one in found for name in one} == types.keys()
    for one in found:
        assert not [name for name, value in one.items() if type(value) is not types[name]]


def test_2_1_a_hit_has_not_gone_forward(site: Site, clock: Clock) -> None:
    site.get()
    assert "hit" in said(site.get())
    assert site.runs == 1
    site.headers = list(TAGGED)
    site.get("/b")
    clock.move(100)
    site.status = 304
    assert "hit" not in said(site.get("/b"))


def test_2_2_the_most_specific_reason_is_said(edge: Edge, storage: Storage, clock: Clock) -> None:
    site = Site(edge, storage, [*TAGGED, ("vary", "accept-language")], client_demand="revalidate")
    assert said(site.get(transfer_encoding="chunked"))["fwd"] == "bypass"
    assert said(site.call("POST"))["fwd"] == "method"
    assert said(site.get(accept_language="de"))["fwd"] == "uri-miss"
    assert said(site.get(accept_language="en"))["fwd"] == "vary-miss"
    assert said(site.get(accept_language="de", cache_control="no-cache"))["fwd"] == "request"
    clock.move(100)
    assert said(site.get(accept_language="de"))["fwd"] == "stale"


def test_2_3_fwd_status_is_what_the_app_has_answered(site: Site, clock: Clock) -> None:
    site.headers = list(TAGGED)
    site.get()
    clock.move(100)
    site.status = 304
    answer = site.get()
    assert (answer.status, said(answer)["fwd-status"]) == (200, 304)


def test_2_4_ttl_is_what_is_left(site: Site, clock: Clock) -> None:
    site.get()
    clock.move(20)
    assert said(site.get())["ttl"] == 40


def test_2_5_stored_says_whether_it_is(site: Site) -> None:
    assert said(site.get())["stored"] is True
    assert "hit" in said(site.get())
    site.headers = [("cache-control", "no-store")]
    assert "stored" not in said(site.get("/b"))
    assert "hit" not in said(site.get("/b"))


def test_2_a_504_that_is_made_here_has_none(edge: Edge, storage: Storage) -> None:
    answer = Site(edge, storage, MINUTE).get(cache_control="only-if-cached")
    assert (answer.status, "cache-status" in answer.headers) == (504, False)
