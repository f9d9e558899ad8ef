"""The table of an ablation: what each lever brought, from the folders that a Hydra multirun leaves.

python -m maskdet.reporting.ablation_table multirun/2026-01-31/12-00-00 --output benchmarks/ablations.csv
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import yaml

from maskdet.atomic import atomic_file

BASE = "none"
"""The lever that changes nothing."""

FREQUENT = ("with_mask", "without_mask")
"""Runs are ranked by these: on one fold the rare class has so few faces that its AP hides every effect."""

COLUMNS = ("lever", "seed", "ap_frequent", "ap_50_frequent", "map", "map_50", "map_small", "map_medium", "map_large")


def ablation_runs(folders: Sequence[Path]) -> pd.DataFrame:
    """Return a row a finished run: its lever, seed and last validation.

    Args:
        folders: Searched for run folders, recognized by `.hydra/overrides.yaml` and a history.

    Returns:
        `COLUMNS`, sorted by lever and seed; `ap_frequent` and `ap_50_frequent` are means over `FREQUENT`.

    Raises:
        FileNotFoundError: If there is no finished run.
    """
    rows = []
    for overrides_file in sorted(path for folder in folders for path in folder.rglob(".hydra/overrides.yaml")):
        overrides = dict(text.lstrip("+").split("=", 1) for text in yaml.safe_load(overrides_file.read_text()))
        for history in sorted(overrides_file.parents[1].glob("reports/history/*.csv")):
            last = pd.read_csv(history).iloc[-1]
            frequent = {
                f"{key}_frequent": sum(last[f"val/{key}/{name}"] for name in FREQUENT) / len(FREQUENT)
                for key in ("ap", "ap_50")
            }
            overall = {key: last[f"val/{key}"] for key in COLUMNS[4:]}
            seed = int(overrides.get("seed", 0))
            rows.append({"lever": overrides.get("lever", BASE), "seed": seed, **frequent, **overall})
    if not rows:
        raise FileNotFoundError(f"{', '.join(map(str, folders))}: expected folders of finished runs, got none")
    return pd.DataFrame(rows, columns=list(COLUMNS)).sort_values(["lever", "seed"], ignore_index=True)


def ranked_levers(runs: pd.DataFrame) -> pd.DataFrame:
    """Return a row a lever: mean over the seeds, difference from `BASE`, best first.

    Args:
        runs: As `ablation_runs` returns them.

    Returns:
        `lever, num_seeds, ap_frequent, spread` (highest less lowest seed), `difference` (NaN without a base run),
        then the means of the other metrics.
    """
    grouped = runs.groupby("lever")
    means = grouped[list(COLUMNS[2:])].mean()
    spread = grouped["ap_frequent"].agg(lambda values: values.max() - values.min())
    base = means["ap_frequent"].get(BASE, float("nan"))
    means.insert(0, "num_seeds", grouped.size())
    means.insert(2, "spread", spread)
    means.insert(3, "difference", means["ap_frequent"] - base)
    return means.sort_values("ap_frequent", ascending=False).reset_index()


def markdown(levers: pd.DataFrame) -> str:
    """Return the ranking as a Markdown table."""
    lines = [
        "| lever | seeds | mean AP of the frequent classes | against none | spread of seeds | AP50 | mAP50 |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{row.lever}` | {row.num_seeds} | {row.ap_frequent:.3f} | {row.difference:+.3f} | {row.spread:.3f} "
        f"| {row.ap_50_frequent:.3f} | {row.map_50:.3f} |"
        for row in levers.itertuples()
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the runs as CSV and print the ranking."""
    parser = argparse.ArgumentParser(prog="python -m maskdet.reporting.ablation_table", description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--output", type=Path, help="a CSV file of all runs")
    options = parser.parse_args(arguments)
    try:
        runs = ablation_runs(options.folders)
    except FileNotFoundError as error:
        parser.exit(1, f"error: {error}\n")
    if options.output:
        with atomic_file(options.output) as temporary:
            runs.to_csv(temporary, index=False, float_format="%.4f", lineterminator="\n")
    print(markdown(ranked_levers(runs)))


if __name__ == "__main__":
    main()
