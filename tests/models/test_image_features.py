"""Features of an ImageNet network: those of the network itself, whatever the batches."""

from collections.abc import Iterator

import numpy as np
import pytest
import timm
import torch

from maskdet.models.image_features import image_features
from maskdet.models.imagenet import available_backbones, load_imagenet_weights

BACKBONE = available_backbones()[0]
SQUARES = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), np.uint8)


def test_they_are_what_the_network_hands_its_classifier():
    network = timm.create_model(BACKBONE).eval()
    load_imagenet_weights(network, BACKBONE)
    pixels = torch.from_numpy(SQUARES).permute(0, 3, 1, 2).float() / 255 * 2 - 1
    with torch.inference_mode():
        expected = network.forward_head(network.forward_features(pixels), pre_logits=True).numpy()
    found = image_features(SQUARES, BACKBONE, 2)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_batches_and_order_do_not_matter():
    found = image_features(SQUARES, BACKBONE, 5)
    np.testing.assert_allclose(image_features(SQUARES[::-1], BACKBONE, 3)[::-1], found, rtol=1e-4, atol=1e-5)
    assert not np.allclose(found[0], found[1])


def test_only_a_batch_is_taken_at_a_time(monkeypatch):
    taken = []

    class Watched(torch.nn.Module):
        num_features = 1

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            taken.append(made[-1] + 1)
            return batch.mean(dim=(1, 2, 3))[:, None]

    made = []

    def squares() -> Iterator[np.ndarray]:
        for index, square in enumerate(SQUARES):
            made.append(index)
            yield square

    monkeypatch.setattr("maskdet.models.image_features._network", lambda name: Watched())
    assert image_features(squares(), BACKBONE, 2).shape == (5, 1)
    assert taken == [2, 4, 5]


def test_no_image_no_row():
    assert image_features([], BACKBONE, 4).shape == (0, 1280)


@pytest.mark.parametrize(
    ("squares", "backbone", "batch_size", "message"),
    [
        (
            SQUARES,
            "resnet50",
            2,
            r"explore\.features\.backbone: expected one of \['tf_efficientnet_lite0', .*'resnet50'",
        ),
        (SQUARES, BACKBONE, 0, r"explore\.features\.batch_size: expected at least 1, got 0"),
        ([SQUARES[0], SQUARES[1, :32]], BACKBONE, 2, r"expected images of one shape \(S, S, 3\)"),
        ([SQUARES[0, ..., :1]], BACKBONE, 2, r"expected images of one shape \(S, S, 3\)"),
    ],
)
def test_refused(squares, backbone, batch_size, message):
    with pytest.raises(ValueError, match=message):
        image_features(squares, backbone, batch_size)
