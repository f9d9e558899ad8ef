"""Parameter groups and schedules by hand."""

import math

import pytest
import torch
from torch import nn

from maskdet.training.optimization import constant, cosine, parameter_groups


class Toy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Linear(2, 2)
        self.head = nn.Sequential(nn.Conv2d(1, 1, 3, bias=False), nn.BatchNorm2d(1))


def rates(scheduler_of, num_steps: int) -> list[float]:
    """Return the rates that the steps 0, 1, … are made with, as shares of the peak 2."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    scheduler, found = scheduler_of(optimizer), []
    for _ in range(num_steps):
        found.append(optimizer.param_groups[0]["lr"] / 2)
        optimizer.step()
        scheduler.step()
    return found


def test_cosine_rises_to_the_peak_and_falls_to_the_end():
    found = rates(lambda optimizer: cosine(optimizer, total_steps=13, warmup_steps=3, final_lr_ratio=0.2), 15)
    assert found[:4] == pytest.approx([1 / 4, 2 / 4, 3 / 4, 1])
    assert found[8] == pytest.approx(0.6)  # half way down: the mean of 1 and 0.2
    assert found[5] == pytest.approx(0.2 + 0.8 * (1 + math.cos(math.pi / 5)) / 2)
    assert found[13:] == pytest.approx([0.2, 0.2])
    assert found[3:14] == sorted(found[3:14], reverse=True)


def test_cosine_without_warm_up_starts_at_the_peak():
    assert rates(lambda optimizer: cosine(optimizer, 2, 0, 0.0), 3) == pytest.approx([1, 0.5, 0])


def test_a_run_shorter_than_its_warm_up_keeps_rising():
    assert rates(lambda optimizer: cosine(optimizer, 2, 5, 0.0), 2) == pytest.approx([1 / 6, 2 / 6])


def test_constant_stays_at_the_peak():
    found = rates(lambda optimizer: constant(optimizer, total_steps=6, warmup_steps=3), 6)
    assert found == pytest.approx([1 / 4, 2 / 4, 3 / 4, 1, 1, 1])


def test_groups_by_prefix_and_dimension():
    toy = Toy()
    groups = {group["name"]: group for group in parameter_groups(toy, 0.1, 0.01, {"backbone": 0.5})}
    assert {name: (group["lr"], group["weight_decay"]) for name, group in groups.items()} == {
        "backbone/decay": (0.05, 0.01),
        "backbone/no_decay": (0.05, 0.0),
        "rest/decay": (0.1, 0.01),
        "rest/no_decay": (0.1, 0.0),
    }
    assert groups["rest/no_decay"]["params"] == [toy.head[1].weight, toy.head[1].bias]
    assert [tensor is toy.backbone.bias for tensor in groups["backbone/no_decay"]["params"]] == [True]


def test_a_factor_of_0_leaves_no_group_and_no_gradient():
    toy = Toy()
    groups = parameter_groups(toy, 0.1, 0.01, {"backbone": 0})
    assert [group["name"] for group in groups] == ["rest/decay", "rest/no_decay"]
    assert {name for name, p in toy.named_parameters() if not p.requires_grad} == {"backbone.weight", "backbone.bias"}


def test_the_first_prefix_that_fits_decides():
    groups = parameter_groups(Toy(), 1.0, 0.0, {"head.0": 3.0, "head": 2.0})
    assert {group["name"]: group["lr"] for group in groups} == {
        "rest/no_decay": 1,
        "head.0/no_decay": 3,
        "head/no_decay": 2,
    }


def test_a_prefix_that_fits_nothing_is_refused():
    with pytest.raises(ValueError, match=r"lr_multipliers: expected .*\['backbone', 'head'\], got \['neck', 'spine'\]"):
        parameter_groups(Toy(), 0.1, 0.0, {"spine": 1.0, "head": 1.0, "neck": 0.1})
