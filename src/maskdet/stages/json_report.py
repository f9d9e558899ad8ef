"""Write the small JSON files that stages leave for people under `reports/`."""

import json
from pathlib import Path

from maskdet.atomic import atomic_file


def write_json(record: dict, path: Path) -> None:
    """Write a record as indented JSON, under a temporary name first.

    Args:
        record: Plain containers, strings and numbers; keys keep their order.
        path: The file; missing parent folders are made.

    Raises:
        ValueError: If a number is NaN or infinite, which JSON does not know; nothing is written then.
    """
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
    with atomic_file(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
