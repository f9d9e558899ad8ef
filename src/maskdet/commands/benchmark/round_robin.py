"""Time several things fairly: in turns, so that whatever else the machine does meets all of them alike."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import quantile_test

from maskdet.commands.benchmark.contenders import Contender

NUM_WARM_UPS = 2
MIN_ROUNDS = 3
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Timing:
    """The times of one contender.

    Attributes:
        contender: What was timed.
        seconds: (R,) of a batch, round by round.
        network_seconds: (R,) of them, the network's.
    """

    contender: Contender
    seconds: np.ndarray
    network_seconds: np.ndarray


@dataclass(frozen=True)
class Ratio:
    """How many times as fast one contender is as another, by the median over rounds.

    Attributes:
        median: Of the ratios of times within a round.
        low: Lower end of the 95 % interval of that median; None where there are too few rounds for one.
        high: Its upper end.
    """

    median: float
    low: float | None
    high: float | None


def time_in_turns(
    contenders: Sequence[Contender], images: Sequence[np.ndarray], seconds: float, pause: float = 0.05, seed: int = 0
) -> list[Timing]:
    """Run every contender once a round, in an order that is drawn anew for each, until the time is up.

    Args:
        contenders: One or more; each is warmed up first.
        images: (H, W, 3) uint8 each; a round takes the next ones, the same for all contenders, and asks for each once.
        seconds: When to stop; the round that has begun is ended, and there are `MIN_ROUNDS` at least.
        pause: Seconds before each run: idle threads of the one before must fall asleep.
        seed: Of the orders.

    Returns:
        A timing a contender, in their order, of the same rounds.
    """
    rng = np.random.default_rng(seed)
    largest = max(contender.batch_size for contender in contenders)
    for number in range(NUM_WARM_UPS):
        batch = _batch(images, number, largest)
        for contender in contenders:
            contender.run(batch[: contender.batch_size])
    end = time.perf_counter() + seconds
    times: list[np.ndarray] = []  # R of (contenders, 2)
    while len(times) < MIN_ROUNDS or time.perf_counter() < end:
        round_times, batch = np.empty((len(contenders), 2)), _batch(images, len(times), largest)
        for place in rng.permutation(len(contenders)):
            time.sleep(pause)
            cost = contenders[place].run(batch[: contenders[place].batch_size])
            round_times[place] = cost.seconds, cost.network_seconds
        times.append(round_times)
    table = np.array(times)  # (R, contenders, 2)
    return [Timing(contender, *table[:, place].T) for place, contender in enumerate(contenders)]


def _batch(images: Sequence[np.ndarray], number: int, batch_size: int) -> list[np.ndarray]:
    """Return `batch_size` images, beginning with that of this number; after the last comes the first."""
    return [images[(number + place) % len(images)] for place in range(batch_size)]


def speed_ratio(baseline: np.ndarray, seconds: np.ndarray) -> Ratio:
    """Return how many times as fast as the baseline something is.

    The interval rests on the order of the ratios alone (an exact binomial interval of the median), so that a few
    rounds in which the machine was busy do not move it.

    Args:
        baseline: (R,) seconds of the baseline.
        seconds: (R,) seconds of the same rounds.

    Reference:
        Conover (1999), Practical Nonparametric Statistics, section 3.2; `scipy.stats.quantile_test`.
    """
    ratios = baseline / seconds
    interval = quantile_test(ratios, q=1.0, p=0.5).confidence_interval(_CONFIDENCE)
    low, high = (float(value) if np.isfinite(value) else None for value in (interval.low, interval.high))
    return Ratio(float(np.median(ratios)), low, high)
