"""What sliders of two digits mean: the model's own thresholds where nobody has moved them."""

import gradio as gr
import pytest

from exported_model import scene_images
from maskdet.app.models import LOWEST_SCORE, AppModel, ModelShelf
from maskdet.app.thresholds_row import ThresholdsRow, chosen_thresholds
from maskdet.inference.predictor import Predictor
from maskdet.schema import CLASS_NAMES
from running_app import running_app

OWN = (0.34765625, 0.2, 0.01)


def model_of(*thresholds: float) -> AppModel:
    own = dict(zip(CLASS_NAMES, thresholds, strict=True))
    path = running_app().shelf.first.predictor.model_path
    return AppModel("own", Predictor(path, score_threshold=own, num_threads=1))


def test_a_slider_that_nobody_moved_means_the_models_own_threshold():
    model = model_of(*OWN)
    assert model.default_thresholds == OWN
    assert chosen_thresholds((0.35, 0.2, 0.01), model) == OWN
    assert chosen_thresholds((0.05 + 30 * 0.01, 0.2, 0.01, 1.0), model) == OWN  # as browsers add


@pytest.mark.parametrize(("own", "lowest"), [(0.5, 0.05), (0.034, 0.03), (0.03, 0.03), (0.004, 0.0)])
def test_sliders_begin_at_thresholds_as_they_are_also_below_the_usual_lowest_score(own, lowest):
    model = model_of(own, 0.5, 0.5)
    assert model.lowest_score == min(own, LOWEST_SCORE)
    with gr.Blocks():
        slider = ThresholdsRow(ModelShelf([model]), "Lowest score").sliders[0]
    assert (slider.minimum, slider.value) == (lowest, round(own, 2))
    assert chosen_thresholds((lowest, 0.5, 0.5), model)[0] == min(own, LOWEST_SCORE)


@pytest.mark.parametrize(("value", "meant"), [(0.34, 0.34), (0.36, 0.36), (0.0, 0.01), (2, 1.0)])
def test_a_slider_that_was_moved_means_what_it_says(value, meant):
    assert chosen_thresholds((value, 0.5, 0.5), model_of(*OWN)) == (meant, 0.5, 0.5)


def test_a_face_between_the_threshold_and_what_the_slider_shows_is_found_as_by_the_command():
    image = scene_images(1)[0]
    scores = sorted(model_of(0.3, 0.3, 0.3).predictor.detect(image).scores.tolist())
    between = next(score for score in scores if round(score, 2) > score)  # rounded up, the slider would lose it
    model = model_of(between, between, between)
    values = tuple(round(value, 2) for value in model.default_thresholds)
    thresholds = dict(zip(CLASS_NAMES, chosen_thresholds(values, model), strict=True))
    assert len(model.predictor.detect(image, thresholds)) == len(model.predictor.detect(image))
    assert len(model.predictor.detect(image, dict.fromkeys(CLASS_NAMES, values[0]))) < len(
        model.predictor.detect(image)
    )
