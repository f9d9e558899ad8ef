"""What an ImageNet network sees in whole images: features that put like pictures near each other."""

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import timm
import torch

from maskdet.models.imagenet import available_backbones, load_imagenet_weights

_CENTRE, _SCALE = 127.5, 127.5  # of 8-bit pixels: mean = std = 0.5, as the weights were trained with


def image_features(squares: Iterable[np.ndarray], backbone_name: str, batch_size: int) -> np.ndarray:
    """Return the pooled features of images before the classifier; only one batch of images is held.

    The weights come from an installed package, without a network.

    Args:
        squares: N images of one shape, (S, S, 3) uint8, RGB; consumed as they are needed.
        backbone_name: timm's name, one of `imagenet.available_backbones()`.
        batch_size: Images that go through the network at once.

    Returns:
        (N, F) float32, in the order of the images; (0, F) without images.

    Raises:
        ValueError: If no weights are installed for this backbone, images differ in shape or the batch size is not
            positive.
    """
    if batch_size < 1:
        raise ValueError(f"explore.features.batch_size: expected at least 1, got {batch_size}")
    network = _network(backbone_name)
    found = [np.empty((0, network.num_features), np.float32)]
    with torch.inference_mode():
        found += [network(batch).numpy() for batch in _batches(squares, batch_size)]
    return np.concatenate(found)


def _network(backbone_name: str) -> torch.nn.Module:
    """Return the network without its classifier: global average pooling of the last layer, evaluation mode."""
    if backbone_name not in available_backbones():
        raise ValueError(f"explore.features.backbone: expected one of {available_backbones()}, got {backbone_name!r}")
    network = timm.create_model(backbone_name, num_classes=0)
    load_imagenet_weights(network, backbone_name)
    return network.eval().to(memory_format=torch.channels_last)


def _batches(squares: Iterable[np.ndarray], batch_size: int) -> Iterator[torch.Tensor]:
    """Yield (B, 3, S, S) float32 in the range that the network knows."""
    remaining = iter(squares)
    while batch := list(islice(remaining, batch_size)):
        shapes = {square.shape for square in batch}
        if len(shapes) > 1 or len(shape := next(iter(shapes))) != 3 or shape[2] != 3:
            raise ValueError(f"squares: expected images of one shape (S, S, 3), got {sorted(shapes)}")
        pixels = torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2)
        yield (pixels.float() - _CENTRE) / _SCALE
