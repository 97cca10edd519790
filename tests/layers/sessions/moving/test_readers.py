"""What holds for each reader: whatever a client sends and whatever Redis holds, it names a key of its library or none, and
returns contents that a session can store, or raises `Unreadable`.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable

import pytest
from hypothesis import example, given

from redis_middleware import ConfigurationError
from redis_middleware.errors import MiddlewareError
from redis_middleware.layers.sessions.moving import (
    ConnectRedis,
    DjangoCache,
    DjangoDatabase,
    FlaskSession,
    Reader,
    Starsessions,
    Unreadable,
)

from .hostile import check_contents, records, values

SECRET = "a secret"
READERS: list[Reader] = [
    FlaskSession(),
    FlaskSession(secret_key=SECRET),
    DjangoCache(),
    DjangoDatabase(SECRET),
    Starsessions(),
    ConnectRedis(SECRET),
]
KEYS = re.compile(
    r"session:[A-Za-z0-9_-]{36,43}|:1:django\.contrib\.sessions\.cache[a-z0-9]{32}|[a-z0-9]{32}|starsessions\.[0-9a-f]{32}"
    r"|sess:[A-Za-z0-9_-]{32,36}"
)

each = pytest.mark.parametrize("reader", READERS, ids=repr)


@each
@given(value=values)
@example(value="")
@example(value="\ud800" * 43)
@example(value="s:" + "a" * 32 + "." + "\ud800" * 43)
@example(value="a" * 43 + "." + "é" * 27)
@example(value="٣" * 32)  # digits, but not those of an id
@example(value="a" * 32 + "\n")
@example(value="%" * 1_000_000)
def test_a_cookie_names_a_key_of_the_library_or_none(reader: Reader, value: str) -> None:
    key = reader.key(value)
    assert key is None or KEYS.fullmatch(key)


@each
@given(raw=records)
@example(raw=b"")
@example(raw=b"{" * 1_000_000)
@example(raw=b'{"a":' + b"[" * 1_000_000)
@example(raw=b'{"a":' * 65 + b"1" + b"}" * 65)
@example(raw=b"\x81\xa1a" * 300_000)
@example(raw=b"\x81\xa1a" + b"\xdd\xff\xff\xff\xff" * 1000)  # lists that claim to have four billion items
@example(raw=b'{"a":"\\ud800"}')
@example(raw=b'{"\\ud800":1}')
@example(raw=b'{"a":' + b"9" * 5000 + b"}")
@example(raw=b'{"a":' + b"9" * 4000 + b"}")
@example(raw=b'{"a":"\xff"}')
@example(raw=b"\x81\xa1a\xd4\x05\x00")  # an extension type
@example(raw=b"\x81\xa1a\x81\x90\x01")  # a list as a key
@example(raw=b"\x81\xa1a\xc7\x0c\xff" + b"\xff" * 12)  # a time that there is not
@example(raw=b"\x81\x01\x01")
@example(raw=b"[1]")
@example(raw=b"null")
def test_a_record_is_contents_that_can_be_stored_or_unreadable(reader: Reader, raw: bytes) -> None:
    check_contents(reader, raw)


PICKLES = [
    pickle.dumps(contents, protocol) for contents in ({}, {"user": "ada"}) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
]


@pytest.mark.parametrize("raw", [*PICKLES, b"!" + PICKLES[0], b"!" + PICKLES[-1]])
@pytest.mark.parametrize(
    ("reader", "advice"),
    [
        (FlaskSession(), r"Flask-Session 0\.7 or 0\.8"),
        (DjangoCache(), "serializer that writes JSON and still reads pickle"),
        (Starsessions(), "serializer that writes JSON and still reads pickle"),
        (ConnectRedis(SECRET), "JSON"),
    ],
    ids=repr,
)
def test_pickle_is_refused_and_the_error_says_what_to_do(reader: Reader, advice: str, raw: bytes) -> None:
    with pytest.raises(Unreadable, match=f"is a pickle.*whoever can write to Redis run code.*{advice}"):
        reader.decode(raw)


def test_unreadable_is_one_of_our_errors() -> None:
    assert issubclass(Unreadable, MiddlewareError)
    assert issubclass(Unreadable, ValueError)


@each
def test_no_secret_is_shown(reader: Reader) -> None:
    assert SECRET not in repr(reader)


@each
def test_an_error_shows_nothing_of_the_contents(reader: Reader) -> None:
    for raw in (b'{"a": "hunter2"', b"\x82\xa1a\xa7hunter2", b'{"a": "hunter2\xff"}', pickle.dumps({"a": "hunter2"})):
        with pytest.raises(Unreadable) as caught:
            reader.decode(raw)
        assert "hunter2" not in str(caught.value)


MADE_WRONGLY: list[tuple[Callable[[], Reader], str]] = [
    (lambda: FlaskSession(cookie=""), "cookie must be a name"),
    (lambda: FlaskSession(secret_key=""), "secret_key must be the secret"),
    (lambda: FlaskSession(sid_length=4), "sid_length must be 8 to 128 bytes, got 4"),
    (lambda: DjangoCache(cookie="a b"), "cookie must be a name"),
    (lambda: DjangoCache(engine="db"), "engine must be 'cache' or 'cached_db', got 'db'"),  # type: ignore[arg-type]
    (lambda: DjangoDatabase(""), "secret_key must be the secret"),
    (lambda: DjangoDatabase(None), "secret_key must be the secret"),  # type: ignore[arg-type]
    (lambda: DjangoDatabase(SECRET, secret_key_fallbacks=[b""]), "secret_key must be the secret"),
    (lambda: DjangoDatabase(SECRET, cookie="a;b"), "cookie must be a name"),
    (lambda: Starsessions(cookie="a\n"), "cookie must be a name"),
    (lambda: ConnectRedis([]), "secret must be the secret"),
    (lambda: ConnectRedis(["new", ""]), "secret must be the secret"),
    (lambda: ConnectRedis(None), "secret must be the secret"),  # type: ignore[arg-type]
    (lambda: ConnectRedis(SECRET, cookie="connect,sid"), "cookie must be a name"),
]


@pytest.mark.parametrize(("made", "message"), MADE_WRONGLY, ids=[message for _, message in MADE_WRONGLY])
def test_what_is_configured_wrongly_is_refused_when_it_is_made(made: Callable[[], Reader], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        made()
