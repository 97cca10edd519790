"""Django's `db` engine. The texts were made by saving a `SessionStore` of Django 4.2.30, 5.2.19 and 6.0.10 to SQLite with
SECRET_KEY = "django secret", and copying `session_data`; others are made live by the Django that is installed.
"""

# mypy: disable-error-code="import-untyped"

from __future__ import annotations

import zlib
from typing import Any

import pytest
from django.core.signing import JSONSerializer, TimestampSigner, b64_encode
from hypothesis import given
from hypothesis import strategies as st

from redis_middleware.layers.sessions.moving import DjangoDatabase, Unreadable

from .hostile import check_contents, records

SECRET_KEY = "django secret"
SALT = "django.contrib.sessions.SessionStore"
CONTENTS = {"user": "ada", "cart": [1, 2.5, None], "ü": "grüße", "long": "na" * 40}
SHORT = b"eyJ1c2VyIjoiYWRhIn0:1xVaSK:AwphRUtFH66Dbo8uniDqSrkdYzaLYKhusM_2wtSLOgU"  # 4.2.30 and 5.2.19 wrote the same
LONG = (
    b".eJyrViotTi1SslJKTElU0lFKTiwqUbKKNtQx0jPVySvNyYnVUYopNTBISwYqSS-CMEFkSloqUHlOfl46UCIvkbpQqRYA1FU1lg:1xVaSK:"
    b"mrPPg1k1AMOtLAD6T-ZmFezCuvts-0_whZGp77wjZBE"
)
LONG_6_0 = (
    b".eJyrViotTi1SslJKTElU0lFKTiwqUbKKNtQx0jPVySvNyYnVUYopNTBISwYqSS-CMEFkSloqUHlOfl46UCIvkbpQqRYA1FU1lg:1xVaSS:"
    b"7opQ1C_TanoI1WiqWuEbkPXl81Ezbg637XDyu_9F1nY"
)


def signer(secret: str | bytes) -> Any:
    return TimestampSigner(key=secret, salt=SALT, fallback_keys=[])


def signed_by_django(payload: bytes, secret: str | bytes) -> bytes:
    """A payload, which begins with a dot if it is compressed, as Django would store it."""
    dot = "." if payload.startswith(b".") else ""
    signed: str = signer(secret).sign(dot + b64_encode(payload.removeprefix(b".")).decode())
    return signed.encode()


@pytest.mark.parametrize(("raw", "contents"), [(SHORT, {"user": "ada"}), (LONG, CONTENTS), (LONG_6_0, CONTENTS)])
def test_a_text_is_read(raw: bytes, contents: dict[str, object]) -> None:
    assert DjangoDatabase(SECRET_KEY).decode(raw) == contents


@given(
    st.dictionaries(st.text(st.characters(codec="utf-8")), st.text("ab", max_size=200)),
    st.one_of(st.text("abc", min_size=1), st.binary(min_size=1)),
)
def test_what_the_installed_django_writes_is_read(contents: dict[str, str], secret: str | bytes) -> None:
    text = signer(secret).sign_object(contents, serializer=JSONSerializer, compress=True)
    assert DjangoDatabase(secret).decode(text.encode()) == contents


def test_a_key_that_was_rotated_out_still_reads() -> None:
    assert DjangoDatabase("new", secret_key_fallbacks=["older", SECRET_KEY]).decode(SHORT) == {"user": "ada"}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b":",
        b"a:b:c",
        SHORT[:-1],
        SHORT + b"a",
        SHORT.replace(b"1xVaSK", b"1xVaSL"),
        b"." + SHORT,
        SHORT.split(b":")[0],
        b"\xff" * 9,
    ],
)
def test_a_signature_that_is_not_right_is_unreadable(raw: bytes) -> None:
    with pytest.raises(Unreadable, match="signature is not right: give the SECRET_KEY"):
        DjangoDatabase(SECRET_KEY).decode(raw)


def test_another_secret_is_not_right() -> None:
    with pytest.raises(Unreadable, match="signature"):
        DjangoDatabase("another").decode(SHORT)


def test_what_was_signed_for_something_else_is_not_right() -> None:
    text = TimestampSigner(key=SECRET_KEY, salt="django.core.signing", fallback_keys=[]).sign_object({"user": "eve"})
    with pytest.raises(Unreadable, match="signature"):
        DjangoDatabase(SECRET_KEY).decode(text.encode())


def test_a_bomb_is_bounded_even_if_it_is_signed() -> None:
    with pytest.raises(Unreadable, match="compressed and larger"):
        DjangoDatabase(SECRET_KEY).decode(signed_by_django(b"." + zlib.compress(bytes(1 << 24)), SECRET_KEY))


@given(raw=records)
def test_a_payload_may_be_anything_even_if_it_is_signed(raw: bytes) -> None:
    for payload in (raw, b"." + raw):
        check_contents(DjangoDatabase(SECRET_KEY), signed_by_django(payload, SECRET_KEY))


def test_pickle_is_refused() -> None:
    with pytest.raises(Unreadable, match=r"is a pickle.*SESSION_SERIALIZER"):
        DjangoDatabase(SECRET_KEY).decode(signed_by_django(b"\x80\x04}\x94.", SECRET_KEY))


def test_the_cookie_names_the_row() -> None:
    reader = DjangoDatabase(SECRET_KEY)
    assert reader.key("o8ppqk1hsnkn278jc5n87jrwraxqh3nj") == "o8ppqk1hsnkn278jc5n87jrwraxqh3nj"
    assert reader.key("o8ppqk1hsnkn278jc5n87jrwraxqh3n' or 1") is None
