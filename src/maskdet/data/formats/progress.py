"""A progress bar for a person at a terminal; silence for everyone else."""

import sys
from collections.abc import Collection, Iterable
from typing import TypeVar

from rich.console import Console
from rich.progress import track

Item = TypeVar("Item")


def tracked(items: Collection[Item], description: str) -> Iterable[Item]:
    """Yield the items in order behind a bar on the error stream that goes away in the end.

    Where that is no terminal there is none: rich would leave empty lines in the log.
    """
    console = Console(stderr=True)
    return track(items, description, console=console, transient=True, disable=not sys.stderr.isatty())
