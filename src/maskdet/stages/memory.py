"""Keep the memory of one training step for the next."""

import ctypes
import platform

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Parameters of glibc's `mallopt`; their numbers are in its header `malloc.h`."""


def keep_freed_memory() -> bool:
    """Let glibc's allocator hand nothing back to the system before this process ends.

    It gives each large block (a feature map of a batch) back when it is freed and asks for it anew in the next step,
    and the kernel clears every page again: a fifth of the time of a training on a CPU, and not a bit of its result
    (`benchmarks/step_memory.py`). The process stays as large as its largest step was.

    Returns:
        Whether there is such an allocator here; elsewhere nothing is changed.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(mallopt(parameter, value) for parameter, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, -1)))
