"""ImageNet weights from the installed packages: every tensor of the backbone finds its place."""

import pytest
import timm
import torch

from maskdet.models.imagenet import _PACKAGES, available_backbones, load_imagenet_weights, rename_to_timm
from training_world import tiny_detector

BY_HAND = {  # lite0 has stages of 1, 2, 2, 3, 3, 4, 1 blocks, so block 3 opens stage 2 and block 6 is second in stage 3
    "conv_stem.weight": "_conv_stem.weight",
    "bn1.running_var": "_bn0.running_var",
    "blocks.0.0.conv_dw.weight": "_blocks.0._depthwise_conv.weight",
    "blocks.0.0.bn2.bias": "_blocks.0._bn2.bias",
    "blocks.2.0.conv_dw.weight": "_blocks.3._depthwise_conv.weight",
    "blocks.2.0.bn3.weight": "_blocks.3._bn2.weight",
    "blocks.3.1.conv_pw.weight": "_blocks.6._expand_conv.weight",
    "blocks.3.1.bn2.running_mean": "_blocks.6._bn1.running_mean",
    "blocks.6.0.conv_pwl.weight": "_blocks.15._project_conv.weight",
}


def published_weights(backbone_name: str) -> dict[str, torch.Tensor]:
    module_name, class_name = _PACKAGES[backbone_name]
    module = __import__(module_name)
    return torch.load(getattr(module, class_name).get_model_file_path(), map_location="cpu", weights_only=True)


@pytest.mark.parametrize("backbone_name", available_backbones())
def test_the_file_fills_the_whole_classifier(backbone_name):
    network = timm.create_model(backbone_name, pretrained=False)
    renamed = rename_to_timm(published_weights(backbone_name), list(network.state_dict()))
    network.load_state_dict(renamed, strict=True)  # no tensor missing, none left over, every shape right
    assert len(renamed) == len(network.state_dict()) == len(published_weights(backbone_name))


def test_tensors_stand_where_a_person_would_put_them():
    published = published_weights("tf_efficientnet_lite0")
    filled = tiny_detector(pretrained="imagenet").network.backbone.state_dict()
    for ours, theirs in BY_HAND.items():
        torch.testing.assert_close(filled[ours], published[theirs], rtol=0, atol=0)


def test_filled_and_random_backbones_differ_in_what_they_see():
    filled, random = (timm.create_model("tf_efficientnet_lite0", features_only=True).eval() for _ in range(2))
    load_imagenet_weights(filled, "tf_efficientnet_lite0")
    image = torch.rand(1, 3, 64, 64)
    by_hand = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    by_hand.load_state_dict(rename_to_timm(published_weights("tf_efficientnet_lite0"), list(by_hand.state_dict())))
    with torch.no_grad():
        features = by_hand.blocks(by_hand.bn1(by_hand.conv_stem(image)))
        torch.testing.assert_close(filled(image)[-1], features)
        assert not torch.allclose(random(image)[-1], features)


def test_a_backbone_without_a_package_is_named():
    with pytest.raises(
        ValueError, match=r"\['tf_efficientnet_lite0', .*lite1', .*lite2'\], got 'tf_efficientnet_lite3'"
    ):
        tiny_detector(architecture="tf_efficientdet_lite3", pretrained="imagenet")


def test_a_backbone_with_more_tensors_is_refused():
    larger = timm.create_model("tf_efficientnet_lite0", features_only=True)
    larger.extra = torch.nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r"expected weights for 2 more tensors, e\.g\. 'extra\.weight'"):
        load_imagenet_weights(larger, "tf_efficientnet_lite0")
