"""The health layer: routes and probes that say whether the storage works, what is known of it, and what should be changed."""

from .checks import Thresholds
from .layer import Health

__all__ = ["Health", "Thresholds"]
