"""Limits of the app: runs at once share the cores that the process may use."""

import os

import pytest

from maskdet.app.limits import AppLimits


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system keeps no process to a part of the cores")
def test_runs_share_the_cores_that_this_process_may_use():
    usable = os.sched_getaffinity(0)
    assert AppLimits(num_at_once=1).threads_a_run == len(usable)
    os.sched_setaffinity(0, {min(usable)})
    try:
        assert AppLimits(num_at_once=1).threads_a_run == 1
        assert AppLimits(num_at_once=2).threads_a_run == 1
    finally:
        os.sched_setaffinity(0, usable)
