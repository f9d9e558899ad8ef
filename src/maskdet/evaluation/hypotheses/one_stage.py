"""H7: one stage beats two phases. mAP50 of a detector against that of face detector and classifier, same images."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from maskdet.evaluation.bootstrap import Resampled, resample
from maskdet.evaluation.holm import holm
from maskdet.evaluation.hypotheses.by_group import FaceGroups, Resampling, many_groups
from maskdet.evaluation.hypotheses.named_faces import groups_of_files
from maskdet.evaluation.hypotheses.verdict import Assumption, Conclusion, Effect, Evidence, Row, Verdict, p_columns
from maskdet.evaluation.hypotheses.wording import interval_text, p_text
from maskdet.evaluation.paired import check_same_truth, difference_rows
from maskdet.evaluation.pooling import EvaluationTables
from maskdet.evaluation.weighted import WeightedMetrics
from maskdet.schema import CLASS_NAMES

METRIC = "map_50"
_SHOWN = ("map", METRIC, *(f"ap_50/{name}" for name in CLASS_NAMES))
_NO_THRESHOLD = 0.5
"""Of precision and recall, which are not counted here: average precision has no score threshold."""


@dataclass(frozen=True)
class _Comparison:
    """Rows of `difference_rows` by metric: a two-phase detector (a) against the one-stage detector (b)."""

    by_image: pd.DataFrame
    by_group: pd.DataFrame

    @property
    def difference(self) -> float:
        return float(self.by_group.loc[METRIC, "difference"])

    @property
    def interval(self) -> tuple[float, float, float]:
        row = self.by_group.loc[METRIC]
        return float(row["difference"]), float(row["low"]), float(row["high"])

    @property
    def design_effect(self) -> float:
        """Return the squared ratio of the widths of the two intervals."""
        widths = [float(rows.loc[METRIC, "high"] - rows.loc[METRIC, "low"]) for rows in (self.by_group, self.by_image)]
        return (widths[0] / widths[1]) ** 2 if widths[1] > 0 else float("nan")


def judge_one_stage(
    one_stage: EvaluationTables,
    two_phase: Mapping[str, EvaluationTables],
    group_of_file: Mapping[str, int],
    resampling: Resampling,
) -> Verdict:
    """Judge "one stage beats two phases" by mAP50 on the same out-of-fold images.

    One stage must beat every two-phase detector, so that the largest p-value counts and needs no correction; it is
    refuted where one of them is ahead beyond chance, after Holm. The figures named are those of the best one.

    Args:
        one_stage: Images, true boxes and detections of the one-stage detector.
        two_phase: Face detector → the same images and true boxes with the detections of two phases.
        group_of_file: Group of every file.
        resampling: Draws, seed, level.

    Returns:
        The verdict; `details["rivals"]` has a row a face detector and metric.

    Raises:
        ValueError: If there is no rival, or one was judged on other images or true boxes; see also `resample`.
    """
    if not two_phase:
        raise ValueError("expected one or more two-phase detectors, got none")
    compared = _compare(one_stage, two_phase, group_of_file, resampling)
    best = max(compared, key=lambda name: compared[name].by_group.loc[METRIC, "a"])
    chosen = compared[best]
    conclusion, by_group = _conclusion(compared, best, resampling.alpha)
    groups = groups_of_files(one_stage.images["file_name"], group_of_file)
    return Verdict(
        hypothesis="One stage beats two phases.",
        question="Has a detector of masked and bare faces a higher mAP50 than a face detector with a classifier?",
        null=f"One stage and two phases with {best} have the same mAP50.",
        named=_evidence(chosen.by_image, f"paired bootstrap of mAP50 over images, against {best}"),
        by_group=by_group,
        design_effect=chosen.design_effect,
        effect=Effect(f"mAP50 of one stage - mAP50 with {best}", *chosen.interval),
        assumptions=(_independent_images(groups, chosen), many_groups(groups, counted="images")),
        conclusion=conclusion,
        sentence=_sentence(best, chosen, len(compared), conclusion, by_group),
        rejected=conclusion is not Conclusion.UNDECIDED,
        alpha=resampling.alpha,
        counts={"faces": len(one_stage.annotations), "images": len(one_stage.images), "groups": groups.num},
        notes=(
            "Each image is judged by models that did not train on it. The interval holds for these trained models on "
            "other images, not for another training.",
            "The p-values are those of BCa intervals, which lean on the skewness of the groups' influence; how many "
            "draws lie beyond 0 says the p of percentiles beside them. Where the two differ widely, the smaller is no "
            "more certain than the larger.",
        ),
        details={"rivals": _rows(compared)},
    )


def _compare(
    one_stage: EvaluationTables,
    two_phase: Mapping[str, EvaluationTables],
    group_of_file: Mapping[str, int],
    resampling: Resampling,
) -> dict[str, _Comparison]:
    """Compare every rival by images, of which mAP50 alone is told, and by groups; each detector is resampled once."""
    alone = {name: place for place, name in enumerate(one_stage.images["file_name"])}
    rows: dict[str, list[pd.DataFrame]] = {name: [] for name in two_phase}
    for groups, metrics in ((alone, (METRIC,)), (group_of_file, _SHOWN)):
        baseline = _resampled(one_stage, groups, metrics, resampling)
        for name, rival in two_phase.items():
            check_same_truth(rival, one_stage)
            found = difference_rows(_resampled(rival, groups, metrics, resampling), baseline, resampling.confidence)
            rows[name].append(found.set_index("metric"))
    return {name: _Comparison(*of_rival) for name, of_rival in rows.items()}


def _resampled(
    tables: EvaluationTables, groups: Mapping[str, int], metrics: tuple[str, ...], resampling: Resampling
) -> Resampled:
    weighted = WeightedMetrics(tables, groups, _NO_THRESHOLD, metrics=metrics)
    return resample(weighted, resampling.num_replicates, resampling.seed)


def _evidence(rows: pd.DataFrame, test: str) -> Evidence:
    """Return the test of mAP50 from rows by metric."""
    row = rows.loc[METRIC]
    p_value, least = float(row["p_value"]), float(row["least_p_value"])
    return Evidence(test, float(row["difference"]), p_value, least_p_value=least)


def _conclusion(compared: Mapping[str, _Comparison], best: str, alpha: float) -> tuple[Conclusion, Evidence]:
    """Return what follows, and the p-value that decides it: the largest where all are beaten, else Holm's."""
    several = f"; of {len(compared)} two-phase detectors all must be beaten" if len(compared) > 1 else ""
    test = f"paired bootstrap of mAP50 over groups{several}"
    each = {name: _evidence(comparison.by_group, test) for name, comparison in compared.items()}
    difference = compared[best].difference
    if all(comparison.difference > 0 for comparison in compared.values()):
        weakest = max(each.values(), key=lambda evidence: evidence.p_value)
        decides = replace(weakest, statistic=difference)
        return Conclusion.SUPPORTED if decides.p_value < alpha else Conclusion.UNDECIDED, decides
    p_values, least = holm(*np.transpose([(one.p_value, one.least_p_value) for one in each.values()]))
    place = list(each).index(best)
    decides = Evidence(test, difference, float(p_values[place]), least_p_value=float(least[place]))
    is_behind = difference < 0  # of all rivals the best one is the first to be ahead
    return Conclusion.REFUTED if is_behind and decides.p_value < alpha else Conclusion.UNDECIDED, decides


