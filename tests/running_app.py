"""The web app with a small model on a port of its own, as `maskdet app` starts it; one for all tests of a session."""

import atexit
import functools
import io
import struct
import threading
import time
import zlib
from contextlib import ExitStack
from dataclasses import dataclass

import cv2
import httpx
import numpy as np
import uvicorn
from fastapi import FastAPI
from PIL import Image

from exported_model import released, scene_images
from maskdet.app.command import page_address
from maskdet.app.limits import AppLimits
from maskdet.app.models import ModelShelf, open_models

LIMITS = AppLimits(max_upload_mb=2, max_pixels=4_000_000, max_seconds=60, num_at_once=2)


@dataclass(frozen=True)
class RunningApp:
    """Where the app is, and what is inside."""

    url: str
    app: FastAPI
    shelf: ModelShelf


@functools.cache
def running_app() -> RunningApp:
    """Start the app with a model, the same one again, and a file that is none; it stops when the session ends."""
    from maskdet.app.server import bound_socket, build_app, work_folder

    stack = ExitStack()
    atexit.register(stack.close)
    listening = stack.enter_context(bound_socket("127.0.0.1", 0))
    folder = stack.enter_context(work_folder())
    twin, broken = folder / "twin.onnx", folder / "broken.onnx"
    twin.write_bytes(released().onnx_path.read_bytes())
    broken.write_text("no model")
    shelf = open_models([released().onnx_path, twin, broken], has_two_phase=False, num_threads=1)
    url = page_address("127.0.0.1", listening.getsockname()[1])
    app = build_app(shelf, LIMITS, folder, url)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    stack.callback(_stop, server, thread)
    for _ in range(600):
        if server.started:
            return RunningApp(url, app, shelf)
        time.sleep(0.05)
    raise TimeoutError("the app did not start")


def _stop(server: uvicorn.Server, thread: threading.Thread) -> None:
    server.should_exit = True
    thread.join(10)


def client() -> httpx.Client:
    """Return a client that goes to the running app and to nowhere else."""
    return httpx.Client(base_url=running_app().url, timeout=60, trust_env=False)


def png(image: np.ndarray | None = None) -> bytes:
    """Return a picture, the first drawn scene where none is given, as PNG."""
    image = scene_images(1)[0] if image is None else image
    return cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


def bomb() -> bytes:
    """Return a PNG of 30,000 x 30,000 pixels in 110 kB: all that it promises is there."""
    packer = zlib.compressobj(9)
    row = b"\0" * (30_000 // 8 + 1)
    data = b"".join(packer.compress(row * 1000) for _ in range(30)) + packer.flush()
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def animated_gif(num_frames: int = 3) -> bytes:
    """Return scenes as an animation."""
    frames = [Image.fromarray(cv2.resize(image, (320, 240))) for image in scene_images(num_frames)]
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    return stream.getvalue()


BAD_NAMES = (
    "text.jpg",
    "empty.png",
    "cut.png",
    "cut.jpg",
    "bomb.png",
    "large.png",
    "heavy.bmp",
    "page.svg",
    "print.eps",
    "header.png",
)
"""The keys of `bad_uploads`."""


@functools.cache
def bad_uploads() -> dict[str, tuple[bytes, int]]:
    """Return content that is no picture for the app, by name, and the status that says so."""
    whole = png()
    return {
        "text.jpg": (b"this is a text, not a picture", 415),
        "empty.png": (b"", 400),
        "cut.png": (whole[: len(whole) // 2], 400),
        "cut.jpg": (cv2.imencode(".jpg", scene_images(1)[0])[1].tobytes()[:-900], 400),
        "bomb.png": (bomb(), 413),
        "large.png": (png(np.zeros((2100, 2100, 3), np.uint8)), 413),
        "heavy.bmp": (b"BM" + bytes(2_100_000), 413),
        "page.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", 415),
        "print.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", 415),
        "header.png": (b"\x89PNG\r\n\x1a\n" + bytes(40), 415),
    }
