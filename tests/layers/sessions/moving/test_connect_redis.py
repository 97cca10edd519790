"""express-session with connect-redis. The cookies and records were made by express-session 1.19.0 and connect-redis 9.0.0 with
express 5, Node 20 and a real server. The first signature is the one that cookie-signature tests itself with.
"""

from __future__ import annotations

import pytest

from redis_middleware.layers.sessions.moving import ConnectRedis, Unreadable
from redis_middleware.layers.sessions.moving.connect_redis import signature

SECRET = "keyboard cat"
CONTENTS = {"user": "ada", "cart": [1, 2.5, None], "ü": "grüße", "when": "1970-01-01T00:00:00.000Z"}
REST = ',"user":"ada","cart":[1,2.5,null],"ü":"grüße","when":"1970-01-01T00:00:00.000Z"}'

ID = "MhMWn5LBGSVJ-fUgD7dqeypZ-fEyLMBJ"
COOKIE = "s%3AMhMWn5LBGSVJ-fUgD7dqeypZ-fEyLMBJ.%2BSm57PBbWbrnjyKdFJVXVw7anIZ7gyDksCgYJeDYhbU"
RECORD = '{"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"}' + REST
COOKIE_BY_NEW_SECRET = "s%3AKF-kGXEJE_bXG4b2ElVxGUZ7Khj3-4Go.SWCzWlfWH%2BQx0l86oHledYJNYhokOHVVg%2BkFD1cFYv4"
UUID = "19534c57-24f5-4b7d-af23-4580fded6267"
COOKIE_OF_UUID = "s%3A19534c57-24f5-4b7d-af23-4580fded6267.94GE1CFWEZtFjzRYLiGAvcES8CDg2ff4B7PH%2BFjbGZc"
MINUTE_LONG = (
    '{"cookie":{"originalMaxAge":60000,"expires":"2026-11-23T20:10:21.567Z","httpOnly":true,"path":"/","sameSite":"lax"}' + REST
)
END = 1795464621.567  # 2026-11-23T20:10:21.567Z
AGES_LONG = (
    '{"cookie":{"originalMaxAge":1000000000000000,"expires":"+033715-08-20T21:56:01.574Z","httpOnly":true,"path":"/"}' + REST
)


def read(record: str, now: float = END - 1) -> dict[str, object]:
    return ConnectRedis(SECRET, clock=lambda: now).decode(record.encode())


def test_a_signature_is_that_of_cookie_signature() -> None:
    assert signature("hello", b"tobiiscool") == b"DGDUkGlIkCzPz+C0B064FNgHdEjox7ch8tOBGslZ5QI"
    assert signature("hello", bytes.fromhex("A0ABBC0C")) == b"hIvljrKw5oOZtHHSq5u+MlL27cgnPKX77y7F+x5r1to"


@pytest.mark.parametrize("value", [COOKIE, COOKIE.replace("%3A", ":").replace("%2B", "+"), COOKIE.replace("%2B", "%2b")])
def test_the_id_is_the_key(value: str) -> None:
    assert ConnectRedis(SECRET).key(value) == "sess:MhMWn5LBGSVJ-fUgD7dqeypZ-fEyLMBJ"
    assert ConnectRedis(SECRET.encode(), prefix="shop:").key(value) == f"shop:{ID}"


def test_each_of_several_secrets_is_good() -> None:
    reader = ConnectRedis(["new secret", SECRET])
    assert reader.key(COOKIE) == f"sess:{ID}"
    assert reader.key(COOKIE_BY_NEW_SECRET) == "sess:KF-kGXEJE_bXG4b2ElVxGUZ7Khj3-4Go"
    assert ConnectRedis(SECRET).key(COOKIE_BY_NEW_SECRET) is None


def test_ids_may_be_uuids() -> None:
    assert ConnectRedis(SECRET).key(COOKIE_OF_UUID) == f"sess:{UUID}"


@pytest.mark.parametrize(
    "value",
    [
        "",
        ID,
        f"s:{ID}",
        f"s:{ID}.",
        COOKIE[:-1],
        COOKIE + "%3D",
        COOKIE.replace("%2BS", "%2BT"),
        COOKIE.replace("MhM", "MhN"),
        COOKIE.replace("s%3A", "j%3A"),
        COOKIE.replace("%", "%25"),
        f"s:hello.{signature('hello', SECRET.encode()).decode()}",  # what another signed cookie of the app might hold
    ],
)
def test_other_values_name_nothing(value: str) -> None:
    assert ConnectRedis(SECRET).key(value) is None


def test_a_record_is_read_without_the_cookie() -> None:
    assert read(RECORD) == CONTENTS


def test_a_session_that_is_over_is_empty() -> None:
    assert read(MINUTE_LONG, END - 0.001) == CONTENTS
    assert read(MINUTE_LONG, END) == {}


def test_a_session_may_last_for_ages() -> None:
    assert read(AGES_LONG) == CONTENTS


@pytest.mark.parametrize("cookie", ["{}", '{"expires":false}', '{"originalMaxAge":null}'])
def test_a_session_may_last_as_long_as_the_browser(cookie: str) -> None:
    assert read(f'{{"user":"ada","cookie":{cookie}}}') == {"user": "ada"}


@pytest.mark.parametrize("expires", ["true", "0", '""', '"tomorrow"', '"2026-11-23"', '"2026-02-30T00:00:00.000Z"', "[]"])
def test_a_time_that_is_none_is_unreadable(expires: str) -> None:
    with pytest.raises(Unreadable, match="expected 'expires' like"):
        read(f'{{"cookie":{{"expires":{expires}}}}}')


@pytest.mark.parametrize("record", ["{}", '{"cookie":null}', '{"cookie":"a"}'])
def test_a_record_of_something_else_is_unreadable(record: str) -> None:
    with pytest.raises(Unreadable, match="with a member 'cookie'"):
        read(record)
