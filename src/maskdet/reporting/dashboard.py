"""The W&B dashboard as code: `maskdet dashboard ENTITY/PROJECT` makes or remakes it.

A workspace lives on W&B's server alone: this needs an account and a network, unlike everything else of the project.
`SECTIONS` is the one list of what it shows; a test trains and evaluates, and holds every key to those really logged.
"""

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maskdet.schema import CLASS_NAMES

if TYPE_CHECKING:
    import wandb_workspaces.reports.v2 as panels
    import wandb_workspaces.workspaces as workspaces

NAME = "maskdet"
"""Of the workspace."""

LINES, BARS, MEDIA, TABLE, PARALLEL = "lines", "bars", "media", "table", "parallel"

_PROJECT = re.compile(r"[^/\s]+/[^/\s]+")


@dataclass(frozen=True)
class PanelSpec:
    """One panel.

    Attributes:
        kind: `lines` (over the epoch), `bars` (last value by run), `media`, `table` or `parallel` (coordinates).
        title: Heading.
        keys: What was logged under these names.
        config_keys: Settings, dotted; of `parallel` alone, drawn before the keys.
        unit: Of the values, with their range.
    """

    kind: str
    title: str
    keys: tuple[str, ...]
    config_keys: tuple[str, ...] = ()
    unit: str = ""


_SHARE = "0 to 1"
_SETTINGS = (
    *("model.architecture", "model.anchors.scale", "optimizer.lr", "framing.size"),
    *("trainer.balance_power", "trainer.max_epochs", "trainer.batch_size"),
)

SECTIONS: dict[str, tuple[PanelSpec, ...]] = {
    "Folds while training": (
        PanelSpec(LINES, "mAP on the fold held out", ("val/map",), unit=_SHARE),
        PanelSpec(LINES, "mAP50 on the fold held out", ("val/map_50",), unit=_SHARE),
        PanelSpec(LINES, "Training loss", ("train/loss",), unit="no unit"),
        PanelSpec(LINES, "Training loss, classes and boxes", ("train/loss_class", "train/loss_box"), unit="no unit"),
        PanelSpec(LINES, "Learning rate", ("train/lr",), unit="a step"),
    ),
    "Result by run": (
        PanelSpec(BARS, "mAP: of the pooled run over all folds, else of the fold", ("val/map",), unit=_SHARE),
        PanelSpec(BARS, "mAP50", ("val/map_50",), unit=_SHARE),
        PanelSpec(BARS, "Mean of the folds' mAP", ("fold_mean/map",), unit=_SHARE),
        PanelSpec(BARS, "Precision, recall, F1", ("val/precision", "val/recall", "val/f1"), unit=_SHARE),
        PanelSpec(BARS, "mAP by size", ("val/map_small", "val/map_medium", "val/map_large"), unit=_SHARE),
    ),
    "Classes": (
        PanelSpec(BARS, "AP by class", tuple(f"val/ap/{name}" for name in CLASS_NAMES), unit=_SHARE),
        PanelSpec(BARS, "AP50 by class", tuple(f"val/ap_50/{name}" for name in CLASS_NAMES), unit=_SHARE),
        PanelSpec(LINES, "AP by class while training", tuple(f"val/ap/{name}" for name in CLASS_NAMES), unit=_SHARE),
    ),
    "Galleries": tuple(
        PanelSpec(MEDIA, title, (f"gallery/{key}",))
        for key, title in (
            ("best", "Best images"),
            ("worst", "Worst images"),
            ("random", "Random images"),
            ("rare", "Rarest class"),
        )
    ),
    "Plots": (
        PanelSpec(MEDIA, "Precision and recall", ("plots/pr_curves",)),
        PanelSpec(MEDIA, "What is taken for what", ("plots/confusion",)),
        PanelSpec(MEDIA, "AP50 by class and fold", ("plots/folds",)),
        PanelSpec(MEDIA, "Augmented training images", ("train/augmented",)),
        PanelSpec(TABLE, "Predictions", ("predictions",)),
    ),
    "Sweeps": (PanelSpec(PARALLEL, "Settings against results", ("val/map", "val/map_50"), _SETTINGS),),
}
"""Section → its panels, in the order of the dashboard."""


def build_workspace(entity: str, project: str) -> "workspaces.Workspace":
    """Return the workspace, not saved yet; needs no network.

    Args:
        entity: User or team.
        project: Where the runs were logged, `logger.project`.

    Raises:
        ValueError: If wandb-workspaces, the extra `dashboard`, is not installed.
    """
    try:
        import wandb_workspaces.workspaces as workspaces
    except ImportError as error:
        raise ValueError("expected the package wandb-workspaces: pip install 'maskdet[dashboard]'") from error
    sections = [
        workspaces.Section(name=name, panels=[_panel(spec) for spec in specs], is_open=True)
        for name, specs in SECTIONS.items()
    ]
    return workspaces.Workspace(
        entity=entity,
        project=project,
        name=NAME,
        sections=sections,
        settings=workspaces.WorkspaceSettings(x_axis="epoch"),
    )


def _panel(spec: PanelSpec) -> "panels.interface.Panel":
    import wandb_workspaces.reports.v2 as panels

    if spec.kind == LINES:
        return panels.LinePlot(
            title=spec.title, x="epoch", y=list(spec.keys), title_x="epoch (count)", title_y=spec.unit
        )
    if spec.kind == BARS:
        return panels.BarPlot(
            title=spec.title,
            metrics=list(spec.keys),
            title_x=spec.unit,
            legend_template="${run:group} ${run:displayName}",
        )
    if spec.kind == MEDIA:
        return panels.MediaBrowser(title=spec.title, num_columns=2, media_keys=list(spec.keys))
    if spec.kind == TABLE:
        return panels.WeavePanelSummaryTable(table_name=spec.keys[0])
    if spec.kind == PARALLEL:
        columns = [
            panels.ParallelCoordinatesPlotColumn(metric=panels.Config(key), display_name=key)
            for key in spec.config_keys
        ]
        columns += [
            panels.ParallelCoordinatesPlotColumn(metric=panels.SummaryMetric(key), display_name=key)
            for key in spec.keys
        ]
        return panels.ParallelCoordinatesPlot(columns=columns, title=spec.title)
    raise ValueError(f"{spec.title}: expected one of {(LINES, BARS, MEDIA, TABLE, PARALLEL)}, got {spec.kind!r}")


def save_dashboard(target: str) -> str:
    """Make the dashboard on W&B and return its address.

    Args:
        target: `ENTITY/PROJECT`.

    Raises:
        ValueError: If the target has another form, there is no account, the server refuses or cannot be reached, or
            wandb-workspaces is not installed.
    """
    if not _PROJECT.fullmatch(target):
        raise ValueError(f"expected ENTITY/PROJECT, e.g. my-team/maskdet, got {target!r}")
    workspace = build_workspace(*target.split("/"))
    _check_account()
    try:
        return workspace.save().url
    except Exception as error:  # W&B raises errors of several libraries: requests, gql, its own
        raise ValueError(f"{target}: expected W&B to take the dashboard, got {_first_line(error)}") from error


def _check_account() -> None:
    """Refuse, before W&B would ask at the terminal; without asking the server."""
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb

    if not wandb.login(prompt=False, verify=False):
        raise ValueError("expected a W&B account on this machine (`wandb login`, or WANDB_API_KEY), got none")


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
