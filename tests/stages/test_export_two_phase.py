"""The stage that makes one model file of a face detector and classifiers, on drawn photos."""

import numpy as np
import pandas as pd
import pytest

from maskdet import Predictor
from maskdet.evaluation.matching import match_detections
from maskdet.models.classifiers import CropClassifier, save_classifier
from maskdet.schema import BOX_COLUMNS, CLASS_NAMES, PREDICTIONS, write_table
from maskdet.stages import export_two_phase
from maskdet.stages.export_two_phase import likeliest_classes
from training_world import annotations_table, compose_config, folds_table, write_world

SIZE = 16


def config(fold: int | None, *changes: str):
    cfg = compose_config("split.train_folds=[0,1]", f"crops.size={SIZE}", "two_phase.classifier=tiny", *changes)
    cfg.fold = fold
    return cfg


@pytest.fixture
def workspace(tmp_path):
    """Return drawn photos with two classifiers, and found faces: a row a class, the true one ahead but for one face."""
    workspace = write_world(tmp_path)
    for fold in (0, 1):
        classifier = CropClassifier("sequential_cnn", size=SIZE, hidden=8)
        save_classifier(classifier, tmp_path / f"build/classifiers/tiny-grouped/{fold}.safetensors")
    write_table(found_faces(), tmp_path / "build/two_phase/centerface.parquet", PREDICTIONS)
    return workspace


def found_faces() -> pd.DataFrame:
    faces = annotations_table().drop(columns="is_difficult").reset_index(drop=True)
    fold_of_file = folds_table().set_index("file_name")["fold"]
    rows = []
    for face in faces.itertuples():
        seen = "with_mask" if face.Index == 1 else face.class_name  # one bare face is taken for a masked one
        for name in CLASS_NAMES:
            score = 0.9 - 0.05 * face.Index if name == seen else 0.1
            box = {column: getattr(face, column) for column in BOX_COLUMNS}
            rows.append({"file_name": face.file_name, "class_name": name, "score": score, **box})
    table = pd.DataFrame(rows)
    return table.assign(fold=table["file_name"].map(fold_of_file))[list(PREDICTIONS.columns)]


@pytest.mark.parametrize(("fold", "used"), [(1, [1]), (None, [0, 1])])
def test_the_model_is_whole_and_knows_what_it_is_made_of(fold, used, workspace, capsys):
    path = export_two_phase.run(config(fold), workspace)
    assert path == workspace.output("build/release/two_phase.onnx")
    assert "differ by at most" in capsys.readouterr().out
    metadata = Predictor(path).metadata
    assert metadata.class_names == CLASS_NAMES
    assert (metadata.crop_margin, metadata.crop_size, metadata.class_weight) == (0.25, SIZE, 0.5)
    assert metadata.face_detector["kind"] == "centerface"
    assert metadata.details["classifier"] == {"name": "tiny", "folds": used}
    assert metadata.details["licence"] == "Apache-2.0"


def test_thresholds_are_those_of_the_best_f1_of_what_is_shown(workspace):
    metadata = Predictor(export_two_phase.run(config(0), workspace)).metadata
    shown = likeliest_classes(found_faces())
    matches = match_detections(annotations_table(), shown, 0.5)
    for name, threshold in metadata.score_thresholds.items():
        of_class, num_faces = matches[matches["class_name"] == name], (annotations_table()["class_name"] == name).sum()

        def f1(score, of_class=of_class, num_faces=num_faces):
            kept = of_class[of_class["score"] >= score]
            return 2 * kept["is_tp"].sum() / (len(kept) + num_faces)

        best = max(f1(score) for score in of_class["score"])
        assert f1(threshold) == pytest.approx(best)
        assert metadata.details["operating_points"][name]["f1"] == pytest.approx(best, abs=1e-6)


def test_the_likeliest_class_of_a_box_is_its_row_of_the_highest_score():
    table = found_faces()
    shown = likeliest_classes(table.sample(frac=1, random_state=0))
    assert len(shown) == len(table) // len(CLASS_NAMES)
    best = table.groupby(["file_name", *BOX_COLUMNS])["score"].max()
    np.testing.assert_array_equal(shown.set_index(["file_name", *BOX_COLUMNS])["score"].sort_index(), best.sort_index())
    assert len(likeliest_classes(table[:0])) == 0


def test_a_face_detector_that_needs_torch_is_refused(workspace):
    write_table(found_faces(), workspace.root / "build/two_phase/mtcnn.parquet", PREDICTIONS)
    with pytest.raises(ValueError, match=r"face_detector: expected one of centerface, opencv_dnn, got maskdet.*Mtcnn"):
        export_two_phase.run(config(0, "face_detector=mtcnn"), workspace)
    assert not workspace.output("build/release").exists()


def test_missing_weights_are_named(workspace):
    with pytest.raises(FileNotFoundError, match=r"tiny-grouped/5\.safetensors: expected a classifier's weights"):
        export_two_phase.run(config(5), workspace)
