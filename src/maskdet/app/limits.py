"""What the app accepts, so that no visitor takes the machine from the others."""

from dataclasses import dataclass

from maskdet.reporting.machine import num_usable_cores


@dataclass(frozen=True)
class AppLimits:
    """Limits of one upload and of the work at a time.

    Attributes:
        max_upload_mb: Of a file, in 10⁶ bytes.
        max_pixels: Width times height of a picture or of a video's frames; a picture is refused by its header.
        max_seconds: How long an upload waits for its turn at most, how long a program takes to send a picture, and how
            long a video is worked on.
        num_at_once: Pictures at a time; there is one video at a time beside them.
        max_waiting: Pictures that wait for their turn; more are sent away.
        num_results: Results of pictures that are held in memory for people to look at; the oldest goes first.
        result_seconds: How long a result is held at most.

    Raises:
        ValueError: If a limit leaves nothing to do.
    """

    max_upload_mb: float = 50.0
    max_pixels: int = 40_000_000
    max_seconds: float = 60.0
    num_at_once: int = 2
    max_waiting: int = 100
    num_results: int = 64
    result_seconds: float = 1800.0

    def __post_init__(self) -> None:
        for name in ("max_upload_mb", "max_seconds", "result_seconds"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name}: expected a positive number, got {getattr(self, name)}")
        for name in ("max_pixels", "num_at_once", "max_waiting", "num_results"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")

    @property
    def max_upload_bytes(self) -> int:
        """Return the size of the largest file in bytes."""
        return int(self.max_upload_mb * 1_000_000)

    @property
    def threads_a_run(self) -> int:
        """Return how many threads a run of a model may use, so that those at once share the cores."""
        return max(1, num_usable_cores() // self.num_at_once)
