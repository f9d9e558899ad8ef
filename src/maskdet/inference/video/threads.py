"""Two ways to let neighbouring steps of a video run at once, each in order and with a bounded number of items.

Decoding, the model and encoding release Python's lock, so that threads are enough; a chain of these keeps all cores
busy while no more frames wait than the bounds say. An error of a thread is raised where its items are taken or given.
For a step that several threads share there is `maskdet.threads`.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class Channel(Generic[T]):
    """A bounded queue that either side can close, which ends every wait on it.

    Args:
        depth: Items that wait in it at most.
    """

    def __init__(self, depth: int) -> None:
        self._items: deque[T] = deque()
        self._depth, self._is_closed = depth, False
        self._changed = threading.Condition()

    def put(self, item: T) -> bool:
        """Add an item once there is room; False, and no item added, where the channel is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or len(self._items) < self._depth)
            if not self._is_closed:
                self._items.append(item)
                self._changed.notify_all()
            return not self._is_closed

    def put_newest(self, item: T) -> bool:
        """Add an item without waiting, if need be in the place of the oldest one; say whether one was dropped."""
        with self._changed:
            is_full = len(self._items) >= self._depth
            if is_full:
                self._items.popleft()
            self._items.append(item)
            self._changed.notify_all()
            return is_full

    def __iter__(self) -> Iterator[T]:
        """Yield items as they come; ends where the channel is closed and empty."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._is_closed)
                if not self._items:
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item

    def close(self, drop_waiting: bool = False) -> None:
        """Let nothing more in, and with `drop_waiting` nothing more out."""
        with self._changed:
            self._is_closed = True
            if drop_waiting:
                self._items.clear()
            self._changed.notify_all()


class ReadAhead(Generic[T]):
    """Take items from an iterable in a thread of its own, some ahead of who uses them.

    Args:
        items: Iterated by the thread alone, until it ends or the block is left.
        depth: Items that wait at most.
        drops_oldest: Whether the oldest waiting item makes room for a new one, as a live source must; else the thread
            waits.

    Attributes:
        num_dropped: Items that made room so far.
    """

    def __init__(self, items: Iterable[T], depth: int, drops_oldest: bool = False) -> None:
        self._channel: Channel[T] = Channel(depth)
        self._drops_oldest, self.num_dropped = drops_oldest, 0
        self._error: BaseException | None = None
        self._is_left = False
        self._thread = threading.Thread(target=self._read, args=(items,), name="read-ahead", daemon=True)

    def _read(self, items: Iterable[T]) -> None:
        try:
            for item in items:
                if self._is_left:
                    return
                if self._drops_oldest:
                    self.num_dropped += self._channel.put_newest(item)
                elif not self._channel.put(item):
                    return
        except BaseException as error:  # raised again by `__iter__`
            self._error = error
        finally:
            self._channel.close()

    def __iter__(self) -> Iterator[T]:
        """Yield the items in order; then raise what the iterable raised."""
        yield from self._channel
        if self._error is not None:
            raise self._error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End the thread: it stops at the next item, whatever waits is dropped."""
        self._is_left = True
        self._channel.close(drop_waiting=True)
        self._thread.join()


class WriteBehind(Generic[T]):
    """Hand items to a function in a thread of its own, so that their giver goes on.

    The block's end waits until all were handled, unless it is left by an error: then those that wait are dropped.

    Args:
        function: Called with each item, in order.
        depth: Items that wait at most.
    """

    def __init__(self, function: Callable[[T], None], depth: int) -> None:
        self._function, self._channel = function, Channel[T](depth)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._write, name="write-behind", daemon=True)

    def _write(self) -> None:
        try:
            for item in self._channel:
                self._function(item)
        except BaseException as error:  # raised again by `put` or the block's end
            self._error = error
        finally:
            self._channel.close(drop_waiting=True)

    def put(self, item: T) -> None:
        """Hand on an item once there is room.

        Raises:
            BaseException: What the function raised for an earlier item.
        """
        if not self._channel.put(item) and self._error is not None:
            raise self._error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._channel.close(drop_waiting=error is not None)
        self._thread.join()
        if error is None and self._error is not None:
            raise self._error
