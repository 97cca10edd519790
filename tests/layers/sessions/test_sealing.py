"""Values at rest that only who has the key can read, forge or move."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_middleware.errors import ConfigurationError, MiddlewareError
from redis_middleware.layers.sessions.codec import Undecodable, encode
from redis_middleware.layers.sessions.sealing import MARKER, MissingKey, Sealing

from .test_codec import AT_REST, VALUES

OLD, NEW = "the old key, which has 32 bytes.", b"the new key, of thirty-two bytes"
SEALING = Sealing([NEW, OLD])
HEAD = 5

# By RFC 5869 and AES-256-GCM, made without this package: OLD, the nonce 00…0b
GOLDEN = "c179fcbfb7000102030405060708090a0befe6c7cd33afa35f5f731406a5597f27d3999e45b41aeb02"


@given(st.binary(), st.binary(max_size=40))
def test_what_was_sealed_opens(value: bytes, context: bytes) -> None:
    assert SEALING.open(SEALING.seal(value, context), context) == value


def test_what_was_sealed_once_opens_for_ever() -> None:
    raw = bytes.fromhex(GOLDEN)
    assert Sealing([OLD]).open(raw, b"42:cart") == b"a secret"


def test_a_sealed_value_tells_its_length_and_nothing_else() -> None:
    value = b"a secret of somebody"
    one, other = SEALING.seal(value, b"c"), SEALING.seal(value, b"c")
    assert len(one) == len(other) == len(value) + 33
    assert one[:HEAD] == other[:HEAD]
    assert not {one[at : at + 4] for at in range(HEAD, len(one))} & {other[at : at + 4] for at in range(HEAD, len(other))}
    assert b"secret" not in one


def test_no_nonce_is_used_twice() -> None:
    assert len({SEALING.seal(b"", b"")[HEAD : HEAD + 12] for _ in range(5000)}) == 5000


def test_the_newest_key_seals_and_each_opens() -> None:
    before = Sealing([OLD]).seal(b"v", b"c")
    assert SEALING.open(before, b"c") == b"v"
    assert Sealing([NEW]).open(SEALING.seal(b"v", b"c"), b"c") == b"v"


def test_a_value_whose_key_is_gone_is_missing_its_key_and_not_broken() -> None:
    raw = Sealing([OLD]).seal(b"v", b"c")
    for sealing in (Sealing([NEW]), Sealing(), Sealing([NEW], accept_plain=True)):
        with pytest.raises(MissingKey, match="put that key back") as raised:
            sealing.open(raw, b"c")
        assert raw[1:HEAD].hex() in str(raised.value)
    assert issubclass(MissingKey, MiddlewareError)
    assert not issubclass(MissingKey, ValueError)  # whoever catches Undecodable does not catch it


@given(st.data())
def test_nothing_opens_with_a_bit_flipped(data: st.DataObject) -> None:
    raw = bytearray(SEALING.seal(b"a value", b"c"))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(MissingKey if 0 < place < HEAD else Undecodable):
        SEALING.open(bytes(raw), b"c")


def test_a_key_id_exchanged_for_that_of_another_key_opens_nothing() -> None:
    one, other = Sealing([NEW]).seal(b"v", b"c"), Sealing([OLD]).seal(b"v", b"c")
    with pytest.raises(Undecodable, match="changed"):
        SEALING.open(other[:HEAD] + one[HEAD:], b"c")


@pytest.mark.parametrize("accept_plain", [False, True])
def test_nothing_opens_that_was_cut(accept_plain: bool) -> None:
    sealing = Sealing([NEW], accept_plain=accept_plain)
    raw = sealing.seal(b"a value", b"c")
    for length in range(1, len(raw)):
        with pytest.raises(Undecodable):
            sealing.open(raw[:length], b"c")


@given(st.binary(max_size=12), st.binary(max_size=12))
def test_nothing_opens_where_it_was_not_sealed_for(here: bytes, there: bytes) -> None:
    raw = SEALING.seal(b"v", here)
    if here != there:
        with pytest.raises(Undecodable, match="moved here from another place"):
            SEALING.open(raw, there)


def test_an_old_value_opens_again_at_its_own_place() -> None:
    first, second = SEALING.seal(b"1", b"c"), SEALING.seal(b"2", b"c")
    assert [SEALING.open(raw, b"c") for raw in (second, first)] == [b"2", b"1"]


def test_with_keys_what_is_not_sealed_is_not_believed() -> None:
    for raw in (encode({"admin": True}), b""):
        with pytest.raises(Undecodable, match="accept_plain"):
            SEALING.open(raw, b"c")


def test_what_was_stored_before_there_was_a_key_opens_if_that_is_asked_for() -> None:
    sealing = Sealing([NEW], accept_plain=True)
    assert sealing.open(encode("hello"), b"c") == encode("hello")
    assert sealing.seal(b"v", b"c").startswith(MARKER)
    with pytest.raises(Undecodable, match="changed"):
        sealing.open(sealing.seal(b"v", b"c"), b"d")


@given(VALUES)
def test_without_keys_a_value_stays_as_it_is(value: Any) -> None:
    raw = encode(value)
    assert Sealing().seal(raw, b"c") == raw
    assert Sealing().open(raw, b"c") == raw
    assert not Sealing().keys


@given(VALUES | st.sampled_from([value for value, _ in AT_REST]))
def test_no_encoding_looks_sealed(value: Any) -> None:
    assert not encode(value).startswith(MARKER)
    assert SEALING.seal(encode(value), b"c").startswith(MARKER)


@given(st.text())
def test_no_text_looks_sealed(text: str) -> None:
    assert MARKER not in text.encode()


def test_a_key_is_text_or_bytes_alone_or_in_a_list() -> None:
    raw = Sealing(OLD).seal(b"v", b"c")
    accepted: list[str | bytes | Sequence[str | bytes]] = [
        OLD.encode(),
        [OLD],
        (OLD.encode(),),
        [OLD, OLD.encode()],
        [NEW, OLD, NEW],
    ]
    for keys in accepted:
        assert Sealing(keys).open(raw, b"c") == b"v"


def test_a_key_from_the_environment_need_not_be_unicode() -> None:
    raw = Sealing(b"\xff" * 32).seal(b"v", b"c")
    assert Sealing("\udcff" * 32).open(raw, b"c") == b"v"  # as os.environ has it


@pytest.mark.parametrize("key", ["", "fifteen letters", b"x" * 15])
def test_a_short_key_is_refused_and_not_told(key: str | bytes) -> None:
    with pytest.raises(
        ConfigurationError, match=r"encryption_keys\[1\] must have at least 16 bytes, got \d+: make one"
    ) as raised:
        Sealing([NEW, key])
    assert "letters" not in str(raised.value)
    assert Sealing([NEW, "sixteen letters!"])


@pytest.mark.parametrize("key", [None, 42, bytearray(32), [OLD]])
def test_what_is_no_key_is_refused(key: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"encryption_keys\[0\] must be str or bytes, got {type(key).__name__}"):
        Sealing([key])


def test_two_keys_that_could_not_be_told_apart_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="the same id"):
        Sealing(["a key of its own 72891", "a key of its own 146689"])  # found by trying


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'redis-middleware\[encryption\]'"):
        Sealing([NEW])
    assert Sealing().open(Sealing().seal(b"v", b"c"), b"c") == b"v"


def test_without_keys_the_library_is_not_even_imported() -> None:
    code = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from redis_middleware.layers.sessions.sealing import Sealing\n"
        "print(Sealing().open(Sealing().seal(b'v', b'c'), b'c'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "b'v'\n"


def test_one_object_serves_all_threads() -> None:
    def work(number: int) -> bool:
        context, value = b"%d" % number, b"value %d" % number * 500
        return all(SEALING.open(SEALING.seal(value, context), context) == value for _ in range(50))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(64)))
