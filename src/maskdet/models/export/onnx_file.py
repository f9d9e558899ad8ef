"""Save an ONNX graph with its metadata, whole or not at all."""

from collections.abc import Mapping
from pathlib import Path

import onnx

from maskdet.atomic import atomic_file


def save_graph(model: onnx.ModelProto, path: Path, properties: Mapping[str, str]) -> None:
    """Write a graph that its checker accepts, and replace what metadata it had.

    Args:
        model: Modified: its metadata.
        path: The file, complete when it appears.
        properties: The metadata, by name.
    """
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, dict(properties))
    onnx.checker.check_model(model)
    with atomic_file(path) as temporary:
        onnx.save(model, temporary)
