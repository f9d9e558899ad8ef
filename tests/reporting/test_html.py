"""The page: whole in itself, small enough, and saying what it must say."""

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf

from maskdet.reporting.analysis_files import TABLE_SOURCES, read_analysis
from maskdet.reporting.cards import BoxFact, GalleryCard, Panel
from maskdet.reporting.embedding import embed_pictures, fit_photos
from maskdet.reporting.facts import checkpoint_text, git_revision, run_facts, training_text
from maskdet.reporting.html import Gallery, Page, render_page
from maskdet.reporting.machine import cpu_name
from maskdet.reporting.number_texts import UNDEFINED
from maskdet.reporting.picture import GalleryPicture, judge_tables
from maskdet.reporting.summary_tables import TextTable, headline_table, interval
from maskdet.schema import ANNOTATIONS, CLASS_NAMES, read_table, write_table
from maskdet.stages import evaluate, report
from maskdet.stages.entry import Workspace
from table_rows import detection_rows, face_rows

VOID = {"meta", "link", "img", "br", "hr", "input"}


class PageParser(HTMLParser):
    """Collects what a page refers to, and notices tags that are closed in the wrong order."""

    def __init__(self) -> None:
        """Start with nothing."""
        super().__init__()
        self.references: list[str] = []
        self.images: list[dict] = []
        self.views: list[dict] = []
        self.headings: list[str] = []
        self.ids: list[str] = []
        self.open_tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note references, ids, images."""
        attributes = dict(attrs)
        self.references += [attributes[name] for name in ("src", "href", "srcset", "action") if name in attributes]
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.images += [attributes] if tag == "image" else []
        self.views += [attributes] if attributes.get("class") == "view" else []
        self.headings += [tag] if re.fullmatch("h[1-6]", tag) else []
        self.open_tags += [] if tag in VOID else [tag]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag that closes itself, as in SVG."""
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open_tags.pop()

    def handle_endtag(self, tag: str) -> None:
        """Check the order."""
        assert self.open_tags.pop() == tag


@pytest.fixture(scope="module")
def page_text(workspace: Workspace) -> str:
    """Return the text of the page."""
    return workspace.output("reports/report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(page_text: str) -> PageParser:
    """Return the parsed page."""
    parser = PageParser()
    parser.feed(page_text)
    return parser


def test_every_tag_is_closed_and_every_id_is_unique(page: PageParser) -> None:
    assert page.open_tags == []
    assert len(page.ids) == len(set(page.ids))


def test_the_page_refers_to_nothing_outside(page: PageParser, page_text: str) -> None:
    assert all(reference.startswith(("data:", "#")) for reference in page.references)
    assert not re.search(r"https?://|url\((?!#)|@import", re.sub(r"data:[^\"']+", "", page_text))
    local = {reference[1:] for reference in page.references if reference.startswith("#")}
    assert local <= set(page.ids)


def test_every_photo_is_embedded_once_and_every_view_has_a_text(page: PageParser) -> None:
    assert len(page.images) >= 12 - 3  # images, and errors cut out
    assert all(image["href"].startswith("data:image/jpeg;base64,") for image in page.images)
    assert len(page.views) == 2 * len(page.images)
    assert all(len(view["aria-label"]) > 10 and view["role"] == "img" for view in page.views)


def test_headings_start_with_one_h1(page: PageParser) -> None:
    assert page.headings[0] == "h1"
    assert page.headings.count("h1") == 1


def test_the_page_says_what_was_run(page_text: str) -> None:
    assert "drawn &lt;scenes&gt;: 12 images, 12 faces" in page_text  # escaped
    assert "tf_efficientdet_lite0" in page_text
    assert "optimistic" in page_text  # trainer.checkpoint: best
    assert "num_folds: 2" in page_text  # the config
    assert "Python 3." in page_text


def test_the_page_holds_every_plot(page_text: str) -> None:
    for name in (
        *("pr_curves", "confusion", "folds", "scores", "loss", "map"),
        *("thresholds", "reliability", "errors", "subgroups"),
    ):
        assert f'id="{name}-figure_1"' in page_text


def test_a_second_run_gives_the_same_page(config: DictConfig, workspace: Workspace, tmp_path: Path) -> None:
    quiet = OmegaConf.merge(config, {"logger": {"mode": "disabled"}})
    path = report.run(quiet, Workspace(workspace.root, tmp_path))
    before = workspace.output("reports/report.html").read_bytes()
    assert path.read_bytes() == before.replace(b"mode: offline", b"mode: disabled")


def test_pictures_share_a_budget() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (400, 400, 3), dtype=np.uint8)
    judged = judge_tables(face_rows([]), detection_rows([]), 0.3)
    pictures = [GalleryPicture("a.png", 0, noise, judged)] * 4
    uris, note = embed_pictures(pictures, 640, max_total_bytes=400_000)
    assert sum(len(uri) for pair in uris for uri in pair) <= 400_000
    assert len(uris) == 4
    assert note.startswith("at most")
    assert "larger than planned" not in note
    assert "larger than planned" in embed_pictures(pictures, 640, max_total_bytes=10)[1]
    assert embed_pictures([], 640)[0] == []


