"""Say what the tables hold: counts, class shares, box sizes, repairs; as a record and as Markdown."""

from dataclasses import asdict

import numpy as np
import pandas as pd

from maskdet.data.tables import Tables
from maskdet.schema import CLASS_NAMES

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
"""Quantiles of box sizes that the summary states."""

_REPAIRS = {
    "clipped": "Boxes that reached beyond the image, clipped",
    "dropped": "Boxes without area inside the image, dropped",
    "size_differs": "Annotations that state another image size than the real one, which is used",
    "not_annotated": "Images without an annotation, left out (not the same as images without faces)",
    "without_image": "Annotations without an image, left out",
}


def summarize(tables: Tables) -> dict:
    """Return the counts, class shares, box size quantiles and repairs of a data set.

    Args:
        tables: As `build_tables` returns them.

    Returns:
        Plain containers and numbers; sizes in pixels. Equal tables give an equal record.
    """
    images, faces = tables.images, tables.annotations
    counts = {name: int((faces["class_name"] == name).sum()) for name in CLASS_NAMES}
    return {
        "num_images": len(images),
        "num_images_without_faces": int((images["num_faces"] == 0).sum()),
        "num_faces": len(faces),
        "num_difficult": int(faces["is_difficult"].sum()),
        "most_faces_in_an_image": int(images["num_faces"].max()),
        "faces_per_class": counts,
        "class_shares": {name: round(count / max(len(faces), 1), 4) for name, count in counts.items()},
        "images_per_class": {
            name: int(faces.loc[faces["class_name"] == name, "file_name"].nunique()) for name in CLASS_NAMES
        },
        "box_sizes_px": _box_sizes(faces),
        "repairs": {name: list(found) for name, found in asdict(tables.repairs).items()},
    }


def _box_sizes(faces: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return the quantiles of width, height and the root of the area; empty without faces."""
    if faces.empty:
        return {}
    widths = (faces["x_max"] - faces["x_min"]).to_numpy(np.float64)  # (N,)
    heights = (faces["y_max"] - faces["y_min"]).to_numpy(np.float64)  # (N,)
    sizes = {"width": widths, "height": heights, "root_area": np.sqrt(widths * heights)}
    return {
        name: {f"{quantile:g}": round(float(np.quantile(values, quantile)), 1) for quantile in QUANTILES}
        for name, values in sizes.items()
    }


def summary_markdown(summary: dict) -> str:
    """Return a summary as a Markdown page.

    Args:
        summary: As `summarize` returns it.

    Returns:
        The page, ending in a newline.
    """
    lines = [
        "# What the tables hold",
        "",
        f"{summary['num_images']} images, {summary['num_images_without_faces']} of them without a face; "
        f"{summary['num_faces']} faces, at most {summary['most_faces_in_an_image']} in an image, "
        f"{summary['num_difficult']} marked difficult.",
        "",
        "| class | faces | share | images |",
        "|---|---:|---:|---:|",
    ]
    lines += [
        f"| `{name}` | {count} | {summary['class_shares'][name]:.1%} | {summary['images_per_class'][name]} |"
        for name, count in summary["faces_per_class"].items()
    ]
    return "\n".join([*lines, "", *_size_lines(summary["box_sizes_px"]), *_repair_lines(summary["repairs"])]) + "\n"


def _size_lines(sizes: dict[str, dict[str, float]]) -> list[str]:
    if not sizes:
        return []
    header = " | ".join(f"{quantile:.0%}" for quantile in QUANTILES)
    rows = [
        f"| {name.replace('_', ' ')} | {' | '.join(f'{value:g}' for value in row.values())} |"
        for name, row in sizes.items()
    ]
    title = ["## Box sizes in pixels, by quantile", "", f"| | {header} |", "|---|" + "---:|" * len(QUANTILES)]
    return [*title, *rows, ""]


def _repair_lines(repairs: dict[str, list]) -> list[str]:
    lines = ["## What was repaired", ""]
    for name, found in repairs.items():
        lines.append(f"- {_REPAIRS[name]}: {len(found)}")
        lines += [f"  - {_repair_text(item)}" for item in found]
    return lines


def _repair_text(item: dict | str) -> str:
    if isinstance(item, str):
        return f"`{item}`"
    details = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in item.items() if key != "file")
    return f"`{item['file']}`: {details}"
