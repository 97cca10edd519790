"""Flask-Session. The records and cookies were made by Flask-Session 0.8.0, 0.6.0 and 0.5.0 with Flask 3.1.3, a test client and
a real server: a view put `CONTENTS` into `flask.session`, and the key, the value and the cookie were written down.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from redis_middleware.layers.sessions.moving import FlaskSession, Unreadable

CONTENTS = {
    "_permanent": True,  # Flask's own, for SESSION_PERMANENT
    "user": "ada",
    "cart": [1, 2.5, None],
    "ü": "grüße",
    "seen": datetime(2024, 5, 1, 12, tzinfo=UTC),
    "naive": datetime(2024, 5, 1, 12),
    "raw": b"\x00\xff",
}
AS_MSGPACK = {**CONTENTS, "naive": "2024-05-01T12:00:00"}
AS_JSON = {**AS_MSGPACK, "seen": "2024-05-01T12:00:00Z", "raw": "AP8="}

MSGPACK_0_8 = (
    b"\x87\xaa_permanent\xc3\xa4user\xa3ada\xa4cart\x93\x01\xcb@\x04\x00\x00\x00\x00\x00\x00\xc0\xa2\xc3\xbc\xa7gr\xc3\xbc\xc3\x9fe"
    b"\xa4seen\xd6\xfff2.\xc0\xa5naive\xb32024-05-01T12:00:00\xa3raw\xc4\x02\x00\xff"
)
JSON_0_8 = (
    b'{"_permanent":true,"user":"ada","cart":[1,2.5,null],"\xc3\xbc":"gr\xc3\xbc\xc3\x9fe","seen":"2024-05-01T12:00:00Z",'
    b'"naive":"2024-05-01T12:00:00","raw":"AP8="}'
)
PICKLE_0_6 = (
    b"\x80\x04\x95\xc9\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\n_permanent\x94\x88\x8c\x04user\x94\x8c\x03ada\x94\x8c\x04cart\x94]\x94(K"
    b"\x01G@\x04\x00\x00\x00\x00\x00\x00Ne\x8c\x02\xc3\xbc\x94\x8c\x07gr\xc3\xbc\xc3\x9fe\x94\x8c\x04seen\x94\x8c\x08datetime\x94\x8c"
    b"\x08datetime\x94\x93\x94C\n\x07\xe8\x05\x01\x0c\x00\x00\x00\x00\x00\x94h\t\x8c\x08timezone\x94\x93\x94h\t\x8c\ttimedelta\x94\x93"
    b"\x94K\x00K\x00K\x00\x87\x94R\x94\x85\x94R\x94\x86\x94R\x94\x8c\x05naive\x94h\x0bC\n\x07\xe8\x05\x01\x0c\x00\x00\x00\x00\x00\x94"
    b"\x85\x94R\x94\x8c\x03raw\x94C\x02\x00\xff\x94u."
)
CACHELIB_0_17 = b"!\x80\x05\x95 \x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\n_permanent\x94\x88\x8c\x04user\x94\x8c\x03ada\x94u."

SECRET_KEY = "flask secret"
SID = "DgBxA60HL-MD6PyMLeYK9JDmZWyqiHACMBNtc6Z_kZ4"
SIGNED = "DgBxA60HL-MD6PyMLeYK9JDmZWyqiHACMBNtc6Z_kZ4.hc6pb_cWqOyia0I6H645ab4DuWk"


def test_messagepack_is_read() -> None:
    assert FlaskSession().decode(MSGPACK_0_8) == AS_MSGPACK


def test_json_is_read_as_flask_session_reads_it() -> None:
    """It writes plain JSON, not Flask's tagged one: what became text stays text."""
    assert FlaskSession().decode(JSON_0_8) == AS_JSON


def test_what_looks_like_flasks_tags_is_contents() -> None:
    assert FlaskSession().decode(b'{"a":{" t":[1,2]}}') == {"a": {" t": [1, 2]}}


@pytest.mark.parametrize("raw", [PICKLE_0_6, CACHELIB_0_17])
def test_what_older_ones_and_cachelib_pickled_is_refused(raw: bytes) -> None:
    with pytest.raises(Unreadable, match=r"Flask-Session 0\.7 or 0\.8"):
        FlaskSession().decode(raw)


@pytest.mark.parametrize("sid", [SID, "6a3b699a-9130-4bd2-bf1c-b03b6e279dc5"], ids=["0.6 and later", "before 0.6"])
def test_the_id_is_the_key(sid: str) -> None:
    assert FlaskSession().key(sid) == f"session:{sid}"
    assert FlaskSession(key_prefix="shop:").key(sid) == f"shop:{sid}"


def test_the_length_of_ids_may_have_been_configured() -> None:
    sid = "yQpaTdkRtVFstu8XiW4l_dCfswFEQWKubrSc8nFd58YArNjSx0JXAACzThvLTVpnJP90yG7GTXrhgzMTqTnohg"
    assert FlaskSession().key(sid) is None
    assert FlaskSession(sid_length=64).key(sid) == f"session:{sid}"


@pytest.mark.parametrize("secret_key", [SECRET_KEY, SECRET_KEY.encode()])
def test_a_signature_is_checked(secret_key: str | bytes) -> None:
    reader = FlaskSession(secret_key=secret_key)
    assert reader.key(SIGNED) == f"session:{SID}"
    assert reader.key(SID) is None
    assert reader.key(SIGNED.replace(".h", ".i")) is None
    assert reader.key("E" + SIGNED[1:]) is None
    assert FlaskSession(secret_key="another").key(SIGNED) is None


@pytest.mark.parametrize(
    "value", ["", SIGNED, SID[:-1], SID + "a", "*" * 43, "../" + SID[3:], SID[:-1] + "\n", "6A3B699A-9130-4BD2-BF1C-B03B6E279DC5"]
)
def test_other_values_name_nothing(value: str) -> None:
    assert FlaskSession().key(value) is None
