"""Face-mask detection as a tracked, cross-validated research pipeline."""

__version__ = "0.1.0"
