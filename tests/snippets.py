"""The code blocks of the README and the docs, as they stand."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def snippets(page: str, language: str = "python") -> list[str]:
    """All fenced blocks of a language in a page, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