def test_undefined_metrics_are_a_dash() -> None:
    metrics = {"val": {"map": 0.5, "map_small": None}, "fold": {"0": {"map": 0.5}}, "fold_mean": {"map": 0.5}}
    rows = {row[0]: row[1:] for row in headline_table(metrics).rows}
    assert rows["mAP"] == ["0.500", UNDEFINED, "0.500"]  # no interval, no mean of a single fold
    assert rows["mAP, small faces"] == [UNDEFINED, UNDEFINED, UNDEFINED]


def test_intervals_stand_beside_their_figures(workspace: Workspace, page_text: str) -> None:
    metrics = json.loads(workspace.output("reports/metrics.json").read_text())
    low, high = (metrics[part]["map"] for part in ("val_low", "val_high"))
    assert f'<b>{metrics["val"]["map"]:.3f}</b><span class="small interval">{low:.3f} to {high:.3f}</span>' in page_text
    assert interval({"val_low": {"map": None}, "val_high": {"map": 0.7}}, "map") == UNDEFINED


def test_a_config_without_keys_still_gives_facts(tmp_path: Path) -> None:
    facts = dict(run_facts({}, {"val": {"num_images": 1, "num_faces": 2}}, tmp_path, {"0": {"device": "cuda"}}))
    assert facts["Data"] == "not set: 1 images, 2 faces"
    assert facts["Training"] == "1 fold, unknown steps each, on cuda; which machine and how long: not recorded"
    assert checkpoint_text("last").startswith("those at a length of training fixed beforehand")
    assert git_revision(tmp_path) is None


def test_training_is_told_as_far_as_it_is_recorded() -> None:
    record = {"device": "cpu", "steps": 1500, "hardware": "EPYC, 2 cores", "seconds": 600}
    assert training_text({"0": record, "1": record}) == "2 folds, 1,500 steps each, on EPYC, 2 cores; 20 minutes in all"
    assert training_text({}).startswith("device, machine and time are not on file")


def test_the_processor_is_named(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Drawn CPU 3000\n")
    assert cpu_name(tmp_path / "cpuinfo") == "Drawn CPU 3000"
    assert cpu_name(tmp_path / "absent") != ""


def noisy_gallery(num_cards: int) -> Gallery:
    """Return cards whose photos compress as badly as any can."""
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (267, 400, 3), dtype=np.uint8) for _ in range(4)]
    faces = tuple(BoxFact((0,), "hit", 2, 0.91, 20.0) for _ in range(5))
    panels = (Panel("a", '<rect class="box c0" x="1" y="1" width="9" height="9"/>' * 10),) * 2
    cards = [
        GalleryCard("image", ("worst",), f"{i}.png", 0, 0.5, noise[i % 4], panels, ("t",), faces)
        for i in range(num_cards)
    ]
    return Gallery(cards, {"worst": ("Worst", "lowest F1")}, ["hit"])


def test_a_run_of_683_noisy_images_stays_below_8_mb(empty_page: Page) -> None:
    text = render_page(replace(empty_page, gallery=noisy_gallery(683)))
    assert len(text.encode()) <= 7_800_000
    assert "JPEG quality" in text


def test_a_page_that_would_be_too_large_says_how_many_cards_it_leaves_out(empty_page: Page) -> None:
    text = render_page(replace(empty_page, gallery=noisy_gallery(40)), max_bytes=200_000)
    assert len(text.encode()) <= 200_000
    shown = text.count("<image ")
    assert 5 < shown < 40
    assert f"the first {shown} of" in text
    assert f"{40 - shown} more are left out" in text


