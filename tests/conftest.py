"""What all tests share: a quiet network, and a word where a browser is missing."""

import os

import pytest

from chromium import find_chromium

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
os.environ.setdefault("WANDB_MODE", "offline")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect browser tests where there is no Chromium, and say so."""
    if find_chromium():
        return
    browser = [item for item in items if item.get_closest_marker("browser")]
    items[:] = [item for item in items if not item.get_closest_marker("browser")]
    if browser:
        config.hook.pytest_deselected(items=browser)
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        if reporter:
            reporter.write_line(f"NO CHROMIUM FOUND: {len(browser)} browser tests are not run", yellow=True)
