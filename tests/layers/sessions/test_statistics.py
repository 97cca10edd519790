"""How many sessions are active, and how many began, ended and timed out in each hour."""

from __future__ import annotations

import itertools
from collections import Counter
from threading import Thread
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from redis_middleware import MemoryStorage, RedisStorage, StorageError
from redis_middleware.layers.sessions.statistics import EVERY, HOUR, HOURS, Add, Read, Statistics, Tally, width_of
from redis_middleware.ops import Get, Set
from redis_middleware.storage import Storage

from ...conftest import Clock

KEY = "n:statistics"
IDLE = 3600
WIDTH = width_of(IDLE)
NOTHING = Statistics(0, {}, {}, {})


class Worker:
    """A process with sessions of an hour's idle timeout; what it counts is added when the test says so."""

    def __init__(self, clock: Clock, width: int = WIDTH) -> None:
        self.clock = clock
        self.width = width
        self.tally = Tally(KEY, width, clock)

    @property
    def now(self) -> int:
        return int(self.clock() * 1_000_000)

    def create(self, idle: float = IDLE) -> int:
        expires = self.now + int(idle * 1_000_000)
        self.tally.created(expires, self.now)
        return expires

    def use(self, expires: int) -> int:
        after = self.now + IDLE * 1_000_000
        self.tally.moved(expires, after)
        return after

    def end(self, expires: int, number: int = 1) -> None:
        self.tally.ended(expires, self.now, number)

    def add(self, storage: Any) -> None:
        ops = self.tally.take()
        assert storage.execute(ops) == [None] * len(ops)

    def read(self, storage: Any) -> Statistics:
        """What is said when all that was counted has been added."""
        self.add(storage)
        return read(storage, self.width)


@pytest.fixture
def worker(clock: Clock) -> Worker:
    return Worker(clock)


def read(storage: Any, width: int = WIDTH) -> Statistics:
    [statistics] = storage.execute([Read((KEY,), (width,))])
    assert isinstance(statistics, Statistics), statistics
    return statistics


def hour(clock: Clock) -> int:
    return int(clock()) // HOUR * HOUR


# What is counted


def test_where_nothing_was_counted_there_is_nothing(storage: Storage) -> None:
    assert read(storage) == NOTHING


def test_a_session_is_counted_once_however_often_it_is_used(storage: Storage, worker: Worker, clock: Clock) -> None:
    began, expires = hour(clock), worker.create()
    for _ in range(50):
        clock.move(1200)
        expires = worker.use(expires)
        assert worker.read(storage) == Statistics(1, {began: 1}, {}, {})


def test_a_session_ends_by_logout(storage: Storage, worker: Worker, clock: Clock) -> None:
    began, expires = hour(clock), worker.create()
    worker.create()
    worker.add(storage)
    clock.move(1800)
    expires = worker.use(expires)
    clock.move(1800)
    worker.end(expires)
    assert worker.read(storage) == Statistics(1, {began: 2}, {began + HOUR: 1}, {})
    clock.move(2 * HOUR)
    assert read(storage) == Statistics(0, {began: 2}, {began + HOUR: 1}, {began + HOUR: 1}), "only the other has timed out"


def test_several_are_revoked_at_once(storage: Storage, worker: Worker, clock: Clock) -> None:
    expires = [worker.create() for _ in range(4)]
    worker.end(expires[0], 3)
    assert worker.read(storage) == Statistics(1, {hour(clock): 4}, {hour(clock): 3}, {})


def test_sessions_that_are_left_time_out_in_their_hours(storage: Storage, worker: Worker, clock: Clock) -> None:
    began = hour(clock)
    for _ in range(3):
        worker.create()
        clock.move(HOUR)
    expected = {began + HOUR: 1, began + 2 * HOUR: 1, began + 3 * HOUR: 1}
    assert worker.read(storage) == Statistics(1, dict.fromkeys(range(began, began + 3 * HOUR, HOUR), 1), {}, {
        began + HOUR: 1, began + 2 * HOUR: 1,
    })  # fmt: skip
    clock.move(HOUR)
    assert read(storage).timed_out == expected, "nothing has to be added for it"
    worker.end(worker.create())
    assert worker.read(storage).timed_out == expected, "and it is the same when it is"


