"""The JSON objects of the interface for programs; their fields are its documentation."""

from collections.abc import Sequence

from pydantic import BaseModel, Field

from maskdet.app.models import AppModel, ModelShelf
from maskdet.inference.counts import share_masked
from maskdet.inference.images_in import Picture
from maskdet.inference.results import shortest_floats
from maskdet.inference.suppression import Detections


class Face(BaseModel):
    """A face."""

    class_name: str = Field(description="One of the model's classes, the likeliest of this face.")
    score: float = Field(description="In [0, 1].")
    box_xyxy: list[float] = Field(
        description="x_min, y_min, x_max, y_max in pixels of the upright picture, origin top left."
    )


class ImageSize(BaseModel):
    """The size of a picture once its EXIF orientation is applied."""

    width: int
    height: int


class DetectAnswer(BaseModel):
    """The faces of a picture, best first, each once."""

    model: str
    image: ImageSize
    faces: list[Face]
    num_faces: dict[str, int] = Field(description="By class; every face counts once.")
    share_masked: float | None = Field(description="Of the faces; null where there is none.")
    score_thresholds: dict[str, float] = Field(description="By class, as they were applied.")
    note: str = Field(description="What of the file was left out, e.g. later frames of an animation; may be empty.")
    seconds: float = Field(description="Decoding and model, waiting left out.")


class ModelAbout(BaseModel):
    """A model that may be asked for."""

    name: str
    class_names: list[str]
    score_thresholds: dict[str, float]
    runtime: str


class ModelsAnswer(BaseModel):
    """The models, the default one first."""

    models: list[ModelAbout]


class HealthAnswer(BaseModel):
    """Whether the server is up, and how busy it is."""

    status: str
    models: list[str]
    num_pending: int = Field(description="Pictures that are being sent, wait or are being worked on.")


class ErrorDetail(BaseModel):
    """What went wrong."""

    status: int
    message: str


class ErrorAnswer(BaseModel):
    """The answer to a request that could not be served."""

    error: ErrorDetail


def detect_answer(
    model: AppModel, picture: Picture, found: Detections, thresholds: dict[str, float], seconds: float
) -> DetectAnswer:
    """Return the answer for a picture.

    Args:
        model: That was asked.
        picture: As it was looked at.
        found: Its faces.
        thresholds: That were applied, by class.
        seconds: How long it took.
    """
    height, width = picture.pixels.shape[:2]
    faces = [
        Face(class_name=model.class_names[index], score=score, box_xyxy=shortest_floats(box))
        for index, score, box in zip(found.class_indices, shortest_floats(found.scores), found.boxes_xyxy, strict=True)
    ]
    counts = counts_of(found, model.class_names)
    return DetectAnswer(
        model=model.name,
        image=ImageSize(width=width, height=height),
        faces=faces,
        num_faces=counts,
        share_masked=share_masked(counts),
        score_thresholds=thresholds,
        note=picture.note,
        seconds=round(seconds, 4),
    )


def models_answer(shelf: ModelShelf) -> ModelsAnswer:
    """Return what programs may ask for."""
    return ModelsAnswer(
        models=[
            ModelAbout(
                name=model.name,
                class_names=list(model.class_names),
                score_thresholds=model.predictor.thresholds,
                runtime=model.predictor.runtime_name,
            )
            for model in shelf
        ]
    )


def counts_of(found: Detections, class_names: Sequence[str]) -> dict[str, int]:
    """Return the number of faces of each class."""
    return {name: int((found.class_indices == index).sum()) for index, name in enumerate(class_names)}
