"""Face-mask detection as a tracked, cross-validated research pipeline."""

import os
from typing import TYPE_CHECKING

# onnxruntime reports its use over the network unless this is set before it is imported. Nothing here does that unasked.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from maskdet.inference.predictor import Predictor

__version__ = "0.1.0"
__all__ = ["Predictor", "__version__"]


def __getattr__(name: str) -> object:
    """Import `Predictor` when somebody asks for it: the pipeline and the command line start without it."""
    if name == "Predictor":
        from maskdet.inference.predictor import Predictor

        return Predictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
