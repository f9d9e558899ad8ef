"""The Lightning module: what validation says is what the tables say; a loss that is not finite stops the run."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from maskdet.data.datamodule import Batch, collate
from maskdet.data.dataset import EvaluationSet, LabelledImages
from maskdet.data.framing import Letterbox, Stretch
from maskdet.evaluation.coco import coco_metrics
from maskdet.models.efficientdet import Detections
from maskdet.schema import CLASS_NAMES
from maskdet.training.module import DetectionModule
from maskdet.training.prediction import predict_batches
from table_rows import face_rows
from training_world import annotations_table, draw_images, file_name, tiny_detector

NAMES = [file_name(i) for i in range(8)]


class KnownDetections(nn.Module):
    """Finds what it was told to find, image by image."""

    def __init__(self, detections: list[Detections]) -> None:
        super().__init__()
        self.detections, self.position = detections, 0
        self.register_buffer("mean", torch.zeros(1))

    def detect(self, images: torch.Tensor) -> list[Detections]:
        found = self.detections[self.position : self.position + len(images)]
        self.position = (self.position + len(images)) % len(self.detections)
        return found


def noisy(evaluation: EvaluationSet, rng: np.random.Generator) -> list[Detections]:
    """Return the truth with noise, wrong classes and false alarms; some lie on the padding around the image."""
    found = []
    for index in range(len(evaluation)):
        example = evaluation[index]
        truth = example.boxes_xyxy.numpy()
        boxes = np.vstack([truth + rng.normal(0, 2, truth.shape), truth * 1.3, [[60, 60, 128, 128]]]).clip(0, 128)
        classes = np.concatenate([example.class_indices, rng.integers(0, 3, len(truth) + 1)])
        scores = rng.uniform(0.05, 1, len(boxes)).astype(np.float32)
        order = np.argsort(-scores)
        arrays = boxes[order].astype(np.float32), scores[order], classes[order]
        found.append(Detections(*map(torch.from_numpy, arrays)))
    return found


def module_of(detector: nn.Module) -> DetectionModule:
    return DetectionModule(detector, optimizer=None, scheduler=None, lr=0.1, weight_decay=0, lr_multipliers={})


def images_of(folder: Path, names: list[str], annotations: pd.DataFrame) -> LabelledImages:
    if not folder.exists():
        draw_images(folder)
    return LabelledImages.from_tables(folder, names, annotations)


def batches_of(evaluation: EvaluationSet) -> list[Batch]:
    return [collate([evaluation[i] for i in range(start, start + 2)]) for start in range(0, len(evaluation), 2)]


@pytest.mark.parametrize("framing", [Letterbox(128), Stretch(128)])
@pytest.mark.parametrize("seed", [0, 1])
def test_validation_and_tables_agree(tmp_path, framing, seed):
    evaluation = EvaluationSet(images_of(tmp_path / "images", NAMES, annotations_table()), framing)
    detector = KnownDetections(noisy(evaluation, np.random.default_rng(seed)))
    module = module_of(detector)
    for batch in batches_of(evaluation):
        module.validation_step(batch, 0)
    logged = module._validation_metrics()
    predictions = predict_batches(detector, batches_of(evaluation), fold=0)
    tables = coco_metrics(pd.DataFrame({"file_name": NAMES}), annotations_table(), predictions)
    assert 0.05 < tables["map"] < 0.95
    for name, value in logged.items():
        assert value == pytest.approx(tables[name], abs=1e-6, nan_ok=True), name


def test_a_class_without_true_boxes_is_undefined(tmp_path):
    faces = face_rows([(NAMES[2], CLASS_NAMES[0], 30, 30, 90, 100)])
    evaluation = EvaluationSet(images_of(tmp_path / "images", NAMES[2:4], faces), Letterbox(128))
    module = module_of(KnownDetections(noisy(evaluation, np.random.default_rng(0))))
    module.validation_step(batches_of(evaluation)[0], 0)
    logged = module._validation_metrics()
    assert np.isnan(logged["ap/without_mask"])
    assert np.isnan(logged["map_small"])
    assert logged["ap/with_mask"] == logged["map"] > 0


def test_a_validation_without_any_box_is_undefined_and_starts_anew(tmp_path):
    evaluation = EvaluationSet(
        images_of(tmp_path / "images", [NAMES[3], NAMES[7]], annotations_table()), Letterbox(128)
    )
    nothing = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    module = module_of(KnownDetections([nothing, nothing]))
    for _ in range(2):
        module.validation_step(batches_of(evaluation)[0], 0)
        assert all(np.isnan(value) for value in module._validation_metrics().values())


def test_a_loss_that_is_not_finite_names_the_images(tmp_path):
    evaluation = EvaluationSet(images_of(tmp_path / "images", NAMES[:2], annotations_table()), Letterbox(128))
    detector = tiny_detector().train()
    with torch.no_grad():
        detector.network.class_net.predict.conv_pw.bias.fill_(float("nan"))
    message = r"epoch 0, step 0: expected a finite loss, got .*nan.* for the images \['drawn_0.png', 'drawn_1.png'\]"
    with pytest.raises(FloatingPointError, match=message):
        module_of(detector).training_step(batches_of(evaluation)[0], 0)


def test_an_empty_table_of_predictions_has_the_columns(tmp_path):
    evaluation = EvaluationSet(images_of(tmp_path / "images", NAMES[:2], annotations_table()), Letterbox(128))
    nothing = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    table = predict_batches(KnownDetections([nothing, nothing]), batches_of(evaluation), fold=1)
    assert len(table) == 0
    assert {"file_name", "fold", "class_name", "score", "x_min"} <= set(table)


def test_predictions_lie_in_the_image_and_have_area(tmp_path):
    evaluation = EvaluationSet(images_of(tmp_path / "images", NAMES[:2], annotations_table()), Letterbox(128))
    boxes = torch.tensor([[8.0, 16, 48, 64], [0, 90, 128, 128], [0, 0, 128, 128]])  # the second: padding alone
    found = Detections(boxes, torch.tensor([0.9, 0.8, 0.7]), torch.tensor([0, 1, 2]))
    table = predict_batches(KnownDetections([found, found]), batches_of(evaluation), fold=1)
    wide = table[table["file_name"] == NAMES[0]]  # 160 x 100 px, so an input pixel is 1.25 px
    assert wide[["x_min", "y_min", "x_max", "y_max"]].to_numpy().tolist() == [[10, 20, 60, 80], [0, 0, 160, 100]]
    assert wide["class_name"].tolist() == [CLASS_NAMES[0], CLASS_NAMES[2]]
