"""The system's Chromium: tests in a browser are deselected, aloud, where there is none."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
]


def find_chromium() -> str | None:
    """Return the path of the first that is installed."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def started_chromium() -> Iterator[Browser]:
    """Start the system's Chromium; playwright's own is not downloaded."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        yield browser
        browser.close()


def open_page(browser: Browser, path: Path, size: tuple[int, int], scheme: str) -> tuple[Page, list[str]]:
    """Open a page; return it and a list that gathers errors and requests to anywhere but the file."""
    page = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda request: None if request.url[:5] in ("file:", "data:") else troubles.append(request.url))
    page.goto(path.as_uri())
    return page, troubles
