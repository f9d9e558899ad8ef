"""The server: addresses for programs and results, the page, and headers that keep a browser on this host."""

import asyncio
import logging
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maskdet import __version__
from maskdet.app.examples import write_examples
from maskdet.app.limits import AppLimits
from maskdet.app.models import ModelShelf
from maskdet.app.rest import add_error_answers, add_unknown_routes, rest_router
from maskdet.app.result_routes import result_router
from maskdet.app.service import AppService
from maskdet.app.uploads import UPLOADS

# gradio's page needs inline scripts and styles; everything else comes from this host or from the page itself.
_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_QUIET = {  # nothing reports home, whatever is imported later
    "ORT_DISABLE_TELEMETRY": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "GRADIO_RUN_HISTORY": "False",
}
_ERRANDS = ("file=http:/", "file=https:/", "file/http:/", "file/https:/", "proxy=")
"""What addresses of gradio's begin with, that make the server fetch something for a visitor."""

_SWEEP_SECONDS = 1.0  # between looks for results whose time is over: little against the time that they have


class _HostHeaders:
    """Adds headers to every answer, as plain ASGI, so that streams stay streams."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


@contextmanager
def work_folder() -> Iterator[Path]:
    """Yield a folder for uploads, examples and videos, and keep gradio inside it; all is removed at the end.

    To be entered before a model is opened and before `build_app`: ONNX Runtime and gradio read the environment.
    """
    folder = Path(tempfile.mkdtemp(prefix="maskdet-app-"))
    os.environ |= _QUIET | {"GRADIO_TEMP_DIR": str(folder / UPLOADS)}
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def build_app(shelf: ModelShelf, limits: AppLimits, folder: Path, address: str = "http://127.0.0.1:7860/") -> FastAPI:
    """Return the whole app.

    Args:
        shelf: The models.
        limits: What is accepted.
        folder: Of `work_folder`.
        address: Where the server is, for what programs are told.
    """
    service = AppService(shelf, limits, folder)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        sweeper = asyncio.create_task(_sweep(service))
        yield
        sweeper.cancel()
        with suppress(asyncio.CancelledError):
            await sweeper
        service.close()

    app = FastAPI(
        title="maskdet",
        description="Finds faces in a picture and says who wears a mask, who does not, who wears it wrongly.",
        version=__version__,
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        openapi_url="/api/openapi.json",
        lifespan=lifespan,
    )
    app.state.service = service
    app.include_router(rest_router(service))
    app.include_router(result_router(service))
    add_unknown_routes(app)
    _refuse_errands(app)
    add_error_answers(app)
    app.add_middleware(_HostHeaders)
    return _with_page(app, service, folder, address)


async def _sweep(service: AppService) -> None:
    """Drop results when their time is over, for as long as the server runs."""
    while True:
        await asyncio.sleep(_SWEEP_SECONDS)
        await asyncio.to_thread(service.drop_expired)


def _refuse_errands(app: FastAPI) -> None:
    """Let no visitor send the server to another host; to be called before the page is there."""

    async def refuse() -> None:
        raise HTTPException(403, "This server fetches nothing from elsewhere.")

    for start in _ERRANDS:
        app.add_api_route(f"/gradio_api/{start}{{rest:path}}", refuse, methods=["GET", "HEAD"], include_in_schema=False)


def _with_page(app: FastAPI, service: AppService, folder: Path, address: str) -> FastAPI:
    """Return the app with the page at its root, behind the addresses that it has already."""
    import gradio as gr  # seconds, and only now, as it reads the environment

    from maskdet.app.page import build_page, page_css, page_theme

    return gr.mount_gradio_app(
        app,
        build_page(service, write_examples(folder / "examples"), address),
        path="/",
        allowed_paths=[str(folder / "examples")],
        show_error=False,
        max_file_size=service.limits.max_upload_bytes,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        enable_monitoring=False,
        mcp_server=False,
        theme=page_theme(),
        css=page_css(),
    )


def bound_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address, before seconds are spent on the rest.

    Args:
        host: A name or address of this machine.
        port: 0: any that is free.

    Raises:
        ValueError: If it is taken, or is none of this machine's.
    """
    if not 0 <= port <= 65535:
        raise ValueError(f"--port: expected a number in 0…65535, got {port}")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise ValueError(f"--host: expected a name or address of this machine, got {host!r} ({error})") from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        listening.close()
        raise ValueError(f"cannot listen at {host}, port {port}: {error.strerror or error}; name another") from error
    return listening
