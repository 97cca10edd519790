"""Who is counted: from a request to a subject, and from a subject to the keys it is counted under."""

from __future__ import annotations

import re
from hashlib import blake2b

from ...http import Request

UNKNOWN = "unknown"

_plain = re.compile(r"[0-9A-Za-z_.:-]{1,64}").fullmatch


def client_address(request: Request) -> str:
    """The address of the connection's other end. No header is believed, as any client can send any header.

    Connections without one (a unix socket) are all `"unknown"`, and share one budget: nobody is unlimited by accident.
    """
    return request.peer or UNKNOWN


def keys_of(subject: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """The key of each policy for a subject, all with one hash tag, so that one script may use them on a Cluster.

    A subject that is long, or has characters with a meaning in keys, is put as a digest: no two can be confused.
    """
    if not _plain(subject):
        subject = "#" + blake2b(subject.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return tuple([f"l:{{{subject}}}:{name}" for name in names])
