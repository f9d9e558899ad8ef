"""The traced program: one for any batch, without stacks, without the names of source files."""

import copy

import numpy as np
import pytest
import torch

from exported_model import SIZE, released
from maskdet.models.export.torch_program import export_program, load_program
from maskdet.models.export.tracing import trace_decoder


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    file = tmp_path_factory.mktemp("programs") / "detector.pt2"
    export_program(released().detector, file, SIZE, {"maskdet": '{"size": 128}'})
    return file


def test_the_file_says_what_the_detector_says_of_any_number_of_images(path):
    run = load_program(path)
    for num_images in (1, 3):
        images = np.random.default_rng(num_images).integers(0, 256, (num_images, 3, SIZE, SIZE), dtype=np.uint8)
        with torch.no_grad():
            expected = released().detector.decode(torch.from_numpy(images))
        for found, wanted in zip(run(images), expected, strict=True):
            np.testing.assert_allclose(found, wanted.numpy(), atol=1e-4)


def test_the_file_carries_its_metadata_and_names_no_source_file(path):
    extra = {"maskdet": ""}
    with path.open("rb") as stream:
        program = torch.export.load(stream, extra_files=extra)
    assert extra["maskdet"] in ('{"size": 128}', b'{"size": 128}')
    assert not [node for node in program.graph.nodes if node.target == torch.ops.aten.stack.default and _is_map(node)]
    content = path.read_bytes()
    assert not [word for word in (b"site-packages", b"efficientdet.py", b"stack_trace") if word in content]


def _is_map(node: torch.fx.Node) -> bool:
    """Say whether what is stacked are feature maps: boxes are put together of their four coordinates, too."""
    return node.meta["val"].ndim == 5


def test_a_detector_in_training_mode_and_a_size_that_does_not_fit_are_refused():
    with pytest.raises(ValueError, match="expected a detector in eval mode"):
        trace_decoder(copy.deepcopy(released().detector).train(), SIZE)
    with pytest.raises(ValueError, match="multiples of 128, got 100x100"):
        trace_decoder(released().detector, 100)
