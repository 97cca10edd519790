"""A document, as the client prefers to read it: health+json, plain JSON, text or HTML; metrics in forms of their own.

`?format=` decides, else `Accept` (RFC 9110 §12.5.1); who accepts nothing that there is gets the first that is offered, as
a probe is better served so than by 406. Never stored, never sniffed, and the HTML may load and run nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import parse_qs

import msgspec
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from ...http import Request, Response

Document = Mapping[str, Any]
Line = tuple[str, str]

STRICT = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""The Content-Security-Policy of a page that needs nothing but its text."""

HEADERS: list[Line] = [("cache-control", "no-store"), ("x-content-type-options", "nosniff"), ("vary", "accept, authorization")]


@dataclass(frozen=True, slots=True)
class Format:
    """A way to write a document: by which name `?format=` asks for it, its media type, and how it is written."""

    name: str
    media_type: str
    write: Callable[[str, Document], bytes]
    headers: tuple[Line, ...] = ()
    parameters: str = ""
    """Of the media type, as in `; version=1.0.0`."""

    def response(self, status: int, title: str, document: Document) -> Response:
        """The answer."""
        charset = "; charset=utf-8" if self.media_type.endswith(("-text", "/plain", "/html")) else ""
        headers = [("content-type", self.media_type + self.parameters + charset), *HEADERS, *self.headers]
        return Response(status, headers, self.write(title, document))


def chosen(request: Request, offered: Sequence[Format]) -> Format | None:
    """The format that a request asks for; None if it names one that there is not."""
    named = parse_qs(request.query, keep_blank_values=True).get("format")
    if named:
        return next((one for one in offered if one.name == named[-1].replace(" ", "+")), None)
    accepted = parse_accept_header(request.headers.get("accept"), MIMEAccept)
    accept = MIMEAccept([(value.partition(";")[0].strip(), quality) for value, quality in accepted])  # no version is asked for
    best = accept.best_match([one.media_type for one in offered])
    return next((one for one in offered if one.media_type == best), offered[0])


def problem(status: int, title: str, detail: str, headers: Sequence[Line] = ()) -> Response:
    """A refusal (RFC 9457)."""
    document = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    lines = [("content-type", "application/problem+json"), *HEADERS, *headers]
    return Response(status, lines, msgspec.json.encode(document))


def flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """A document as lines of a path and a value."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from flat(item, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list | tuple):
        for place, item in enumerate(value, 1):
            yield from flat(item, f"{path}.{place}")
    else:
        yield path, "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _json(title: str, document: Document) -> bytes:
    return msgspec.json.encode(document)


def _text(title: str, document: Document) -> bytes:
    return "".join([f"{path}: {value}\n" for path, value in flat(document)]).encode()


def _html(title: str, document: Document) -> bytes:
    rows = "".join([f"<tr><th scope=row>{escape(path)}<td>{escape(value)}\n" for path, value in flat(document)])
    head = "<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n<meta name=color-scheme content='light dark'>\n"
    return f"{head}<title>{escape(title)}</title>\n<h1>{escape(title)}</h1>\n<table>\n{rows}</table>\n</html>\n".encode()


HEALTH = Format("health+json", "application/health+json", _json)
JSON = Format("json", "application/json", _json)
TEXT = Format("text", "text/plain", _text)


def _openmetrics(title: str, document: Document) -> bytes:
    return document["metrics"].openmetrics()  # type: ignore[no-any-return]  # an Exposition


def _prometheus(title: str, document: Document) -> bytes:
    return document["metrics"].prometheus()  # type: ignore[no-any-return]  # an Exposition


OPENMETRICS = Format("openmetrics", "application/openmetrics-text", _openmetrics, parameters="; version=1.0.0")
PROMETHEUS = Format("prometheus", "text/plain", _prometheus, parameters="; version=0.0.4")
HTML = Format("html", "text/html", _html, (("content-security-policy", STRICT),))
