"""Every number in a caption, held against plain Python on the made set."""

import statistics
from math import ceil

import numpy as np
import pandas as pd
import pytest

from explored_set import BARE, FACES, GROUPS, IMAGES_WH, MASK, WRONG, annotations_table, images_table, quality_table
from maskdet.evaluation.exploration import boxes, classes, pictures
from maskdet.evaluation.exploration.feature_map import feature_map, project
from maskdet.reporting import explore_captions as captions
from table_rows import face_rows

FILES = list(IMAGES_WH)
OF_CLASS = {name: [face for face in FACES if face[1] == name] for name in (MASK, BARE, WRONG)}
CLASSES_OF_FILE = {name: {face[1] for face in FACES if face[0] == name} for name in FILES}
COUNTS = [sum(face[0] == name for face in FACES) for name in FILES]
RNG = np.random.default_rng(0)
TRAITS = pd.DataFrame({"file_name": FILES, "brightness": RNG.uniform(0, 255, 9), "sharpness": RNG.uniform(0, 1, 9)})


def quantile(values: list[float], share: float) -> float:
    """Return a quantile by linear interpolation, without numpy."""
    ranked = sorted(values)
    place = share * (len(ranked) - 1)
    low = int(place)
    return ranked[low] + (place - low) * (ranked[min(low + 1, len(ranked) - 1)] - ranked[low])


def stated(caption: str, *parts: str) -> None:
    """Check that a caption states every part."""
    for part in parts:
        assert part in caption, f"{part!r} is not in {caption!r}"


def test_classes():
    caption = captions.classes_caption(classes.class_distribution(images_table(), annotations_table()).numbers)
    masks, wrong, total = len(OF_CLASS[MASK]), len(OF_CLASS[WRONG]), len(FACES)
    stated(
        caption,
        f"{total} faces in 9 images",
        f"{masks} ({100 * masks / total:.1f}%) are “mask”",
        f"“incorrect”, has {wrong} ({100 * wrong / total:.1f}%): one for every {masks / wrong:.1f} of the other",
        "Images without a face: 1.",
    )
    assert "No face is" not in caption


def test_classes_that_do_not_occur_are_named():
    names = ["a.png", "b.png", "c.png", "d.png"]
    two = captions.classes_caption(classes.class_distribution(images_table(names), annotations_table(names)).numbers)
    stated(two, "No face is “incorrect”.")
    one = captions.classes_caption(
        classes.class_distribution(images_table(["d.png"]), annotations_table(["d.png"])).numbers
    )
    stated(one, "1 face in 1 image: all of the class “mask”", "No face is “no mask” or “incorrect”.")
    none = classes.class_distribution(images_table(["h.png"]), face_rows([]))
    assert captions.classes_caption(none.numbers) == "0 faces in 1 image. Images without a face: 1."


def test_crowding():
    caption = captions.crowding_caption(classes.crowding(images_table(), annotations_table()).numbers)
    crowd = sorted(COUNTS, reverse=True)[: ceil(0.05 * 9)]
    ones = COUNTS.count(1)
    stated(
        caption,
        f"{statistics.mean(COUNTS):.1f} faces on average, {statistics.median(COUNTS)} in the median",
        f"at most {max(COUNTS)} ({FILES[COUNTS.index(max(COUNTS))]})",
        f"{ones} images ({100 * ones / 9:.1f}%) have exactly one",
        f"({len(crowd)} image with {min(crowd)} faces or more) hold {100 * sum(crowd) / len(FACES):.1f}% of all faces",
    )


def test_co_occurrence():
    caption = captions.co_occurrence_caption(classes.co_occurrence(images_table(), annotations_table()).numbers)
    with_faces = [found for found in CLASSES_OF_FILE.values() if found]
    several = sum(len(found) > 1 for found in with_faces)
    both = sum({MASK, BARE} <= found for found in with_faces)
    expected = sum(MASK in found for found in with_faces) * sum(BARE in found for found in with_faces) / len(with_faces)
    wrong = [found for found in with_faces if WRONG in found]
    others = sum(len(found) > 1 for found in wrong)
    stated(
        caption,
        f"{several} images ({100 * several / len(with_faces):.1f}%) of the {len(with_faces)} with faces",
        f"“mask” and “no mask”, shares {both} images, where {expected:.0f} would be expected",
        f"Of the {len(wrong)} image with “incorrect”, {others} ({100 * others / len(wrong):.1f}%)",
    )