def test_photos_lose_quality_before_number() -> None:
    noise = [np.random.default_rng(0).integers(0, 255, (400, 400, 3), dtype=np.uint8)] * 3
    best, note = fit_photos(noise, 10_000_000)
    assert note == "all 3, at most 640 pixels wide or high, JPEG quality 84"
    fewer_bytes, note = fit_photos(noise, sum(map(len, best)) // 2)
    assert len(fewer_bytes) == 3
    assert "quality 84" not in note
    assert fit_photos(noise, 0)[0] == []
    assert fit_photos([], 10)[1].startswith("all 0")


@pytest.fixture
def empty_page() -> Page:
    """Return a page without tables, plots or cards."""
    table = TextTable(["a"], [], [])
    return Page("t", "s", [], [], [], table, table, "x", [], [], [], Gallery())


def test_files_that_are_not_there_leave_their_parts_out_with_a_sentence(
    config: DictConfig, workspace: Workspace, tmp_path: Path
) -> None:
    root = tmp_path / "bare"
    shutil.copytree(workspace.root / "reports", root / "reports", ignore=shutil.ignore_patterns("gallery", "*.html"))
    (root / "build").symlink_to(workspace.root / "build")
    shutil.rmtree(root / "reports/analysis")
    for name in ("thresholds.json", "calibrator.json", "plots/reliability.csv", "plots/threshold_curves.csv"):
        (root / "reports" / name).unlink()
    quiet = OmegaConf.merge(config, {"logger": {"mode": "disabled"}})
    text = report.run(quiet, Workspace(root, root)).read_text()
    assert "Left out: recall by subgroup. <code>reports/analysis/subgroups.csv</code>" in text
    assert text.count("Left out: ") == len(TABLE_SOURCES) + 2
    assert "Left out: reports/analysis/subgroups.csv" in (root / "reports/model_card.md").read_text()


def test_without_photos_there_are_page_and_card_and_no_gallery(
    config: DictConfig, workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    root = tmp_path / "bare"
    shutil.copytree(workspace.root / "reports", root / "reports", ignore=shutil.ignore_patterns("gallery", "*.html"))
    for name in ("table", "predictions", "folds.parquet"):
        (root / "build").mkdir(exist_ok=True)
        (root / "build" / name).symlink_to(workspace.root / "build" / name)
    text = report.run(OmegaConf.merge(config, {"logger": {"mode": "disabled"}}), Workspace(root, root)).read_text()
    assert "data:image/jpeg" not in text
    assert "12 of 12 photos absent" in capsys.readouterr().out
    assert (root / "reports/model_card.md").read_text() == (workspace.root / "reports/model_card.md").read_text()
    assert (root / "reports/gallery").is_dir()
    assert not list((root / "reports/gallery").rglob("*.jpg"))


def test_a_class_without_faces_is_said_at_the_top(config: DictConfig, workspace: Workspace, tmp_path: Path) -> None:
    root = tmp_path / "poor"
    shutil.copytree(workspace.root / "build", root / "build", ignore=shutil.ignore_patterns("tracking", "raw"))
    path = root / "build/table/annotations.parquet"
    faces = read_table(path, ANNOTATIONS)
    write_table(faces[faces["class_name"] != CLASS_NAMES[2]], path, ANNOTATIONS)
    place = Workspace(root, root)
    metrics = evaluate.run(config, place)
    assert np.isnan(metrics["val"]["ap"][CLASS_NAMES[2]])
    text = report.run(OmegaConf.merge(config, {"logger": {"mode": "disabled"}}), place).read_text()
    assert f"No faces of the class {CLASS_NAMES[2]}" in text
    assert f"No faces of the class {CLASS_NAMES[2]}" in (root / "reports/model_card.md").read_text()


def test_a_table_that_lacks_a_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis/errors.csv").write_text("error,count\nboth,1\n")
    with pytest.raises(ValueError, match=r"errors\.csv: expected a column 'class_name', got error, count"):
        read_analysis(tmp_path)
    (tmp_path / "analysis/errors.csv").unlink()
    (tmp_path / "thresholds.json").write_text("{")
    with pytest.raises(ValueError, match=r"thresholds\.json: expected JSON"):
        read_analysis(tmp_path)


def test_a_missing_evaluation_is_named(config: DictConfig, workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "build").symlink_to(workspace.root / "build")
    with pytest.raises(FileNotFoundError, match=r"metrics\.json"):
        report.run(config, Workspace(tmp_path, tmp_path / "out"))
