"""Keep libraries from reporting home: nothing here uses the network unless somebody asks for it."""

import sys


def forbid_openvino_telemetry() -> None:
    """Let `import openvino` and `import nncf` find no reporter; to be called before either of them.

    Both report each import over the network and keep counts in the home folder; there is no setting against it, but
    both do without the package `openvino_telemetry`. A program that has imported it already has chosen for itself.
    """
    sys.modules.setdefault("openvino_telemetry", None)
