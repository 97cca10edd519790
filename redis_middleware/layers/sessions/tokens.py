"""Who a session is: the secret in the cookie, and the digest under which it is stored.

A token is `tag + secret + "." + signature`:

* `secret` has 256 bits from the operating system. Only its keyed digest is ever stored, so nobody who reads the storage
  can make a cookie of what stands there.
* `tag` says in which slot of a Cluster the record is: that of its user (from a digest of who it is), or one at random for who
  has not logged in. So all sessions of one user are in one slot, and one script decides about all of them. It is masked with
  what only we can derive from the secret: a cookie tells nobody whose it is.
* The signature is checked before the storage is asked, so what a client has made up costs no trip.

Each secret key signs, masks, and keys the digests, by keys derived from it. A token that was signed with an older key is good
as long as that key is configured; its session gets a token of the newest when it is used.
"""

from __future__ import annotations

import hmac
import logging
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from secrets import token_bytes, token_urlsafe

from itsdangerous import BadSignature, Signer

from ...errors import ConfigurationError

logger = logging.getLogger("redis_middleware")

MAKE_ONE = "python -c 'import secrets; print(secrets.token_urlsafe(32))'"

SHORT = 16
"""Bytes below which a secret is not worth its name."""

TAG = 8
"""Characters of a tag: 48 bits."""

DIGEST = 43
"""Characters of a secret and of a digest: 256 bits in base64url."""

SHAPE = rf"[\w-]{{{TAG + DIGEST}}}\.[\w-]{{{DIGEST}}}"
"""What a token looks like, as a regular expression (with re.ASCII)."""

_matches = re.compile(SHAPE, re.ASCII).fullmatch
_names_a_record = re.compile(rf"[\w-]{{{TAG + DIGEST}}}", re.ASCII).fullmatch


@dataclass(frozen=True, slots=True)
class Token:
    """One session's name: `text` for its client alone, `id` for everybody else. `newest` is false if its key is to go."""

    text: str
    id: str
    newest: bool = True

    @property
    def tag(self) -> str:
        """The slot that the record is in."""
        return self.id[:TAG]

    def __repr__(self) -> str:
        return f"Token(id={self.id!r})"


class Keyring:
    """Makes tokens and checks them. `secret` is one key or several, newest first; `purpose` keeps those of others apart.

    Raises `ConfigurationError` for no key, or an empty one. Serves all threads and tasks.
    """

    def __init__(self, secret: str | bytes | Sequence[str | bytes], purpose: str) -> None:
        keys = [secret] if isinstance(secret, (str, bytes)) else list(secret)
        if not keys or not all(isinstance(key, (str, bytes)) and key for key in keys):
            raise ConfigurationError(f"Sessions needs a secret of text or bytes: {MAKE_ONE}")
        raw = [key.encode("utf-8", "surrogateescape") if isinstance(key, str) else key for key in keys]
        if min(len(key) for key in raw) < SHORT:
            logger.warning("a secret of Sessions has fewer than %d bytes, so it may be guessed: use %s", SHORT, MAKE_ONE)
        self._purpose = purpose.encode()
        self._keys = [_Key(key, self._purpose) for key in raw]

    def mint(self, tag: str | None = None) -> Token:
        """A token that nobody else has: with the tag of a user, or in a slot at random."""
        return self._keys[0].mint(urlsafe_b64decode(tag) if tag else token_bytes(6))

    def read(self, text: str) -> Token | None:
        """The token that a client has sent; None if it was not made here."""
        if _matches(text):
            for place, key in enumerate(self._keys):
                if (name := key.verified(text)) is not None:
                    return key.token(name, text, newest=place == 0)
        return None

    def user(self, user: str) -> str:
        """The digest of a user, which begins with the tag of its sessions. It is the same whatever the keys are.

        Raises `TypeError` for what is no text, or empty.
        """
        if not isinstance(user, str) or not user:
            raise TypeError(f"a user is named by a text, got {user!r}: str(user.id)")
        return _text(sha256(self._purpose + b":" + user.encode("utf-8", "surrogatepass")).digest())


class _Key:
    """What is derived from one secret key (each use has a key of its own)."""

    def __init__(self, key: bytes, purpose: bytes) -> None:
        def derived(use: bytes) -> bytes:
            return hmac.digest(key, b"redis_middleware.sessions:" + purpose + b":" + use, "sha256")

        self._record, self._mask = derived(b"record"), derived(b"mask")
        self._signer = Signer(derived(b"signature"), key_derivation="none", digest_method=sha256)

    def mint(self, tag: bytes) -> Token:
        secret = token_urlsafe(32)
        name = self._masked(tag, secret) + secret
        return self.token(name, self._signer.sign(name).decode())

    def token(self, name: str, text: str, *, newest: bool = True) -> Token:
        tag = self._masked(urlsafe_b64decode(name[:TAG]), name[TAG:])
        return Token(text, tag + _text(hmac.digest(self._record, name.encode(), "sha256")), newest)

    def verified(self, text: str) -> str | None:
        try:
            return self._signer.unsign(text).decode()
        except BadSignature:
            return None

    def _masked(self, tag: bytes, secret: str) -> str:
        mask = hmac.digest(self._mask, secret.encode(), "sha256")
        return _text(bytes([one ^ other for one, other in zip(tag, mask, strict=False)]))


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def is_id(text: str) -> bool:
    """Whether a text may be the id of a record."""
    return _names_a_record(text) is not None
