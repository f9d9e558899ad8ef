"""The page: what it is not for, tabs for pictures, videos and programs, and how often the models err."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import gradio as gr
from gradio.themes.utils.fonts import Font

from maskdet.app.own_files_page import OwnFilesPage
from maskdet.app.picture_tab import PictureTab
from maskdet.app.service import AppService
from maskdet.app.video_tab import VideoTab
from maskdet.app.wording import honesty_html, programs_html, welcome_html
from maskdet.reporting.palette import CLASS_STYLES

TITLE = "maskdet: who wears a mask?"

_UPLOAD_SECONDS = 3600  # at most; results are held for less
_SWEEP_SECONDS = 600


def build_page(service: AppService, examples: Sequence[tuple[Path, str]], address: str) -> gr.Blocks:
    """Return the page of a service.

    Args:
        service: What does the work.
        examples: See `write_examples`.
        address: Of the server, for what programs are told.
    """
    kept = (_SWEEP_SECONDS, _UPLOAD_SECONDS - _SWEEP_SECONDS)  # one that is young at a sweep waits for the next
    with OwnFilesPage(
        service.uploads_dir, title=TITLE, analytics_enabled=False, delete_cache=kept, fill_width=False
    ) as page:
        gr.HTML(welcome_html(service.shelf))
        with gr.Tabs():
            with gr.Tab("Picture", id="picture"):
                PictureTab(service, examples)
            with gr.Tab("Video", id="video"):
                VideoTab(service)
            with gr.Tab("For programs", id="programs"):
                gr.HTML(programs_html(address, service.limits))
        gr.HTML(honesty_html(service.shelf, service.limits))
    return page.queue(default_concurrency_limit=None, api_open=False)


def page_theme() -> gr.themes.Base:
    """Return a theme of the system's own fonts: nothing is loaded for them."""
    plain = [Font("system-ui"), Font("sans-serif")]
    return gr.themes.Default(primary_hue="blue", font=plain, font_mono=[Font("ui-monospace"), Font("monospace")])


def page_css() -> str:
    """Return the page's own style, and the colours of the classes."""
    own = (files("maskdet.app") / "templates" / "page.css").read_text(encoding="utf-8")
    colors = [f".md-slider.md-{name} {{ --md-color: {style.color}; }}" for name, style in CLASS_STYLES.items()]
    return "\n".join([own, *colors])
