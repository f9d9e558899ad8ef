"""Where an interrupted training goes on: a folder that belongs to one set of parameters, data and code."""

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf

import maskdet


def run_key(
    cfg: DictConfig,
    groups: Sequence[str],
    speed_settings: Sequence[str],
    data_files: Sequence[Path],
    code_files: Sequence[str],
) -> str:
    """Return a hash of everything that decides the result of a training.

    Args:
        cfg: The composed config.
        groups: Its top-level keys that matter to training.
        speed_settings: Keys of the group `trainer` that do not.
        data_files: Tables that say which images and labels are used.
        code_files: Python files of the package that decide the result, e.g. `models/losses.py`; an edit elsewhere lets
            a run resume.

    Returns:
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for group in groups:
        node = OmegaConf.create({group: cfg[group]})
        if group == "trainer":
            node = {group: {key: value for key, value in node.trainer.items() if key not in speed_settings}}
        digest.update(OmegaConf.to_yaml(node, resolve=True, sort_keys=True).encode())
    for path in data_files:
        digest.update(path.read_bytes())
    package = Path(maskdet.__file__).parent
    for name in code_files:
        digest.update(name.encode() + (package / name).read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def only_one_process(folder: Path) -> Iterator[None]:
    """Hold a folder for this process; the system lets go of it when the process ends, however it ends.

    Raises:
        ValueError: If another process holds it; the message names its PID.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pid_path = folder / "pid"
    lock = FileLock(folder / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        pid = pid_path.read_text() if pid_path.is_file() else "unknown"
        raise ValueError(
            f"{folder}: expected no other training of this fold, found one in process {pid}; "
            f"wait until it ends or stop it (kill {pid}), then run again: it resumes"
        ) from None
    try:
        pid_path.write_text(str(os.getpid()))
        yield
    finally:
        lock.release()


def forget(folder: Path) -> None:
    """Remove a resume folder once its result is safe, and its parent if nothing else is left there."""
    shutil.rmtree(folder)
    if not any(folder.parent.iterdir()):
        folder.parent.rmdir()
