"""How requests are counted: an algorithm a file, its Lua and its Python side by side. `..decide` asks them all in one script."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .fixed_window import FixedWindow
from .gcra import GCRA
from .moving_window import MovingWindow
from .sliding_window_counter import SlidingWindowCounter

__all__ = ["ALGORITHMS"]

ALGORITHMS: Mapping[str, type[Any]] = {
    "fixed-window": FixedWindow,
    "moving-window": MovingWindow,
    "sliding-window-counter": SlidingWindowCounter,
    "gcra": GCRA,
}
"""By their names; all but the last are those of the `limits` package."""
