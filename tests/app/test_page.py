"""The page in a real browser: results, thresholds, errors, phone, keyboard, and no request to anywhere else."""

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from chromium import started_chromium
from drawn_film import Walker, film, write_film
from exported_model import SCORE_THRESHOLDS
from maskdet.app.models import LOWEST_SCORE
from running_app import animated_gif, bad_uploads, png, running_app

pytestmark = pytest.mark.browser

DESK, PHONE = (1280, 900), (390, 844)
PATIENCE_MS = 60_000  # the machine may be busy
PICTURE, RESULT = "#md-picture input[type=file]", "#md-result img.md-shown"


@dataclass
class Visit:
    """An open page, and what it did that it must not do."""

    page: Page
    troubles: list[str] = field(default_factory=list)

    def send(self, content: bytes, name: str = "scene.png", kind: str = "image/png") -> None:
        self.page.set_input_files(PICTURE, {"name": name, "mimeType": kind, "buffer": content})

    def send_scene(self) -> None:
        self.send(png())
        expect(self.page.locator(RESULT)).to_be_visible()

    def num_faces(self) -> int:
        return int(self.page.locator("#md-result .md-counts b").first.inner_text().split()[0])


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with started_chromium() as browser:
        yield browser


def open_visit(browser: Browser, size: tuple[int, int]) -> Visit:
    url = running_app().url
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    page.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    visit = Visit(page)
    page.on("pageerror", lambda error: visit.troubles.append(str(error)))
    page.on("console", lambda message: visit.troubles.append(message.text) if message.type == "error" else None)
    page.on(
        "request",
        lambda sent: None if sent.url.startswith((url, "data:", "blob:")) else visit.troubles.append(sent.url),
    )
    page.goto(url)
    page.wait_for_selector("#md-picture")
    return visit


@pytest.fixture
def desk(browser) -> Iterator[Visit]:
    visit = open_visit(browser, DESK)
    yield visit
    visit.page.close()
    assert visit.troubles == []


def test_a_picture_gives_boxes_counts_a_table_and_files_and_nothing_leaves_the_host(desk):
    desk.send_scene()
    page, wanted = desk.page, running_app().shelf.first.predictor.detect(np.asarray(Image.open(io.BytesIO(png()))))
    assert desk.num_faces() == len(wanted) > 0
    assert page.locator("#md-faces tbody tr").count() == len(wanted)
    page.wait_for_function(f"document.querySelector('{RESULT}').naturalWidth > 0")
    alt = page.locator(RESULT).get_attribute("alt")
    assert re.search(r"found by reference: \d+ with mask, \d+ without mask, \d+ mask worn incorrectly", alt)
    saved = {link.inner_text(): _saved(page, link) for link in page.locator("#md-result .md-files a").all()}
    assert Image.open(saved["Picture (PNG)"]).format == "PNG"
    with saved["Table (CSV)"].open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == len(wanted)
    coco = json.loads(saved["COCO JSON"].read_text())
    assert len(coco["annotations"]) == len(wanted)
    assert coco["images"][0]["file_name"] == "scene.png"


def _saved(page: Page, link) -> Path:
    with page.expect_download() as download:
        link.click()
    return Path(download.value.path())


def test_thresholds_move_by_the_keyboard_and_the_model_is_not_asked_again(desk, monkeypatch):
    desk.send_scene()
    page, before = desk.page, desk.num_faces()
    monkeypatch.setattr(running_app().shelf.first.predictor, "detect", None)
    slider = page.get_by_label("range slider for Without mask")
    assert float(slider.input_value()) == SCORE_THRESHOLDS["without_mask"]
    slider.focus()
    page.keyboard.press("End")
    expect(page.locator("#md-result .md-counts")).to_contain_text(re.compile(r"\b0 without mask"))
    assert desk.num_faces() < before
    page.keyboard.press("Home")
    expect(page.locator("#md-result .md-counts")).not_to_contain_text(re.compile(r"\b0 without mask"))
    assert desk.num_faces() >= before
    assert float(slider.input_value()) == LOWEST_SCORE


def test_two_models_stand_side_by_side_each_with_its_thresholds(desk):
    desk.send_scene()
    page = desk.page
    page.get_by_label("Second model, side by side").click()
    page.get_by_role("option", name="twin").click()
    expect(page.locator(RESULT)).to_have_count(2)
    first, second = (page.locator(RESULT).nth(place).bounding_box() for place in (0, 1))
    assert first["y"] == second["y"]
    assert first["x"] + first["width"] <= second["x"]
    own = page.get_by_label("range slider for With mask")
    assert own.count() == 2
    own.nth(1).focus()
    page.keyboard.press("End")
    counts = page.locator("#md-result .md-counts")
    expect(counts.nth(1)).to_contain_text(re.compile(r"\b0 with mask"))
    expect(counts.nth(0)).not_to_contain_text(re.compile(r"\b0 with mask"))


