"""What an exported model says of itself: classes, framing, limits and thresholds, as JSON inside the model file."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from maskdet.data.framing import Letterbox, Stretch

METADATA_KEY = "maskdet"
"""The key of the JSON among the metadata of an ONNX file or of safetensors."""

FORMAT_VERSION = 1
FRAMINGS = {"letterbox": Letterbox, "stretch": Stretch}
"""The framings of prediction by their names in the metadata."""


class DetectorMetadata(Protocol):
    """What every model says of itself, whatever it is made of.

    Attributes:
        class_names: The classes in the order of class indices.
        score_thresholds: By class: detections below it are not shown unless somebody asks for them.
        details: Whatever else is known, for people: metrics, config, data, licence, code. JSON values.
    """

    class_names: tuple[str, ...]
    score_thresholds: Mapping[str, float]
    details: Mapping[str, Any]


@dataclass(frozen=True)
class DetectOptions:
    """How boxes are chosen among those of all anchors.

    Attributes:
        score_threshold: Boxes with a lower score are dropped; in [0, 1].
        nms_iou_threshold: A box that overlaps a better one of its class by more than this is dropped; in [0, 1].
        max_candidates: Scores of an image that enter the suppression.
        max_detections: Boxes of an image that leave it.
        box_voting_iou: A box that is kept becomes the mean of the candidates of its class that overlap it by as much
            (see `maskdet.nms.vote`); 1: it stays as the network said.
    """

    score_threshold: float
    nms_iou_threshold: float
    max_candidates: int
    max_detections: int
    box_voting_iou: float = 1.0

    def __post_init__(self) -> None:
        check_share(self.score_threshold, "detect.score_threshold")
        check_share(self.nms_iou_threshold, "detect.nms_iou_threshold")
        check_count(self.max_candidates, "detect.max_candidates")
        check_count(self.max_detections, "detect.max_detections")
        check_share(self.box_voting_iou, "detect.box_voting_iou")


@dataclass(frozen=True)
class ModelMetadata:
    """The metadata of a model file.

    Attributes:
        class_names: The classes in the order of the scores' last axis.
        framing_kind: How an image becomes the input, a key of `FRAMINGS`.
        size: Side of the square input in pixels.
        detect: Limits of the suppression.
        score_thresholds: By class: detections below it are not shown unless somebody asks for them.
        details: Whatever else is known, for people: metrics, config, data, licence, code. JSON values.
    """

    class_names: tuple[str, ...]
    framing_kind: str
    size: int
    detect: DetectOptions
    score_thresholds: Mapping[str, float]
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_classes(self)
        if self.framing_kind not in FRAMINGS:
            raise ValueError(f"framing.kind: expected one of {sorted(FRAMINGS)}, got {self.framing_kind!r}")
        check_count(self.size, "framing.size")
        taken = sorted(set(self.details) & _KEYS)
        if taken:
            raise ValueError(f"details: expected no key of the format itself, got {taken}")

    @property
    def framing(self) -> Letterbox | Stretch:
        """Return the framing, the same code as in training."""
        return FRAMINGS[self.framing_kind](self.size)

    def to_record(self) -> dict[str, Any]:
        """Return the JSON object: the fields of the format first, then the details."""
        return {
            "format_version": FORMAT_VERSION,
            "class_names": list(self.class_names),
            "framing": {"kind": self.framing_kind, "size": self.size},
            "detect": asdict(self.detect),
            "score_thresholds": dict(self.score_thresholds),
            **self.details,
        }

    def to_json(self) -> str:
        """Return the metadata as one line of JSON, the inverse of `from_json`.

        Raises:
            ValueError: If a detail is no JSON value, e.g. NaN.
        """
        return json.dumps(self.to_record(), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "ModelMetadata":
        """Read what `to_json` wrote.

        Raises:
            ValueError: If the text is no JSON object, is of another version, or lacks or breaks a field; the message
                names the field and not the file.
        """
        record = read_record(text)
        framing = read_object(record, "framing", {"kind", "size"})
        detect = read_object(record, "detect", set(DetectOptions.__dataclass_fields__))
        return cls(
            class_names=tuple(read_list(record, "class_names")),
            framing_kind=framing["kind"],
            size=framing["size"],
            detect=DetectOptions(**detect),
            score_thresholds=read_object(record, "score_thresholds", None),
            details={key: value for key, value in record.items() if key not in _KEYS},
        )


def check_classes(metadata: DetectorMetadata) -> None:
    """Refuse class names that are none or not different, and thresholds that are not one a class, in [0, 1].

    Raises:
        ValueError: Names the field.
    """
    names = metadata.class_names
    if not names or not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise ValueError(f"class_names: expected different names, got {list(names)}")
    if set(metadata.score_thresholds) != set(names):
        raise ValueError(f"score_thresholds: expected {sorted(names)}, got {sorted(metadata.score_thresholds)}")
    for name, threshold in metadata.score_thresholds.items():
        check_share(threshold, f"score_thresholds.{name}")


def read_metadata(properties: Mapping[str, str], path: Path) -> ModelMetadata:
    """Return the metadata that a model file carries among its properties.

    Args:
        properties: Of the file.
        path: What messages name.

    Raises:
        ValueError: If there is none, or it is broken.
    """
    if METADATA_KEY not in properties:
        raise ValueError(f"{path} is not a maskdet model: expected metadata {METADATA_KEY!r}, got {sorted(properties)}")
    try:
        return ModelMetadata.from_json(properties[METADATA_KEY])
    except ValueError as error:
        raise ValueError(f"{path}: metadata: {error}") from error


def read_record(text: str) -> dict[str, Any]:
    """Return the JSON object of a metadata text.

    Raises:
        ValueError: If it is none, or of another version.
    """
    try:
        record = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"expected JSON, got {error}") from error
    if not isinstance(record, dict):
        raise ValueError(f"expected a JSON object, got {type(record).__name__}")
    if record.get("format_version") != FORMAT_VERSION:
        raise ValueError(f"format_version: expected {FORMAT_VERSION}, got {record.get('format_version')!r}")
    return record


_KEYS = {"format_version", "class_names", "framing", "detect", "score_thresholds"}


def read_object(record: dict, key: str, fields: set[str] | None) -> dict:
    """Return a nested object; with `fields`, one that has these fields and no other.

    Raises:
        ValueError: Names the key.
    """
    value = record.get(key)
    if not isinstance(value, dict):
        raise ValueError(f"{key}: expected an object, got {value!r}")
    if fields is not None and set(value) != fields:
        raise ValueError(f"{key}: expected the fields {sorted(fields)}, got {sorted(value)}")
    return value


def read_list(record: dict, key: str) -> list:
    """Return a nested list.

    Raises:
        ValueError: Names the key.
    """
    value = record.get(key)
    if not isinstance(value, list):
        raise ValueError(f"{key}: expected a list, got {value!r}")
    return value


def check_share(value: object, name: str) -> None:
    """Refuse what is no number in [0, 1]; bool is an int for Python, but no number here.

    Raises:
        ValueError: Names the value and what it is of.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{name}: expected a number in [0, 1], got {value!r}")


def check_count(value: object, name: str) -> None:
    """Refuse what is no positive whole number.

    Raises:
        ValueError: Names the value and what it is of.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name}: expected a positive whole number, got {value!r}")
