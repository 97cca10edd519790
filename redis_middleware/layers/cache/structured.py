"""A targeted field, such as `CDN-Cache-Control`: a Dictionary of Structured Fields, or nothing (RFC 9213 §2.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import http_sf

from .fields import MOST_SECONDS, QUALIFIED, Directives


def directives(lines: Sequence[str]) -> Directives | None:
    """The directives of a targeted field; None if it is invalid or empty: then it is as if it were not there."""
    try:
        parsed = http_sf.parse(", ".join(lines).encode("latin-1"), tltype="dictionary")
    except (ValueError, http_sf.StructuredFieldError):
        return None
    found = cast(dict[str, tuple[object, object]], parsed)
    return {name: _argument(name, value) for name, (value, _parameters) in found.items() if value is not False} or None


def _argument(name: str, value: object) -> str | None:
    """The argument as `Cache-Control` would have it. One that is not of its directive's type is "", and so wrong there, too."""
    if value is True:
        return None
    if name in QUALIFIED:
        return value if type(value) is str else ""
    return str(min(value, MOST_SECONDS)) if type(value) is int else ""
