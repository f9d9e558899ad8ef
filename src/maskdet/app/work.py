"""A queue before the model: a few at once, some that wait, the rest is told to come back later."""

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class BusyError(RuntimeError):
    """There is no time for this now.

    Attributes:
        retry_seconds: When it is worth another try.
    """

    def __init__(self, message: str, retry_seconds: int) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds


class WorkQueue:
    """Runs work in a few threads of its own, in the order in which it came.

    What waits holds no thread of the server, so pages and `/health` answer whatever the load.

    Args:
        name: Of the threads.
        num_at_once: Threads.
        max_waiting: Work that waits; more is refused at once.
        max_seconds: How long it waits for its turn at most. What has begun is never cut off here.
    """

    def __init__(self, name: str, num_at_once: int, max_waiting: int, max_seconds: float) -> None:
        self._executor = ThreadPoolExecutor(num_at_once, thread_name_prefix=name)
        self._most, self._max_seconds = num_at_once + max_waiting, max_seconds
        self._num_pending, self._lock = 0, threading.Lock()

    @property
    def num_pending(self) -> int:
        """Return how many places are taken: work that is still on its way, waits, or is being done."""
        return self._num_pending

    @contextmanager
    def place(self) -> Iterator["Place"]:
        """Take a place for work before it is there, e.g. before an upload is read into memory.

        The place is free again at the end of the block, or once its work has ended.

        Raises:
            BusyError: If there is none.
        """
        with self._lock:
            if self._num_pending >= self._most:
                raise BusyError(f"{self._num_pending} others are waiting already; please try again later.", 10)
            self._num_pending += 1
        place = Place(self)
        try:
            yield place
        finally:
            if not place.is_used:
                self._forget(None)

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """Return what `work(*arguments)` returns, from a thread that sees the caller's context variables.

        Raises:
            BusyError: If too many wait, or the turn did not come in time.
            Exception: What the work raises.
        """
        with self.place() as place:
            return await place.run(work, *arguments)

    async def _finished(self, future: "Future[T]") -> T:
        """Return what submitted work returns; see `run`."""
        waiter = asyncio.wrap_future(future)
        try:
            finished, _ = await asyncio.wait({waiter}, timeout=self._max_seconds)
        except asyncio.CancelledError:  # the visitor left
            future.cancel()
            raise
        if not finished and future.cancel():  # only what has not begun can be cancelled
            raise BusyError(f"No turn within {self._max_seconds:g} seconds; please try again later.", 10)
        return await waiter

    def _submit(self, work: Callable[..., T], arguments: tuple) -> "Future[T]":
        """Hand work to the threads; the place that was taken for it is free when it ends."""
        future = self._executor.submit(contextvars.copy_context().run, work, *arguments)
        future.add_done_callback(self._forget)
        return future

    def _forget(self, _: object) -> None:
        with self._lock:
            self._num_pending -= 1

    def close(self) -> None:
        """Let what has begun end; drop what waits."""
        self._executor.shutdown(wait=False, cancel_futures=True)


class Place:
    """A place in a queue, for one piece of work; see `WorkQueue.place`.

    Attributes:
        is_used: Whether the work has been handed over, which frees the place then.
    """

    def __init__(self, queue: WorkQueue) -> None:
        self._queue, self.is_used = queue, False

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """Return what the work returns, once; see `WorkQueue.run`.

        Raises:
            BusyError: If the turn did not come in time.
            Exception: What the work raises.
        """
        future = self._queue._submit(work, arguments)
        self.is_used = True
        return await self._queue._finished(future)
