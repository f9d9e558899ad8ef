"""A page whose events take no file but those that visitors have sent."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from maskdet.app.uploads import UploadError, check_uploaded


class OwnFilesPage(gr.Blocks):
    """`gr.Blocks` that refuses foreign paths and addresses before anything is copied, fetched or opened.

    gradio by itself copies what a request names into the uploads, and fetches addresses: it checks a path only in an
    app that it has launched itself, and only where the request says that the path is a file.

    Args:
        uploads_dir: Where uploads lie.
        **settings: Of `gr.Blocks`.
    """

    def __init__(self, uploads_dir: Path, **settings: Any) -> None:
        super().__init__(**settings)
        self._uploads_dir = uploads_dir
        self.has_launched = True  # or gradio leaves its own checks out, as others run the server

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], state: Any, explicit_call: bool = False
    ) -> list[Any]:
        """Return what the inputs of an event are for its function; gradio calls this first, whatever the event.

        Raises:
            gr.Error: If a file is named that nobody has sent.
        """
        try:
            for path in named_paths(inputs):
                check_uploaded(path, self._uploads_dir)
        except UploadError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return await super().preprocess_data(block_fn, inputs, state, explicit_call)


def named_paths(data: Any) -> Iterator[Any]:
    """Yield every path that JSON names, however deep; None is none.

    >>> list(named_paths([{"path": "/a"}, 0.5, {"files": [{"path": "/b", "meta": {}}, {"path": None}]}]))
    ['/a', '/b']
    """
    waiting = [data]
    while waiting:
        item = waiting.pop(0)
        if isinstance(item, dict):
            if item.get("path") is not None:
                yield item["path"]
            waiting.extend(item.values())
        elif isinstance(item, list | tuple):
            waiting.extend(item)
