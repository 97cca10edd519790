"""The stack, driven by next() and send(): no server, no storage, no event loop."""

from __future__ import annotations

import logging
from collections.abc import Generator
from typing import Any, ClassVar

import pytest

from redis_middleware import ConfigurationError, Request, Response, StorageError, StorageUnavailable, body, proceed
from redis_middleware.flow import Body, Flow, Next, Peek, sleep
from redis_middleware.ops import Delete, Get, Set
from redis_middleware.stack import Stack, checked

HTTP = frozenset({"http"})


class Toy:
    """A layer made of a function, with a diary of what happened in its flow."""

    eager: ClassVar[bool] = True
    kinds: ClassVar[frozenset[str]] = HTTP

    def __init__(self, flow: Any, *, eager: bool = True) -> None:
        self.flow = flow
        self.eager = eager  # type: ignore[misc]  # each toy decides for itself

    def __call__(self, request: Request) -> Flow:
        return self.flow(request)  # type: ignore[no-any-return]


def reads(key: str, then: Any = None) -> Any:
    def flow(request: Request) -> Flow:
        value = yield from Get(key)
        if value is not None:
            return Response(200, [], value)
        response = yield from proceed()
        response.headers.add("x-passed", key)
        return response

    return flow


def writes(key: str) -> Any:
    def flow(request: Request) -> Flow:
        yield from Set(key, b"1", ttl=1)
        return (yield from proceed())

    return flow


class Driven:
    """A stack that is driven by hand: what it yields, and what it returns in the end."""

    def __init__(self, stack: Generator[Any, Any, Any]) -> None:
        self.stack = stack
        self.ended = False

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        return self._ending(lambda: self.stack.send(value))

    def throw(self, error: Exception) -> Any:
        return self._ending(lambda: self.stack.throw(error))

    def close(self) -> None:
        self.stack.close()

    def _ending(self, resume: Any) -> Any:
        try:
            return resume()
        except StopIteration as stop:
            self.ended = True
            return stop.value


def drive(*layers: Toy, request: Request | None = None) -> Driven:
    return Driven(Stack(layers)(request or Request()))


def begun(status: int = 200, *lines: tuple[str, str]) -> Response:
    return Response.begun(status, list(lines))


def test_reads_of_eager_layers_leave_as_one_batch() -> None:
    stack = drive(Toy(reads("a")), Toy(reads("b")), Toy(reads("c")))
    assert next(stack) == (Get("a"), Get("b"), Get("c"))
    assert type(stack.send([None, None, None])) is Next
    head = begun()
    assert stack.send(head) is head
    assert head.headers.getall("x-passed") == ["c", "b", "a"]
    assert stack.ended


def test_the_outermost_layers_ops_go_whole_and_inner_ones_only_if_safe() -> None:
    stack = drive(Toy(writes("a")), Toy(writes("b")), Toy(reads("c")))
    assert next(stack) == (Set("a", b"1", 1), Get("c"))
    assert stack.send([None, None]) == (Set("b", b"1", 1),)
    assert type(stack.send([None])) is Next


def test_a_layer_without_ops_does_not_stop_the_fusing() -> None:
    def nothing(request: Request) -> Flow:
        return (yield from proceed())

    stack = drive(Toy(nothing), Toy(writes("a")), Toy(nothing), Toy(reads("b")))
    assert next(stack) == (Set("a", b"1", 1), Get("b"))


def test_a_layer_that_steps_aside_does_not_stop_the_fusing() -> None:
    def aside(request: Request) -> Flow:
        return None
        yield ()

    assert next(drive(Toy(reads("a")), Toy(aside), Toy(reads("b")))) == (Get("a"), Get("b"))


def test_a_layer_that_fails_before_it_is_a_flow_fails_in_its_turn() -> None:
    cleaned = []

    def cleans(request: Request) -> Flow:
        try:
            return (yield from proceed())
        finally:
            cleaned.append(True)

    def fails(request: Request) -> Flow:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        next(drive(Toy(cleans), Toy(fails)))
    assert cleaned == [True]


def test_an_inner_flow_that_was_not_reached_is_closed_without_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    def cleans(request: Request) -> Flow:
        try:
            return (yield from proceed())
        finally:
            yield from Delete("lock")

    stack = drive(Toy(reads("a")), Toy(cleans))
    next(stack)
    assert stack.send([b"hit"]).body == b"hit"
    assert not caplog.records


