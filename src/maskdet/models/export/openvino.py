"""ONNX files as OpenVINO's own format: a graph as XML and its weights beside it."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx

from maskdet.telemetry import forbid_openvino_telemetry

SUFFIX, WEIGHTS_SUFFIX = ".xml", ".bin"


def convert_to_openvino(source: Path, path: Path, properties: Mapping[str, str]) -> None:
    """Write an ONNX file as `.xml` and `.bin`; weights in half precision stay so, quantized ones too.

    Args:
        source: A file of `detector_onnx`, or one that this package made of it.
        path: The `.xml` file; it appears after its weights.
        properties: Written into the file's runtime information, each under its own name.
    """
    forbid_openvino_telemetry()
    import openvino

    graph = onnx.load(source)
    del graph.metadata_props[:]  # they would be copied to a place that only readers of ONNX use
    model = openvino.Core().read_model(graph.SerializeToString())
    for name, text in properties.items():
        model.set_rt_info(text, [name])
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}.") as folder:
        whole = Path(folder, path.name)
        # Compression would round anchors too, by up to half a pixel; sources with halves have chosen what is rounded.
        openvino.save_model(model, whole, compress_to_fp16=False)
        for suffix in (WEIGHTS_SUFFIX, SUFFIX):
            whole.with_suffix(suffix).replace(path.with_suffix(suffix))
