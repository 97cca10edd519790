"""Headers, responses and how they are framed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_middleware import Request, Response
from redis_middleware.http import Headers, content_length, framed


def test_names_compare_without_case_and_lines_combine() -> None:
    headers = Headers([("Vary", "Cookie"), ("vary", "Accept"), ("Set-Cookie", "a=1"), ("set-cookie", "b=2")])
    assert headers.get("VARY") == "Cookie, Accept"
    assert headers.getall("set-cookie") == ["a=1", "b=2"]
    assert headers.get("missing") is None
    assert "SET-COOKIE" in headers
    headers.set("Vary", "*")
    assert headers == [("Set-Cookie", "a=1"), ("set-cookie", "b=2"), ("Vary", "*")]


@pytest.mark.parametrize("value", ["a\r\nset-cookie: x=1", "a\nb", "a\rb", "a\0b", "€"])
def test_a_value_that_could_split_the_response_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"CR, LF or NUL|latin-1"):
        Headers().add("x", value)
    with pytest.raises(ValueError, match=r"CR, LF or NUL|latin-1"):
        Response(200, [("x", value)])


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\n", "ä", "a\0"])
def test_a_name_that_is_no_token_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no header name"):
        Headers().add(name, "x")


@given(st.text(), st.text())
def test_whatever_is_accepted_can_be_sent(name: str, value: str) -> None:
    headers = Headers()
    try:
        headers.add(name, value)
    except ValueError:
        return
    line = f"{name}: {value}".encode("latin-1")
    assert not set(line) & set(b"\r\n\0")


@pytest.mark.parametrize("status", [0, 99, 101, 199, 600])
def test_a_status_that_is_no_answer_is_refused(status: int) -> None:
    with pytest.raises(ValueError, match="status"):
        Response(status)


def test_a_body_is_bytes() -> None:
    with pytest.raises(TypeError, match="bytes"):
        Response(200, [], "text")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "method", "length", "body"),
    [
        (200, "GET", "4", b"body"),
        (200, "HEAD", "4", b""),
        (204, "GET", None, b""),
        (205, "GET", "0", b""),
        (304, "GET", None, b""),
    ],
)
def test_a_response_has_exactly_one_right_length_or_none(status: int, method: str, length: str | None, body: bytes) -> None:
    response = Response(status, [("Content-Length", "99"), ("content-length", "1"), ("Transfer-Encoding", "chunked")], b"body")
    lines, sent = framed(response, method)
    assert Headers(lines).get("content-length") == length
    assert "transfer-encoding" not in Headers(lines)
    assert sent == body


@pytest.mark.parametrize(("text", "number"), [("4", 4), (" 4 ", 4), ("-4", None), ("4, 5", None), ("٤", None), ("", None)])
def test_a_length_is_ascii_digits(text: str, number: int | None) -> None:
    assert content_length(Headers.received([("content-length", text)])) == number


def test_two_different_lengths_are_none() -> None:
    assert content_length(Headers([("content-length", "4"), ("content-length", "5")])) is None


def test_request_headers_are_read_when_first_asked_for() -> None:
    reads = []

    def read() -> list[tuple[str, str]]:
        reads.append(1)
        return [("host", "example.org")]

    request = Request(headers=read)
    assert not reads
    assert request.headers.get("Host") == "example.org"
    assert request.headers.get("Host") == "example.org"
    assert len(reads) == 1
