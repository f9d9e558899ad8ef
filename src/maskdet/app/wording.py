"""What the page says in words: results as HTML, what the app is not for, how often its models err."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from maskdet.app.answers import counts_of
from maskdet.app.limits import AppLimits
from maskdet.app.models import AppModel, ModelShelf, above
from maskdet.app.picture_files import FILE_KINDS, SHOWN_FILE, View
from maskdet.app.result_routes import video_files
from maskdet.app.results import ModelAnswer, PictureResult, VideoResult
from maskdet.inference.counts import share_masked
from maskdet.reporting.palette import CLASS_STYLES, class_style

MAX_ROWS = 300
"""Faces that the table lists; the files have all."""

CLASS_WORDS: Mapping[str, str] = {
    "with_mask": "with mask",
    "without_mask": "without mask",
    "mask_weared_incorrect": "mask worn incorrectly",
}
"""The classes as people call them."""


def class_words(class_name: str) -> str:
    """Return what people call a class.

    >>> class_words("mask_weared_incorrect"), class_words("face_shield")
    ('mask worn incorrectly', 'face shield')
    """
    return CLASS_WORDS.get(class_name, class_name.replace("_", " "))


@cache
def _templates() -> Environment:
    found = Environment(
        loader=PackageLoader("maskdet.app"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"words": class_words, "color": lambda name: class_style(name).color}
    return found


def _rendered(name: str, **values: Any) -> str:
    return _templates().get_template(name).render(**values)


@dataclass(frozen=True)
class _AnswerView:
    """One model's answer as the template needs it."""

    model_name: str
    seconds: float
    counts: Mapping[str, int]
    share: float | None
    rows: Sequence[tuple[str, float, list[int]]]
    num_faces: int
    image: str
    files: Sequence[tuple[str, str]]
    alt: str


def picture_html(token: str, result: PictureResult, views: Sequence[View]) -> tuple[str, str]:
    """Return a picture's result in two parts: for each model the picture with boxes, counts and files; and the tables.

    Args:
        token: Name of the result in its store.
        result: The result.
        views: For each of its answers.
    """
    answers = [
        _answer_view(f"picture/{token}/{place}", answer, view)
        for place, (answer, view) in enumerate(zip(result.answers, views, strict=True))
    ]
    tables = _rendered("faces.html.j2", result=result, answers=answers, max_rows=MAX_ROWS)
    return _rendered("picture.html.j2", result=result, answers=answers), tables


def _answer_view(address: str, answer: ModelAnswer, view: View) -> _AnswerView:
    found, query = above(answer.found, view.thresholds), view.query()
    counts = counts_of(found, answer.class_names)
    rows = [
        (answer.class_names[index], float(score), [round(float(value)) for value in box])
        for index, score, box in zip(found.class_indices, found.scores, found.boxes_xyxy, strict=True)
    ]
    said = ", ".join(f"{count} {class_words(name)}" for name, count in counts.items())
    return _AnswerView(
        model_name=answer.model_name,
        seconds=answer.seconds,
        counts=counts,
        share=share_masked(counts),
        rows=rows[:MAX_ROWS],
        num_faces=len(rows),
        image=f"{address}/{SHOWN_FILE.name}?{query}",
        files=[(f"{address}/{kind.name}?{query}", kind.label) for kind in FILE_KINDS.values() if kind.label],
        alt=f"The picture with a box around each face found by {answer.model_name}: {said}.",
    )


def video_html(token: str, result: VideoResult) -> str:
    """Return a video's result: the film, the counts, the files."""
    summary = result.summary
    counts = summary.num_faces if summary.num_people is None else summary.num_people
    return _rendered(
        "video.html.j2",
        address=f"video/{token}",
        model_name=result.model_name,
        summary=summary,
        counts=counts,
        files=video_files(result),
    )


def message_html(message: str) -> str:
    """Return what went wrong, so that a screen reader says it at once."""
    return _rendered("message.html.j2", message=message)


def welcome_html(shelf: ModelShelf) -> str:
    """Return the head of the page: what it does, what it is not for, which models are missing."""
    failures = {Path(name).name: _without_folders(reason, name) for name, reason in shelf.failures.items()}
    return _rendered("welcome.html.j2", classes=list(CLASS_STYLES), failures=failures)


def _without_folders(reason: str, path: str) -> str:
    """Return a reason that names the file alone: the folders of the server are none of a visitor's business."""
    return reason.removeprefix(f"{path}: ").replace(path, Path(path).name)


def honesty_html(shelf: ModelShelf, limits: AppLimits) -> str:
    """Return what the app is not for, and by class how often each model errs, as its metadata says."""
    return _rendered("honesty.html.j2", models=[_figures(model) for model in shelf], limits=limits)


def programs_html(address: str, limits: AppLimits) -> str:
    """Return how programs use the app at an address."""
    return _rendered("programs.html.j2", address=address.rstrip("/"), limits=limits)


def _figures(model: AppModel) -> dict[str, Any]:
    """Return the figures of a model by class: AP with its interval; precision and recall where they are known."""
    details = model.predictor.metadata.details
    metrics, points = _mapping(details, "metrics"), _mapping(details, "operating_points")
    rows = [(name, _mapping(metrics, f"ap_50/{name}"), _mapping(points, name)) for name in model.class_names]
    return {
        "name": model.name,
        "has_ap": any(ap for _, ap, _ in rows),
        "has_points": any(point for _, _, point in rows),
        "rows": [(name, _number(ap, "value"), _interval(ap), _number(point, "recall"), _number(point, "precision"))
                 for name, ap, point in rows],
        "source": str(details.get("metrics_are_of", "")),
    }  # fmt: skip


def _mapping(record: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = record.get(key)
    return found if isinstance(found, Mapping) else {}


def _number(record: Mapping[str, Any], key: str) -> float | None:
    found = record.get(key)
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


def _interval(record: Mapping[str, Any]) -> tuple[float, float] | None:
    found = record.get("interval_95")
    is_pair = isinstance(found, list) and len(found) == 2 and all(isinstance(value, int | float) for value in found)
    return (float(found[0]), float(found[1])) if is_pair else None
