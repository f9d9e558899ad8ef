"""The queue before the model: order, refusals, and nothing that is lost or cut off."""

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable

import pytest

from maskdet.app.work import BusyError, WorkQueue

PLACE = contextvars.ContextVar("PLACE", default="nowhere")


def run(work):
    return asyncio.run(work)


def test_all_that_came_is_done_in_order_and_at_most_two_at_once():
    queue, lock = WorkQueue("test", 2, 100, 30), threading.Lock()
    began, at_once, most = [], 0, 0

    def work(number: int) -> int:
        nonlocal at_once, most
        with lock:
            began.append(number)
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.005)
        with lock:
            at_once -= 1
        return number

    async def everyone() -> list[int]:
        return await asyncio.gather(*(queue.run(work, number) for number in range(50)))

    assert run(everyone()) == began == list(range(50))
    assert most == 2
    assert queue.num_pending == 0


def test_who_finds_too_many_waiting_is_sent_away_at_once():
    queue, gate = WorkQueue("test", 1, 2, 30), threading.Event()

    async def everyone() -> list:
        tasks = [asyncio.create_task(queue.run(gate.wait)) for _ in range(5)]
        await asyncio.sleep(0.05)
        assert [task.done() for task in tasks] == [False] * 3 + [True] * 2
        gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    answers = run(everyone())
    assert answers[:3] == [True] * 3
    assert all(isinstance(answer, BusyError) and answer.retry_seconds > 0 for answer in answers[3:])
    assert queue.num_pending == 0


def test_whose_turn_does_not_come_in_time_is_told_and_what_has_begun_ends():
    queue, gate, second = WorkQueue("test", 1, 5, 0.1), threading.Event(), []

    async def everyone() -> list:
        tasks = [asyncio.create_task(queue.run(gate.wait)), asyncio.create_task(queue.run(second.append, 1))]
        await asyncio.sleep(0.4)
        gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, late = run(everyone())
    assert first is True
    assert isinstance(late, BusyError)
    assert "within 0.1 seconds" in str(late)
    assert second == []


def test_errors_and_context_go_through():
    queue = WorkQueue("test", 1, 5, 5)

    async def visit() -> str:
        PLACE.set("here")
        with pytest.raises(ZeroDivisionError):
            await queue.run(lambda: 1 / 0)
        return await queue.run(PLACE.get)

    assert run(visit()) == "here"
    assert queue.num_pending == 0


def test_a_visitor_who_leaves_frees_the_place():
    queue, gate = WorkQueue("test", 1, 1, 30), threading.Event()

    async def leave() -> None:
        first = asyncio.create_task(queue.run(gate.wait))
        second = asyncio.create_task(queue.run(gate.wait))
        await asyncio.sleep(0.05)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        assert queue.num_pending == 1
        gate.set()
        await first

    run(leave())


def test_a_place_that_is_taken_counts_before_there_is_work():
    queue, gate = WorkQueue("test", 1, 0, 30), threading.Event()

    async def everyone() -> None:
        with queue.place():
            assert queue.num_pending == 1
            with pytest.raises(BusyError), queue.place():
                pass
            with pytest.raises(BusyError):
                await queue.run(int)
        assert queue.num_pending == 0
        with pytest.raises(ZeroDivisionError), queue.place():
            raise ZeroDivisionError
        assert queue.num_pending == 0
        with queue.place() as place:
            task = asyncio.create_task(place.run(gate.wait))
            await asyncio.sleep(0.05)
            task.cancel()
        assert queue.num_pending == 1  # the visitor has left, but the work has begun
        gate.set()
        assert await _in_time(lambda: queue.num_pending == 0)

    run(everyone())


async def _in_time(is_so: Callable[[], bool]) -> bool:
    for _ in range(200):
        if is_so():
            return True
        await asyncio.sleep(0.02)
    return False


def test_a_closed_queue_counts_nothing():
    queue = WorkQueue("test", 1, 1, 30)
    queue.close()
    with pytest.raises(RuntimeError):
        run(queue.run(int))
    assert queue.num_pending == 0
