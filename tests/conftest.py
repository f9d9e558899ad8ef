"""What all tests share: a quiet network, a word where a browser is missing, and an order for several processes."""

import os

import hypothesis
import pytest

from chromium import find_chromium

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
os.environ.setdefault("WANDB_MODE", "offline")

hypothesis.settings.register_profile("busy", deadline=None)  # a slow example on a busy machine is no error
hypothesis.settings.load_profile("busy")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect browser tests where there is no Chromium; the long groups first where several processes run."""
    if not find_chromium():
        browser = [item for item in items if item.get_closest_marker("browser")]
        items[:] = [item for item in items if not item.get_closest_marker("browser")]
        config.hook.pytest_deselected(items=browser)
    if hasattr(config, "workerinput"):  # one of several processes
        from side_by_side import turn_of

        items.sort(key=lambda item: turn_of(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Deal out groups of tests that share what takes long to make."""
    from side_by_side import GroupScheduling

    return GroupScheduling(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say aloud that no browser was there."""
    if not find_chromium():
        terminalreporter.write_line("NO CHROMIUM FOUND: no browser test was run", yellow=True)