def test_a_session_is_active_until_its_slot_has_passed(storage: Storage, worker: Worker, clock: Clock) -> None:
    worker.create(idle=90)  # it expires a quarter of a second after the middle of a slot of a minute
    assert worker.read(storage).active == 1
    clock.move(119)
    assert (read(storage).active, read(storage).timed_out) == (1, {})
    clock.move(0.75)
    assert (read(storage).active, read(storage).timed_out) == (0, {hour(clock): 1})


def test_48_hours_are_shown(storage: Storage, worker: Worker, clock: Clock) -> None:
    first = hour(clock)
    for _ in range(HOURS + 5):
        worker.end(worker.create())
        worker.create(idle=60)
        worker.add(storage)
        clock.move(HOUR)
    shown = range(first + 6 * HOUR, first + (HOURS + 6) * HOUR, HOUR)
    worker.create()
    expected = Statistics(1, dict.fromkeys(shown, 2) | {shown[-1]: 1}, dict.fromkeys(shown[:-1], 1), dict.fromkeys(shown[:-1], 1))
    assert worker.read(storage) == expected
    clock.move((HOURS - 1) * HOUR)
    assert read(storage).created == {shown[-1]: 1}
    clock.move(2 * HOUR)
    assert read(storage) == NOTHING, "though nothing was rolled since"


def test_the_oldest_hour_is_the_first(storage: Storage, worker: Worker, clock: Clock) -> None:
    began = hour(clock)
    for _ in range(3):
        worker.create()
        worker.add(storage)
        clock.move(-HOUR)
    assert list(read(storage).created) == [began - 2 * HOUR, began - HOUR, began]


def test_counts_may_arrive_late_and_in_any_order(storage: Storage, clock: Clock) -> None:
    first, second, third = Worker(clock), Worker(clock), Worker(clock)
    began, expires = hour(clock), first.create(idle=60)
    clock.move(59)
    expires = second.use(expires)
    third.end(expires)
    clock.move(HOUR + 120)
    second.create()
    assert third.read(storage).active == 0, "never less than none"
    assert second.read(storage).active == 1
    assert first.read(storage) == Statistics(1, {began: 1, began + HOUR: 1}, {began: 1}, {})


def test_what_was_lost_is_forgotten_when_its_slot_has_passed(storage: Storage, worker: Worker, clock: Clock) -> None:
    worker.end(worker.now + IDLE * 1_000_000)  # its creation was counted by a worker that was killed
    assert worker.read(storage) == Statistics(0, {}, {hour(clock): 1}, {})
    for _ in range(2):
        worker.create()
    assert worker.read(storage).active == 1
    clock.move(HOUR + 60)
    worker.create()
    assert worker.read(storage).active == 1


def test_another_idle_timeout_leaves_the_counts_right(storage: Storage, worker: Worker, clock: Clock) -> None:
    clock.move(300)
    began, expires = hour(clock), worker.create()
    worker.create()
    worker.add(storage)
    clock.move(600)
    other = Worker(clock, width=7_000_000)
    other.use(expires)
    other.create()
    assert other.read(storage) == Statistics(3, {began: 3}, {}, {})
    assert worker.read(storage) == Statistics(3, {began: 3}, {}, {})
    clock.move(2 * HOUR)
    assert other.read(storage) == Statistics(0, {began: 3}, {}, {began + HOUR: 3})


