"""The page: what the other routes tell, for people. One file that loads nothing, and says its facts without a script too.

What the server knows is put into templates that escape it (`markupsafe`); style and script are files beside this one, and the
only ones that the Content-Security-Policy lets run, by their hashes.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from urllib.parse import quote

from markupsafe import Markup

from ..answers import Document, Format
from .sections import content, hero
from .wording import WORDS

HERE = files(__package__)
SKELETON, STYLE, SCRIPT = [Markup((HERE / name).read_text()) for name in ("page.html", "page.css", "page.js")]  # noqa: S704  # ours

LINKS = Markup('<a href="health">health</a> <a href="stats">stats</a> <a href="metrics?format=prometheus">metrics</a>')
DOTS = {"pass": "#17a05f", "warn": "#d99a1c", "fail": "#d8382c"}
DOT = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><circle cx='8' cy='8' r='7' fill='{}'/></svg>"


def _hash(text: str) -> str:
    """A source expression that lets one inline element be (CSP 3 §2.3.1)."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


POLICY = "; ".join(
    [
        "default-src 'none'",
        f"style-src {_hash(STYLE)}",
        f"script-src {_hash(SCRIPT)}",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)


def written(title: str, document: Document) -> bytes:
    """The page of a document: that of `stats` with `checks`; or, for who may see no more, `status` and `challenge`."""
    status = document["status"]
    page = SKELETON.format(
        word=WORDS[status],
        icon=f"data:image/svg+xml,{quote(DOT.format(DOTS[status]))}",
        style=STYLE,
        script=SCRIPT,
        status=status,
        details="yes" if "nodes" in document else "no",
        hero=hero(document),
        content=content(document),
        links=LINKS if "nodes" in document else Markup('<a href="health">health</a>'),
    )
    return str(page).encode()


PAGE = Format("html", "text/html", written, (("content-security-policy", POLICY), ("referrer-policy", "no-referrer")))
