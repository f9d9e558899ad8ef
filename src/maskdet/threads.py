"""Let several threads work at once on the items of a list, with results in order and a bounded number of items."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T, U = TypeVar("T"), TypeVar("U")


def map_in_order(
    function: Callable[[T], U], items: Iterable[T], num_workers: int, num_ahead: int = 0
) -> Generator[U, None, None]:
    """Yield `function(item)` in the order of the items, as many at once as there are workers.

    Unlike `ThreadPoolExecutor.map` it takes few items at a time, and starts none after its reader has left.

    Args:
        function: Safe to call from several threads.
        items: Taken by the caller's thread, no more than `num_workers + num_ahead` before their results are.
        num_workers: At least 1.
        num_ahead: Results that may wait for an earlier one, so that an item that takes long stops no other worker.

    Yields:
        The results. What the function raises is raised in its turn.
    """
    waiting: deque[Future[U]] = deque()
    with ThreadPoolExecutor(num_workers, thread_name_prefix="map-in-order") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > num_workers + num_ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
