"""What version 0.4.5 of the suite asks for in vain: tests that cannot pass here, and tests that had better not.

A layer sees and makes all that HTTP says of a response; what it cannot reach lies in the server around it:

* gunicorn writes its own `Date` and `Server` and drops the app's, and with them every hop-by-hop line. So behind it no cached
  response has the `Date` it was stored with. The layer itself sees the app's, and `Age` tells the client.
* An interim response passes WSGI as gunicorn's `wsgi.early_hints` (103 only), and ASGI as `http.response.early_hint`, which
  uvicorn has for HTTP/2 alone. Trailers pass neither. No test of this version needs them; later ones do.
* A request's lines are one of each name in a WSGI environ: joined, without their order. No test can tell.
* uvicorn has its own words for a status (they are not compared), and none above 599 (`apps.asgi` gives it one).

The suite says nothing about `stale-while-revalidate` or `CDN-Cache-Control` (RFC 5861, RFC 9213), and counts the W3C note
`Surrogate-Control` among what is required (`surrogate-…`).
"""

from __future__ import annotations

from collections.abc import Mapping

_CLOSED = "the client wants the number of a request from an origin that has closed the connection without a word"

IMPOSSIBLE: Mapping[str, str] = {
    "stale-close-must-revalidate": _CLOSED,
    "stale-close-proxy-revalidate": _CLOSED,
    "stale-close-no-cache": _CLOSED,
    "stale-close-s-maxage=2": _CLOSED,
}
"""What no cache passes anywhere, not even none. Later versions of the suite have it right."""

IMPOSSIBLE_BEHIND: Mapping[str, Mapping[str, str]] = {
    "asgi": {
        "interim-not-cached": "uvicorn sends no early hints over HTTP/1.1",
        "interim-102": "uvicorn sends no interim responses",
        "interim-103": "uvicorn sends no early hints over HTTP/1.1",
        "interim-no-header-reuse": "uvicorn sends no early hints over HTTP/1.1",
    },
    "wsgi": {
        "other-date-update": "gunicorn sends a Date of its own",
        "other-date-update-expires": "gunicorn sends a Date of its own",
        "interim-102": "gunicorn sends no other interim response than 103",
    },
}
"""What no cache passes behind the server of an edge."""

_INVALID = "an invalid Age is to be ignored, RFC 9111 §5.1"
_FIRST = "of several values of Age the first counts, RFC 9111 §5.1"
_UPDATE = "a 304 updates it, RFC 9111 §3.2"
_FIVE = "the origin says that it sends bytes 4-9, which are six, and sends five"

MISTAKEN: Mapping[str, str] = {
    "age-parse-nonnumeric": _INVALID,
    "age-parse-negative": _INVALID,
    "age-parse-float": _INVALID,
    "age-parse-parameter": _INVALID,
    "age-parse-numeric-parameter": _INVALID,
    "age-parse-prefix-twoline": _FIRST,
    "age-parse-dup-0": _FIRST,
    "age-parse-dup-0-twoline": _FIRST,
    "age-parse-dup-old": _FIRST,
    "304-etag-update-response-Content-Encoding": _UPDATE,
    "304-etag-update-response-Content-MD5": _UPDATE,
    "304-etag-update-response-ETag": "a 304 with another strong validator updates nothing, RFC 9111 §4.3.4",
    "partial-store-partial-reuse-partial": _FIVE,
    "partial-store-partial-reuse-partial-byterange": _FIVE,
    "partial-store-partial-reuse-partial-absent": _FIVE,
    "partial-store-partial-reuse-partial-suffix": _FIVE,
}
"""What a cache could do but RFC 9111, which is younger than this version, says otherwise; or what the origin does wrong."""


def impossible(edge: str) -> Mapping[str, str]:
    """The tests that cannot pass behind an edge, with the reason."""
    return {**IMPOSSIBLE, **IMPOSSIBLE_BEHIND.get(edge, {})}


def remark(test: str, edge: str) -> str:
    """What is to be said of a test that has not passed; empty if it ought to pass."""
    if test in impossible(edge):
        return f"cannot pass: {impossible(edge)[test]}"
    return f"mistaken: {MISTAKEN[test]}" if test in MISTAKEN else ""
