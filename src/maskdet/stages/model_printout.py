"""What `score_models` prints: one table that fits into 100 columns."""

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from maskdet.evaluation.summary import Summary
from maskdet.reporting.number_texts import p_cell
from maskdet.reporting.palette import class_style
from maskdet.schema import CLASS_NAMES
from maskdet.stages.evaluation_printout import figure_text, interval_text, literal

WIDTH = 100


def print_models(summary: Summary) -> None:
    """Print mAP50 with its p-value against the first model, mAP, AP50 of each class, and CPU milliseconds an image.

    Args:
        summary: What `stages.score_models.run` returns.
    """
    console = Console(highlight=False, width=WIDTH)
    baseline, *_ = summary["models"]
    table = Table("model", box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    table.title, table.title_justify = _title(summary), "left"
    table.columns[0].no_wrap = True
    for heading in ("mAP50", "p", "mAP"):
        table.add_column(heading, no_wrap=True)
    for heading in (*(class_style(name).short_name for name in CLASS_NAMES), "CPU ms"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, model in summary["models"].items():
        table.add_row(name, *_cells(model))
    console.print(table)
    console.print(
        f"p: of mAP50, paired against {baseline}; columns of classes: AP50; [low, high]: 95 % intervals over groups of "
        "look-alike photos; CPU ms an image: sum of the steps' own measurements, all threads; -: undefined",
        markup=False,
    )


def _title(summary: Summary) -> str:
    counts = (summary[key] for key in ("num_images", "num_faces", "num_groups"))
    return "{} photos, {} faces, {} groups; out of fold".format(*counts)


def _cells(model: Summary) -> list[str]:
    interval = literal(interval_text(*(model[end]["map_50"] for end in ("value", "low", "high"))))
    p_value = "-"
    if "difference" in model:
        p_value = p_cell(*(model["difference"][key]["map_50"] for key in ("p_value", "least_p_value")))
    classes = (figure_text(model["value"]["ap_50"][name]) for name in CLASS_NAMES)
    return [interval, p_value, figure_text(model["value"]["map"]), *classes, f"{model['cpu_ms_per_image']:.0f}"]
