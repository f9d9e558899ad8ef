"""Where each image of a composite set came from: the table `sources.csv` beside its images."""

from dataclasses import astuple, dataclass, fields
from pathlib import Path

import pandas as pd

FILE_NAME = "sources.csv"


@dataclass(frozen=True)
class Origin:
    """Where an image came from.

    Attributes:
        file_name: Its name in the composite.
        source: The data set that it was taken from.
        original: Its path in that set.
        copy_of: Of a turned copy, the composite's name of the image that it is a copy of; else empty.
        turn_degrees: Counter-clockwise; 0 unless it is a copy.
    """

    file_name: str
    source: str
    original: str
    copy_of: str = ""
    turn_degrees: int = 0


_COLUMNS = [field.name for field in fields(Origin)]


def write_origins(origins: list[Origin], raw_dir: Path) -> None:
    """Write `sources.csv` into a folder, a row an image, sorted by file name."""
    rows = sorted((astuple(origin) for origin in origins), key=lambda row: row[0])
    pd.DataFrame(rows, columns=_COLUMNS).to_csv(raw_dir / FILE_NAME, index=False, lineterminator="\n")


def read_origins(raw_dir: Path) -> dict[str, Origin]:
    """Return the origin of every image by file name; of a set that is no composite, nothing.

    Args:
        raw_dir: What the stage `fetch` wrote.

    Raises:
        ValueError: If the table has other columns than it is written with.
    """
    path = raw_dir / FILE_NAME
    if not path.is_file():
        return {}
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    if list(table.columns) != _COLUMNS:
        raise ValueError(f"{path}: expected the columns {', '.join(_COLUMNS)}, got {', '.join(table.columns)}")
    rows = table.astype({"turn_degrees": int}).itertuples(index=False, name=None)
    return {row[0]: Origin(*row) for row in rows}


def originals_of_copies(origins: dict[str, Origin]) -> dict[str, str]:
    """Return the file name of each turned copy → that of its original."""
    return {name: origin.copy_of for name, origin in origins.items() if origin.copy_of}
