"""The interface for programs: a picture in, its faces as JSON out; errors are JSON too."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser

from maskdet.app.answers import DetectAnswer, ErrorAnswer, HealthAnswer, ModelsAnswer, detect_answer, models_answer
from maskdet.app.limits import AppLimits
from maskdet.app.models import AppModel
from maskdet.app.service import AppService
from maskdet.app.uploads import BROKEN, OTHER_KIND, TOO_SLOW, UploadError, bounded, spooled
from maskdet.app.work import BusyError
from maskdet.inference.thresholds import parse_threshold

_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorAnswer, "description": "An empty or damaged picture, or a wrong parameter."},
    404: {"model": ErrorAnswer, "description": "No such model."},
    408: {"model": ErrorAnswer, "description": "The picture took too long to arrive."},
    413: {"model": ErrorAnswer, "description": "Too many bytes or pixels."},
    415: {"model": ErrorAnswer, "description": "No picture."},
    503: {
        "model": ErrorAnswer,
        "description": "Too many others, told before the picture is read; `Retry-After` says when to come back.",
    },
}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_BODY = {
    "required": True,
    "content": {
        "application/octet-stream": _BINARY,
        "image/*": _BINARY,
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {"file": {"type": "string", "format": "binary"}},
            }
        },
    },
}
_ROUTES = {"/api/detect": "POST", "/api/models": "GET", "/api/openapi.json": "GET"}
_UNTOLD = ("application/octet-stream", "application/x-www-form-urlencoded")  # what curl says of `--data-binary`
_WRAPPING_BYTES = 65_536  # of a multipart body around its file


def rest_router(service: AppService) -> APIRouter:
    """Return the routes `/health`, `/api/models` and `/api/detect` of a service."""
    router = APIRouter()

    @router.get("/health", summary="Whether the server is up")
    async def health() -> HealthAnswer:
        return HealthAnswer(status="ok", models=service.shelf.names, num_pending=service.picture_queue.num_pending)

    @router.get("/api/models", summary="The models that may be asked for")
    async def models() -> ModelsAnswer:
        return models_answer(service.shelf)

    @router.post(
        "/api/detect", summary="Find the faces of a picture", responses=_ERRORS, openapi_extra={"requestBody": _BODY}
    )
    async def detect(
        request: Request,
        model: Annotated[str | None, Query(description="A name from /api/models; default: the first.")] = None,
        score_threshold: Annotated[
            list[str] | None,
            Query(description="Lowest score: `0.4`, or `with_mask=0.4` for one class; may be repeated."),
        ] = None,
    ) -> DetectAnswer:
        """Send the bytes of a PNG, JPEG, WebP, GIF, BMP or TIFF file, or a form with the field `file`."""
        chosen = _model(service, model)
        thresholds = parsed_thresholds(score_threshold or [], chosen)
        with service.picture_queue.place() as place:  # first: so many uploads are held, and no more
            async with _upload(request, service) as file:
                return await place.run(_answer, service, chosen, thresholds, file)

    return router


def add_unknown_routes(app: FastAPI) -> None:
    """Answer addresses below `/api/` that do not exist by JSON; to be called once all that do are there."""

    @app.api_route("/api/{rest:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"], include_in_schema=False)
    async def unknown(request: Request) -> None:
        path = request.url.path
        if path in _ROUTES:
            raise HTTPException(405, f"Expected {_ROUTES[path]}, got {request.method}.", {"Allow": _ROUTES[path]})
        raise HTTPException(404, f"There is no {path}: expected one of {', '.join(_ROUTES)}.")


def add_error_answers(app: FastAPI) -> None:
    """Let every error of the app's own routes be a JSON object, and none show how the program is made."""
    app.add_exception_handler(UploadError, lambda _, error: error_answer(error.status, str(error)))
    app.add_exception_handler(
        BusyError, lambda _, error: error_answer(503, str(error), {"Retry-After": str(error.retry_seconds)})
    )
    app.add_exception_handler(
        HTTPException, lambda _, error: error_answer(error.status_code, str(error.detail), error.headers)
    )
    app.add_exception_handler(RequestValidationError, lambda _, error: error_answer(400, _first_reason(error)))
    app.add_exception_handler(
        Exception, lambda _, error: error_answer(500, "The server could not do this; its log says why.")
    )


def error_answer(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return an error as JSON."""
    return JSONResponse({"error": {"status": status, "message": message}}, status, headers)


def parsed_thresholds(words: list[str], model: AppModel) -> dict[str, float]:
    """Return the thresholds that a request means, by class; the model's own where it names none.

    Args:
        words: `0.4` for all classes, `with_mask=0.4` for one; the later one counts.
        model: Whose classes they are.

    Raises:
        HTTPException: With 400, if a word is none of these.
    """
    thresholds = model.predictor.thresholds
    for word in words:
        try:
            name, value = parse_threshold(word)
            if name is not None and name not in thresholds:
                raise ValueError(f"expected a known class, got {name!r}")
        except ValueError as error:
            classes = ", ".join(thresholds)
            message = f"score_threshold: expected a number in [0, 1], or CLASS=number with a class of {classes}, got "
            raise HTTPException(400, f"{message}{word!r}.") from error
        thresholds |= dict.fromkeys(thresholds, value) if name is None else {name: value}
    return thresholds


def _model(service: AppService, name: str | None) -> AppModel:
    if name is None:
        return service.shelf.first
    try:
        return service.shelf[name]
    except KeyError as error:
        raise HTTPException(404, error.args[0]) from error


@asynccontextmanager
async def _upload(request: Request, service: AppService) -> AsyncIterator[BinaryIO]:
    """Yield the file of the picture in a request's body, never reading more, or for longer, than may be."""
    limits, kind = service.limits, request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_form = kind == "multipart/form-data"
    if not is_form and kind and kind not in _UNTOLD and not kind.startswith("image/"):
        accepted = "image/*, application/octet-stream or multipart/form-data"
        raise UploadError(OTHER_KIND, f"Content-Type: expected {accepted}, got {kind}.")
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(limits.max_seconds):  # who sends slowly holds a place
                if is_form:
                    file = await _form_file(request, limits, stack)
                else:
                    body = bounded(request.stream(), limits.max_upload_bytes, limits)
                    file = await stack.enter_async_context(spooled(body))
        except TimeoutError as error:
            raise UploadError(TOO_SLOW, f"The file did not arrive within {limits.max_seconds:g} seconds.") from error
        yield file


async def _form_file(request: Request, limits: AppLimits, stack: AsyncExitStack) -> BinaryIO:
    body = bounded(request.stream(), limits.max_upload_bytes + _WRAPPING_BYTES, limits)
    try:
        form = await MultiPartParser(request.headers, body, max_files=1, max_fields=8).parse()
    except UploadError:
        raise
    except (MultiPartException, KeyError, ValueError) as error:
        raise UploadError(BROKEN, "The form is broken: expected multipart/form-data with one field `file`.") from error
    stack.push_async_callback(form.close)
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise UploadError(BROKEN, "Expected a form with a file in the field `file`, got none.")
    return file.file


def _answer(service: AppService, model: AppModel, thresholds: dict[str, float], file: BinaryIO) -> DetectAnswer:
    began = time.perf_counter()
    picture, found = service.detect(file.read(), model, thresholds)
    return detect_answer(model, picture, found, thresholds, time.perf_counter() - began)


def _first_reason(error: RequestValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc'][1:])}: {first['msg']}."
