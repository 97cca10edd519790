"""Which requests a limit is about: paths and methods.

Rules:

* When in doubt, a request is in scope. A limit that holds for too much is a nuisance; one that holds for too little is a way
  around it.
* So a path is compared in each spelling in which an app, or something between us and the app, might read it: upper and lower
  case; slashes doubled or at the end; white space at the ends (Starlette's routes match a trailing line feed); percent-encoded
  once more than the server has decoded; with `.` and `..` as they stand and with them resolved (RFC 3986 §5.2.4).
* Matching takes time linear in the path, whatever the path: a `{name}` never leaves its segment, and only the end of a
  pattern matches several.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from urllib.parse import unquote

from ...errors import ConfigurationError
from ...http import Request

_field = re.compile(r"\{[^{}/:]+(?::(?!path\})[^{}/:]+)?\}")
_rest = re.compile(r"(?:\*|\{[^{}/:]+:path\})\Z")
_stray = re.compile(r"[{}<>*?#]|%[0-9A-Fa-f]{2}").search
_method = re.compile(r"[A-Za-z-]+").fullmatch


class Scope:
    """The requests that a limit is about: `Scope(paths=["/login", "/items/{id}"], methods="POST")`; all of them by default.

    `paths` is a pattern or several, over the path below where the app is mounted: exact (`/login`), with `{name}` for a
    segment or a part of one (`/items/{id}`; a converter as in `{id:int}` is ignored), and with `*` or `{name:path}` at the
    end for anything or nothing (`/api/*` is `/api`, too). Patterns are written decoded. The first one that matches counts.

    `methods` is a method or several, in any case. GET means HEAD, too, and WebSocket handshakes. By default it is all of
    them but CORS preflights (OPTIONS with `Origin` and `Access-Control-Request-Method`), which browsers send unasked and
    which are to have no credentials; name `"OPTIONS"` to count them.

    All of it is one budget, unless `per_path` says: one for each pattern, and each place where the app is mounted.

    Never changes, so it serves all threads and tasks. Raises `ConfigurationError` for a pattern or a method that could never
    match, for none at all, and for `per_path` without `paths`.
    """

    __slots__ = ("_match", "_methods", "_patterns", "_per_path")

    def __init__(
        self,
        paths: str | Iterable[str] | None = None,
        methods: str | Iterable[str] | None = None,
        per_path: bool = False,
    ) -> None:
        if per_path and paths is None:
            raise ConfigurationError("per_path needs paths: with a budget for every path there is, no request is ever too much")
        self._per_path = per_path
        self._patterns = () if paths is None else _listed("paths", paths)
        self._match = re.compile("|".join(f"({_regex(pattern)})" for pattern in self._patterns), re.DOTALL).fullmatch
        self._methods = None if methods is None else _methods(_listed("methods", methods))

    def of(self, request: Request) -> str | None:
        """A label for the budget that a request is counted in; None if it is not in scope."""
        if not self._has_method(request):
            return None
        if not self._patterns:
            return ""
        found = min([match.lastindex or 0 for match in map(self._match, _spellings(request.path)) if match], default=None)
        if found is None:
            return None
        return _label(request.root_path, self._patterns[found - 1]) if self._per_path else ""

    def labels(self, root_path: str = "") -> tuple[str, ...]:
        """All labels that requests below `root_path` may get: to find every budget of a subject."""
        if not self._per_path:
            return ("",)
        return tuple(dict.fromkeys(_label(root_path, pattern) for pattern in self._patterns))

    def _has_method(self, request: Request) -> bool:
        method = "GET" if request.kind == "websocket" else request.method.upper()
        if self._methods is not None:
            return method in self._methods
        return method != "OPTIONS" or not _is_preflight(request)


def scope_name(paths: str | Iterable[str] | None, methods: str | Iterable[str] | None) -> str:
    """A name for what a limiter is about, so that limiters about different things do not share their counts."""
    if paths is None and methods is None:
        return ""
    parts = [" ".join(sorted(_listed(what, values))) for what, values in (("paths", paths), ("methods", methods)) if values]
    return blake2b("\n".join(parts).encode(), digest_size=6).hexdigest()


def _is_preflight(request: Request) -> bool:
    return "origin" in request.headers and "access-control-request-method" in request.headers


def _listed(what: str, values: str | Iterable[str]) -> tuple[str, ...]:
    listed = (values,) if isinstance(values, str) else tuple(values)
    if not listed:
        raise ConfigurationError(f"{what} is empty, so nothing would ever be limited; leave it out to limit everything")
    return listed


def _methods(listed: tuple[str, ...]) -> frozenset[str]:
    for method in listed:
        if not isinstance(method, str) or not _method(method):
            raise ConfigurationError(f"methods is a method or a list of methods, like ['POST', 'PUT'], got {method!r}")
    methods = frozenset(method.upper() for method in listed)
    return methods | {"HEAD"} if "GET" in methods else methods


def _regex(pattern: str) -> str:
    if not isinstance(pattern, str) or not pattern.startswith("/") or pattern[-1].isspace():
        raise ConfigurationError(f"a path begins with a slash and does not end with a space, got {pattern!r}")
    head = _rest.sub("", pattern)
    literals = _field.split(head)
    if any(_stray(literal) for literal in literals) or any("/" not in between for between in literals[1:-1]):
        raise ConfigurationError(
            f"a path is written like '/items/{{id}}', '/files/{{rest:path}}' or '/api/*', decoded, with one name in a segment "
            f"and '*' at the end only, got {pattern!r}"
        )
    regex = "[^/]+".join(re.escape(literal) for literal in _field.split(_spelling(head)))
    if head == pattern:
        return regex
    return regex + ("(?:/.*)?" if head.endswith("/") else ".*")


def _spellings(path: str) -> Iterator[str]:
    """The ways in which a path may be read."""
    texts = {path, unquote(path)}
    for text in texts | {text.strip() for text in texts}:
        yield _spelling(text)
        if "/." in text:
            yield _resolved(_spelling(text))


def _spelling(path: str) -> str:
    """A path in one case, with single slashes and none at the end: `/` is the empty text."""
    return "".join([f"/{segment}" for segment in _folded(path).split("/") if segment])


def _folded(text: str) -> str:
    """A text without the difference of cases, as far as Unicode or `re.IGNORECASE` (which has İ, ı, i and I as one) knows it."""
    return text.lower() if text.isascii() else text.upper().replace("İ", "I").casefold()


def _resolved(path: str) -> str:
    segments: list[str] = []
    for segment in path.split("/")[1:]:
        if segment == "..":
            del segments[-1:]
        elif segment != ".":
            segments.append(segment)
    return "".join([f"/{segment}" for segment in segments])


def _label(root_path: str, pattern: str) -> str:
    """A pattern begins with a slash, and a length with a digit: no mount and pattern read like another pattern."""
    root = _spelling(root_path)
    return f"{len(root)}:{root}{pattern}" if root else pattern
