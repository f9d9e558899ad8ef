"""The addresses of held results: what the page shows, and the files that people save."""

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse, Response
from starlette.exceptions import HTTPException

from maskdet.app.picture_files import FILE_KINDS, SHOWN_FILE, View
from maskdet.app.results import ModelAnswer, VideoResult
from maskdet.app.service import FILM_STEM, AppService

VIDEO_FILES = {
    "film": (".mp4", "video/mp4", ""),
    "faces": (".csv", "text/csv; charset=utf-8", "Faces by frame (CSV)"),
    "timeline": (".timeline.csv", "text/csv; charset=utf-8", "By second (CSV)"),
    "people": (".people.csv", "text/csv; charset=utf-8", "People (CSV)"),
}
"""The files of a video's result by their part of the address: ending, media type, label of the link."""

_PRIVATE = {"Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff"}


def result_router(service: AppService) -> APIRouter:
    """Return the routes of held results."""
    router = APIRouter(include_in_schema=False)

    @router.get("/picture/{token}/{place}/{name}")
    def picture_file(token: str, place: int, name: str, t: str = "", blur: int = Query(0)) -> Response:
        try:
            result = service.pictures.get(token)
        except KeyError as error:
            raise HTTPException(404, error.args[0]) from error
        if not 0 <= place < len(result.answers) or name not in FILE_KINDS:
            raise HTTPException(404, "This result has no such file.")
        answer, kind = result.answers[place], FILE_KINDS[name]
        content = kind.make(result, answer, View(_thresholds(t, answer), bool(blur)))
        saved = {} if kind is SHOWN_FILE else {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(content, media_type=kind.media_type, headers=_PRIVATE | saved)

    @router.get("/video/{token}/{name}")
    def video_file(token: str, name: str) -> Response:
        try:
            result = service.videos.get(token)
            suffix, media_type, label = VIDEO_FILES[name]
            path = result.file(FILM_STEM + suffix)
        except KeyError as error:
            raise HTTPException(404, "This result is not held any more, or has no such file.") from error
        saved = {"Content-Disposition": f'attachment; filename="{path.name}"'} if label else {}
        return FileResponse(path, media_type=media_type, headers=_PRIVATE | saved)

    return router


def video_files(result: VideoResult) -> list[tuple[str, str]]:
    """Return address part and label of each table that a video's result has."""
    names = {path.name for path in result.summary.files}
    return [(name, label) for name, (suffix, _, label) in VIDEO_FILES.items() if label and FILM_STEM + suffix in names]


def _thresholds(text: str, answer: ModelAnswer) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != len(answer.class_names) or not all(0 <= value <= 1 for value in values):
        raise HTTPException(400, f"t: expected {len(answer.class_names)} numbers in [0, 1], got {text!r}.")
    return values
