"""Tables of a foreign set: boxes are put right by stated rules, images without faces stay, empty tables have types."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from damaged_set import scene
from maskdet.commands.evaluate.tables import label_tables, prediction_table
from maskdet.data.audit.looks import look_at
from maskdet.data.labelled_set import LabelledBox, LabelledImage
from maskdet.inference.results import ImageResult
from maskdet.inference.suppression import Detections
from maskdet.schema import BOX_COLUMNS, CLASS_NAMES, PREDICTIONS

WIDTH, HEIGHT = 160, 120
LOOK = look_at(scene(0, WIDTH, HEIGHT))


def an_image(name: str, *boxes: tuple) -> LabelledImage:
    return LabelledImage(name, (WIDTH, HEIGHT), tuple(LabelledBox("with_mask", box) for box in boxes), "labels")


def test_boxes_are_clipped_ordered_and_dropped_as_a_repair_does():
    image = an_image("a.png", (150, 20, 190, 70), (60, 70, 20, 20), (20, 20, 60, 70), (5, 5, 5, 9), (170, 5, 190, 9))
    labels = label_tables([image, an_image("b.png")], {"a.png": LOOK, "b.png": LOOK}, "web")
    assert labels.annotations[BOX_COLUMNS].to_numpy().tolist() == [[150, 20, 160, 70], [20, 20, 60, 70]]
    assert (labels.num_clipped, labels.num_dropped) == (2, 3)
    assert labels.images[["file_name", "source", "width", "height", "num_faces"]].to_numpy().tolist() == [
        ["a.png", "web", WIDTH, HEIGHT, 2],
        ["b.png", "web", WIDTH, HEIGHT, 0],
    ]
    assert set(labels.images["sha256"]) == {LOOK.sha256}


def test_a_set_without_a_face_has_an_empty_table_of_faces():
    labels = label_tables([an_image("a.png")], {"a.png": LOOK}, "web")
    assert labels.annotations.empty
    assert labels.annotations["x_min"].dtype == np.float32


COORDINATE = st.floats(-50, 250)


@given(st.lists(st.tuples(COORDINATE, COORDINATE, COORDINATE, COORDINATE), max_size=6))
def test_every_box_lies_on_its_image(boxes):
    labels = label_tables([an_image("a.png", *boxes)], {"a.png": LOOK}, "web")
    values = labels.annotations[BOX_COLUMNS].to_numpy()
    assert (values >= 0).all()
    assert (values <= [WIDTH, HEIGHT, WIDTH, HEIGHT]).all()
    assert len(values) + labels.num_dropped == len(boxes)


def test_detections_are_rows_in_no_fold():
    found = Detections(np.array([[1, 2, 3, 4]], np.float32), np.array([0.25], np.float32), np.array([1]))
    nothing = Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int64))
    results = [ImageResult("a.png", (9, 9), nothing), ImageResult("b.png", (9, 9), found)]
    table = prediction_table(results, CLASS_NAMES)
    assert table.to_numpy().tolist() == [["b.png", -1, CLASS_NAMES[1], 0.25, 1, 2, 3, 4]]
    assert prediction_table(results[:1], CLASS_NAMES).dtypes.astype(str).to_dict().keys() == PREDICTIONS.columns.keys()