def _independent_images(groups: FaceGroups, chosen: _Comparison) -> Assumption:
    detail = (
        f"{len(groups.codes):,} images in {groups.num:,} groups of look-alikes; squared ratio of the intervals' widths "
        f"{chosen.design_effect:.2f}"
    )
    return Assumption("images are independent of each other (named test)", groups.num == len(groups.codes), detail)


def _rows(compared: Mapping[str, _Comparison]) -> list[Row]:
    return [
        _row(name, metric, row, comparison.by_image)
        for name, comparison in compared.items()
        for metric, row in comparison.by_group.iterrows()
    ]


def _row(name: str, metric: str, by_group: pd.Series, by_image: pd.DataFrame) -> Row:
    alone = by_image.loc[metric, ["p_value", "least_p_value"]].tolist() if metric in by_image.index else (None, None)
    least_by_percentiles = 2 / (int(by_group["num_replicates_defined"]) + 1)
    return {
        "face_detector": name,
        "metric": metric,
        "two_phase": float(by_group["a"]),
        "one_stage": float(by_group["b"]),
        **{key: float(by_group[key]) for key in ("difference", "low", "high")},
        **p_columns("by_image", *alone),
        **p_columns("by_group", float(by_group["p_value"]), float(by_group["least_p_value"])),
        **p_columns("of_percentiles", float(by_group["percentile_p_value"]), least_by_percentiles),
    }


def _sentence(best: str, chosen: _Comparison, num_rivals: int, conclusion: Conclusion, by_group: Evidence) -> str:
    verdict = {
        Conclusion.SUPPORTED: "One stage beats two phases",
        Conclusion.REFUTED: "One stage does not beat two phases, it is behind",
        Conclusion.UNDECIDED: "No difference between one stage and two phases is shown",
    }[conclusion]
    row = chosen.by_group.loc[METRIC]
    of_several, of_all = (f", the best of {num_rivals}", ", over all of them") if num_rivals > 1 else ("", "")
    p_value = p_text(by_group.p_value, by_group.least_p_value)
    return (
        f"{verdict}: mAP50 {row['b']:.3f} in one stage, {row['a']:.3f} in two phases with {best}{of_several}, "
        f"difference {interval_text(*chosen.interval, '+')} ({p_value} by groups{of_all})."
    )
