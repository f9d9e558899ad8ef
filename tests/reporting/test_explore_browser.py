"""The page of the first look in a browser: it loads, fits, tells, enlarges, zooms and filters."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf
from playwright.sync_api import Browser, expect

from chromium import open_page
from explored_set import write_explored_set
from maskdet.stages import explore
from tiny_run import CONF

pytestmark = pytest.mark.browser

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
PLANE = ".plane > canvas"


@pytest.fixture(scope="module")
def page_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cfg = OmegaConf.create({"explore": OmegaConf.load(CONF / "explore/default.yaml")})
    cfg.explore.features.size = 64
    workspace = write_explored_set(tmp_path_factory.mktemp("explored"))
    explore.run(cfg, workspace)
    return workspace.output("reports/explore/explore.html")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
def test_everything_loads_and_nothing_scrolls_sideways(
    browser: Browser, page_path: Path, size: str, scheme: str
) -> None:
    page, troubles = open_page(browser, page_path, SIZES[size], scheme)
    page.wait_for_load_state("load")
    assert page.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
    assert page.locator(PLANE).evaluate("(c) => c.width > 200 && c.toDataURL().length > 5000")
    unnamed = page.locator("svg[role=img]:not([aria-label]), img:not([alt])")
    assert unnamed.count() == 0
    assert troubles == []
    page.close()


def test_a_bin_tells_its_numbers_and_a_figure_enlarges(browser: Browser, page_path: Path) -> None:
    page, troubles = open_page(browser, page_path, SIZES["desktop"], "light")
    figure = page.locator(".explored", has=page.get_by_role("heading", name="Size of faces in pixels"))
    first_bin = figure.locator("[data-tip]").first
    first_bin.hover()
    page.wait_for_timeout(200)  # scrolling to the figure hides what is told
    first_bin.hover(position={"x": 3, "y": 9})
    tip = page.locator("#tip")
    expect(tip).to_be_visible()
    assert "mask: " in tip.inner_text()
    narrow = figure.locator("svg").bounding_box()["width"]
    figure.get_by_role("button", name="Enlarge").click()
    assert page.locator("dialog svg").bounding_box()["width"] > 1.5 * narrow
    page.locator("dialog [data-tip]").nth(1).hover()
    expect(tip).to_be_visible()
    page.keyboard.press("Escape")
    assert figure.locator("svg").count() == 1
    heat_map = page.locator("[data-grid]").first
    heat_map.scroll_into_view_if_needed()
    page.wait_for_timeout(200)
    box = heat_map.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(tip).to_contain_text("of the faces are here")
    assert troubles == []
    page.close()


def test_the_map_zooms_filters_and_names_images(browser: Browser, page_path: Path) -> None:
    page, troubles = open_page(browser, page_path, SIZES["desktop"], "dark")
    page.wait_for_load_state("load")
    page.locator(PLANE).scroll_into_view_if_needed()
    count = page.locator("#map-count")
    expect(count).to_have_text("9 of 9 images fit")
    page.get_by_label("Look-alikes", exact=True).select_option("any")
    expect(count).to_have_text("3 of 9 images fit")
    page.get_by_label("Classes", exact=True).select_option(label="mask")
    expect(count).to_have_text("1 of 9 images fit")
    place = page.evaluate("(() => { const at = place(1); const area = plane.getBoundingClientRect(); "
                          "return [area.left + at.x, area.top + at.y]; })()")  # fmt: skip
    page.mouse.move(*place)
    expect(page.locator(".picked .name")).to_have_text("b.png")
    expect(page.locator(".picked .said")).to_have_text("200 × 100 px; 1 mask; one of 3 images in group 0")
    expect(page.locator(".picked canvas")).to_be_visible()
    before = page.locator(PLANE).evaluate("(c) => c.toDataURL()")
    page.get_by_label("Zoom in").click()
    page.get_by_label("Show as").select_option("points")
    page.wait_for_function("before => document.querySelector('.plane > canvas').toDataURL() !== before", arg=before)
    assert page.evaluate("view.zoom") > 1.5
    page.locator(PLANE).focus()
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("view.x") > 0
    page.get_by_role("button", name="Reset").click()
    expect(count).to_have_text("9 of 9 images fit")
    assert page.evaluate("view.zoom") == 1
    assert troubles == []
    page.close()


def test_without_scripts_there_is_a_still_map_and_no_dead_button(browser: Browser, page_path: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_path.as_uri())
    assert page.locator("img.still").is_visible()
    assert not page.locator("#map").is_visible()
    assert page.locator(".enlarge:visible").count() == 0
    assert page.locator("details").first.is_visible()
    context.close()
