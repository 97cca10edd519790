"""Corners in which a session could be lost, live on, or be seen by somebody else."""

from __future__ import annotations

import enum
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import redis

from redis_middleware import ConfigurationError, MemoryStorage, RedisStorage, Session, Sessions, arun, run
from redis_middleware.cli.processes import free_port, redis_server
from redis_middleware.layers.sessions.record import key_of
from redis_middleware.layers.sessions.steps import Create
from redis_middleware.ops import Op
from redis_middleware.storage import Storage

from ...conftest import Clock
from ...edges import WSGI, Edge
from .browser import Browser, Site
from .test_sessions import login, look, put
from .test_trouble import Switch


@pytest.fixture
def redis_storage(redis_url: str, prefix: str) -> Iterator[RedisStorage]:
    storage = RedisStorage(redis_url, prefix=prefix, timeout=5)
    yield storage
    storage.close()


class TestNothingIsLost:
    def test_what_others_wrote_while_somebody_logged_in(self, edge: Edge, storage: Storage) -> None:
        browser = Site(edge, storage).browser()
        browser.does(put(cart=[1], gone=1))
        other = browser.twin()

        def logs_in(session: Session) -> None:
            session["cart"]  # it is in the app's hands
            session["mine"] = 1
            other.does(lambda session: session["cart"].append(2))
            other.does(lambda session: session.pop("gone"))
            session.bind("42")

        browser.does(logs_in)
        assert browser.does(look) == "{'cart': [1, 2], 'mine': 1}"

    def test_the_cookie_of_somebody_who_never_stops_writing(self, edge: Edge, storage: Storage, clock: Clock) -> None:
        browser = Site(edge, storage, idle_timeout=100).browser()
        browser.does(put(n=0))
        renewed = 0
        for _ in range(25):
            clock.move(9)
            browser.does(lambda session: session.increment("n"))
            renewed += len(browser.set_cookies)
        assert browser.does(look) == "{'n': 25}"
        assert 15 <= renewed <= 25

    def test_a_number_that_was_removed_counts_from_0(self, edge: Edge, storage: Storage) -> None:
        browser = Site(edge, storage).browser()
        browser.does(put(n=5))

        def deed(session: Session) -> int:
            del session["n"]
            return session.increment("n")

        assert browser.does(deed) == "1"
        assert browser.does(look) == "{'n': 1}"

    @pytest.mark.parametrize("edge", [WSGI], indirect=True)
    def test_a_login_that_was_saved_before_the_app_failed(self, edge: Edge, storage: Storage, clock: Clock) -> None:
        browser = Site(edge, storage).browser()
        browser.does(put(a=1))

        def saves(session: Session) -> None:
            session.bind("42")
            session.save()

        browser.does(saves, status=500)
        clock.move(20)
        assert browser.does(look) == "{'a': 1}"

    @pytest.mark.parametrize("edge", [WSGI], indirect=True)
    def test_save_renews_no_id_that_the_client_might_not_get(self, edge: Edge, storage: Storage, clock: Clock) -> None:
        browser = Site(edge, storage, renewal_timeout=60).browser()
        browser.does(put(a=1))
        clock.move(100)

        def saves(session: Session) -> None:
            session["a"] = 2
            session.save()

        browser.does(saves, status=500)
        assert browser.set_cookies == []
        assert browser.does(look) == "{'a': 2}"

    @pytest.mark.parametrize("down", [("Create",), ("Create", "Release"), ("Retire",)])
    def test_a_login_that_fails_halfway(self, edge: Edge, storage: Storage, clock: Clock, down: tuple[str, ...]) -> None:
        switch = Switch(storage)
        browser = Site(edge, switch).browser()
        browser.does(put(a=1))
        switch.down = down
        browser.does(login)
        switch.down = ()
        clock.move(20)
        expected = "{'a': 1, 'user': 42}" if down == ("Retire",) else "{'a': 1}"
        assert browser.does(look) == expected
        browser.does(put(b=2))
        assert "'b': 2" in browser.does(look)

    def test_a_session_that_has_become_too_large_can_shrink(self, edge: Edge, storage: Storage) -> None:
        browser = Site(edge, storage).browser()
        browser.does(put(a="x" * 200, b=1))
        smaller = Browser(Site(edge, storage, max_bytes=100), browser.cookies)
        smaller.does(lambda session: session.rotate())
        smaller.does(lambda session: session.pop("a"))
        assert smaller.does(look) == "{'b': 1}"


