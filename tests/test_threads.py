"""Results come in order, of few items at a time, and no thread outlives its reader."""

import threading
import time

import pytest

from maskdet.threads import map_in_order


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    yield
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("map-in-order")]


@pytest.mark.parametrize(("num_workers", "num_ahead"), [(1, 0), (3, 0), (2, 5)])
def test_map_keeps_the_order_of_items_that_take_unequal_time(num_workers, num_ahead):
    def slow_square(k):
        time.sleep(0.002 * (k % 3))
        return k * k

    assert list(map_in_order(slow_square, range(20), num_workers, num_ahead)) == [k * k for k in range(20)]


def test_map_works_at_several_items_at_once():
    together = threading.Barrier(2, timeout=5)

    def meet(_):
        return together.wait()

    assert sorted(map_in_order(meet, range(2), 2)) == [0, 1]


def test_map_raises_in_the_turn_of_the_item_and_ends():
    def fail_at_three(k):
        if k == 3:
            raise ValueError("three")
        return k

    results = map_in_order(fail_at_three, range(10**6), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)


def test_no_more_items_are_taken_than_said_and_none_after_the_reader_left():
    taken = []
    results = map_in_order(taken.append, iter(range(100)), 2, 3)
    assert next(results) is None
    results.close()
    assert len(taken) <= 6
