"""Where the system's Chromium is: tests in a browser are deselected, aloud, where there is none."""

import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str | None:
    """Return the path of the first that is installed."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)
