"""Time 1,000 bootstrap replicates of COCO's metrics, and what evaluating every replicate anew would take.

Run `PYTHONPATH=src python benchmarks/bootstrap.py` from the project's root; needs the extra `dev`. Both ways run in
one process, one after the other, so that their ratio holds on a busy machine too.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from metrics_speed import synthetic_tables, timed

from maskdet.evaluation.bootstrap import bootstrap_metrics, drawn_weights
from maskdet.evaluation.coco import coco_metrics
from maskdet.evaluation.paired import paired_bootstrap
from maskdet.evaluation.pooling import EvaluationTables
from maskdet.evaluation.sizes import size_tertiles

NUM_REPLICATES, NUM_NAIVE = 1_000, 5
SCORE_THRESHOLD, SEED = 0.3, 0


def replicate_tables(tables: EvaluationTables, times: Mapping[str, int]) -> EvaluationTables:
    """Return a replicate written out: every image as often as it was drawn, copies under names of their own.

    Args:
        tables: The set.
        times: How often each file was drawn; 0 leaves it out.
    """
    copies = [
        pd.concat(
            [
                table.loc[table["file_name"].map(times) > copy].assign(
                    file_name=lambda t, c=copy: t["file_name"] + f"_{c}"
                )
                for copy in range(max(times.values()))
            ],
            ignore_index=True,
        )
        for table in (tables.images, tables.annotations, tables.predictions)
    ]
    return EvaluationTables(*copies, tables.size_bounds_px)


def naive_replicates(tables: EvaluationTables, num_replicates: int) -> list[dict[str, float]]:
    """Return the metrics of replicates, each matched and ranked anew by faster-coco-eval."""
    files = sorted(tables.images["file_name"])
    weights = next(drawn_weights(len(files), num_replicates, SEED, width=num_replicates))  # (G, R)
    written_out = [
        replicate_tables(tables, dict(zip(files, weights[:, r].astype(int).tolist(), strict=True)))
        for r in range(num_replicates)
    ]
    return [coco_metrics(t.images, t.annotations, t.predictions, size_bounds_px=t.size_bounds_px) for t in written_out]


def main() -> None:
    """Print both times, their ratio, and how far their replicates lie apart."""
    images, annotations, predictions = synthetic_tables()
    tables = EvaluationTables(images, annotations, predictions, size_tertiles(annotations))
    groups = {name: number for number, name in enumerate(sorted(images["file_name"]))}
    intervals, seconds = timed(bootstrap_metrics, tables, groups, SCORE_THRESHOLD, 0.5, NUM_REPLICATES, SEED)
    _, paired_seconds = timed(paired_bootstrap, tables, tables, groups, SCORE_THRESHOLD, 0.5, NUM_REPLICATES, SEED)
    few = bootstrap_metrics(tables, groups, SCORE_THRESHOLD, num_replicates=NUM_NAIVE, seed=SEED).set_index("metric")
    naive, naive_seconds = timed(naive_replicates, tables, NUM_NAIVE)
    naive_seconds *= NUM_REPLICATES / NUM_NAIVE
    gap = abs(np.std([metrics["map"] for metrics in naive], ddof=1) - few.loc["map", "se"])
    row = intervals.set_index("metric").loc["map"]
    print(f"{len(images)} images, {len(annotations)} faces, {len(predictions)} detections; CPU seconds")
    print(f"mAP {row['value']:.4f} [{row['low']:.4f}, {row['high']:.4f}]")
    print(f"bootstrap_metrics, {NUM_REPLICATES} replicates  {seconds:8.1f}")
    print(f"paired_bootstrap, {NUM_REPLICATES} replicates   {paired_seconds:8.1f}")
    print(f"each evaluated anew (from {NUM_NAIVE})      {naive_seconds:8.1f}  ({naive_seconds / seconds:.0f} times)")
    print(f"standard error of the same {NUM_NAIVE} replicates, both ways: apart by {gap:.1e}")


if __name__ == "__main__":
    main()
