"""The table that the stage `quality` writes, beside the faces that it was measured on."""

from pathlib import Path

import pandas as pd

from maskdet.schema import BOX_COLUMNS, QUALITY, read_table


def read_quality(path: Path, annotations: pd.DataFrame) -> pd.DataFrame:
    """Return the quality of each face, columns as `schema.QUALITY`, rows as in `annotations`.

    Args:
        path: Of the table.
        annotations: Columns as `schema.ANNOTATIONS`.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is that of other faces.
    """
    quality, key = read_table(path, QUALITY), ["file_name", *BOX_COLUMNS]
    if not quality[key].equals(annotations[key]):
        raise ValueError(
            f"{path}: expected the {len(annotations)} faces of build/table/annotations.parquet in their order, "
            f"got {len(quality)} faces, not all of them the same; run the stage quality again"
        )
    return quality