def test_a_layer_that_is_not_eager_ends_the_batch() -> None:
    stack = drive(Toy(reads("a")), Toy(reads("b"), eager=False), Toy(reads("c")))
    assert next(stack) == (Get("a"),)
    assert stack.send([None]) == (Get("b"), Get("c"))


def test_an_early_answer_forgets_what_inner_layers_read() -> None:
    closed = []

    def inner(request: Request) -> Flow:
        try:
            yield from Get("b")
        finally:
            closed.append("inner")
        raise AssertionError("resumed")

    stack = drive(Toy(reads("a")), Toy(inner))
    assert next(stack) == (Get("a"), Get("b"))
    answer = stack.send([b"from a", b"from b"])
    assert answer.body == b"from a"
    assert closed == ["inner"]


def test_a_limit_inside_a_layer_that_answers_is_not_consumed() -> None:
    stack = drive(Toy(reads("cached")), Toy(writes("limit")))
    assert next(stack) == (Get("cached"),)
    assert stack.send([b"hit"]).body == b"hit"


def test_a_layer_may_step_aside() -> None:
    def aside(request: Request) -> Flow:
        return None
        yield ()

    stack = drive(Toy(aside), Toy(reads("a")), Toy(aside))
    assert next(stack) == (Get("a"),)
    assert type(stack.send([None])) is Next
    head = begun()
    assert stack.send(head) is head


def test_an_answer_passes_the_layers_outside_only() -> None:
    def answers(request: Request) -> Flow:
        return Response(418)
        yield ()

    stack = drive(Toy(reads("a")), Toy(answers), Toy(reads("b")))
    assert next(stack) == (Get("a"),)
    answer = stack.send([None])
    assert answer.status == 418
    assert answer.headers.getall("x-passed") == ["a"]


def test_each_flow_gets_an_error_of_its_own() -> None:
    caught: list[StorageError] = []

    def catches(request: Request) -> Flow:
        try:
            yield from Get("a")
        except StorageError as exc:
            caught.append(exc)
        return (yield from proceed())

    lost = StorageUnavailable("gone")
    stack = drive(Toy(catches), Toy(catches))
    next(stack)
    assert type(stack.throw(lost)) is Next
    first, second = caught
    assert first is not second
    assert first.__cause__ is second.__cause__ is lost
    assert type(first) is StorageUnavailable
    assert first.__traceback__ is not None
    assert second.__traceback__ is not None
    assert len(_frames(first)) == len(_frames(second))


def _frames(error: BaseException) -> list[str]:
    trace, names = error.__traceback__, []
    while trace is not None:
        names.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    return names


def test_a_failed_op_is_raised_in_its_own_flow_only() -> None:
    def catches(request: Request) -> Flow:
        try:
            yield from Get("a")
        except StorageError:
            return Response(500)
        raise AssertionError("not raised")

    stack = drive(Toy(reads("x")), Toy(catches))
    next(stack)
    assert stack.send([None, StorageError("WRONGTYPE")]).status == 500


def test_an_undecided_storage_error_is_503(caplog: pytest.LogCaptureFixture) -> None:
    stack = drive(Toy(reads("a")))
    next(stack)
    answer = stack.throw(StorageUnavailable("gone"))
    assert answer.status == 503
    assert answer.headers.get("retry-after") == "1"
    assert "undecided" in caplog.text


def test_an_apps_own_storage_error_stays_the_apps() -> None:
    stack = drive(Toy(reads("a")))
    next(stack)
    stack.send([None])
    error = StorageError("the app's")
    with pytest.raises(StorageError, match="the app's") as caught:
        stack.throw(error)
    assert caught.value is error


def test_an_apps_error_is_pumped_through_every_flow_innermost_first() -> None:
    diary = []

    def cleans(name: str) -> Any:
        def flow(request: Request) -> Flow:
            try:
                return (yield from proceed())
            finally:
                yield from Delete(name)
                diary.append(name)

        return flow

    stack = drive(Toy(cleans("outer")), Toy(cleans("inner")))
    next(stack)
    error = ValueError("boom")
    assert stack.throw(error) == (Delete("inner"),)
    assert stack.send([True]) == (Delete("outer"),)
    with pytest.raises(ValueError, match="boom") as caught:
        stack.send([True])
    assert caught.value is error
    assert diary == ["inner", "outer"]


