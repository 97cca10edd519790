"""Encryption at rest: whoever reads the storage learns no value, and whoever writes to it can make up none.

The names of keys, the numbers that `increment` adds, and times are in clear.

A sealed value is `MARKER`, 4 bytes that name the key, a nonce of 12 random bytes, and AES-256-GCM's ciphertext with its tag.

Rules:

1. A value belongs to its context (the session and the key it is stored under). Moved to any other, it does not open. Put back
   at its own place later, it does: that an old value came back, or that one is gone, is not noticed.
2. The first key seals, each of them opens. To change keys, put the new one in front, and remove the old one when every
   session that it sealed has ended.
3. With keys, what is not sealed is not believed, or whoever writes to the storage would need no key. `accept_plain` is the
   way to begin with encryption without logging everybody out: for as long as a session lives, and no longer.
4. What is sealed under a key that is not here is not lost. It is left alone until somebody puts the key back.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...errors import ConfigurationError, MiddlewareError
from .codec import Undecodable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MARKER = b"\xc1"
"""How a sealed value begins: a byte that neither msgpack nor UTF-8 ever uses."""

SHORTEST_KEY = 16
"""Bytes that a key must have; 32 random ones are recommended."""

_LABEL = b"redis_middleware sessions: encryption at rest, 1"
_KEY, _ID, _NONCE, _TAG = 32, 4, 12, 16  # in bytes; the nonce and the tag as in NIST SP 800-38D §5.2.1
_HEAD = len(MARKER) + _ID


class MissingKey(MiddlewareError):
    """A value is sealed under a key that is not among `encryption_keys`. It is whole: do not overwrite it, put the key back."""


class Sealing:
    """Seals and opens values: `Sealing(keys)`, the newest key first; without keys, values stay as they are.

    A key is a secret of at least 16 bytes, better 32 random ones, as str or bytes; what AES is given is derived from it. One
    key is good for 2**32 values (NIST SP 800-38D §8.3): at 100 a second, for a year. `accept_plain` lets values open that were
    stored before there was a key; whoever can write to the storage can then make up values.

    Needs `pip install 'redis-middleware[encryption]'` if there are keys. One object serves all threads and tasks. Raises
    `ConfigurationError` for a key that is too short or none, and if the library is missing.
    """

    __slots__ = ("accept_plain", "keys")

    keys: Mapping[bytes, AESGCM]
    """A cipher for each key by the id of the key, the newest first. Empty: nothing is sealed."""

    def __init__(self, keys: str | bytes | Sequence[str | bytes] = (), *, accept_plain: bool = False) -> None:
        secrets = [keys] if isinstance(keys, (str, bytes)) else list(keys)
        self.keys = _ciphers([_secret(key, place) for place, key in enumerate(secrets)]) if secrets else {}
        self.accept_plain = accept_plain

    def seal(self, value: bytes, context: bytes) -> bytes:
        """A value, sealed by the newest key for this context only. Without keys, the value itself."""
        if not self.keys:
            return value
        identity, newest = next(iter(self.keys.items()))
        nonce = os.urandom(_NONCE)
        return MARKER + identity + nonce + newest.encrypt(nonce, value, context)

    def open(self, raw: bytes, context: bytes) -> bytes:
        """The value that was sealed for this context, or stored without sealing.

        Raises `MissingKey` if its key is not here; `Undecodable` if it was changed, cut, or sealed for another context, and
        if it is not sealed although there are keys.
        """
        if not raw.startswith(MARKER):
            if self.keys and not self.accept_plain:
                raise Undecodable("what is stored is not encrypted, and accept_plain is not set: it is not believed")
            return raw
        if len(raw) < _HEAD + _NONCE + _TAG:
            raise Undecodable("what is stored is encrypted, and was cut")
        cipher = self.keys.get(raw[len(MARKER) : _HEAD])
        if cipher is None:
            raise MissingKey(
                f"what is stored is encrypted under the key {raw[len(MARKER) : _HEAD].hex()}, which is not among "
                "encryption_keys: put that key back, behind the newest"
            )
        return _opened(cipher, raw, context)


def _opened(cipher: AESGCM, raw: bytes, context: bytes) -> bytes:
    from cryptography.exceptions import InvalidTag

    try:
        return cipher.decrypt(raw[_HEAD : _HEAD + _NONCE], raw[_HEAD + _NONCE :], context)
    except InvalidTag as exc:
        raise Undecodable("what is stored is encrypted, and was changed or moved here from another place") from exc


def _secret(key: object, place: int) -> bytes:
    if not isinstance(key, (str, bytes)):
        raise ConfigurationError(f"encryption_keys[{place}] must be str or bytes, got {type(key).__name__}")
    secret = key.encode("utf-8", "surrogateescape") if isinstance(key, str) else key  # as os.environ has it
    if len(secret) < SHORTEST_KEY:
        raise ConfigurationError(
            f"encryption_keys[{place}] must have at least {SHORTEST_KEY} bytes, got {len(secret)}: "
            "make one by python -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    return secret


def _ciphers(secrets: Sequence[bytes]) -> dict[bytes, AESGCM]:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF
    except ImportError as exc:
        raise ConfigurationError("encryption_keys need a library: pip install 'redis-middleware[encryption]'") from exc
    ciphers: dict[bytes, AESGCM] = {}
    for secret in dict.fromkeys(secrets):
        derived = HKDF(SHA256(), _KEY + _ID, salt=None, info=_LABEL).derive(secret)  # RFC 5869
        if derived[_KEY:] in ciphers:
            raise ConfigurationError("two encryption_keys have the same id by chance: make another new one")
        ciphers[derived[_KEY:]] = AESGCM(derived[:_KEY])
    return ciphers


def context(tag: str, salt: str, name: str) -> bytes:
    """What a value of a session belongs to: the slot, what its record has at random, and the field."""
    return f"{tag}.{salt}.{name}".encode()
