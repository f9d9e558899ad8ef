"""The part of the page for pictures: upload or camera, one model or two side by side, thresholds, result."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from maskdet.app.events import scroll_to, told
from maskdet.app.picture_files import View
from maskdet.app.service import AppService
from maskdet.app.thresholds_row import ThresholdsRow, chosen_thresholds
from maskdet.app.wording import picture_html

NO_MODEL = "none"
"""The choice of a second model that is no second model."""


class PictureTab:
    """Builds the tab inside the `gr.Blocks` that is open.

    Args:
        service: What does the work.
        examples: Paths of pictures to try, with their names.
    """

    def __init__(self, service: AppService, examples: Sequence[tuple[Path, str]]) -> None:
        self._service = service
        names = service.shelf.names
        has_choice = len(names) > 1
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=320):
                self._picture = _picture_input()
                _show_examples(self._picture, examples)
                self._model = gr.Dropdown(names, value=names[0], label="Model", visible=has_choice)
                self._other = gr.Dropdown(
                    [NO_MODEL, *names], value=NO_MODEL, label="Second model, side by side", visible=has_choice
                )
            with gr.Column(scale=3, min_width=320):
                self._result = gr.HTML(_HINT, elem_id="md-result")
                with gr.Row(equal_height=False):
                    self._rows = [
                        ThresholdsRow(service.shelf, "Lowest score that is shown"),
                        ThresholdsRow(service.shelf, "Lowest score of the second model", is_visible=False),
                    ]
                self._blur = gr.Checkbox(label="Blur faces in the result")
                self._tables = gr.HTML(elem_id="md-faces")
        self._token = gr.State("")
        self._listen()

    def _listen(self) -> None:
        sliders = [slider for row in self._rows for slider in row.sliders]
        view = [self._blur, *sliders]
        hidden = {"api_visibility": "private", "show_progress": "hidden"}
        look = {
            "fn": self._look,
            "inputs": [self._picture, self._model, self._other, *view],
            "outputs": [self._token, self._result, self._tables],
            "concurrency_limit": None,  # the service has a queue of its own, shared with programs
            "api_visibility": "private",
            "show_progress_on": self._result,
        }
        self._picture.change(**look).then(None, js=scroll_to("md-result"), api_visibility="private")
        self._model.input(self._fit_first, self._model, self._rows[0].sliders, **hidden).then(**look)
        second = [self._rows[1].group, *self._rows[1].sliders]
        self._other.input(self._fit_second, self._other, second, **hidden).then(**look)
        for control in view:
            control.input(
                self._show, [self._token, *view], [self._result, self._tables], trigger_mode="always_last", **hidden
            )  # fmt: skip

    def _fit_first(self, name: str) -> list[dict]:
        updates = self._rows[0].for_model(name)
        return updates if len(updates) > 1 else updates[0]

    def _fit_second(self, name: str) -> list[dict]:
        if name == NO_MODEL:
            return [gr.update(visible=False), *[gr.skip() for _ in self._rows[1].sliders]]
        return [gr.update(visible=True), *self._rows[1].for_model(name)]

    async def _look(self, path: str | None, model: str, other: str, *view: Any) -> tuple[str, str, str]:
        """Run the models on a picture; say what is wrong with it where it is none."""
        if path is None:
            return "", _HINT, ""
        names = [model] if other == NO_MODEL else [model, other]
        service = self._service
        token, message = await told(service.picture_queue.run(service.look_at_picture, Path(path), names))
        return (token, *self._show(token, *view)) if token else ("", message, "")

    def _show(self, token: str, is_blurred: bool, *values: float) -> tuple[Any, Any]:
        """Return a held result at the thresholds of the sliders; nothing runs the model again."""
        if not token:
            return gr.skip(), gr.skip()
        try:
            result = self._service.pictures.get(token)
        except KeyError as error:
            return _hint(error.args[0]), ""
        num = len(self._rows[0].sliders)
        views = [
            View(chosen_thresholds(values[place * num :], self._service.shelf[answer.model_name]), is_blurred)
            for place, answer in enumerate(result.answers)
        ]
        return picture_html(token, result, views)


def _picture_input() -> gr.Image:
    """Return the input for a picture; what is uploaded is handed on as it is, not opened on the way."""
    picture = gr.Image(
        label="Picture",
        sources=["upload", "webcam", "clipboard"],
        type="filepath",
        image_mode=None,
        buttons=[],
        height=320,
        elem_id="md-picture",
        alt_text="The picture that was chosen",
        webcam_options=gr.WebcamOptions(mirror=False),
    )
    # gradio would decode it here, with a traceback for a text file; a subclass would make it write a file beside this
    # one. `OwnFilesPage` has checked before that the path lies among the uploads, and the service checks it again.
    picture.preprocess = lambda payload: None if payload is None else payload.path
    return picture


def _show_examples(picture: gr.Image, examples: Sequence[tuple[Path, str]]) -> None:
    """Put a button for each drawn picture; gradio's own list of examples has buttons without names."""
    gr.HTML('<p class="md-label">Drawn examples</p>')
    with gr.Row(elem_id="md-examples"):
        for path, name in examples:
            button = gr.Button(name, icon=path, size="sm", min_width=130)
            button.click(partial(str, path), None, picture, api_visibility="private", show_progress="hidden")


def _hint(text: str) -> str:
    return f'<p class="md-hint">{text}</p>'


_HINT = _hint("Drop a picture, take one with the camera, or choose a drawn example.")
