"""Name the machine that runs this: processor, cores, graphics card, as far as the system says."""

import os
import platform
import subprocess
from functools import cache
from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")


@cache
def machine_text() -> str:
    """Return one line, e.g. "AMD EPYC 9554, 2 of 4 cores, no NVIDIA GPU, Linux x86_64"."""
    system = f"{platform.system()} {platform.machine()}".strip()
    return f"{cpu_name()}, {_cores_text()}, {', '.join(gpu_names()) or 'no NVIDIA GPU'}, {system or 'unknown system'}"


def cpu_name(cpu_info: Path = _CPU_INFO) -> str:
    """Return the processor's name; "unknown processor" where the system keeps it to itself.

    Args:
        cpu_info: Linux's list of processors; on other systems there is none and Python's own word is taken.
    """
    lines = cpu_info.read_text(encoding="utf-8", errors="replace").splitlines() if cpu_info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.lower().startswith(("model name", "hardware"))]
    return next((name for name in names if name), "") or platform.processor() or "unknown processor"


def num_usable_cores() -> int:
    """Return how many cores this process may use, which may be fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpu_names() -> list[str]:
    """Return the names that `nvidia-smi` lists; none where it is absent or does not answer."""
    try:
        answer = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()] if answer.returncode == 0 else []


def _cores_text() -> str:
    """Return the number of cores that this process may use, and of how many."""
    total, usable = os.cpu_count() or 1, num_usable_cores()
    return f"{total} cores" if usable == total else f"{usable} of {total} cores"
