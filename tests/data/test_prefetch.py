"""Items made ahead in another thread, and in batches: bounded, in order, and what goes wrong is raised."""

import threading
import time
from collections.abc import Iterator

import pytest

from spnet.data.prefetch import batches, prefetch
from spnet.errors import UserError


def test_work_ahead_is_bounded_and_in_order() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(20):
            made.append(number)
            yield number

    taken = []
    for number in prefetch(items(), 3):
        time.sleep(0.002)
        taken.append(number)
        assert len(made) <= len(taken) + 5
    assert taken == list(range(20))


def test_what_goes_wrong_there_is_raised_here() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise UserError("broken")

    ahead = prefetch(items(), 2)
    assert next(ahead) == 1
    with pytest.raises(UserError, match="broken"):
        next(ahead)


def test_who_stops_early_leaves_no_thread() -> None:
    before = threading.active_count()
    ahead = prefetch(iter(range(10**9)), 2)
    next(ahead)
    ahead.close()  # type: ignore[attr-defined]  # it is a generator
    assert threading.active_count() == before


def test_the_newest_is_taken_where_items_wait_for_nobody() -> None:
    taken, made = threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        yield 0
        taken.wait(10)
        yield from range(1, 100)
        made.set()

    ahead = prefetch(items(), 1, newest=True)
    assert next(ahead) == 0
    taken.set()
    assert made.wait(10)  # all are made though nobody takes them
    assert [*ahead] == [99]


def test_an_error_waits_until_what_came_before_is_taken() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise UserError("broken")

    ahead = prefetch(items(), 1, newest=True)
    time.sleep(0.02)
    assert next(ahead) == 1
    with pytest.raises(UserError, match="broken"):
        next(ahead)


def test_batches_are_whole_but_for_the_last() -> None:
    assert [*batches(range(7), 3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [*batches([], 3)] == []


def test_what_came_before_an_error_is_a_batch() -> None:
    def items() -> Iterator[int]:
        yield from (1, 2, 3)
        raise UserError("broken")

    made = batches(items(), 2)
    assert next(made) == [1, 2]
    assert next(made) == [3]
    with pytest.raises(UserError, match="broken"):
        next(made)
