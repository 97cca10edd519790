"""Who a session is: the secret in the cookie, and the digest under which it is stored.

A token is `tag + secret + "." + signature`:

* `secret` has 256 bits from the operating system. Only its keyed digest is ever stored, so nobody who reads the storage
  can make a cookie of what stands there.
* `tag` says in which slot of a Cluster the record is: that of its user (a keyed digest of who it is), or one at random for
  who has not logged in. So all sessions of one user are in one slot, and one script decides about all of them.
* The signature is checked before the storage is asked, so what a client has made up costs no trip.

Each secret key signs, and keys the digests, by keys derived from it. A token that was signed with an older key is good as
long as that key is configured; its session gets a token of the newest when it is used.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from secrets import token_urlsafe

from itsdangerous import BadSignature, Signer

from ...errors import ConfigurationError

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
            raise ConfigurationError('Sessions needs a secret: python -c "import secrets; print(secrets.token_urlsafe(32))"')
        self._keys = [_Key(key.encode() if isinstance(key, str) else key, purpose) for key in keys]

    def mint(self, tag: str | None = None) -> Token:
        """A token that nobody else has: with the tag of a user, or in a slot at random."""
        return self._keys[0].token((tag or token_urlsafe(6)) + token_urlsafe(32))

    def read(self, text: str) -> Token | None:
        """The token that a client has sent; None if it was not made here."""
        if _matches(text):
            for place, key in enumerate(self._keys):
                if (name := key.verified(text)) is not None:
                    return key.token(name, text, newest=place == 0)
        return None

    def user(self, user: str) -> str:
        """The digest of a user, which begins with the tag of its sessions."""
        return self._keys[0].digest("user", user)

    def users(self, user: str) -> list[str]:
        """The digests of a user by each of the keys."""
        return [key.digest("user", user) for key in self._keys]


class _Key:
    """What is derived from one secret key (each use has a key of its own)."""

    def __init__(self, key: bytes, purpose: str) -> None:
        def derived(use: str) -> bytes:
            return hmac.digest(key, f"redis_middleware.sessions:{purpose}:{use}".encode(), "sha256")

        self._derived = {use: derived(use) for use in ("record", "user")}
        self._signer = Signer(derived("signature"), key_derivation="none", digest_method=sha256)

    def token(self, name: str, text: str | None = None, *, newest: bool = True) -> Token:
        return Token(text or self._signer.sign(name).decode(), name[:TAG] + self.digest("record", name), newest)

    def verified(self, text: str) -> str | None:
        try:
            return self._signer.unsign(text).decode()
        except BadSignature:
            return None

    def digest(self, use: str, text: str) -> str:
        raw = hmac.digest(self._derived[use], text.encode("utf-8", "surrogatepass"), "sha256")
        return urlsafe_b64encode(raw).rstrip(b"=").decode()


def is_id(text: str) -> bool:
    """Whether a text may be the id of a record."""
    return _names_a_record(text) is not None