def test_sizes_of_faces():
    sides = {name: [min(x1 - x0, y1 - y0) for _, _, x0, y0, x1, y1 in faces] for name, faces in OF_CLASS.items()}
    every = [side for values in sides.values() for side in values]
    tiny = sum(side < 16 for side in every)
    stated(
        captions.sides_caption(boxes.box_sides(annotations_table()).numbers),
        f"is {statistics.median(every):.0f} px in the median",
        f"between {quantile(every, 0.05):.0f} and {quantile(every, 0.95):.0f} px",
        f"{tiny} faces ({100 * tiny / len(every):.1f}%) are below 16 px, the smallest {min(every)} px (f.png)",
        f"mask {statistics.median(sides[MASK]):.0f} px, no mask {statistics.median(sides[BARE]):.0f} px",
    )
    areas = {name: [(x1 - x0) * (y1 - y0) for _, _, x0, y0, x1, y1 in faces] for name, faces in OF_CLASS.items()}
    small, large = (sum(test(area) for values in areas.values() for area in values) for test in
                    (lambda area: area < 1024, lambda area: area >= 9216))  # fmt: skip
    small_masks = sum(area < 1024 for area in areas[MASK]) / len(areas[MASK])
    stated(
        captions.coco_sizes_caption(boxes.coco_sizes(annotations_table()).numbers),
        f"{small} of {len(FACES)} faces ({100 * small / len(FACES):.1f}%) are small",
        f"{100 * (len(FACES) - small - large) / len(FACES):.1f}% medium and {100 * large / len(FACES):.1f}% large",
        f"Small by class: mask {100 * small_masks:.1f}%",
    )
    relative = [
        ((x1 - x0) * (y1 - y0) / (IMAGES_WH[name][0] * IMAGES_WH[name][1])) ** 0.5 for name, _, x0, y0, x1, y1 in FACES
    ]
    stated(
        captions.relative_sizes_caption(boxes.relative_sizes(images_table(), annotations_table()).numbers),
        f"{100 * statistics.median(relative):.1f}% of its image's in the median",
        f"between {100 * quantile(relative, 0.05):.1f}% and {100 * quantile(relative, 0.95):.1f}%",
        f"has {512 * statistics.median(relative):.0f} px",
    )


def test_shapes_and_places():
    ratios = [(x1 - x0) / (y1 - y0) for _, _, x0, y0, x1, y1 in FACES]
    extreme = sum(ratio > 2 or ratio < 0.5 for ratio in ratios)
    stated(
        captions.ratios_caption(boxes.aspect_ratios(annotations_table()).numbers),
        f"{statistics.median(ratios):.2f} times as wide as high",
        f"between {quantile(ratios, 0.05):.2f} and {quantile(ratios, 0.95):.2f}",
        f"{100 * sum(ratio < 1 for ratio in ratios) / 16:.1f}% are taller than wide",
        f"{extreme} boxes ({100 * extreme / 16:.1f}%) are more than twice",
    )
    x = [(x0 + x1) / 2 / IMAGES_WH[name][0] for name, _, x0, _, x1, _ in FACES]
    y = [(y0 + y1) / 2 / IMAGES_WH[name][1] for name, _, _, y0, _, y1 in FACES]
    stated(
        captions.positions_caption(boxes.positions(images_table(), annotations_table()).numbers),
        f"{100 * statistics.median(x):.1f}% of the width and {100 * statistics.median(y):.1f}% of the height",
        f"{100 * sum(value < 0.5 for value in y) / 16:.1f}% of the centres are in the upper half",
        f"{100 * sum(1 / 3 <= value <= 2 / 3 for value in x) / 16:.1f}% in the middle third",
        "2 boxes (12.5%) touch the image's border",  # a.png at its top, d.png all around
    )


