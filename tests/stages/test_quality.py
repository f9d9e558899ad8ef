"""The stage `quality` on drawn photos."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from maskdet.data.quality import face_quality
from maskdet.schema import ANNOTATIONS, BOX_COLUMNS, QUALITY, read_table
from maskdet.stages.quality import run
from tiny_run import FILES, config, write_tiny_run


@pytest.fixture
def workspace(tmp_path):
    """Return a workspace with photos of noise, the one darker than the other, and no table of quality."""
    workspace = write_tiny_run(tmp_path)
    workspace.input("build/quality.parquet").unlink()
    folder = workspace.input("build/raw/images")
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i, name in enumerate(FILES):
        pixels = rng.integers(0, 250 - 40 * i, (100, 200, 3), np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return workspace


def test_a_row_a_face_in_their_order(workspace):
    run(config([0]), workspace)
    table = read_table(workspace.output("build/quality.parquet"), QUALITY)
    annotations = read_table(workspace.input("build/table/annotations.parquet"), ANNOTATIONS)
    pd.testing.assert_frame_equal(
        table[["file_name", *BOX_COLUMNS]], annotations[["file_name", *BOX_COLUMNS]], check_exact=True
    )
    expected = face_quality(annotations, workspace.input("build/raw/images")).astype(np.float32)
    pd.testing.assert_frame_equal(table[["sharpness", "brightness"]], expected)
    assert table["brightness"].is_monotonic_decreasing


def test_equal_photos_give_equal_bytes(workspace):
    path = workspace.output("build/quality.parquet")
    contents = []
    for _ in range(2):
        run(config([0]), workspace)
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]


def test_a_missing_photo_leaves_no_table(workspace):
    workspace.input(f"build/raw/images/{FILES[2]}").unlink()
    with pytest.raises(FileNotFoundError, match=r"image_2\.png"):
        run(config([0]), workspace)
    assert not workspace.output("build/quality.parquet").exists()
