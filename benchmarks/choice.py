"""What the server of a contender is told to serve, by environment variables: a framework, and a library in it or none.

In the environment of a peer nothing of the benchmarks' own requirements is installed: this module and the apps need none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

FRAMEWORK, LIBRARY = "BENCHMARK_FRAMEWORK", "BENCHMARK_LIBRARY"

BARE, OURS = "bare", "ours"
"""Two libraries that every app knows: none, and this package."""


def chosen(frameworks: Mapping[str, Callable[[str, str], Any]]) -> Any:
    """The app that the environment asks for: of one of these frameworks, with a library and the URL of a Redis."""
    return frameworks[os.environ[FRAMEWORK]](os.environ[LIBRARY], os.environ["REDIS_URL"])
