"""The page in a browser: everything loads, nothing scrolls sideways, pictures enlarge and filter."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from maskdet.stages.entry import Workspace

pytestmark = pytest.mark.browser

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
]
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start the system's Chromium; playwright's own is not downloaded."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on this system")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        started.close()


def open_page(browser: Browser, workspace: Workspace, size: str, scheme: str) -> tuple[Page, list[str]]:
    """Open the report; return the page and a list that gathers errors and requests to anywhere but the file."""
    page = browser.new_page(viewport=dict(zip(("width", "height"), SIZES[size], strict=True)), color_scheme=scheme)
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda request: None if request.url[:5] in ("file:", "data:") else troubles.append(request.url))
    page.goto(workspace.output("reports/report.html").as_uri())
    return page, troubles


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
def test_everything_loads_and_nothing_scrolls_sideways(
    browser: Browser, workspace: Workspace, size: str, scheme: str
) -> None:
    page, troubles = open_page(browser, workspace, size, scheme)
    page.wait_for_function("[...document.images].every((image) => image.complete)")
    assert page.evaluate("[...document.images].filter((image) => image.naturalWidth === 0).length") == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (int(background[4:].split(",")[0]) < 128) == (scheme == "dark")
    assert troubles == []
    page.close()


def test_a_picture_enlarges_and_closes(browser: Browser, workspace: Workspace) -> None:
    page, troubles = open_page(browser, workspace, "desktop", "light")
    page.locator(".panels button").nth(2).click()
    shown = page.locator("dialog img")
    assert shown.get_attribute("src") == page.locator(".panels img").nth(2).get_attribute("src")
    page.keyboard.press("ArrowRight")
    assert shown.get_attribute("src") == page.locator(".panels img").nth(3).get_attribute("src")
    page.keyboard.press("Escape")
    assert not page.locator("dialog").is_visible()
    assert troubles == []
    page.close()


def test_filters_show_one_section_and_errors_only(browser: Browser, workspace: Workspace) -> None:
    page, troubles = open_page(browser, workspace, "desktop", "light")
    page.get_by_role("button", name="Worst images").click()
    assert page.locator(".gallery:visible").count() == 1
    page.get_by_role("button", name="All", exact=True).click()
    assert page.locator(".gallery:visible").count() == 4
    page.get_by_role("button", name="Only with errors").click()
    assert page.locator(".shot[data-error-count='0']:visible").count() == 0
    assert page.locator(".shot[data-error-count='2']:visible").count() > 0
    assert troubles == []
    page.close()