@pytest.mark.parametrize(
    ("idle_timeout", "seconds"),
    [(0.5, 1), (60, 1), (90, 1.5), (1800, 30), (3600, 60), (86_400, 1440), (216_000, 3600), (30 * 86_400, 3600)],
)
def test_a_slot_is_a_sixtieth_of_the_idle_timeout(idle_timeout: float, seconds: float) -> None:
    assert width_of(idle_timeout) == seconds * 1_000_000


# What it costs


def test_a_week_of_sessions_takes_no_more_fields_than_slots_and_hours(
    storage: Storage, worker: Worker, clock: Clock, control: Any, prefix: str
) -> None:
    most = 0
    kept = worker.create()
    for _ in range(7 * 24 * 4):
        worker.create()
        worker.end(worker.create(idle=1700))
        kept = worker.use(kept)
        worker.add(storage)
        most = max(most, len(fields(storage, control, prefix)))
        clock.move(900)
    assert worker.read(storage).active == 5
    assert most <= 61 + 3 * HOURS + 1


def test_all_fields_are_looked_at_once_a_slot(redis_url: str, prefix: str, control: Any, worker: Worker, clock: Clock) -> None:
    storage = RedisStorage(redis_url, prefix=prefix, clock=clock, timeout=5)
    control.config_resetstat()
    for _ in range(30):
        worker.create()
        worker.add(storage)
        clock.move(4)
    assert control.info("commandstats")["cmdstat_hincrby"]["calls"] >= 60
    assert control.info("commandstats")["cmdstat_hgetall"]["calls"] == 2
    storage.close()


def fields(storage: Any, control: Any, prefix: str) -> Any:
    if isinstance(storage, MemoryStorage):
        return storage._entries.get(KEY)
    return control.hgetall(prefix + KEY)


def test_it_is_kept_until_nothing_of_it_is_shown(redis_url: str, prefix: str, control: Any, clock: Clock) -> None:
    storage, worker = RedisStorage(redis_url, prefix=prefix, clock=clock, timeout=5), Worker(clock)
    expires = worker.create(idle=30 * 86_400)
    worker.add(storage)
    enough = (30 * 86_400 + 60 + HOURS * HOUR) * 1000
    assert enough < control.pttl(prefix + KEY) < enough + 86_400_000
    worker.create()
    worker.add(storage)
    assert control.pttl(prefix + KEY) > enough, "a session that ends earlier does not shorten it"
    worker.end(expires)
    worker.add(storage)
    assert control.pttl(prefix + KEY) > enough
    storage.close()


def test_memory_gives_it_back_when_nothing_of_it_is_shown(clock: Clock) -> None:
    storage, worker = MemoryStorage(clock=clock), Worker(clock)
    worker.create(idle=30 * 86_400)
    worker.add(storage)
    clock.move(30 * 86_400 + HOURS * HOUR)
    assert storage.execute([Get("other")]) == [None]
    assert storage.key_count == 1
    clock.move(86_400)
    assert storage.execute([Get("other")]) == [None]
    assert storage.key_count == 0


# It never fails


def test_it_may_leave_with_the_first_reads() -> None:
    assert Add.safe
    assert Read.safe


def test_a_key_that_holds_something_else_is_left_alone(storage: Storage, worker: Worker, control: Any, prefix: str) -> None:
    storage.execute([Set(KEY, b"not counts", 60), Set("session", b"record", 60)])
    worker.create()
    assert storage.execute([*worker.tally.take(), Get("session")]) == [None, b"record"]
    assert storage.execute([Get(KEY)]) == [b"not counts"]
    if isinstance(storage, RedisStorage):
        assert control.pttl(prefix + KEY) <= 60_000
    [error] = storage.execute([Read((KEY,), (WIDTH,))])
    assert isinstance(error, StorageError)
    assert "WRONGTYPE" in str(error)


