"""Compare the anchors in use with those that would cover the faces better, and write down what to copy."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from maskdet.evaluation.anchor_fit import AnchorSettings, anchor_fit, best_anchors

IN_USE, BEST = "in use", "best"


@dataclass(frozen=True)
class NetworkInput:
    """What the network sees of a photo, and the anchors that it lays over it.

    Attributes:
        framing: `letterbox` or `stretch`.
        image_size: Side of the square input in pixels.
        anchors: Those in use.
        iou_threshold: From which IoU on an anchor covers a face.
    """

    framing: str
    image_size: int
    anchors: AnchorSettings
    iou_threshold: float


def fit_anchors(annotations: pd.DataFrame, images: pd.DataFrame, network_input: NetworkInput) -> pd.DataFrame:
    """Rank the anchors in use among those of a grid.

    Args:
        annotations: True boxes to cover, columns as `schema.ANNOTATIONS`; at least one.
        images: Columns `file_name, width, height`.
        network_input: See there.

    Returns:
        `is_in_use` (bool, of one row) and the columns of `best_anchors`, in its order: most faces covered first.

    Raises:
        ValueError: See `best_anchors`.
    """
    own = network_input.anchors
    about = (annotations, images, network_input.image_size, network_input.framing, network_input.iou_threshold)
    grid = best_anchors(*about)
    in_use = best_anchors(*about, [own.scale], [own.num_scales], [own.aspect_ratios])
    grid = grid[grid["yaml"] != in_use["yaml"].iloc[0]]
    rivals = grid.loc[grid["num_per_cell"] <= own.num_per_cell, "covered"]
    in_use["is_efficient"] = bool((in_use["covered"].iloc[0] >= rivals).all())
    table = pd.concat([in_use.assign(is_in_use=True), grid.assign(is_in_use=False)], ignore_index=True)
    order = ["covered", "num_per_cell", "mean_best_iou"]
    table = table.sort_values(order, ascending=[False, True, False], kind="stable", ignore_index=True)
    return table[["is_in_use", *grid.columns]]


def anchors_in_use(fitted: pd.DataFrame) -> pd.Series:
    """Return the row of the anchors in use, of what `fit_anchors` returns."""
    return fitted[fitted["is_in_use"]].iloc[0]


def best_at_no_more_cost(fitted: pd.DataFrame) -> pd.Series:
    """Return the row that covers most faces with no more anchors a cell than those in use have.

    More anchors always cover more, but the heads and every training step grow with them.

    Args:
        fitted: What `fit_anchors` returns.
    """
    return fitted[fitted["num_per_cell"] <= anchors_in_use(fitted)["num_per_cell"]].iloc[0]


def anchor_sizes(
    annotations: pd.DataFrame, images: pd.DataFrame, network_input: NetworkInput, fitted: pd.DataFrame
) -> pd.DataFrame:
    """Return which sizes of faces the anchors in use and the best ones cover.

    Args:
        annotations: See `fit_anchors`.
        images: See `fit_anchors`.
        network_input: See `fit_anchors`.
        fitted: What `fit_anchors` returns.

    Returns:
        `anchors` ("in use" or "best") and the columns of `AnchorFit.by_size`.
    """
    best = best_at_no_more_cost(fitted)
    settings = {
        IN_USE: network_input.anchors,
        BEST: AnchorSettings(best["scale"], best["num_scales"], best["aspect_ratios"]),
    }
    parts = []
    for name, anchors in settings.items():
        about = (network_input.image_size, anchors, network_input.framing, network_input.iou_threshold)
        by_size = anchor_fit(annotations, images, *about).by_size
        parts.append(by_size.assign(anchors=name)[["anchors", *by_size.columns]])
    return pd.concat(parts, ignore_index=True)


def anchors_yaml(fitted: pd.DataFrame, network_input: NetworkInput) -> str:
    """Return the settings of `best_at_no_more_cost` as lines to copy, with what they promise as comments."""
    best = best_at_no_more_cost(fitted)
    about = f"{network_input.framing}, {network_input.image_size} px, IoU {network_input.iou_threshold:g}"
    comments = [
        "# Anchors that cover most faces at no more anchors a cell than those in use; whether they also detect more,",
        f"# only a training shows. Copy into a file of conf/experiment/. Counted at: {about}.",
        _comment("in use", anchors_in_use(fitted)),
        _comment("these", best),
    ]
    return "\n".join(comments) + "\n" + best["yaml"]


def _comment(name: str, row: Mapping) -> str:
    return (
        f"# {name + ':':7} {row['num_per_cell']} a cell, {row['covered']:.2%} of the faces covered, "
        f"mean of the best IoUs {row['mean_best_iou']:.3f}"
    )
