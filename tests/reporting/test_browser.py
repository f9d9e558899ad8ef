"""The page in a browser: everything loads, nothing scrolls sideways, pictures enlarge and filter."""

import pytest
from playwright.sync_api import Browser, Page, expect

import chromium
from maskdet.stages.entry import Workspace

pytestmark = pytest.mark.browser

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}


def open_page(browser: Browser, workspace: Workspace, size: str, scheme: str) -> tuple[Page, list[str]]:
    return chromium.open_page(browser, workspace.output("reports/report.html"), SIZES[size], scheme)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
def test_everything_loads_and_nothing_scrolls_sideways(
    browser: Browser, workspace: Workspace, size: str, scheme: str
) -> None:
    page, troubles = open_page(browser, workspace, size, scheme)
    page.wait_for_load_state("load")
    broken = page.evaluate(
        """async () => { const photos = [...document.querySelectorAll("image")];
        const decoded = await Promise.all(photos.map(async (photo) => {
          const image = new Image(); image.src = photo.getAttribute("href");
          return image.decode().then(() => image.naturalWidth > 0, () => false); }));
        return decoded.length === 0 || decoded.includes(false); }"""
    )
    assert not broken
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (int(background[4:].split(",")[0]) < 128) == (scheme == "dark")
    assert troubles == []
    page.close()


def test_a_picture_enlarges_and_closes(browser: Browser, workspace: Workspace) -> None:
    page, troubles = open_page(browser, workspace, "desktop", "light")
    page.locator(".panels button").nth(2).click()
    text = page.locator("dialog p")
    assert page.locator("dialog .view use").evaluate("(use) => use.getBoundingClientRect().width") > 600
    assert text.inner_text() == page.locator(".cards .view").nth(2).get_attribute("aria-label")
    page.keyboard.press("ArrowRight")
    assert text.inner_text() == page.locator(".cards .view").nth(3).get_attribute("aria-label")
    page.keyboard.press("Escape")
    assert not page.locator("dialog").is_visible()
    assert page.evaluate("document.activeElement.tagName") == "BUTTON"
    assert troubles == []
    page.close()


def boxes_of(page: Page) -> list[list[tuple]]:
    """Return the facts of the boxes of every visible card, in the order of the page."""
    return page.locator(".cards > li:visible").evaluate_all("(cards) => cards.map((c) => JSON.parse(c.dataset.boxes))")


def test_filters_by_class_kind_size_and_score(browser: Browser, workspace: Workspace) -> None:
    page, troubles = open_page(browser, workspace, "desktop", "light")
    everything = page.locator(".cards > li:visible").count()
    page.get_by_label("Class", exact=True).select_option(label="no mask")
    of_class = boxes_of(page)
    assert 0 < len(of_class) < everything
    assert all(any(1 in box[0] for box in boxes) for boxes in of_class)
    page.get_by_label("Error kind", exact=True).select_option("missed")
    assert all(any(1 in box[0] and box[1] == "missed" for box in boxes) for boxes in boxes_of(page))
    page.get_by_role("button", name="Reset").click()
    expect(page.locator(".cards > li:not([hidden])")).to_have_count(everything)
    page.get_by_label("Lowest score", exact=True).fill("0.93")
    confident = boxes_of(page)
    assert len(confident) > 0
    assert all(any(box[3] is not None and box[3] >= 0.93 for box in boxes) for boxes in confident)
    page.get_by_label("Lowest score", exact=True).fill("0")
    page.get_by_label("Face size", exact=True).select_option("3")
    assert all(any(box[2] == 3 for box in boxes) for boxes in boxes_of(page))
    assert "cards that fit" in page.locator("#shown").inner_text()
    assert troubles == []
    page.close()


def test_one_choice_at_a_time_and_sorting(browser: Browser, workspace: Workspace) -> None:
    page, troubles = open_page(browser, workspace, "phone", "dark")
    page.get_by_label("Show", exact=True).select_option(label="Likely label errors")
    groups = page.locator(".cards > li:visible").evaluate_all("(cards) => cards.map((c) => c.dataset.groups)")
    assert len(groups) > 0
    assert all("label" in group.split() for group in groups)
    assert "contradict its label" in page.locator("#why").inner_text()
    page.get_by_label("Show", exact=True).select_option(label="Most confident errors")
    page.get_by_label("Sort by", exact=True).select_option("score-up")
    scores = [boxes[0][3] for boxes in boxes_of(page)]
    assert scores == sorted(scores)
    assert len(set(scores)) > 1
    page.get_by_label("Show", exact=True).select_option(label="Everything")
    page.get_by_label("Sort by", exact=True).select_option("f1-up")
    values = page.locator(".cards > li:visible").evaluate_all("(cards) => cards.map((c) => c.dataset.f1)")
    known = [float(value) for value in values if value]
    assert known == sorted(known)
    assert values[: len(known)] == [value for value in values if value]  # undefined ones last
    assert troubles == []
    page.close()


def test_without_scripts_every_card_is_listed_and_no_filter_shown(browser: Browser, workspace: Workspace) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(workspace.output("reports/report.html").as_uri())
    assert page.locator(".cards > li").count() == page.locator(".cards > li:visible").count() > 3
    assert not page.locator(".filter").is_visible()
    context.close()
