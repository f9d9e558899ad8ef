"""Stage `quality`: measure on the photos what tables of boxes do not say, the sharpness and light of each face."""

import pandas as pd
from omegaconf import DictConfig
from rich.console import Console

from maskdet.data.quality import face_quality
from maskdet.schema import ANNOTATIONS, QUALITY, read_table, write_table
from maskdet.stages.entry import Workspace, stage_main


def run(cfg: DictConfig, workspace: Workspace) -> pd.DataFrame:
    """Write `build/quality.parquet`: a row a face, in the order of the table `annotations`.

    Args:
        cfg: Not read: there is nothing to set.
        workspace: Holds `build/raw/images/` and `build/table/annotations.parquet`.

    Returns:
        The table, columns as `schema.QUALITY`.

    Raises:
        FileNotFoundError: If the table or an image is missing.
        ValueError: If an image cannot be read or a box lies outside of its image; nothing is written then.
    """
    annotations = read_table(workspace.input("build/table/annotations.parquet"), ANNOTATIONS)
    measured = face_quality(annotations, workspace.input("build/raw/images"))
    table = annotations.join(measured)[list(QUALITY.columns)]
    write_table(table, workspace.output("build/quality.parquet"), QUALITY)
    sharpness, brightness = (f"{measured[name].median():.3g}" for name in ("sharpness", "brightness"))
    Console().print(
        f"quality: {len(table)} faces; medians: sharpness {sharpness}, brightness {brightness} of 255",
        highlight=False,
        soft_wrap=True,
    )
    return table


if __name__ == "__main__":
    stage_main(run)
