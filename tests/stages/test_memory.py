"""Tests of the allocator's setting, each in a process of its own, as nothing takes it back."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
import numpy as np
from maskdet.stages.memory import keep_freed_memory

print(keep_freed_memory() if {keep} else False)
np.ones(8_000_000)  # 64 MB
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    np.ones(8_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keep: bool) -> tuple[str, int]:
    """Return what the setting said and how many pages the system had to give out again for ten blocks of 64 MB."""
    done = subprocess.run(
        [sys.executable, "-c", FAULTS.format(keep=keep)], capture_output=True, text=True, check=True, timeout=120
    )
    said, count = done.stdout.split()
    return said, int(count)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_freed_blocks_are_used_again():
    (said, kept), (_, given_back) = faults(True), faults(False)
    assert said == "True"
    assert kept * 20 < given_back


def test_other_allocators_are_left_alone(monkeypatch):
    from maskdet.stages import memory

    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert memory.keep_freed_memory() is False
