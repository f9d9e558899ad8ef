"""Measures of pictures: cleanvision's own run gives the same flags, and blur rises with blurring."""

import cv2
import numpy as np
import pytest
from cleanvision import Imagelab
from cleanvision.issue_managers.image_property import calc_percentile_brightness
from PIL import Image

from damaged_set import encoded, scene
from maskdet.data.audit.traits import MAX_BLUR, blur_effect, odd_pictures, picture_traits

CLEANVISION_NAMES = {
    "image-dark": "dark",
    "image-bright": "light",
    "image-low-information": "low_information",
    "image-odd-size": "odd_size",
    "image-odd-ratio": "odd_aspect_ratio",
}


def pictures() -> list[np.ndarray]:
    flat = np.full((120, 160, 3), 90, np.uint8)
    odd = [scene(90) // 6, 255 - scene(91) // 40, flat, scene(92, 900, 700), scene(93, 300, 80), scene(94, 900, 60)]
    return [*(scene(seed) for seed in range(6)), *odd]


def test_flags_and_scores_are_those_of_imagelab(tmp_path):
    for place, picture in enumerate(pictures()):
        (tmp_path / f"{place:02d}.png").write_bytes(encoded(picture))
    lab = Imagelab(data_path=str(tmp_path))
    lab.find_issues({name: {} for name in CLEANVISION_NAMES.values()}, n_jobs=1, verbose=False)
    issues = lab.issues.sort_index()
    odd = odd_pictures([picture_traits(picture) for picture in pictures()])
    for rule, name in CLEANVISION_NAMES.items():
        flagged = np.flatnonzero(issues[f"is_{name}_issue"].to_numpy())
        assert [row for row, _, _ in odd[rule]] == flagged.tolist()
        scores = issues[f"{name}_score"].to_numpy()[flagged]
        np.testing.assert_allclose([score for _, score, _ in odd[rule]], scores, atol=0.02)  # sampled percentiles
        assert all(score < threshold for _, score, threshold in odd[rule])
    assert all(odd[rule] for rule in CLEANVISION_NAMES)


@pytest.mark.parametrize("seed", range(3))
def test_blur_rises_with_blurring(seed):
    picture = scene(seed, 320, 240)
    effects = [blur_effect(picture)] + [blur_effect(cv2.GaussianBlur(picture, (0, 0), sigma)) for sigma in (1, 2, 4)]
    assert effects == sorted(effects)
    assert 0 <= effects[0] < 0.5 < MAX_BLUR < effects[-1] <= 1


def test_a_shake_in_either_direction_counts():
    sharp = scene(0, 320, 240)
    for kernel in (np.ones((1, 25)) / 25, np.ones((25, 1)) / 25):
        assert blur_effect(cv2.filter2D(sharp, -1, kernel)) > 2 * blur_effect(sharp)


def test_an_even_colour_is_not_blurred():
    assert blur_effect(np.full((40, 60, 3), 77, np.uint8)) == 0.0
    assert blur_effect(np.zeros((1, 1, 3), np.uint8)) == 0.0


def test_blur_is_seen_at_one_size():
    photo = cv2.resize(scene(0, 320, 240), (2560, 1920), interpolation=cv2.INTER_CUBIC)  # soft at its own size
    assert blur_effect(photo) < 0.5


def test_no_picture():
    assert set(odd_pictures([])) == {"image-blurred", *CLEANVISION_NAMES}
    assert not any(odd_pictures([]).values())


def test_a_large_picture_is_sampled_evenly():
    picture = scene(0, 1600, 1200)
    exact = calc_percentile_brightness(Image.fromarray(picture), [5, 99])
    traits = picture_traits(picture)
    assert [traits["brightness_perc_5"], traits["brightness_perc_99"]] == pytest.approx(exact, abs=0.01)
