"""Stage `table`: read `build/raw`, write the tables of images and faces, and what they hold as JSON and Markdown."""

from collections.abc import Mapping

import pandas as pd
from omegaconf import DictConfig
from rich.console import Console

from maskdet.atomic import atomic_file
from maskdet.data.composite_origins import Origin, read_origins
from maskdet.data.summary import summarize, summary_markdown
from maskdet.data.tables import Tables, build_tables
from maskdet.schema import ANNOTATIONS, CLASS_NAMES, IMAGES, write_table
from maskdet.stages.entry import Workspace, stage_main
from maskdet.stages.json_report import write_json


def run(cfg: DictConfig, workspace: Workspace) -> dict:
    """Write `build/table/{images,annotations}.parquet` and `reports/data/table.{json,md}`.

    Args:
        cfg: The whole config; reads `data.name`.
        workspace: Where inputs lie and outputs go.

    Returns:
        The content of the JSON report.

    Raises:
        ValueError: If a raw file is unreadable or malformed, or a class is unknown; nothing is written then.
        FileNotFoundError: If `build/raw` is absent.
    """
    raw_dir = workspace.input("build/raw")
    origins = read_origins(raw_dir)
    tables = build_tables(raw_dir, cfg.data.name, {name: origin.source for name, origin in origins.items()})
    summary = summarize(tables) | ({"sources": _by_source(tables, origins)} if origins else {})
    write_table(tables.images, workspace.output("build/table/images.parquet"), IMAGES)
    write_table(tables.annotations, workspace.output("build/table/annotations.parquet"), ANNOTATIONS)
    write_json(summary, workspace.output("reports/data/table.json"))
    with atomic_file(workspace.output("reports/data/table.md")) as temporary:
        temporary.write_text(summary_markdown(summary), encoding="utf-8")
    repairs = ", ".join(f"{len(found)} {name}" for name, found in summary["repairs"].items())
    Console().print(
        f"table: {summary['num_images']} images, {summary['num_faces']} faces; {repairs}",
        highlight=False,
        soft_wrap=True,
    )
    for source, counts in summary.get("sources", {}).items():
        faces = ", ".join(f"{count} {name}" for name, count in counts["faces_per_class"].items())
        copies = f", {counts['num_copies']} of them turned copies" if counts["num_copies"] else ""
        Console().print(f"  {source}: {counts['num_images']} images{copies}; {faces}", highlight=False, soft_wrap=True)
    return summary


def _by_source(tables: Tables, origins: Mapping[str, Origin]) -> dict[str, dict]:
    """Return of each source its numbers of images, of turned copies among them, and of faces of each class."""
    source_of = tables.images.set_index("file_name")["source"]
    is_copy = tables.images["file_name"].map(lambda name: bool(origins[name].copy_of))
    faces = pd.crosstab(tables.annotations["file_name"].map(source_of), tables.annotations["class_name"])
    faces = faces.reindex(index=sorted(set(source_of)), columns=list(CLASS_NAMES), fill_value=0)
    return {
        source: {
            "num_images": int((tables.images["source"] == source).sum()),
            "num_copies": int((is_copy & (tables.images["source"] == source)).sum()),
            "faces_per_class": {name: int(count) for name, count in row.items()},
        }
        for source, row in faces.iterrows()
    }


if __name__ == "__main__":
    stage_main(run)
