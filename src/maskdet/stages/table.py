"""Stage `table`: read `build/raw`, write the tables of images and faces, and what they hold as JSON and Markdown."""

from omegaconf import DictConfig
from rich.console import Console

from maskdet.atomic import atomic_file
from maskdet.data.summary import summarize, summary_markdown
from maskdet.data.tables import build_tables
from maskdet.schema import ANNOTATIONS, IMAGES, write_table
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
    tables = build_tables(workspace.input("build/raw"), cfg.data.name)
    summary = summarize(tables)
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
    return summary


if __name__ == "__main__":
    stage_main(run)
