"""OpenVINO: the numbers of ONNX Runtime, metadata from either format, and files that are none of ours."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import openvino
import pytest

from exported_model import SIZE, released
from maskdet.inference.metadata import METADATA_KEY
from maskdet.inference.runtimes.onnx import OnnxRuntime
from maskdet.inference.runtimes.openvino import OpenVinoRuntime


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """Return our model in OpenVINO's own format, its metadata where an export puts it."""
    path = tmp_path_factory.mktemp("openvino") / "model.xml"
    model = openvino.Core().read_model(released().onnx_path)
    model.set_rt_info(OnnxRuntime(released().onnx_path).metadata.to_json(), [METADATA_KEY])
    openvino.save_model(model, path, compress_to_fp16=False)
    return path


def noise(num_images: int) -> np.ndarray:
    return np.random.default_rng(num_images).integers(0, 256, (num_images, 3, SIZE, SIZE), dtype=np.uint8)


@pytest.mark.parametrize("source", ["onnx", "xml"])
def test_it_says_what_onnx_runtime_says(source, converted):
    path = released().onnx_path if source == "onnx" else converted
    ours, theirs = OpenVinoRuntime(path, 1), OnnxRuntime(released().onnx_path)
    assert (ours.name, ours.metadata) == ("openvino", theirs.metadata)
    for num_images in (1, 3):
        boxes_xyxy, scores = ours.run(noise(num_images))
        expected_xyxy, expected_scores = theirs.run(noise(num_images))
        np.testing.assert_allclose(boxes_xyxy, expected_xyxy, atol=0.01)
        np.testing.assert_allclose(scores, expected_scores, atol=1e-4)
        assert boxes_xyxy.dtype == scores.dtype == np.float32


def test_threads_do_not_meet_and_results_are_kept(converted):
    model = OpenVinoRuntime(converted, 1)
    images = [noise(1) // (index + 1) for index in range(4)]
    expected = [model.run(image) for image in images]
    assert not np.array_equal(expected[0][1], expected[1][1])  # a later run leaves an earlier result alone
    with ThreadPoolExecutor(4) as pool:
        for found, (boxes_xyxy, scores) in zip(pool.map(model.run, images * 3), expected * 3, strict=True):
            np.testing.assert_array_equal(found[0], boxes_xyxy)
            np.testing.assert_array_equal(found[1], scores)


def test_missing_files_are_named(tmp_path, converted):
    with pytest.raises(FileNotFoundError, match=r"no\.xml: expected a model file \(\.xml, \.onnx\), found none"):
        OpenVinoRuntime(tmp_path / "no.xml")
    (tmp_path / "x.xml").write_bytes(converted.read_bytes())
    with pytest.raises(FileNotFoundError, match=r"x\.bin: expected the weights of x\.xml, found none"):
        OpenVinoRuntime(tmp_path / "x.xml")


@pytest.mark.parametrize("content", [b"", b"<annotation/>", b"text"])
def test_another_xml_file_is_named_and_nothing_else_is_said(content, tmp_path, capfd):
    (tmp_path / "x.xml").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.xml: expected a model that OpenVINO wrote, got another XML file"):
        OpenVinoRuntime(tmp_path / "x.xml")
    assert capfd.readouterr() == ("", "")


def test_a_damaged_file_is_named(tmp_path, converted):
    (tmp_path / "x.bin").write_bytes(b"")
    (tmp_path / "x.xml").write_bytes(converted.read_bytes()[:3000])
    with pytest.raises(ValueError, match=r"x\.xml: expected a model that OpenVINO reads, got (?!Exception from)"):
        OpenVinoRuntime(tmp_path / "x.xml")


def saved(path, *ports: tuple[str, int], properties: dict[str, str]) -> None:
    """Write a model of others: its outputs are its input, summed."""
    image = openvino.opset13.parameter([-1, 3, SIZE, SIZE], np.uint8, name="images")
    image.output(0).get_tensor().set_names({"images"})
    results = []
    for name, width in ports:
        numbers = openvino.opset13.convert(image, "f32")
        flat = openvino.opset13.reshape(numbers, openvino.opset13.constant([0, -1, width]), special_zero=True)
        flat.output(0).get_tensor().set_names({name})
        results.append(openvino.opset13.result(flat))
    model = openvino.Model(results, [image])
    for key, value in properties.items():
        model.set_rt_info(value, [key])
    openvino.save_model(model, path, compress_to_fp16=False)


def test_a_model_of_others_is_refused(tmp_path):
    saved(tmp_path / "x.xml", ("scores", 3), properties={"author": "somebody"})
    with pytest.raises(ValueError, match=r"is not a maskdet model: expected metadata 'maskdet', got \[.*'author'"):
        OpenVinoRuntime(tmp_path / "x.xml")


@pytest.mark.parametrize(
    ("ports", "message"),
    [
        ([("boxes_xyxy", 4)], r"expected the output scores of f32, \(…, 3\), got"),
        ([("boxes_xyxy", 4), ("scores", 4)], r"expected the output scores of f32, \(…, 3\), got"),
        ([("boxes", 4), ("scores", 3)], r"expected the output boxes_xyxy of f32, \(…, 4\), got"),
    ],
)
def test_a_graph_that_is_not_as_promised_is_refused(ports, message, tmp_path):
    text = OnnxRuntime(released().onnx_path).metadata.to_json()
    saved(tmp_path / "x.xml", *ports, properties={METADATA_KEY: text})
    with pytest.raises(ValueError, match=message):
        OpenVinoRuntime(tmp_path / "x.xml")