def test_a_layer_may_answer_for_an_app_that_raised() -> None:
    def rescues(request: Request) -> Flow:
        try:
            return (yield from proceed())
        except ValueError:
            return Response(500, [], b"sorry")

    stack = drive(Toy(reads("a")), Toy(rescues))
    next(stack)
    stack.send([None])
    answer = stack.throw(ValueError("boom"))
    assert answer.body == b"sorry"
    assert answer.headers.getall("x-passed") == ["a"]


def test_the_outbox_leaves_before_the_head() -> None:
    def commits(request: Request) -> Flow:
        response = yield from proceed()
        request.outbox.append(Set("s", b"1", ttl=1))
        return response

    stack = drive(Toy(commits), Toy(commits))
    next(stack)
    head = begun()
    assert stack.send(head) == (Set("s", b"1", 1), Set("s", b"1", 1))
    assert stack.send([None, None]) is head


def test_a_lost_outbox_write_is_logged_and_the_answer_goes_out(caplog: pytest.LogCaptureFixture) -> None:
    def commits(request: Request) -> Flow:
        request.outbox.append(Set("s", b"1", ttl=1))
        return (yield from proceed())

    stack = drive(Toy(commits))
    next(stack)
    head = begun()
    assert stack.send(head) == (Set("s", b"1", 1),)
    with caplog.at_level(logging.WARNING):
        assert stack.throw(StorageUnavailable("gone")) is head
    assert "1 of 1 writes lost" in caplog.text


def reader(diary: list[Any], limit: int = 100) -> Any:
    def flow(request: Request) -> Flow:
        response = yield from proceed()
        whole = yield from body(limit)
        diary.append(whole)
        request.outbox.append(Set("body", whole or b"none", ttl=1))
        return response

    return flow


def test_a_stream_lets_its_head_go_and_is_read_at_its_end() -> None:
    diary: list[Any] = []
    stack = drive(Toy(reader(diary)))
    next(stack)
    head = begun()
    assert stack.send(head) is head
    wanted = next(stack)
    assert type(wanted) is Body
    assert wanted.limit == 100
    assert stack.send(b"all of it") == (Set("body", b"all of it", 1),)
    stack.send([None])
    assert stack.ended
    assert diary == [b"all of it"]


def test_a_body_in_one_piece_is_read_before_the_head_and_flushed_once() -> None:
    diary: list[Any] = []
    stack = drive(Toy(reader(diary)))
    next(stack)
    head = begun(200, ("Content-Length", "4"))
    assert type(stack.send(head)) is Peek
    assert stack.send(b"four") == (Set("body", b"four", 1),)
    assert stack.send([None]) is head
    next(stack)
    assert stack.ended
    assert diary == [b"four"]


def test_each_reader_gets_what_fits_its_own_limit() -> None:
    small: list[Any] = []
    large: list[Any] = []
    stack = drive(Toy(reader(large, 10)), Toy(reader(small, 3)))
    next(stack)
    stack.send(begun())
    assert next(stack).limit == 10
    stack.send(b"four")
    assert (small, large) == ([None], [b"four"])


def test_a_body_cut_short_is_none_and_the_error_goes_on() -> None:
    diary: list[Any] = []
    stack = drive(Toy(reader(diary)))
    next(stack)
    stack.send(begun())
    next(stack)
    assert stack.throw(OSError("reset")) == (Set("body", b"none", 1),)
    with pytest.raises(OSError, match="reset"):
        stack.send([None])
    assert diary == [None]


def test_a_replaced_response_is_none_to_its_readers() -> None:
    diary: list[Any] = []

    def replaces(request: Request) -> Flow:
        yield from proceed()
        return Response(200, [], b"mine")

    stack = drive(Toy(replaces), Toy(reader(diary)))
    next(stack)
    assert stack.send(begun()) == (Set("body", b"none", 1),)
    assert stack.send([None]).body == b"mine"
    assert diary == [None]


