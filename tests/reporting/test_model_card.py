"""The model card: the run's own figures, and what the detector must not be used for."""

import json

import pandas as pd
import pytest

from maskdet.reporting.model_card import data_source, extremes, markdown_table
from maskdet.reporting.summary_tables import TextTable
from maskdet.stages.entry import Workspace


@pytest.fixture(scope="module")
def card(workspace: Workspace) -> str:
    """Return the card of the small experiment."""
    return workspace.output("reports/model_card.md").read_text(encoding="utf-8")


def test_the_card_has_the_sections_of_a_model_card(card: str) -> None:
    titles = [line for line in card.splitlines() if line.startswith("## ")]
    wanted = ["details", "Intended use", "Factors", "Data", "Metrics", "subgroup", "Limits", "Ethical", "Reproduce"]
    assert [word for word in wanted if not any(word in title for title in titles)] == []


def test_the_figures_are_those_of_the_run(card: str, workspace: Workspace) -> None:
    metrics = json.loads(workspace.output("reports/metrics.json").read_text())
    ends = f"{metrics['val_low']['map']:.3f} to {metrics['val_high']['map']:.3f}"
    assert f"| mAP | {metrics['val']['map']:.3f} | {ends} |" in card
    subgroups = pd.read_csv(workspace.output("reports/analysis/subgroups.csv"))
    row = subgroups[subgroups["property"] == "crowding"].iloc[0]
    assert f"| crowding: {row['subgroup']} | {row['num_faces']} | {row['recall']:.3f} |" in card
    assert "12 images, 12 faces" in card


def test_the_card_says_what_it_must_not_be_used_for_and_that_demographics_are_unknown(card: str) -> None:
    assert "**Must not be used for:**" in card
    for word in ("surveillance", "recognising people", "medical", "health"):
        assert word in card.split("**Must not be used for:**")[1]
    assert "**Demographics are not in the data.**" in card


def test_the_card_shows_no_photo_and_names_no_place_of_this_machine(card: str, workspace: Workspace) -> None:
    assert "data:image" not in card
    assert "![" not in card
    assert str(workspace.root) not in card


def test_every_table_has_as_many_cells_in_every_row(card: str) -> None:
    tables = [block for block in card.split("\n\n") if block.startswith("|")]
    assert len(tables) >= 5
    assert all(len({line.count("|") for line in block.strip().splitlines()}) == 1 for block in tables)


def test_the_licence_follows_the_data() -> None:
    kaggle = data_source({"data": {"name": "kaggle", "kaggle_id": "someone/faces"}})
    assert kaggle.licence == "CC0 1.0"
    assert "kaggle.com/datasets/someone/faces" in kaggle.text
    assert data_source({"data": {"name": "own"}}).licence == "not known to this project"


def test_extremes_leave_small_groups_out() -> None:
    rows = [("size", "s", 50, 0.5), ("size", "l", 60, 0.9), ("size", "xl", 3, 1.0), ("crowding", "1 face", 99, 0.7)]
    table = pd.DataFrame(rows, columns=["property", "subgroup", "num_faces", "recall"])
    assert extremes(table) == [("size", "s", 0.5, "l", 0.9)]
    assert extremes(table.head(0)) == []


def test_notes_become_a_last_column() -> None:
    assert markdown_table(TextTable(["a"], [["x"]], ["why"]), with_notes=True).endswith("| x | why |")