def test_a_hash_of_somebody_elses_costs_no_read(redis_url: str, prefix: str, control: Any, worker: Worker) -> None:
    storage = RedisStorage(redis_url, prefix=prefix, timeout=5)
    control.hset(prefix + KEY, mapping={"name": "Ada", "s": "x", "s12": "x", "s-1": "1", "": "y", "rolled": "never"})
    worker.create()
    worker.add(storage)
    assert control.hget(prefix + KEY, "name") == b"Ada"
    storage.close()


def test_a_full_server_costs_no_read(redis_url: str, prefix: str, control: Any, worker: Worker) -> None:
    storage = RedisStorage(redis_url, prefix=prefix, timeout=5)
    worker.create()
    worker.add(storage)  # the server learns the script
    storage.execute([Set("session", b"record", 60)])
    worker.create()
    control.config_set("maxmemory", "1")
    try:
        assert storage.execute([*worker.tally.take(), Get("session")]) == [None, b"record"]
    finally:
        control.config_set("maxmemory", "0")
    assert read(storage).active == 1
    storage.close()


def test_a_memory_that_is_too_small_costs_no_read(clock: Clock, worker: Worker) -> None:
    storage = MemoryStorage(max_bytes=600, clock=clock)
    storage.execute([Set("session", b"record", 60)])
    worker.create()
    assert storage.execute([*worker.tally.take(), Get("session")]) == [None, b"record"]
    assert read(storage) == NOTHING


# What a process has counted


def test_counts_wait_for_a_second(worker: Worker, clock: Clock) -> None:
    assert worker.tally.due() == ()
    worker.create()
    clock.move(EVERY - 0.25)
    worker.create()
    assert worker.tally.due() == ()
    clock.move(0.25)
    [op] = worker.tally.due()
    assert op.keys == (KEY,)
    assert sorted(op.pairs().values()) == [2, 2]
    assert worker.tally.due() == ()
    clock.move(3 * EVERY)
    worker.create()
    assert worker.tally.due() == (), "the oldest that waits counts, not the time of the last addition"


def test_counts_may_be_taken_at_any_age(worker: Worker) -> None:
    assert worker.tally.take() == ()
    worker.create()
    assert len(worker.tally.take()) == 1
    assert worker.tally.take() == ()


def test_a_use_that_stays_in_its_slot_counts_nothing(worker: Worker, clock: Clock) -> None:
    expires = worker.now - worker.now % WIDTH
    worker.tally.moved(expires, expires + WIDTH - 1)
    assert worker.tally.take() == ()
    worker.tally.moved(expires, expires + WIDTH)
    worker.tally.moved(expires + WIDTH, expires)
    assert worker.tally.take() == (), "what cancels out is not sent either"


def test_what_was_not_added_is_put_back(storage: Storage, worker: Worker, clock: Clock) -> None:
    expires = worker.create()
    worker.create()
    clock.move(EVERY)
    [op] = worker.tally.due()
    worker.tally.put_back(op)
    assert worker.tally.due() == (), "it waits anew, so a storage that fails is not sent it with every request"
    worker.end(expires)
    clock.move(EVERY)
    [again] = worker.tally.due()
    storage.execute([again])
    assert read(storage) == Statistics(1, {hour(clock): 2}, {hour(clock): 1}, {})