def test_the_body_of_a_layers_own_answer_is_there_at_once() -> None:
    diary: list[Any] = []

    def answers(request: Request) -> Flow:
        return Response(200, [], b"mine")
        yield ()

    stack = drive(Toy(reader(diary)), Toy(answers))
    assert next(stack) == (Set("body", b"mine", 1),)
    assert stack.send([None]).body == b"mine"
    assert diary == [b"mine"]


def test_a_reader_that_fails_after_the_head_does_not_harm_the_response(caplog: pytest.LogCaptureFixture) -> None:
    def fails(request: Request) -> Flow:
        yield from proceed()
        yield from body(10)
        raise ValueError("too late")

    diary: list[Any] = []
    stack = drive(Toy(reader(diary)), Toy(fails))
    next(stack)
    stack.send(begun())
    next(stack)
    assert stack.send(b"x") == (Set("body", b"x", 1),)
    assert "failed after the head had gone" in caplog.text


def test_a_response_that_is_returned_after_the_head_is_a_logged_mistake(caplog: pytest.LogCaptureFixture) -> None:
    def late(request: Request) -> Flow:
        yield from proceed()
        yield from body(10)
        return Response(500)

    stack = drive(Toy(late))
    next(stack)
    stack.send(begun())
    next(stack)
    stack.send(b"x")
    assert "another response" in caplog.text


def test_a_storage_that_gives_too_few_results_has_failed() -> None:
    stack = drive(Toy(reads("a")), Toy(reads("b")))
    next(stack)
    assert stack.send([None]).status == 503


def test_writes_of_a_cancelled_request_are_logged_as_lost(caplog: pytest.LogCaptureFixture) -> None:
    def commits(request: Request) -> Flow:
        request.outbox.append(Set("s", b"1", ttl=1))
        return (yield from proceed())

    stack = drive(Toy(commits))
    next(stack)
    stack.close()
    assert "1 writes lost" in caplog.text


def test_a_layer_that_is_no_generator_is_told_so() -> None:
    with pytest.raises(TypeError, match="generator function"):
        next(drive(Toy(lambda request: None)))


def test_a_sleep_is_the_edges_to_do() -> None:
    def waits(request: Request) -> Flow:
        yield from sleep(0.5)
        return (yield from proceed())

    stack = drive(Toy(waits))
    assert next(stack).seconds == 0.5
    assert type(stack.send(None)) is Next


def test_closing_runs_finally_but_no_op(caplog: pytest.LogCaptureFixture) -> None:
    diary = []

    def cleans(request: Request) -> Flow:
        try:
            return (yield from proceed())
        finally:
            diary.append("cleaned")
            yield from Delete("lock")
            diary.append("deleted")

    stack = drive(Toy(cleans), Toy(cleans))
    next(stack)
    stack.close()
    assert diary == ["cleaned", "cleaned"]
    assert "not executed" in caplog.text


@pytest.mark.parametrize(
    ("flow", "message"),
    [
        (lambda request: iter_twice(), "proceed.. twice"),
        (lambda request: body_first(), "before proceed"),
        (lambda request: bare_op(), "yield from"),
        (lambda request: returns_text(), "returns a Response or None"),
    ],
)
def test_a_flow_that_breaks_the_rules_is_told_which(flow: Any, message: str) -> None:
    stack = drive(Toy(flow))
    with pytest.raises((RuntimeError, TypeError), match=message):
        _ = [next(stack), stack.send(begun())]


def iter_twice() -> Flow:
    yield from proceed()
    return (yield from proceed())


def body_first() -> Flow:
    yield from body(1)
    return None


def bare_op() -> Flow:
    yield Get("a")  # type: ignore[misc]  # the mistake that is made
    return None


def returns_text() -> Flow:
    yield from proceed()
    return "text"  # type: ignore[return-value]  # the mistake that is made


@pytest.mark.parametrize("wrong", [Toy, object(), "health"])
def test_what_is_no_layer_is_refused_at_construction(wrong: Any) -> None:
    with pytest.raises(ConfigurationError):
        checked([wrong])


def test_unknown_kinds_are_refused_at_construction() -> None:
    layer = Toy(reads("a"))
    layer.kinds = frozenset({"ftp"})  # type: ignore[misc]
    with pytest.raises(ConfigurationError, match="kinds"):
        checked([layer])
