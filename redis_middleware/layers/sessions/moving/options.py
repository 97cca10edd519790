"""What readers are configured with, checked when they are made."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ....errors import ConfigurationError

Secret = str | bytes

_is_token = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch  # RFC 6265 §4.1.1


def check_cookie(name: str) -> None:
    """Raises `ConfigurationError` for what cannot be a cookie's name."""
    if not isinstance(name, str) or not _is_token(name):
        raise ConfigurationError(f"cookie must be a name without spaces or separators, got {name!r}")


def secrets_of(option: str, *given: Secret | Sequence[Secret]) -> list[bytes]:
    """All secrets as bytes, in their order. Raises `ConfigurationError` if there is none, or an empty one."""
    lists = [list(some) if isinstance(some, Sequence) and not isinstance(some, Secret) else [some] for some in given]
    secrets = [one for some in lists for one in some]
    if not secrets or not all([isinstance(one, str | bytes) and one for one in secrets]):
        raise ConfigurationError(f"{option} must be the secret that the old library signed with, and not empty")
    return [one.encode() if isinstance(one, str) else one for one in secrets]
