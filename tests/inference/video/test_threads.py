"""Threads keep order and bounds, hand errors on, and end when somebody leaves."""

import threading
import time

import pytest

from maskdet.inference.video.threads import Channel, ReadAhead, WriteBehind


def living_threads() -> list[str]:
    names = ("read-ahead", "write-behind")
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(names)]


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    yield
    assert living_threads() == []


@pytest.mark.parametrize("num", [0, 1, 50])
def test_read_ahead_yields_all_in_order(num):
    with ReadAhead(range(num), 3) as ahead:
        assert list(ahead) == list(range(num))
    assert ahead.num_dropped == 0


def test_read_ahead_reads_no_further_than_its_depth():
    taken = []
    with ReadAhead((taken.append(k) or k for k in range(100)), 4) as ahead:
        items = iter(ahead)
        assert next(items) == 0
        time.sleep(0.05)
        assert len(taken) <= 1 + 4 + 1  # given, waiting, in the thread's hand


def test_read_ahead_raises_what_its_iterable_raises_after_the_items():
    def items():
        yield 1
        raise OSError("the disk is gone")

    with ReadAhead(items(), 3) as ahead:
        iterator = iter(ahead)
        assert next(iterator) == 1
        with pytest.raises(OSError, match="the disk is gone"):
            next(iterator)


def test_a_reader_that_nobody_empties_ends_when_the_block_is_left():
    with ReadAhead(range(10**9), 2) as ahead:
        assert next(iter(ahead)) == 0


def test_a_live_reader_drops_the_oldest_and_counts():
    read_all = threading.Event()

    def items():
        yield from range(20)
        read_all.set()

    with ReadAhead(items(), 4, drops_oldest=True) as ahead:
        assert read_all.wait(5)
        assert list(ahead) == [16, 17, 18, 19]
    assert ahead.num_dropped == 16


def test_write_behind_handles_all_in_order_before_the_block_ends():
    written = []
    with WriteBehind(lambda k: (time.sleep(0.001), written.append(k)), 2) as behind:
        for k in range(20):
            behind.put(k)
    assert written == list(range(20))


def test_an_error_of_the_writer_is_raised_where_items_are_given():
    def fail(_):
        raise OSError("the disk is full")

    def put_many():
        with WriteBehind(fail, 2) as behind:
            for k in range(1000):
                behind.put(k)

    with pytest.raises(OSError, match="the disk is full"):
        put_many()


def test_an_error_upon_the_last_item_is_raised_at_the_end():
    def fail(_):
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"), WriteBehind(fail, 2) as behind:
        behind.put(1)


def test_a_block_left_by_an_error_drops_what_waits():
    begun, written = threading.Event(), []

    def slow(k):
        begun.set()
        time.sleep(0.05)
        written.append(k)

    def put_and_fail():
        with WriteBehind(slow, 5) as behind:
            for k in range(5):
                behind.put(k)
            assert begun.wait(5)
            raise KeyError

    with pytest.raises(KeyError):
        put_and_fail()
    assert written == [0]


def test_a_closed_channel_lets_nothing_in_and_the_rest_out():
    channel = Channel(2)
    assert channel.put(1)
    channel.close()
    assert not channel.put(2)
    assert list(channel) == [1]