class TestALogoutIsFinal:
    def test_under_every_id_that_the_session_had(self, edge: Edge, storage: Storage) -> None:
        site = Site(edge, storage)
        first = site.browser()
        first.does(put(a=1))
        ids = [first.twin()]
        for deed in (lambda session: session.rotate(), login, lambda session: session.rotate()):
            first.does(deed)
            ids.append(first.twin())
        first.does(lambda session: session.clear())
        assert [one.does(look) for one in ids] == ["{}"] * 4

    @pytest.mark.parametrize("place", [0, 1])
    def test_by_a_request_that_was_under_way_when_the_id_changed(self, edge: Edge, storage: Storage, place: int) -> None:
        site = Site(edge, storage)
        browser = site.browser()
        browser.does(put(a=1))
        ids = [browser.twin()]
        browser.does(lambda session: session.rotate())
        ids.append(browser.twin())
        browser.does(login)
        ids[place].does(lambda session: session.clear())
        assert browser.does(look) == "{}"

    def test_of_all_sessions_that_the_browser_sends(self, edge: Edge, storage: Storage) -> None:
        site = Site(edge, storage)
        one, two = site.browser(), site.browser()
        one.does(put(a=1))
        two.does(put(a=2))
        cookies = f"session={one.cookies['session']}; session={two.cookies['session']}"
        site.deed = lambda session: session.clear()
        site.call("/", [("cookie", cookies)])
        assert [one.does(look), two.does(look)] == ["{}", "{}"]

    def test_also_if_it_comes_while_somebody_logs_in(self, edge: Edge, storage: Storage) -> None:
        site = Site(edge, storage)
        browser = site.browser()
        browser.does(put(a=1))
        old = browser.twin()
        identity = old.does(lambda session: session.id).strip("'")

        class Racing(Switch):
            """Revokes the old session when the new one has just been created."""

            def execute(self, ops: Sequence[Op[Any]], /) -> list[Any]:
                results = storage.execute(ops)
                if isinstance(ops[0], Create):
                    run(site.sessions.revoke(id=identity), storage)
                return results

            async def aexecute(self, ops: Sequence[Op[Any]], /) -> list[Any]:
                results = await storage.aexecute(ops)
                if isinstance(ops[0], Create):
                    await arun(site.sessions.revoke(id=identity), storage)
                return results

        racing = Browser(Site(edge, Racing(storage)), browser.cookies)
        racing.does(login)
        assert racing.does(look) == "{}"
        assert old.does(look) == "{}"


class TestNobodyElse:
    def test_revoke_with_keep_spares_who_calls_under_an_old_id(self, edge: Edge, storage: Storage, clock: Clock) -> None:
        site = Site(edge, storage, renewal_timeout=60)
        browser, other = site.browser(), site.browser()
        browser.does(login)
        other.does(login)
        clock.move(60)
        old = browser.twin()
        browser.does(look)  # renews
        identity = old.does(lambda session: session.id).strip("'")
        assert identity in [one.id for one in run(site.sessions.list("42"), storage)]
        assert run(site.sessions.revoke(user="42", keep=identity), storage) == 1
        assert browser.does(look) == "{'user': 42}"
        assert other.does(look) == "{}"

    def test_users_are_found_after_the_keys_have_changed(self, edge: Edge, storage: Storage, clock: Clock) -> None:
        browser = Site(edge, storage, Sessions("an old key of some length")).browser()
        browser.does(login)
        both = Sessions(["a new key of some length", "an old key of some length"], max_per_user=2)
        browser = Browser(Site(edge, storage, both), browser.cookies)
        browser.does(look)
        second = Browser(Site(edge, storage, both))
        second.does(login)
        clock.move(1)
        assert len(run(both.list("42"), storage)) == 2
        Browser(Site(edge, storage, both)).does(login)
        new = Sessions("a new key of some length")
        assert len(run(new.list("42"), storage)) == 2
        assert run(new.revoke(user="42"), storage) == 2

    def test_a_cookie_says_nothing_about_its_user(self, edge: Edge, storage: Storage) -> None:
        site = Site(edge, storage)
        tags = set()
        for _ in range(3):
            browser = site.browser()
            browser.does(login)
            tags.add(browser.cookies["session"][:8])
        assert len(tags) == 3

    def test_a_sealed_value_opens_in_its_own_session_only(self, edge: Edge, redis_storage: RedisStorage, control: Any) -> None:
        site = Site(edge, redis_storage, encryption_keys=["k" * 32])
        one, two = site.browser(), site.browser()
        one.does(login)
        two.does(login)
        one.does(put(mfa=True))
        keys = [
            redis_storage._prefix.decode() + key_of(browser.does(lambda session: session.id).strip("'")) for browser in (one, two)
        ]
        control.hset(keys[1], ".mfa", control.hget(keys[0], ".mfa"))
        assert one.does(look) == "{'mfa': True, 'user': 42}"
        assert two.does(look) == "{}"

    @pytest.mark.parametrize("read", [str, "{}".format, lambda session: session.id, lambda session: session.new])
    def test_every_look_at_it_says_so_to_caches(self, edge: Edge, storage: Storage, read: Any) -> None:
        browser = Site(edge, storage).browser()
        browser.does(read)
        assert browser.last is not None
        assert browser.last.headers.get("vary") == "Cookie"


