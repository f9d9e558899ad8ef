"""What an exported two-phase model says of itself: how crops are cut, which face detector goes first, how scores blend.

The file holds the classifier alone; the face detector's weights come with the package that carries them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from maskdet.inference.metadata import (
    FORMAT_VERSION,
    check_classes,
    check_count,
    check_share,
    read_list,
    read_object,
    read_record,
)

TWO_PHASE_KEY = "maskdet_two_phase"
"""The key of the JSON among the metadata of a classifier's ONNX file; one with `METADATA_KEY` is a whole detector."""

_KEYS = (
    "format_version",
    "class_names",
    "crops",
    "face_detector",
    "min_face_score",
    "class_weight",
    "score_thresholds",
)


@dataclass(frozen=True)
class TwoPhaseMetadata:
    """The metadata of a two-phase model.

    Attributes:
        class_names: The classes in the order of the probabilities.
        crop_margin: Added on each side of a face, as a share of its longer side, see `cut_crop`.
        crop_size: Side of the crops in pixels.
        face_detector: `kind`, a key of `maskdet.inference.two_phase.FACE_DETECTORS`, and `options`, the arguments of
            its constructor.
        min_face_score: Found faces with a lower score are not classified.
        class_weight: How much the classifier decides, see `blended_scores`.
        score_thresholds: By class: detections below it are not shown unless somebody asks for them.
        details: Whatever else is known, for people: metrics, data, licence, code. JSON values.
    """

    class_names: tuple[str, ...]
    crop_margin: float
    crop_size: int
    face_detector: Mapping[str, Any]
    min_face_score: float
    class_weight: float
    score_thresholds: Mapping[str, float]
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_classes(self)
        check_count(self.crop_size, "crops.size")
        if isinstance(self.crop_margin, bool) or not isinstance(self.crop_margin, int | float) or self.crop_margin < 0:
            raise ValueError(f"crops.margin: expected 0 or more, got {self.crop_margin!r}")
        check_share(self.min_face_score, "min_face_score")
        check_share(self.class_weight, "class_weight")
        if set(self.face_detector) != {"kind", "options"}:
            raise ValueError(f"face_detector: expected kind and options, got {sorted(self.face_detector)}")
        taken = sorted(set(self.details) & set(_KEYS))
        if taken:
            raise ValueError(f"details: expected no key of the format itself, got {taken}")

    def to_json(self) -> str:
        """Return the metadata as one line of JSON, the inverse of `from_json`.

        Raises:
            ValueError: If a detail is no JSON value, e.g. NaN.
        """
        record = {
            "format_version": FORMAT_VERSION,
            "class_names": list(self.class_names),
            "crops": {"margin": self.crop_margin, "size": self.crop_size},
            "face_detector": dict(self.face_detector),
            "min_face_score": self.min_face_score,
            "class_weight": self.class_weight,
            "score_thresholds": dict(self.score_thresholds),
            **self.details,
        }
        return json.dumps(record, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "TwoPhaseMetadata":
        """Read what `to_json` wrote.

        Raises:
            ValueError: If the text is no JSON object, is of another version, or lacks or breaks a field; the message
                names the field and not the file.
        """
        record = read_record(text)
        crops = read_object(record, "crops", {"margin", "size"})
        return cls(
            class_names=tuple(read_list(record, "class_names")),
            crop_margin=crops["margin"],
            crop_size=crops["size"],
            face_detector=read_object(record, "face_detector", {"kind", "options"}),
            min_face_score=record.get("min_face_score"),
            class_weight=record.get("class_weight"),
            score_thresholds=read_object(record, "score_thresholds", None),
            details={key: value for key, value in record.items() if key not in _KEYS},
        )
