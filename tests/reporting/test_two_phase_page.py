"""The page of the two-phase study: every part says what the tables say, and it loads and filters in a browser."""

import html
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from omegaconf import DictConfig
from playwright.sync_api import Browser, Page

import chromium
from maskdet.reporting.html import html_template
from maskdet.reporting.number_texts import p_cell
from maskdet.reporting.study_pictures import Pictures
from maskdet.reporting.summary_tables import TextTable
from maskdet.reporting.two_phase_files import RECORDS, TABLES, Study, history_source, read_study
from maskdet.reporting.two_phase_page import StudySettings, build_study_page, study_warnings
from maskdet.stages import two_phase_report
from maskdet.stages.entry import Workspace
from simulated_study import CLASSIFIERS, FACE_DETECTORS, OVERLAID_CLASSIFIER, run_study, study_config

PAGE = "reports/two_phase/report.html"
SETTINGS = StudySettings("mobilenet_v2_finetuned", 5)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return a root on which the study's last stages and the page's have run."""
    place = run_study(tmp_path_factory.mktemp("study"))
    two_phase_report.run(study_config(), place)
    return place


@pytest.fixture(scope="module")
def study(workspace: Workspace) -> Study:
    return read_study(workspace.input("reports"))


@pytest.fixture(scope="module")
def text(workspace: Workspace) -> str:
    return workspace.output(PAGE).read_text(encoding="utf-8")


@pytest.fixture
def cfg() -> DictConfig:
    return study_config()


def cells(text: str, table: str) -> dict[str, list[str]]:
    """Return the rows of the table of this name: first cell → the others, small print after a bar."""
    body = text.split(f'aria-label="{table}"')[1].split("</table>")[0]
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in body.split("<tbody>")[1].split("<tr>")[1:]]
    plain = [[html.unescape(re.sub(r"<[^>]+>", "", cell.replace("<small>", "|"))) for cell in row] for row in rows]
    return {row[0]: row[1:] for row in plain}


def test_the_page_refers_to_nothing_outside(text: str):
    assert not re.search(r"https?://|url\((?!#)|@import|<link (?!rel=\"icon\" href=\"data:,\")|src=\"(?!data:)", text)
    assert len(set(re.findall(r'\bid="([^"]+)"', text))) == len(re.findall(r'\bid="([^"]+)"', text))


def test_the_one_table_holds_every_way_in_the_order_of_the_file(text: str, study: Study):
    rows = cells(text, "One stage, two phases and re-scored boxes on the same images")
    names = ["EfficientDet", *(f"two phases, {name}" for name in FACE_DETECTORS), "EfficientDet, re-scored"]
    assert [name.split("|")[0] for name in rows] == names
    by_key = study.tables["models"].set_index(["model", "metric"])
    told = by_key.loc[("two_phase/mtcnn", "map_50")]
    row = next(row for name, row in rows.items() if name.startswith("two phases, mtcnn"))
    assert row[0] == f"{told['value']:.3f}|{told['low']:.3f} to {told['high']:.3f}"
    rare = by_key.loc[("two_phase/mtcnn", "ap_50/mask_weared_incorrect")]
    assert row[4] == f"{rare['value']:.3f}|{rare['low']:.3f} to {rare['high']:.3f}"
    assert row[5] == "152"  # 120 to find faces, 32 to classify: CPU time
    assert row[6].split("|")[0].replace("−", "-") == f"{told['difference']:+.3f}"
    assert rows["EfficientDet|detect 435 ms"][6:] == ["–"] * 4


def test_every_hypothesis_has_its_verdict_and_the_first_answer_is_that_of_h7(text: str, workspace: Workspace):
    records = json.loads(workspace.input("reports/hypotheses.json").read_text())
    assert list(records) == [f"H{i}" for i in range(1, 8)]
    for key, record in records.items():
        card = html.unescape(text.split(f'id="{key}"')[1].split("</article>")[0])
        assert record["verdict"] in card
        assert f'class="conclusion {record["conclusion"]}"' in card
        assert all(each["detail"] in card for each in record["assumptions"])
        assert all(note in card for note in record["notes"])
    answer = text.split('<p class="answer">')[1].split("</p>")[0]
    assert html.unescape(answer) == records["H7"]["verdict"]


def test_classifiers_stand_by_set_of_crops_best_first(text: str, study: Study):
    rows = cells(text, "Faces of the photos, grouped")
    assert list(rows) == [*CLASSIFIERS, f"{OVERLAID_CLASSIFIER}_overlaid|trained with drawn masks besides"]
    table = study.tables["classifiers"]
    best = table[(table["data"] == "photos") & (table["protocol"] == "grouped") & (table["metric"] == "accuracy")]
    assert [row[0].split("|")[0] for row in rows.values()] == [f"{value:.3f}" for value in best["value"]]
    assert list(cells(text, "Crops sorted into a folder a class, grouped")) == ["mobilenet_v2_finetuned"]
    others = table[(table["data"] == "photos") & (table["metric"] == "other_folds/balanced_accuracy")]
    assert [row[-1].split("|")[0] for row in rows.values()] == [f"{value:.3f}" for value in others["value"]]
    assert "accuracy, other folds" in text
    assert "Recipes were tried out on some of the folds" in text
    assert "On the others (fold 1; " in text
    assert text.count("Recipes were tried out on some of the folds") == 1  # not for the folders
    summaries = re.findall(r'<details class="card classifier"( open)?><summary><b>(.*?)</b>', text)
    assert summaries[0] == (" open", "mobilenet_v2_finetuned")
    assert [name for _, name in summaries[1:3]] == ["sequential_cnn_grey", "sequential_cnn"]


def test_what_drawn_masks_add_is_told_by_class(text: str, study: Study):
    rows = cells(text, "With drawn masks against without")
    pairs = study.tables["classifier_pairs"].set_index(["classifier_a", "classifier_b", "metric"])
    told = pairs.loc[(OVERLAID_CLASSIFIER, f"{OVERLAID_CLASSIFIER}_overlaid", "ap/mask_weared_incorrect")]
    row = rows[f"AP, incorrect|{OVERLAID_CLASSIFIER}"]
    assert row[:2] == [f"{told['a']:.3f}", f"{told['b']:.3f}"]
    assert row[2].replace("−", "-") == f"{told['difference']:+.3f}|{told['low']:+.3f} to {told['high']:+.3f}"
    assert text.count("What drawn masks add") == 1  # not for the folders


def test_confusions_are_shares_of_the_true_class(text: str, study: Study):
    block = text.split('class="confusion"')[1].split("</table>")[0]
    shares = [int(share) for share in re.findall(r"--share: (\d+)", block)]
    counts = study.tables["confusion"].set_index(["data", "classifier", "protocol"]).loc["photos"]
    counts = counts.loc[("mobilenet_v2_finetuned", "grouped"), ["actual", "predicted", "count"]]
    table = counts.pivot(index="actual", columns="predicted", values="count")
    for place, name in enumerate(("with_mask", "without_mask", "mask_weared_incorrect")):
        assert abs(sum(shares[3 * place : 3 * place + 3]) - 100) <= 1
        assert abs(shares[4 * place] - 100 * table.loc[name, name] / table.loc[name].sum()) <= 0.5
    of_folders = text.split('class="confusion"')[-1].split("</table>")[0]
    assert len(re.findall(r"--share", of_folders)) == 4  # two classes occur


def test_leakage_and_pairs_are_told_for_each(text: str, study: Study):
    rows = cells(text, "Other splits against the grouped one")
    assert len(rows) == len(CLASSIFIERS) * 2
    gain = study.tables["inflation"].set_index(["data", "classifier", "protocol", "metric"])
    told = gain.loc[("photos", "sequential_cnn", "by_face_70_30", "accuracy")]
    row = rows["sequential_cnn|by face, 70/30, 40 faces"]
    assert row[:2] == [f"{told['a']:.3f}", f"{told['b']:.3f}"]
    pairs = cells(text, "Classifiers in pairs, on the same faces")
    assert "sequential_cnn against sequential_cnn_grey" in pairs  # colour against grey
    by_metric = study.tables["classifier_pairs"].set_index(["data", "metric"])
    for place, metric in ((1, "accuracy"), (3, "balanced_accuracy")):
        for pair in by_metric.loc[("photos", metric)].itertuples():
            cell = pairs[f"{pair.classifier_b} against {pair.classifier_a}"][place]
            assert cell == p_cell(pair.p_value_holm, pair.least_p_value_holm)


def test_face_detectors_stand_with_their_thresholds_and_times(text: str, study: Study):
    rows = cells(text, "Face detectors on all images")
    assert [name.split("|")[0] for name in rows] == list(FACE_DETECTORS)
    recall = study.tables["face_detectors"].set_index(["detector", "metric", "subgroup"])["value"]
    for row, name in zip(rows.values(), FACE_DETECTORS, strict=True):
        assert row[2].split("|")[0] == f"{recall[name, 'recall_50', 'all']:.3f}"
    by_size = cells(text, "recall at IoU 0.4, by size and mask state")
    assert len(by_size) == 10  # all, three thirds, three sizes, three states
    assert by_size["incorrect"][1].split("|")[0] == f"{recall['opencv_dnn', 'recall_40', 'mask_weared_incorrect']:.3f}"


def test_what_limits_the_numbers_is_said(study: Study):
    few = study_warnings(study, SETTINGS)
    assert few[0].startswith("A partial answer: EfficientDet was run on 2 of 5 folds")
    assert re.match(r"Only \d+ of 120 faces are of the class “incorrect”", few[1])
    assert len(study_warnings(study, replace(SETTINGS, num_folds=2))) == 1


def test_names_from_files_are_escaped():
    macros = html_template("table.html.j2").module
    table = TextTable(["<a>"], [["<b>_c", "0.5\n<i>"]], ["<u>"])
    assert re.findall(r"<[abiu]\b", macros.text_table(table, "<i>")) == []
    assert "&lt;b&gt;_<wbr>c" in macros.text_table(table, "x")


def test_without_the_stores_the_page_is_the_same_but_for_the_galleries(
    workspace: Workspace, cfg: DictConfig, text: str, tmp_path: Path
):
    shutil.copytree(workspace.input("reports"), tmp_path / "reports")
    page = two_phase_report.run(cfg, Workspace(tmp_path, tmp_path)).read_text(encoding="utf-8")
    assert page.count("Left out:") == 3
    assert "<script" not in page
    assert "<img" not in page
    assert page.split('<section id="pictures">')[0] == text.split('<section id="pictures">')[0]  # byte for byte


SOURCES = {f"{name} table": source for name, source in TABLES.items()}
SOURCES |= {f"{name} record": source for name, source in RECORDS.items()}
SOURCES["history"] = history_source("photos", "sequential_cnn", "grouped")
SOURCES["history with masks"] = history_source("photos", "mobilenet_v2_finetuned_overlaid", "grouped")
SOURCES["history of folders"] = history_source("folders", "mobilenet_v2_finetuned", "grouped")


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_a_missing_file_names_its_stage(workspace: Workspace, tmp_path: Path, name: str):
    source = SOURCES[name]
    shutil.copytree(workspace.input("reports"), tmp_path / "reports")
    (tmp_path / "reports" / source.path).unlink()
    with pytest.raises(FileNotFoundError, match=f"{re.escape(source.path)}: expected .* `{source.stage}` writes"):
        read_study(tmp_path / "reports")


def test_a_damaged_file_is_named(workspace: Workspace, tmp_path: Path):
    shutil.copytree(workspace.input("reports"), tmp_path / "reports")
    path = tmp_path / "reports" / TABLES["inflation"].path
    pd.read_csv(path).drop(columns="num_faces").to_csv(path, index=False)
    with pytest.raises(
        ValueError, match=r"inflation\.csv: expected a column 'num_faces', got data, .*score_classifiers"
    ):
        read_study(tmp_path / "reports")
    shutil.copy(workspace.input("reports/two_phase/inflation.csv"), path)
    (tmp_path / "reports/hypotheses.json").write_text("{")
    with pytest.raises(ValueError, match=r"hypotheses\.json: expected JSON"):
        read_study(tmp_path / "reports")


def test_without_h7_there_is_no_answer(study: Study):
    records = {**study.records, "hypotheses": {"H1": study.records["hypotheses"]["H1"]}}
    with pytest.raises(ValueError, match=r"hypotheses\.json: expected H7, got \['H1'\]"):
        build_study_page(replace(study, records=records), Pictures(), SETTINGS)


def open_page(browser: Browser, workspace: Workspace, size: tuple[int, int], scheme: str) -> tuple[Page, list[str]]:
    return chromium.open_page(browser, workspace.output(PAGE), size, scheme)


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 900), (390, 844)])
def test_nothing_scrolls_sideways_folded_or_not(
    browser: Browser, workspace: Workspace, size: tuple[int, int], scheme: str
) -> None:
    page, troubles = open_page(browser, workspace, size, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert page.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (int(background[4:].split(",")[0]) < 128) == (scheme == "dark")
    assert troubles == []
    page.close()


@pytest.mark.browser
def test_errors_filter_by_classifier_and_mistake_and_enlarge(browser: Browser, workspace: Workspace) -> None:
    page, troubles = open_page(browser, workspace, (1280, 900), "light")
    visible = page.locator(".crops > li:visible")
    shown = page.locator("#shown")
    everything = shown.inner_text()
    page.get_by_label("Classifier", exact=True).select_option("photos/sequential_cnn")
    assert visible.count() > 0
    assert shown.inner_text() != everything
    assert all(
        "photos/sequential_cnn" in groups.split()
        for groups in visible.evaluate_all("(c) => c.map((e) => e.dataset.groups)")
    )
    page.get_by_label("Mistake", exact=True).select_option("incorrect called mask")
    facts = visible.evaluate_all("(cards) => cards.map((card) => JSON.parse(card.dataset.boxes))")
    assert len(facts) > 0
    assert all(any(fact[1] == "incorrect called mask" for fact in of_card) for of_card in facts)
    page.locator(".crops button:visible").first.click()
    assert page.locator("dialog .view use").evaluate("(use) => use.getBoundingClientRect().width") > 500
    page.keyboard.press("Escape")
    assert troubles == []
    page.close()