def test_a_drawn_example_is_one_key_away(desk):
    button = desk.page.locator("#md-examples button").first
    assert re.fullmatch(r"Scene 1: \d+ (people|person)", button.inner_text())
    button.focus()
    desk.page.keyboard.press("Enter")
    expect(desk.page.locator(RESULT)).to_be_visible()


@pytest.mark.parametrize("name", ["text.jpg", "empty.png", "cut.png", "bomb.png", "large.png"])
def test_a_bad_upload_is_told_in_a_sentence_and_the_next_one_works(browser, name):
    visit = open_visit(browser, DESK)
    content, _ = bad_uploads()[name]
    visit.send(content, name)
    message = visit.page.locator("#md-result [role=alert]")
    expect(message).to_be_visible()
    assert message.inner_text().endswith(".")
    assert "Traceback" not in visit.page.content()
    visit.send_scene()
    expect(message).to_have_count(0)
    visit.page.close()


def test_a_file_over_the_limit_is_refused_while_it_is_sent(browser):
    visit = open_visit(browser, DESK)
    visit.send(b"\x89PNG" + bytes(2_500_000), "huge.png")
    expect(visit.page.get_by_text(re.compile("exceed|too large|maximum", re.I)).first).to_be_visible()
    visit.send_scene()
    visit.page.close()


def test_an_animation_says_what_was_looked_at(desk):
    desk.send(animated_gif(3), "a.gif", "image/gif")
    expect(desk.page.locator("#md-result")).to_contain_text("Looked at: the first of 3 frames.")


def test_a_video_is_played_with_its_tables(desk, tmp_path):
    page, path = desk.page, write_film(tmp_path / "walk.mp4", film([Walker(0, (80, 70), (2, 0))], 6))
    page.get_by_role("tab", name="Video").click()
    page.set_input_files("#md-video input[type=file]", path)
    page.wait_for_selector("#md-video video")
    page.locator("#md-start").click()
    page.wait_for_selector("#md-film video")
    page.wait_for_function("document.querySelector('#md-film video').readyState >= 1")
    assert page.evaluate("document.querySelector('#md-film video').videoWidth") == 320
    expect(page.locator("#md-film")).to_contain_text("6 frames")
    labels = page.locator("#md-film .md-files a").all_inner_texts()
    assert labels == ["Video (MP4)", "Faces by frame (CSV)", "By second (CSV)", "People (CSV)"]


@pytest.mark.parametrize("content", [b"", b"this is a text", bytes(4) + b"ftypisom" + bytes(200)])
def test_a_video_without_frames_is_told_in_a_sentence(browser, content):
    visit = open_visit(browser, DESK)
    page = visit.page
    page.get_by_role("tab", name="Video").click()
    page.set_input_files("#md-video input[type=file]", {"name": "a.mp4", "mimeType": "video/mp4", "buffer": content})
    page.wait_for_selector("#md-video video", state="attached")
    page.locator("#md-start").click()
    message = page.locator("#md-film [role=alert]")
    expect(message).to_be_visible()
    assert message.inner_text().endswith(".")
    assert "/" not in message.inner_text()
    page.close()


def test_a_phone_shows_everything_without_scrolling_sideways(browser):
    visit = open_visit(browser, PHONE)
    page = visit.page
    visit.send_scene()
    for name in ("Picture", "Video", "For programs"):
        page.get_by_role("tab", name=name).click()
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    page.get_by_role("tab", name="Picture").click()
    box = page.locator(RESULT).bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= PHONE[0]
    assert visit.troubles == []
    page.close()


def test_every_control_is_reached_by_tab_in_the_order_of_reading_and_has_a_name(desk):
    desk.send_scene()
    page = desk.page
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    order = []
    for _ in range(40):
        page.keyboard.press("Tab")
        order.append(page.evaluate(_NAME_OF_FOCUS))
        if order[-1].startswith("Table of faces"):
            break
    wanted = ["How often it errs", "Picture", "Upload", "Scene 1", "Model", "Second model", "Picture (PNG)",
              "With mask", "Blur faces", "Table of faces"]  # fmt: skip
    places = [next((place for place, name in enumerate(order) if part in name), None) for part in wanted]
    assert None not in places, order
    assert places == sorted(places), order
    assert all(order), order


_NAME_OF_FOCUS = """() => {
  const focused = document.activeElement;
  const label = focused.labels && focused.labels.length ? focused.labels[0].innerText : '';
  const image = focused.querySelector('img');
  return focused.getAttribute('aria-label') || label || focused.innerText || (image && image.alt) || '';
}"""


def test_the_page_says_what_it_is_not_for_and_which_model_is_missing(desk):
    page = desk.page
    assert "Not for identifying anybody" in page.locator(".md-not").inner_text()
    assert "broken.onnx is not offered" in page.locator(".md-head [role=alert]").inner_text()
    folder = str(Path(next(iter(running_app().shelf.failures))).parent)
    assert folder not in page.locator("body").inner_text()
    page.get_by_role("link", name="How often it errs").click()
    expect(page.locator("#md-honesty")).to_be_in_viewport()
    assert "must not be used to find out" in page.locator("#md-honesty").inner_text()
