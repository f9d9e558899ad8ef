"""The part of the page for videos: upload or camera, choices, a button, the annotated video."""

from pathlib import Path
from typing import Any

import gradio as gr

from maskdet.app.events import scroll_to, told
from maskdet.app.service import AppService, VideoChoices
from maskdet.app.thresholds_row import ThresholdsRow, chosen_thresholds
from maskdet.app.wording import message_html, video_html


class VideoTab:
    """Builds the tab inside the `gr.Blocks` that is open.

    Args:
        service: What does the work.
    """

    def __init__(self, service: AppService) -> None:
        self._service = service
        names = service.shelf.names
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=320):
                self._video = gr.Video(
                    label="Video",
                    sources=["upload", "webcam"],
                    buttons=[],
                    height=320,
                    elem_id="md-video",
                    webcam_options=gr.WebcamOptions(mirror=False),
                )
                self._model = gr.Dropdown(names, value=names[0], label="Model", visible=len(names) > 1)
                self._row = ThresholdsRow(service.shelf, "Lowest score that is shown")
                self._track = gr.Checkbox(label="Follow people: count people, not frames", value=True)
                self._blur = gr.Checkbox(label="Blur faces in the result")
                self._start = gr.Button("Look at the video", variant="primary", elem_id="md-start")
            with gr.Column(scale=3, min_width=320):
                self._result = gr.HTML(_HINT, elem_id="md-film")
        self._listen()

    def _listen(self) -> None:
        sliders = self._row.sliders
        self._model.input(
            self._fit, self._model, sliders, api_visibility="private", show_progress="hidden"
        )  # fmt: skip
        self._start.click(None, js=scroll_to("md-film"), api_visibility="private")
        self._start.click(
            self._look,
            [self._video, self._model, self._track, self._blur, *sliders],
            self._result,
            concurrency_limit=None,
            api_visibility="private",
            show_progress_on=self._result,
        )

    def _fit(self, name: str) -> list[dict] | dict:
        updates = self._row.for_model(name)
        return updates if len(updates) > 1 else updates[0]

    async def _look(
        self,
        path: str | None,
        model: str,
        has_tracking: bool,
        has_blur: bool,
        *values: Any,
        progress: gr.Progress = gr.Progress(),  # noqa: B008, how gradio is told that there is one
    ) -> str:
        if path is None:
            return message_html("Choose a video first.")
        service = self._service
        choices = VideoChoices(chosen_thresholds(values, service.shelf[model]), has_tracking, has_blur)

        def tell(num_done: int, num_frames: int | None) -> None:
            progress((num_done, num_frames), desc="Looking at frames", unit="frames")

        token, message = await told(service.video_queue.run(service.look_at_video, Path(path), model, choices, tell))
        return video_html(token, service.videos.get(token)) if token else message


_HINT = (
    '<p class="md-hint">Drop a video or record one, then press the button. Long videos are cut at the time limit.</p>'
)