class TestWhatIsCorrupt:
    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("", b"x"), ("+n", b"x"), ("+n", b"1.5"), ("s", b"1.9e15"), ("s", b"inf"), ("s", b"nan"), ("s", b"-1"),
            ("r", b"0x10"), ("i", b"0x10"), ("u", b"\xff"), ("p", b"\xff"), (b".\xff", b"\x01"), (".a", b""), ("z", b"x"),
            ("g", b"soon"),
        ],
    )  # fmt: skip
    def test_is_an_empty_session(
        self, edge: Edge, redis_storage: RedisStorage, control: Any, field: Any, value: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        site = Site(edge, redis_storage)
        browser = site.browser()
        browser.does(put(a=1, n=1))
        identity = browser.does(lambda session: session.id).strip("'")
        control.hset(redis_storage._prefix.decode() + key_of(identity), field, value)
        with caplog.at_level(logging.ERROR):
            said = [browser.does(look) for _ in range(5)]
        assert len(caplog.records) == (1 if said[0] == "{}" else 0)
        assert said in (["{}"] * 5, ["{'a': 1, 'n': 1}"] * 5)
        browser.does(put(b=1))
        assert "'b': 1" in browser.does(look)

    def test_an_alias_of_itself(self, edge: Edge, redis_storage: RedisStorage, control: Any) -> None:
        browser = Site(edge, redis_storage).browser()
        browser.does(put(a=1))
        identity = browser.does(lambda session: session.id).strip("'")
        control.hset(redis_storage._prefix.decode() + key_of(identity), "t", identity[8:])
        assert browser.does(look) == "{}"


class TestTheServer:
    def test_one_without_memory_refuses_what_would_need_more(self, edge: Edge) -> None:
        with redis_server("--maxmemory-policy", "noeviction") as server:
            storage = RedisStorage(f"redis://{server.address}/0", timeout=5)
            site = Site(edge, storage)
            browser = site.browser()
            browser.does(put(a=1))
            with redis.Redis(host=server.host, port=server.port) as control:
                control.config_set("maxmemory", 1)
                for deed in (put(b="x" * 1000), login, lambda session: session.rotate()):
                    browser.does(deed)
                    assert browser.last is not None
                    assert browser.last.status == 503
                fresh = site.browser()
                fresh.does(put(a=1))
                assert fresh.cookies == {}
                assert browser.does(look) == "{'a': 1}"
                browser.does(lambda session: session.clear())  # a logout needs no memory
                assert browser.does(look) == "{}"
            storage.close()
            edge.close()

    def test_a_cluster_has_every_script_in_one_slot(self, edge: Edge, tmp_path: Any) -> None:
        config = ["--cluster-enabled", "yes", "--cluster-config-file", str(tmp_path / "nodes.conf")]
        config += ["--cluster-port", str(free_port())]
        with redis_server(*config) as server, redis.Redis(host=server.host, port=server.port) as control:
            control.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            while b"cluster_state:ok" not in control.execute_command("CLUSTER", "INFO", NEVER_DECODE=True):
                pass
            storage = RedisStorage(f"redis://{server.address}/0", timeout=5)
            site = Site(edge, storage, max_per_user=2)
            browsers = [site.browser() for _ in range(3)]
            for browser in browsers:
                browser.does(put(a=1))
                browser.does(login)
                browser.does(lambda session: session.rotate())
                browser.does(lambda session: session.increment("n"))
            assert [browser.does(look) for browser in browsers[1:]] == ["{'a': 1, 'n': 1, 'user': 42}"] * 2
            assert run(site.sessions.revoke(user="42"), storage) == 2
            browsers[0].does(put(a=1))
            browsers[0].does(lambda session: session.clear())
            storage.close()
            edge.close()

    def test_the_smallest_rule_set(self, edge: Edge, redis_url: str, control: Any, prefix: str) -> None:
        commands = (
            "+eval +evalsha +time +hget +hmget +hgetall +hset +hdel +hexists +hstrlen +hincrby +exists +unlink +pexpire +pttl "
            "+zadd +zrem +zrange +zcard +zremrangebyscore +copy +rename +client|setinfo +hello +select"
        )
        control.execute_command("ACL", "SETUSER", "sessions", "on", ">secret", f"~{prefix}*", *commands.split())
        storage = RedisStorage(redis_url.replace("redis://", "redis://sessions:secret@"), prefix=prefix, timeout=5)
        site = Site(edge, storage, max_per_user=2)
        browser = site.browser()
        deeds: list[Any] = [put(a=1), put(a=2), login, lambda session: session.rotate(), lambda session: session.increment("n")]
        for deed in deeds:
            browser.does(deed)
            assert browser.last is not None
            assert browser.last.status == 200
        assert len(run(site.sessions.list("42"), storage)) == 1
        assert run(site.sessions.stats(), storage).active == 1
        control.execute_command("ACL", "SETUSER", "sessions", "-hmget")
        browser.does(look)
        assert browser.last is not None
        assert browser.last.status == 503  # that is trouble, and no corrupt record
        assert site.sessions.counts["corrupt"] == 0
        storage.close()
        edge.close()
        control.execute_command("ACL", "DELUSER", "sessions")


def test_a_clock_that_goes_back_ends_nothing(edge: Edge, storage: Storage, clock: Clock) -> None:
    browser = Site(edge, storage, idle_timeout=100).browser()
    browser.does(put(a=1))
    clock.move(-500)
    assert browser.does(look) == "{'a': 1}"
    browser.does(put(a=2))
    clock.move(50)
    assert browser.does(look) == "{'a': 2}"


def test_a_key_that_is_an_enum_is_its_text(edge: Edge, storage: Storage) -> None:
    class Key(str, enum.Enum):  # noqa: UP042  # whose str() is not its text
        NAME = "name"

    browser = Site(edge, storage).browser()

    def deed(session: Session) -> bool:
        session[Key.NAME] = 1
        return Key.NAME in session

    assert browser.does(deed) == "True"
    assert browser.does(look) == "{'name': 1}"


@pytest.mark.parametrize(
    "options",
    [
        {"idle_timeout": float("inf")},
        {"rotation_grace": float("inf")},
        {"idle_timeout": 1e-9},
        {"idle_timeout": 1e13},
        {"cookie": None},
        {"domain": "a..b"},
        {"max_per_user": 1.5},
    ],
)
def test_more_that_cannot_work(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Sessions("a secret of more than 16 bytes", **options)


def test_users_are_named_by_text() -> None:
    sessions = Sessions("a secret of more than 16 bytes")
    for action in (lambda: sessions.list(42), lambda: sessions.revoke(user=42)):  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"str\(user.id\)"):
            run(action(), MemoryStorage())


def test_the_counts_of_visitors_without_a_cookie_are_added_too(edge: Edge, storage: Storage) -> None:
    ticks = Clock()
    site = Site(edge, storage, clock=ticks)
    for _ in range(5):
        site.browser().does(put(a=1))
        ticks.move(2)
    assert run(Sessions("another secret of this cookie").stats(), storage).active >= 4


def test_a_short_secret_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    Sessions("short")
    assert "fewer than 16 bytes" in caplog.text
