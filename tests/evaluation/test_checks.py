"""Rows that no metric can count are refused, with the value and where it stands."""

import numpy as np
import pytest

from maskdet.evaluation.coco import coco_metrics
from maskdet.evaluation.verdicts import coco_verdicts


def broken(tables, change):
    images, annotations, predictions = (table.copy() for table in tables)
    if change == "NaN score":
        predictions.loc[3, "score"] = np.nan
    elif change == "score above 1":
        predictions.loc[3, "score"] = 1.5
    elif change == "inverted detection":
        predictions.loc[3, ["x_min", "x_max"]] = [20.0, 10.0]
    elif change == "inverted true box":
        annotations.loc[3, ["y_min", "y_max"]] = [20.0, 10.0]
    elif change == "infinite box":
        predictions.loc[3, "x_max"] = np.inf
    elif change == "NaN coordinate":
        annotations.loc[3, "x_max"] = np.nan
    elif change == "unknown image":
        predictions.loc[3, "file_name"] = "elsewhere.png"
    elif change == "unknown class":
        predictions.loc[3, "class_name"] = "helmet"
    elif change == "image twice":
        images = images.iloc[[0, *range(len(images))]]
    return images, annotations, predictions


@pytest.mark.parametrize("function", [coco_metrics, coco_verdicts])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("NaN score", r"predictions: expected scores in \[0, 1\], got nan in 'image_\d+\.png'"),
        ("score above 1", r"predictions: expected scores in \[0, 1\], got 1\.5 in"),
        ("inverted detection", r"predictions: expected finite boxes with x_min <= x_max .* got \[20\.0, .* in 'image_"),
        ("inverted true box", r"annotations: expected finite boxes .* got \[.*20\.0, .*10\.0\] in"),
        ("infinite box", r"predictions: expected finite boxes .* got \[.*inf.*\] in"),
        ("NaN coordinate", r"annotations: expected finite boxes .* got \[.*nan.*\] in"),
        ("unknown image", r"predictions: expected files of the images table, got 'elsewhere\.png'"),
        ("unknown class", r"predictions: expected classes among \['with_mask', .*\], got 'helmet'"),
        ("image twice", r"images: expected every file once, got 'image_\d+\.png' twice"),
    ],
)
def test_what_cannot_be_counted_is_named(function, change, message, random_tables):
    with pytest.raises(ValueError, match=message):
        function(*broken(random_tables(0), change))
