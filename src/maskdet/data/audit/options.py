"""What an audit can be told."""

from dataclasses import dataclass

_MAX_WORKERS = 16


@dataclass(frozen=True)
class AuditOptions:
    """Limits of the rules, and how the audit works; `conf/audit` says the same.

    Attributes:
        num_workers: Threads that decode pictures.
        max_megapixels: A picture whose header claims more, in 10**6 pixels, is never decoded.
        min_side_px: An image with a shorter side is tiny.
        tiny_box_px: A box with a side of so much or less is tiny.
        doubled_iou: Two boxes of one class that overlap by so much or more may be one face.
        conflict_iou: Two boxes of different classes that overlap by so much or more are one face.
        imbalance_ratio: Examples of the commonest class for each one of the rarest, from which a set is unbalanced.
        copies: Look for copies of pictures.
    """

    num_workers: int = 2
    max_megapixels: float = 50.0
    min_side_px: int = 32
    tiny_box_px: float = 3.0
    doubled_iou: float = 0.7
    conflict_iou: float = 0.8
    imbalance_ratio: float = 10.0
    copies: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.num_workers <= _MAX_WORKERS:
            raise ValueError(f"audit.num_workers: expected 1 to {_MAX_WORKERS}, got {self.num_workers}")
        for name in ("max_megapixels", "min_side_px", "tiny_box_px", "imbalance_ratio"):
            if not getattr(self, name) > 0:
                raise ValueError(f"audit.{name}: expected a positive number, got {getattr(self, name)}")
        for name in ("doubled_iou", "conflict_iou"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"audit.{name}: expected an IoU above 0, up to 1, got {getattr(self, name)}")