def test_images():
    widths, heights = zip(*IMAGES_WH.values(), strict=True)
    stated(
        captions.image_sizes_caption(pictures.image_sizes(images_table()).numbers),
        f"{len(set(IMAGES_WH.values()))} sizes in 9 images; the most common, 200 × 100 px, has 4 images (44.4%)",
        f"{100 * sum(w > h for w, h in IMAGES_WH.values()) / 9:.1f}% are landscape",
        f"Sides run from {min(*widths, *heights)} to {max(*widths, *heights)} px",
    )
    light = TRAITS["brightness"].tolist()
    annotations = annotations_table()
    of_masks = statistics.median(10 * rank for rank, face in enumerate(FACES) if face[1] == MASK)
    stated(
        captions.brightness_caption(pictures.brightness(TRAITS, annotations, quality_table(annotations)).numbers),
        f"is {statistics.median(light):.0f} of 255 in the median",
        f"between {quantile(light, 0.05):.0f} and {quantile(light, 0.95):.0f}",
        f"Dark, below 64: {sum(value < 64 for value in light)} image",
        f"bright, from 192 on: {sum(value >= 192 for value in light)} image",
        f"Medians of faces: mask {of_masks:.0f},",
    )
    assert "faces" not in captions.brightness_caption(pictures.brightness(TRAITS, annotations, None).numbers)
    sharp = TRAITS["sharpness"].tolist()
    stated(
        captions.image_sharpness_caption(pictures.image_sharpness(TRAITS).numbers),
        f"{statistics.median(sharp):.2f} in the median",
        f"between {quantile(sharp, 0.05):.2f} and {quantile(sharp, 0.95):.2f}",
        f"has {min(sharp):.2f} ({FILES[sharp.index(min(sharp))]})",
    )


def test_sharpness_of_faces():
    annotations = annotations_table()
    caption = captions.face_sharpness_caption(pictures.face_sharpness(annotations, quality_table(annotations)).numbers)
    areas = [(x1 - x0) * (y1 - y0) for _, _, x0, y0, x1, y1 in FACES]
    small = [0.1 * rank for rank, area in enumerate(areas) if area < 1024]
    stated(caption, f"small {statistics.median(small):.2f} ({len(small)} faces)", "large 0.50 (1 face)")
    ranks = [sum(other < area for other in areas) + (areas.count(area) + 1) / 2 for area in areas]
    stated(caption, f"area of the box: {statistics.correlation(ranks, list(range(16))):.2f}")
    alone = annotations_table(["c.png"])
    assert "correlation" not in captions.face_sharpness_caption(
        pictures.face_sharpness(alone, quality_table(alone)).numbers
    )


def test_map():
    features = np.random.default_rng(3).normal(size=(9, 6))
    mixes = classes.class_mixes(images_table(), annotations_table())
    shown = images_table()[["file_name", "source"]].assign(class_mix=mixes.to_numpy(), group=list(GROUPS.values()))
    caption = captions.feature_map_caption(feature_map(shown, project(features, 30, 0), features).numbers)
    labels = ["+".join(sorted(CLASSES_OF_FILE[name])) for name in FILES]
    lengths = [sum(value**2 for value in row) ** 0.5 for row in features]
    nearest = [
        max((j for j in range(9) if j != i), key=lambda j: float(features[i] @ features[j]) / lengths[j] / lengths[i])
        for i in range(9)
    ]
    same = statistics.mean(labels[i] == labels[nearest[i]] for i in range(9))
    chance = statistics.mean((labels.count(label) - 1) / 8 for label in labels)
    members = [index for index, name in enumerate(FILES) if GROUPS[name] == 0]
    kept = statistics.mean(nearest[i] in members for i in members)
    stated(
        caption,
        "9 images by PCA of 6 features of an ImageNet network (2 principal components, ",
        f"for {100 * same:.1f}% of the images; for {100 * chance:.1f}% if drawn at random",
        f"3 images lie in 1 group of look-alikes or of one series, the largest of 3; of these images {100 * kept:.1f}%",
    )


def test_map_of_one_image():
    shown = pd.DataFrame({"file_name": ["d.png"], "source": ["made"], "class_mix": [MASK]})
    topic = feature_map(shown, project(np.ones((1, 4)), 30, 0), np.ones((1, 4)))
    stated(captions.feature_map_caption(topic.numbers), "1 image without a difference", "nothing to lay out")


@pytest.mark.parametrize(("count", "text"), [(0, "0 boxes"), (1, "1 box"), (1234, "1,234 boxes")])
def test_counts_have_their_noun(count, text):
    assert captions.counted(count, "box") == text
