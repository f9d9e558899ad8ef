"""OpenVINO and NNCF are imported without a word to anybody, and leave nothing in the home folder."""

import os
import subprocess
import sys

CODE = """
from maskdet.telemetry import forbid_openvino_telemetry
forbid_openvino_telemetry()
import openvino, nncf, sys
assert sys.modules["openvino_telemetry"] is None
"""


def test_nothing_is_reported_or_written(tmp_path):
    environment = dict(os.environ) | {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", CODE], env=environment, check=True, timeout=300)
    assert not (tmp_path / "intel").exists()
