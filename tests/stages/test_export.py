"""The stage `export`: its three files agree, and what is unfit is refused before anything is written."""

import json

import pytest
import torch
from safetensors import safe_open

from exported_model import DETAILS, SCORE_THRESHOLDS, SIZE, model_settings, outspoken_detector, release_config, released
from maskdet.inference.metadata import METADATA_KEY, ModelMetadata
from maskdet.inference.runtimes.onnx import OnnxRuntime
from maskdet.models.efficientdet import EfficientDetector
from maskdet.models.export.detector_onnx import Differences
from maskdet.models.weights import save_half_weights, save_weights
from maskdet.schema import CLASS_NAMES
from maskdet.stages import export
from maskdet.stages.entry import Workspace
from training_world import compose_config


def test_all_three_files_hold_the_same_metadata():
    folder = released().folder
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == [
        "details.json",
        "reference.json",
        "reference.onnx",
        "reference.safetensors",
    ]
    record = json.loads((folder / "reference.json").read_text())
    with safe_open(folder / "reference.safetensors", "pt") as stored:
        assert json.loads(stored.metadata()[METADATA_KEY]) == record
    metadata = OnnxRuntime(released().onnx_path).metadata
    assert metadata.to_record() == record
    assert metadata.class_names == CLASS_NAMES
    assert (metadata.framing_kind, metadata.size) == ("letterbox", SIZE)
    assert metadata.detect.max_candidates == release_config().predict.detect.max_candidates
    assert metadata.score_thresholds == SCORE_THRESHOLDS
    assert record["metrics"] == DETAILS["metrics"]
    assert record["licence"] == "Apache-2.0"
    assert record["config"]["model"]["architecture"] == "tf_efficientdet_lite0"
    assert set(record) >= {"code", "data", "config"}


def test_the_stage_returns_how_far_the_file_is_from_torch():
    assert 0 <= released().differences.box_px < 0.01
    assert 0 <= released().differences.score < 1e-5


def test_the_half_weights_fill_a_detector_of_the_same_settings():
    path, exact = released().folder / "reference.safetensors", released().detector.state_dict()
    with safe_open(path, "pt") as stored:
        halves = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    assert {tensor.dtype for tensor in halves.values()} == {torch.float16, torch.int64}
    detector = EfficientDetector(**model_settings(release_config())).eval()
    detector.load_state_dict(halves)
    for name, tensor in detector.state_dict().items():
        assert tensor.dtype == exact[name].dtype
        torch.testing.assert_close(tensor, exact[name], rtol=2**-11, atol=2**-24)  # half a unit in the last place


@pytest.mark.parametrize("value", [1e5, float("nan")])
def test_what_half_precision_cannot_hold_is_refused(value, tmp_path):
    with pytest.raises(ValueError, match=r"^head\.bias: expected finite values up to 65504"):
        save_half_weights({"head.bias": torch.tensor([1.0, value])}, tmp_path / "x.safetensors", {})
    assert not list(tmp_path.iterdir())


@pytest.fixture
def workspace(tmp_path):
    """Return a workspace with weights and no details."""
    settings = {"model": model_settings(release_config()), "class_names": list(CLASS_NAMES)}
    state = outspoken_detector(settings["model"]).state_dict()
    save_weights(state, settings, tmp_path / export.WEIGHTS_DIR)
    return Workspace(tmp_path, tmp_path)


def files(workspace: Workspace) -> list[str]:
    return sorted(path.name for path in (workspace.root / "build/release").iterdir() if path.is_file())


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"build/release/train: expected weights\.safetensors and model\.json"):
        export.run(release_config(), Workspace(tmp_path, tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"details\.json: expected JSON"),
        ("[]", r"details\.json: expected a JSON object, got list"),
        ('{"score_thresholds": {"mask": 1}}', r"score_thresholds: expected .*with_mask.* got \['mask'\]"),
        ('{"detect": {}}', r"details: expected no key of the format itself, got \['detect'\]"),
    ],
)
def test_unfit_details_are_refused(text, message, workspace):
    (workspace.root / export.DETAILS_FILE).write_text(text)
    with pytest.raises(ValueError, match=message):
        export.run(release_config(), workspace)
    assert files(workspace) == ["details.json"]


def test_a_framing_of_training_alone_is_refused(workspace):
    cfg = compose_config("model.pretrained=none")
    cfg.predict.framing = cfg.framing  # a random crop cannot be undone
    with pytest.raises(ValueError, match=r"predict\.framing: expected one of \['letterbox', 'stretch'\], got maskdet"):
        export.run(cfg, workspace)


def test_a_file_far_from_torch_is_not_kept(workspace, monkeypatch, capsys):
    """The graph is that of the shared release; the comparison is told to allow nothing."""
    whole = released().onnx_path.read_bytes()
    monkeypatch.setattr(export, "export_onnx", lambda detector, path, size, properties: path.write_bytes(whole))
    monkeypatch.setattr(export, "MAX_DIFFERENCES", Differences(0.0, 0.0))
    with pytest.raises(
        ValueError, match=r"expected an ONNX file within Differences\(box_px=0\.0, score=0\.0\) of torch"
    ):
        export.run(release_config(), workspace)
    assert files(workspace) == []
    assert "every class gets the threshold evaluate.score_threshold" in capsys.readouterr().out


def test_without_details_every_class_has_the_threshold_of_the_evaluation(workspace, monkeypatch):
    """The graph is that of the shared release: the metadata is what differs."""
    seen = []

    def write_shared_graph(detector, path, size, properties):
        seen.append(ModelMetadata.from_json(properties[METADATA_KEY]))
        path.write_bytes(released().onnx_path.read_bytes())

    monkeypatch.setattr(export, "export_onnx", write_shared_graph)
    cfg = release_config()
    export.run(cfg, workspace)
    assert set(seen[0].score_thresholds.values()) == {cfg.evaluate.score_threshold}
