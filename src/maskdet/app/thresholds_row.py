"""A row of threshold sliders, one for each class of the model that is chosen."""

import math
from collections.abc import Sequence

import gradio as gr

from maskdet.app.models import AppModel, ModelShelf
from maskdet.app.wording import class_words

_DIGITS = 2
_STEP = 10**-_DIGITS


class ThresholdsRow:
    """Sliders for one model; as many as the model with the most classes needs, the others hidden.

    Args:
        shelf: The models that may be chosen.
        title: Heading of the row, for screen readers too.
        is_visible: At the start.

    Attributes:
        group: What holds the sliders.
        sliders: In the order of class indices.
    """

    def __init__(self, shelf: ModelShelf, title: str, is_visible: bool = True) -> None:
        self._shelf = shelf
        num = max(len(model.class_names) for model in shelf)
        with gr.Group(visible=is_visible) as self.group:
            gr.HTML(f'<p class="md-label">{title}</p>')
            self.sliders = [gr.Slider(**values, buttons=[]) for values in self._settings(shelf.first, num)]

    def for_model(self, name: str) -> list[dict]:
        """Return the updates of the sliders that fit a model: its classes, at its own thresholds."""
        return [gr.update(**values) for values in self._settings(self._shelf[name], len(self.sliders))]

    def _settings(self, model: AppModel, num: int) -> list[dict]:
        used = [
            {
                "label": class_words(name).capitalize(),
                "value": round(value, _DIGITS),
                "visible": True,
                "elem_classes": ["md-slider", f"md-{name}"],
            }
            for name, value in zip(model.class_names, model.default_thresholds, strict=True)
        ]
        unused = [{"label": "", "value": 1.0, "visible": False}] * (num - len(used))
        lowest = math.floor(model.lowest_score * 10**_DIGITS + 1e-9) / 10**_DIGITS  # browsers count steps from it
        shared = {"minimum": lowest, "maximum": 1.0, "step": _STEP, "interactive": True}
        return [shared | values for values in used + unused]


def chosen_thresholds(values: Sequence[float], model: AppModel) -> tuple[float, ...]:
    """Return the thresholds that a model's sliders mean, none below what the model is asked for.

    Args:
        values: Of the sliders; more than the model has classes where another has more.
        model: Whose thresholds they are.

    Returns:
        One for each class; the model's own, with all its digits, where a slider stands where it began: the faces are
        those of `maskdet predict` then.
    """
    return tuple(
        own if round(float(value), _DIGITS) == round(own, _DIGITS) else min(max(float(value), model.lowest_score), 1.0)
        for value, own in zip(values, model.default_thresholds, strict=False)
    )