def test_threads_lose_nothing(storage: Storage, clock: Clock) -> None:
    worker = Worker(clock)
    ops: list[Add] = []

    def work() -> None:
        for _ in range(200):
            worker.end(worker.use(worker.create(idle=600)))
            worker.create()
            taken = worker.tally.take()
            for op in taken[:1]:
                worker.tally.put_back(op)
            ops.extend(worker.tally.take())

    threads = [Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    storage.execute(ops)
    assert worker.read(storage) == Statistics(1200, {hour(clock): 2400}, {hour(clock): 1200}, {})


# Memory and Redis mean the same, and both what was defined

_runs = itertools.count()
SECONDS = st.sampled_from([-61.0, -1.0, 0.0, 59.75, 60.0, 1799.5, 3600.0, 7300.0, 100_000.0])
COUNTS = st.one_of(
    st.tuples(st.just("created"), SECONDS, SECONDS),
    st.tuples(st.just("moved"), SECONDS, SECONDS),
    st.tuples(st.just("ended"), SECONDS, SECONDS, st.integers(0, 3)),
)
MOVES = st.sampled_from([-3600.0, -0.5, 0.000001, 0.75, 59.75, 60.0, 3600.0, 47 * 3600.0, 250_000.0])
WIDTHS = st.sampled_from([1_000_000, 7_654_321, WIDTH, 3_600_000_000])


@settings(max_examples=60, deadline=None)
@example(steps=[[("created", 60.0, 0.0)], [("created", -61.0, 0.0)], -3600.0, []], widths=(WIDTH, WIDTH))
@given(steps=st.lists(st.lists(COUNTS, max_size=4) | MOVES, max_size=20), widths=st.tuples(WIDTHS, WIDTHS))
def test_memory_and_redis_count_the_same(steps: list[Any], widths: tuple[int, int], redis_url: str) -> None:
    """Whatever is counted, in slots of two widths in turn, and though clocks step back."""
    clock = Clock()
    memory = MemoryStorage(clock=clock)
    server = RedisStorage(redis_url, prefix=f"statistics{next(_runs)}:", clock=clock, timeout=5)
    for step, width in zip(steps, itertools.cycle(widths), strict=False):
        if isinstance(step, float):
            clock.move(step)
            continue
        tally = Tally(KEY, width, clock)
        for name, before, after, *number in step:
            getattr(tally, name)(int((clock() + before) * 1_000_000), int((clock() + after) * 1_000_000), *number)
        ops = tally.take()
        assert memory.execute(ops) == server.execute(ops) == [None] * len(ops)
        for read_width in widths:
            assert read(memory, read_width) == read(server, read_width)
    server.close()


WHICH = st.integers(0, 30)
LIVES = st.one_of(
    st.tuples(st.just("create"), st.sampled_from([1, 59, 600, IDLE])),
    st.tuples(st.just("use"), WHICH),
    st.tuples(st.just("end"), WHICH),
    st.tuples(st.just("add"), st.just(0)),
    st.tuples(st.just("pass"), st.sampled_from([0.5, 20, 59.5, 600, 1900, 3600, 20 * 3600])),
)


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, 1), LIVES), max_size=40))
def test_counters_say_what_counting_the_sessions_would(steps: list[Any], redis_url: str) -> None:
    """Two workers share sessions; however their counts were added, in the end each session is where it belongs."""
    clock = Clock()
    workers = [Worker(clock), Worker(clock)]
    server = RedisStorage(redis_url, prefix=f"statistics{next(_runs)}:", clock=clock, timeout=5)
    live: list[int] = []  # when they expire
    gone: list[int] = []  # when they expired
    created: Counter[int] = Counter()
    ended: Counter[int] = Counter()
    for which, (name, value) in steps:
        worker = workers[which]
        gone += [expires for expires in live if expires <= worker.now]
        live = [expires for expires in live if expires > worker.now]
        if name == "create":
            live.append(worker.create(value))
            created[hour(clock)] += 1
        elif name == "use" and live:
            live.append(worker.use(live.pop(value % len(live))))
        elif name == "end" and live:
            worker.end(live.pop(value % len(live)))
            ended[hour(clock)] += 1
        elif name == "add":
            worker.add(server)
        elif name == "pass":
            clock.move(value)
    workers[0].add(server)
    edge = workers[0].now // WIDTH * WIDTH
    passed = Counter([expires // (HOUR * 1_000_000) * HOUR for expires in live + gone if expires < edge])
    assert workers[1].read(server) == Statistics(
        len([expires for expires in live + gone if expires >= edge]),
        *[{at: n for at, n in counts.items() if at > hour(clock) - HOURS * HOUR} for counts in (created, ended, passed)],
    )
    server.close()
