"""Where networks run when nobody says it."""

import torch


def best_device() -> torch.device:
    """Return the first CUDA device, Apple's GPU, or the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
