"""Which tests stay in one process where several run side by side, and which of them begin.

What takes long to make serves many tests: an exported model serves a process, a fixture its session or module. So the
tests that share one are dealt out together. pytest-xdist's own `loadgroup` cannot do that: version 3.8 passes groups
on in node ids, which pytest 9.2 no longer lets it change.
"""

import functools
import re
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).parents[1]
SHARED_MODELS = re.compile(r"^from (?:exported_model|running_app|two_phase_file) import ", re.MULTILINE)
SHARED_FOLDERS = ("tests/data/audit/", "tests/reporting/", "tests/training/")
"""Folders with fixtures of the session."""

EXPORTED = "exported models"

LONG = (
    "tests/end_to_end/test_pipeline.py",
    EXPORTED,
    "tests/training/",
    "tests/conf/test_conf.py",
    "tests/end_to_end/test_multirun.py",
)
"""Groups that take most of a minute or more: begun first, so that no process waits for another at the end."""


class GroupScheduling(LoadScopeScheduling):
    """Deals out the groups of `group_of`, each to one process, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def group_of(nodeid: str) -> str:
    """Return the name of what a test runs with: a file, a folder, or all that needs an exported model."""
    return _group_of_file(nodeid.partition("::")[0])


@functools.cache
def _group_of_file(file: str) -> str:
    if SHARED_MODELS.search((ROOT / file).read_text(encoding="utf-8")):
        return EXPORTED
    return next((folder for folder in SHARED_FOLDERS if file.startswith(folder)), file)


def turn_of(nodeid: str) -> int:
    """Return when a test's group is dealt out: the long ones in their order, then all others."""
    group = group_of(nodeid)
    return LONG.index(group) if group in LONG else len(LONG)
