"""Filling a cache before anybody asks: the app is asked for each URL, through the cache and what is inside it."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from xml.etree import ElementTree

from ...asking import Asked, ask
from ...flow import Action
from ...stack import ENTRY
from . import answer as answers

BROWSER = (("accept-encoding", "gzip, deflate, br, zstd"),)
"""What browsers send over TLS: the variant that most clients will want."""

MOST_BYTES = 50 << 20
"""How big a sitemap is at most (sitemaps.org), and how much of it is read."""

MOST_SITEMAPS = 1000
"""How many sitemaps an index may lead to."""


@dataclass(frozen=True, slots=True)
class Warmth:
    """What came of warming: how many responses were `stored`, how many were `fresh` already, and for each other URL why its
    response was `refused`, or what had `failed`.
    """

    stored: int = 0
    fresh: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def warm(
    cache: object,
    app: Any,
    urls: Iterable[str] | str,
    *,
    headers: Sequence[tuple[str, str]],
    at_once: int,
    progress: Callable[[int, int], object],
) -> Action[Warmth]:
    """Ask for all URLs, or those of a sitemap."""
    if not 1 <= at_once <= 100:
        raise ValueError(f"at_once must be 1 to 100, got {at_once!r}")
    options: dict[str, Any] = {"native": {ENTRY: cache}, "at_once": at_once}
    wanted = list(dict.fromkeys((yield from _listed(app, urls, options)) if isinstance(urls, str) else urls))
    for url in wanted:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"expected an absolute URL such as 'https://example.org/menu', got {url!r}")
    total = len(wanted)
    options |= {"headers": headers, "progress": lambda done: progress(done, total)}
    return _warmth((yield from ask(app, wanted, **options)))


def _listed(app: Any, sitemap: str, options: dict[str, Any]) -> Action[list[str]]:
    """The URLs of a sitemap of the app, and of those that it leads to."""
    found: list[str] = []
    sitemaps = [sitemap]
    for place, url in enumerate(sitemaps):
        if place == MOST_SITEMAPS:
            raise ValueError(f"{sitemap} leads to more than {MOST_SITEMAPS} sitemaps")
        [asked] = yield from ask(app, [url], most=MOST_BYTES, **options)
        if asked.error or asked.status != 200:
            raise ValueError(f"expected a sitemap at {url}, got {asked.error or asked.status!r}") from asked.error
        pages, others = parsed(asked.body)
        found += pages
        sitemaps += [other for other in others if other not in sitemaps]
    return found


def parsed(sitemap: bytes) -> tuple[list[str], list[str]]:
    """The pages and the other sitemaps that a sitemap leads to: XML, or a URL a line, maybe gzipped (sitemaps.org)."""
    if sitemap[:2] == b"\x1f\x8b":
        with gzip.open(BytesIO(sitemap)) as packed:
            sitemap = packed.read(MOST_BYTES)
    if not sitemap.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return sitemap.decode("utf-8-sig").split(), []
    try:
        root = ElementTree.fromstring(sitemap)  # noqa: S314  # it is the app's own
    except ElementTree.ParseError as exc:
        raise ValueError(f"expected a sitemap, got XML that is none: {exc}") from exc
    return _locations(root, "url"), _locations(root, "sitemap")


def _locations(root: ElementTree.Element, kind: str) -> list[str]:
    return [
        location.text.strip()
        for child in root
        if child.tag.rpartition("}")[2] == kind
        for location in child
        if location.tag.rpartition("}")[2] == "loc" and location.text
    ]


def _warmth(all_asked: Iterable[Asked]) -> Warmth:
    stored, fresh = 0, 0
    refused: dict[str, str] = {}
    failed: dict[str, str] = {}
    for asked in all_asked:
        said = [line for line in asked.headers.getall("cache-status") if line.startswith(f"{answers.CACHE};")]
        if asked.error is not None:
            failed[asked.url] = f"{type(asked.error).__name__}: {asked.error}"
        elif not said:
            failed[asked.url] = "the answer did not come through this cache: is the middleware around the app?"
        elif said[-1].endswith("; stored"):
            stored += 1
        elif said[-1].startswith(f"{answers.CACHE}; hit"):
            fresh += 1
        else:
            refused[asked.url] = said[-1].rpartition("detail=")[2] if "detail=" in said[-1] else said[-1]
    return Warmth(stored, fresh, refused, failed)
