"""Read an offline `.wandb` file back: what `wandb sync` would upload.

The file is a log of the LevelDB format behind a header of 7 bytes: blocks of 32 KiB with records of checksum (4 bytes),
length (2), kind (1: whole, 2: first, 3: middle, 4: last part) and content, a protobuf `Record`.
"""

import json
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path

from wandb.proto.wandb_internal_pb2 import Record

HEADER_BYTES = 7
BLOCK_BYTES = 32768
RECORD_HEADER_BYTES = 7


@dataclass
class OfflineRun:
    """What an offline run has recorded.

    Attributes:
        name: Display name.
        group: What joins the runs of an experiment.
        job_type: `train` or `evaluate`.
        exit_code: None for a run that was never finished.
        config: Key → value.
        summary: Key → last value.
        history_keys: Every key that was logged.
        artifacts: Name → type.
    """

    name: str = ""
    group: str = ""
    job_type: str = ""
    exit_code: int | None = None
    config: dict = field(default_factory=dict)
    summary: dict = field(default_factory=dict)
    history_keys: set[str] = field(default_factory=set)
    artifacts: dict[str, str] = field(default_factory=dict)


def read_offline_runs(folder: Path, patience_s: float = 20) -> list[OfflineRun]:
    """Read every run under a folder, in the order of their paths.

    A process of wandb's own writes the files and may end after `finish` returned: its last record, the exit code, is
    waited for.
    """
    deadline = time.monotonic() + patience_s
    while True:
        runs = [read_offline_run(path) for path in sorted(Path(folder).rglob("*.wandb"))]
        if all(run.exit_code is not None for run in runs) or time.monotonic() > deadline:
            return runs
        time.sleep(0.2)


def read_offline_run(path: Path) -> OfflineRun:
    """Read one `.wandb` file."""
    run = OfflineRun()
    for record in _records(path.read_bytes()):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run.name, run.group, run.job_type = record.run.display_name, record.run.run_group, record.run.job_type
            run.config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
            run.summary |= _items(record.run.summary.update)
        elif kind == "summary":
            run.summary |= _items(record.summary.update)
        elif kind == "history":
            items = _items(record.history.item)
            run.history_keys |= set(items)
            run.summary |= items
        elif kind == "artifact":
            run.artifacts[record.artifact.name] = record.artifact.type
        elif kind == "request" and record.request.HasField("log_artifact"):
            artifact = record.request.log_artifact.artifact
            run.artifacts[artifact.name] = artifact.type
        elif kind == "exit":
            run.exit_code = record.exit.exit_code
    return run


def _items(updates: object) -> dict:
    """Return key → value; a nested key is joined with slashes."""
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in updates}


def _records(content: bytes) -> list[Record]:
    """Join the parts of every record and parse it."""
    records, parts, position = [], b"", HEADER_BYTES
    while position + RECORD_HEADER_BYTES <= len(content):
        left_in_block = BLOCK_BYTES - position % BLOCK_BYTES
        if left_in_block < RECORD_HEADER_BYTES:
            position += left_in_block
            continue
        length, part = struct.unpack_from("<HB", content, position + 4)
        start = position + RECORD_HEADER_BYTES
        parts += content[start : start + length]
        position = start + length
        if part in (1, 4):
            records.append(Record.FromString(parts))
            parts = b""
    return records
