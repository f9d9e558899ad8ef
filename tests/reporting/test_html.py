"""The page: whole in itself, small enough, and saying what it must say."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf

from maskdet.reporting.embedding import embed_pictures
from maskdet.reporting.facts import checkpoint_text, git_revision, run_facts
from maskdet.reporting.picture import GalleryPicture, judge_tables
from maskdet.reporting.summary_tables import UNDEFINED, headline_table
from maskdet.stages import report
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
        self.headings: list[str] = []
        self.ids: list[str] = []
        self.open_tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note references, ids, images."""
        attributes = dict(attrs)
        self.references += [attributes[name] for name in ("src", "href", "srcset", "action") if name in attributes]
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.images += [attributes] if tag == "img" else []
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


def test_every_picture_is_a_data_uri_with_a_text(page: PageParser) -> None:
    pictures = page.images[:-1]  # the last is the frame for the enlarged one
    assert len(pictures) == 2 * (3 + 2 + 3 + 1)
    assert all(image["src"].startswith("data:image/jpeg;base64,") for image in pictures)
    assert all("face" in image["alt"] or "hit" in image["alt"] for image in pictures)


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
    for name in ("pr_curves", "confusion", "folds", "scores", "loss", "map"):
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
    assert rows["mAP"] == ["0.500", f"0.500 ± {UNDEFINED}", "0.500"]
    assert rows["mAP, small faces"] == [UNDEFINED, f"{UNDEFINED} ± {UNDEFINED}", UNDEFINED]


def test_a_config_without_keys_still_gives_facts(tmp_path: Path) -> None:
    facts = dict(run_facts({}, {"val": {"num_images": 1, "num_faces": 2}}, tmp_path, ["cuda"]))
    assert facts["Data"] == "not set: 1 images, 2 faces"
    assert facts["Device"] == "cuda"
    assert checkpoint_text("last").startswith("weights at a length of training fixed beforehand")
    assert git_revision(tmp_path) is None


def test_a_missing_evaluation_is_named(config: DictConfig, workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "build").symlink_to(workspace.root / "build")
    with pytest.raises(FileNotFoundError, match=r"metrics\.json"):
        report.run(config, Workspace(tmp_path, tmp_path / "out"))
