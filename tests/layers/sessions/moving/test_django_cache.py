"""Django's `cache` and `cached_db` engines. The records were made by Django 5.2.19 and 4.2.30 with their own `RedisCache`, with
django-redis 7.0.0 and 5.4.0, and a real server: a `SessionStore` was filled and saved, and the key and the value written down.
"""

# mypy: disable-error-code="import-untyped"

from __future__ import annotations

import pytest
from django.contrib.sessions.backends import cache, cached_db
from django.core.cache.backends.base import default_key_func
from django.core.signing import JSONSerializer

from redis_middleware.layers.sessions.moving import DjangoCache, Unreadable

SESSION_KEY = "j36d584v30y9oh85rd69bth2p1wu7xcy"
CONTENTS = {"user": "ada", "cart": [1, 2.5, None], "ü": "grüße", "_auth_user_id": "42"}

JSON = (  # django-redis 7.0.0, JSONSerializer
    b'{"user": "ada", "cart": [1, 2.5, null], "\\u00fc": "gr\\u00fc\\u00dfe", "_auth_user_id": "42", '
    b'"_session_expiry": "2026-12-07T20:09:24.070342+00:00"}'
)
DJANGO_JSON = (  # Django's RedisCache with OPTIONS["serializer"] = "django.core.signing.JSONSerializer"
    b'{"user":"ada","cart":[1,2.5,null],"\\u00fc":"gr\\u00fc\\u00dfe","_auth_user_id":"42",'
    b'"_session_expiry":"2026-12-07T20:09:23.099375+00:00"}'
)
MSGPACK = (  # django-redis 7.0.0, MSGPackSerializer
    b"\x86\xa4user\xa3ada\xa4cart\x93\x01\xcb@\x04\x00\x00\x00\x00\x00\x00\xc0\xa2\xc3\xbc\xa7gr\xc3\xbc\xc3\x9fe\xad_auth_user_id"
    b"\xa242\xaf_session_expiry\xd9 2026-12-07T20:09:24.575008+00:00\xa3raw\xc4\x02\x00\xff"
)
ZLIB = (  # django-redis 7.0.0, JSONSerializer and ZlibCompressor
    b'x\x9c\xad\x8ca\n\xc20\x0c\x85\xafR\xf2\xd7nd\xa1\x9b\xdas\xf8O\xa5\x94\xb5\x9b\x85\xd1I\xbb\x82"\xde\xddF\xaf \x81'
    b"\x90\xf7\xf2\xbd\xf7\x82\x92}\x02-\xc0:\x0bR\xc0h\xd3V\xe5\xb9\x93\x82\xda^\x8aX\x96\xe5Z\xfdKA\x9cF\x06\xe7\xf4\xbby"
    b"\xbb\xc9s\xc8\xd8\xb2\xdd\x0c7\x99\xe0\x98Q\xf4\xb5\xb3\xcf9\xac\xd1\xf8\xc7=\xa4'?\x08ih:jp\x7f\"\xd4x\xd4\xd4\xb7"
    b"\x88\xea\xa0\x86\x1dV\x8d\x1c[\xd683\x1b\xed\x7f\x07\xde\x1f\xb3\xaaK\xa7"
)
GZIP = (  # django-redis 7.0.0, JSONSerializer and GzipCompressor
    b'\x1f\x8b\x08\x00u\x9d\x04k\x02\xff\xad\x8ca\n\x02!\x10\x85\xaf"\xfe\xcd]\xc6)7\xd6s\xf4\xafBdu7A\xdc\xd0\x15\x8a\xe8'
    b"\xee9u\x85\x18\x18\xe6\xbd\xf9\xde{\xf1Z|\xe6\x9aq\xeb,\x17\x8cO6oM\x9e\xa5`\xd8+\xc1R\x8d\xf1\xda\xfcK\x05\x98'\x02"
    b"\x97\xfc\xbbi\xbb\xd9S\xc8\xd8\xba\xdd\x0c5\x99\xe0\x889\xe0\xd7.\xbe\x94\xb0&\xe3\x1f\xf7\x90\x9f\xf4@\xc0\xa1\x93"
    b"\xd8\xc1\xf1\x84\xa0a\xd4\xa8z5\xc8q?\xee\xa0i\xa0X\\\xd3Bl\xb2\xff\x1d\xfe\xfe\x00\xfb\xf1vl\xee\x00\x00\x00"
)
CACHED_DB_ZLIB = (  # Django 4.2.30, django-redis 5.4.0, JSONSerializer and ZlibCompressor
    b"x\x9c\xad\x8cQ\n\xc20\x10D\xaf\x12\xf2kZ6\xdb\x1ak\xce\xe1\x9fJ\x08MZ\x03!\x95\xa4\x01E\xbc\xbb]\xbd\x82,,\xb33o\xf6"
    b"\xc5k\xf1\x99k\xc6\xad\xb3\\0>\xda\xbcn\xe7Y\n\x86\xed^\xb0Tc\xbcn\xfe\xa5\x02L#\x81s\xfei\xdan\xf2T2\xb6\xae7C\x9fLp"
    b"\xc4\xf4\xf8\xb5\x8b/%,\xc9\xf8\xc7=\xe4'\x05\x08\xa8\x1a\x89\r\x1cN\x08Z*\xdd\xab\xb6\xeb\xf08\x0c;\x00\r@\xb5\xb8"
    b"\xa4\x99\xd8d\xff;\xfc\xfd\x01\xb8\x85K\xb3"
)
PICKLE = (  # Django's RedisCache as it is
    b"\x80\x05\x95\x82\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x04user\x94\x8c\x03ada\x94\x8c\x04cart\x94]\x94(K\x01G@\x04\x00\x00\x00\x00"
    b"\x00\x00Ne\x8c\x02\xc3\xbc\x94\x8c\x07gr\xc3\xbc\xc3\x9fe\x94\x8c\r_auth_user_id\x94\x8c\x0242\x94\x8c\x0f_session_expiry\x94\x8c"
    b" 2026-12-07T20:09:22.628564+00:00\x94u."
)
PICKLE_ZLIB = (  # django-redis 7.0.0 with ZlibCompressor
    b"x\x9ck`\x99z\x87\x01\x02j\xa7h\xf4\xb0\x94\x16\xa7\x16M\xe9aNLI\x9c\xd2\xc3\x92\x9cXT2%v\x8a\x867\xa3\xbb\x03\x0bD\x91_j\x0f\xd3"
    b"\xe1=Sz\xd8\xd3\x8b\x0e\xef9<?uJ\x0fo|biIF<Hc|f\xca\x94\x1e&\x13\xa3)=\xfc\xf1\xc5\xa9\xc5\xc5\x99\xf9y\xf1\xa9\x15\x05\x99E\x95"
    b"Sz\x14\x8c\x0c\x8c\xcct\r\x8dt\r\xccC\x8c\x0c\xac\x0c,\xad\x8c\xcc\xf4\x0c\r\xcdM\x8c\x0c\xb5\r\x80|\x03\xa0}9\xf9y\xe9Sz\x02\xf2"
    b"\x12\xa9\x0b\xa7\x94\xea\x01\x00\x9a\x94R@"
)
LZMA = (
    b"\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4F\x02\x00!\x01\x14\x00\x00\x00\xff\xe7\xec\t"  # django-redis, LzmaCompressor: how it begins
)


