"""Parameter groups and the learning-rate schedule."""

import math
from collections.abc import Mapping

import torch
from torch.optim.lr_scheduler import LambdaLR


def parameter_groups(
    network: torch.nn.Module, lr: float, weight_decay: float, lr_multipliers: Mapping[str, float]
) -> list[dict]:
    """Sort parameters by learning rate and weight decay.

    Args:
        network: Its parameter names decide, e.g. `backbone.conv_stem.weight`.
        lr: Learning rate where no multiplier applies.
        weight_decay: For tensors of two and more dimensions; biases and norms get none.
        lr_multipliers: Prefix of parameter names to factor, the longest that fits counts; 0 freezes the parameters
            (running statistics of batch norms still move).

    Returns:
        Groups for a torch optimizer, each with `params`, `lr`, `lr_multiplier`, `weight_decay`, `name`.

    Raises:
        ValueError: If a prefix fits no parameter.
    """
    groups: dict[str, dict] = {}
    unused = set(lr_multipliers)
    for name, parameter in network.named_parameters():
        prefix = max((prefix for prefix in lr_multipliers if name.startswith(prefix)), key=len, default="")
        unused.discard(prefix)
        factor = lr_multipliers[prefix] if prefix else 1.0
        parameter.requires_grad_(factor > 0)
        if factor > 0:
            decay = weight_decay if parameter.ndim > 1 else 0.0
            key = f"{prefix or 'rest'}/{'decay' if decay else 'no_decay'}"
            settings = {"lr": lr * factor, "lr_multiplier": factor, "weight_decay": decay, "name": key}
            groups.setdefault(key, {"params": [], **settings})["params"].append(parameter)
    if unused:
        known = sorted({name.split(".")[0] for name, _ in network.named_parameters()})
        raise ValueError(
            f"optimizer.lr_multipliers: expected prefixes of parameters such as {known}, got {sorted(unused)}"
        )
    return list(groups.values())


def cosine(optimizer: torch.optim.Optimizer, total_steps: int, warmup_steps: int, final_lr_ratio: float) -> LambdaLR:
    """Return a schedule that rises linearly, then falls as half a cosine, step by step.

    Args:
        optimizer: Its groups' learning rates are the peaks.
        total_steps: Optimizer steps of the whole run.
        warmup_steps: Steps until the peak.
        final_lr_ratio: Learning rate at the end, as a share of the peak.

    Reference:
        Loshchilov & Hutter (2017), SGDR, equation 5, without restarts.
    """

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        progress = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
        return final_lr_ratio + (1 - final_lr_ratio) * 0.5 * (1 + math.cos(math.pi * progress))

    return LambdaLR(optimizer, factor)


def constant(optimizer: torch.optim.Optimizer, total_steps: int, warmup_steps: int) -> LambdaLR:
    """Return a schedule that rises linearly and then stays.

    Args:
        optimizer: Its groups' learning rates are the plateau.
        total_steps: Unused; every schedule takes it.
        warmup_steps: Steps until the plateau.
    """
    del total_steps
    return LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / (warmup_steps + 1)))
