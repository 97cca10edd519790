"""starsessions. The record was made by starsessions 2.2.1 with Starlette 1.10.0, a test client and a real server."""

from __future__ import annotations

import math

import pytest

from redis_middleware.layers.sessions.moving import Starsessions, Unreadable

ID = "6b65e871ba66f711f0a7a6cdabaaf5f9"
RECORD = (
    b'{"user": "ada", "cart": [1, 2.5, null], "\\u00fc": "gr\\u00fc\\u00dfe", "nan": NaN, "__metadata__": {"lifetime": 3600, '
    b'"created": 1795464562.1449413, "last_access": 1795464562.1449437}}'
)


def test_a_record_is_read_without_its_metadata() -> None:
    read = Starsessions().decode(RECORD)
    assert math.isnan(read.pop("nan"))
    assert read == {"user": "ada", "cart": [1, 2.5, None], "ü": "grüße"}


def test_metadata_alone_is_an_empty_session() -> None:
    assert Starsessions().decode(b'{"__metadata__": {"lifetime": 0}}') == {}


def test_the_id_is_the_key() -> None:
    assert Starsessions().key(ID) == "starsessions.6b65e871ba66f711f0a7a6cdabaaf5f9"
    assert Starsessions(prefix="shop:").key(ID) == f"shop:{ID}"


@pytest.mark.parametrize("value", ["", "''", "null", ID[1:], ID + "0", ID.upper(), "g" * 32, ID[1:] + "\n"])
def test_other_values_name_nothing(value: str) -> None:
    assert Starsessions().key(value) is None


def test_what_is_no_json_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="expected a mapping"):
        Starsessions().decode(b"")