@pytest.mark.parametrize(
    ("raw", "more"),
    [
        (JSON, {}),
        (DJANGO_JSON, {}),
        (MSGPACK, {"raw": b"\x00\xff"}),
        (ZLIB, {"long": "na" * 40}),
        (GZIP, {"long": "na" * 40}),
        (CACHED_DB_ZLIB, {"long": "na" * 40}),
    ],
    ids=["JSON", "Django's JSON", "MessagePack", "zlib", "gzip", "cached_db"],
)
def test_a_record_is_read(raw: bytes, more: dict[str, object]) -> None:
    read = DjangoCache().decode(raw)
    assert read.pop("_session_expiry").endswith("+00:00")
    assert read == {**CONTENTS, **more}


@pytest.mark.parametrize("raw", [PICKLE, PICKLE_ZLIB])
def test_pickle_is_refused_compressed_or_not(raw: bytes) -> None:
    with pytest.raises(Unreadable, match=r"is a pickle.*OPTIONS\['SERIALIZER'\]"):
        DjangoCache().decode(raw)


def test_other_compressors_are_unreadable() -> None:
    with pytest.raises(Unreadable, match="expected a mapping"):
        DjangoCache().decode(LZMA)


def test_the_key_is_as_it_was_found_in_redis() -> None:
    assert DjangoCache().key(SESSION_KEY) == ":1:django.contrib.sessions.cachej36d584v30y9oh85rd69bth2p1wu7xcy"
    key = DjangoCache(engine="cached_db").key("rf1w1dmv5mozr1lr1s9o134euny43v8e")
    assert key == ":1:django.contrib.sessions.cached_dbrf1w1dmv5mozr1lr1s9o134euny43v8e"


def test_the_key_is_what_the_installed_django_makes() -> None:
    reader = DjangoCache(key_prefix="shop", version=3)
    assert reader.key(SESSION_KEY) == default_key_func(cache.KEY_PREFIX + SESSION_KEY, "shop", 3)
    reader = DjangoCache(engine="cached_db")
    assert reader.key(SESSION_KEY) == default_key_func(cached_db.KEY_PREFIX + SESSION_KEY, "", 1)


def test_what_the_installed_django_writes_is_read() -> None:
    assert DjangoCache().decode(JSONSerializer().dumps(CONTENTS)) == CONTENTS


@pytest.mark.parametrize("value", ["", SESSION_KEY[1:], SESSION_KEY + "a", SESSION_KEY.upper(), SESSION_KEY[1:] + ":", "*" * 32])
def test_other_values_name_nothing(value: str) -> None:
    assert DjangoCache().key(value) is None
