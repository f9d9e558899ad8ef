"""A queue before the model: a few at once, some that wait, the rest is told to come back later."""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
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
        """Return how many are waiting or being worked on."""
        return self._num_pending

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """Return what `work(*arguments)` returns, from a thread that sees the caller's context variables.

        Raises:
            BusyError: If too many wait, or the turn did not come in time.
            Exception: What the work raises.
        """
        future = self._submit(work, arguments)
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
        with self._lock:
            if self._num_pending >= self._most:
                raise BusyError(f"{self._num_pending} others are waiting already; please try again later.", 10)
            self._num_pending += 1
        try:
            future = self._executor.submit(contextvars.copy_context().run, work, *arguments)
        except RuntimeError:
            self._forget(None)
            raise
        future.add_done_callback(self._forget)
        return future

    def _forget(self, _: object) -> None:
        with self._lock:
            self._num_pending -= 1

    def close(self) -> None:
        """Let what has begun end; drop what waits."""
        self._executor.shutdown(wait=False, cancel_futures=True)
