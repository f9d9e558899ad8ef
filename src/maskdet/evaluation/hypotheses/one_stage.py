"""H7: one stage beats two phases. mAP50 of a detector against that of face detector and classifier, same images."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from statsmodels.stats.multitest import multipletests

from maskdet.evaluation.hypotheses.by_group import FaceGroups, Resampling, many_groups
from maskdet.evaluation.hypotheses.named_faces import groups_of_files
from maskdet.evaluation.hypotheses.verdict import Assumption, Conclusion, Effect, Evidence, Row, Verdict
from maskdet.evaluation.hypotheses.wording import interval_text, p_text
from maskdet.evaluation.matching import ScoreThreshold
from maskdet.evaluation.paired import paired_bootstrap
from maskdet.evaluation.pooling import EvaluationTables

METRIC = "map_50"
_SHOWN = ("map_50", "map", "ap_50/")


@dataclass(frozen=True)
class _Comparison:
    """Rows of `paired_bootstrap` by metric: a two-phase detector (a) against the one-stage detector (b)."""

    by_image: pd.DataFrame
    by_group: pd.DataFrame

    @property
    def difference(self) -> float:
        return float(self.by_group.loc[METRIC, "difference"])

    @property
    def p_value(self) -> float:
        return float(self.by_group.loc[METRIC, "p_value"])

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
    score_threshold: ScoreThreshold,
    resampling: Resampling,
    num_replicates: int,
) -> Verdict:
    """Judge "one stage beats two phases" by mAP50 on the same out-of-fold images.

    One stage must beat every two-phase detector, so that the largest p-value counts and needs no correction; it is
    refuted where one of them is ahead beyond chance, after Holm. The figures named are those of the best one.

    Args:
        one_stage: Images, true boxes and detections of the one-stage detector.
        two_phase: Face detector → the same images and true boxes with the detections of two phases.
        group_of_file: Group of every file.
        score_threshold: What `paired_bootstrap` wants; mAP50 does not depend on it.
        resampling: Seed, level.
        num_replicates: Of each bootstrap: counting mAP anew takes a thousand times as long as counting right answers.

    Returns:
        The verdict; `details["rivals"]` has a row a face detector and metric.

    Raises:
        ValueError: If there is no rival; see also `paired_bootstrap`.
    """
    if not two_phase:
        raise ValueError("expected one or more two-phase detectors, got none")
    compared = {
        name: _compare(rival, one_stage, group_of_file, score_threshold, resampling, num_replicates)
        for name, rival in two_phase.items()
    }
    best = max(compared, key=lambda name: compared[name].by_group.loc[METRIC, "a"])
    conclusion, p_value = _conclusion(compared, best, resampling.alpha)
    chosen, least = compared[best], 2 / (num_replicates + 1)
    groups = groups_of_files(one_stage.images["file_name"], group_of_file)
    by_image = chosen.by_image.loc[METRIC]
    return Verdict(
        hypothesis="One stage beats two phases.",
        question="Has a detector of masked and bare faces a higher mAP50 than a face detector with a classifier?",
        null=f"One stage and two phases with {best} have the same mAP50.",
        named=Evidence(
            f"paired bootstrap of mAP50 over images, against {best}",
            float(by_image["difference"]),
            float(by_image["p_value"]),
            least_p_value=least,
        ),
        by_group=Evidence(_by_group_test(len(compared)), chosen.difference, p_value, least_p_value=least),
        design_effect=chosen.design_effect,
        effect=Effect(f"mAP50 of one stage - mAP50 with {best}", *chosen.interval),
        assumptions=(_independent_images(groups, chosen), many_groups(groups, counted="images")),
        conclusion=conclusion,
        sentence=_sentence(best, chosen, len(compared), conclusion, p_value, least),
        rejected=conclusion is not Conclusion.UNDECIDED,
        alpha=resampling.alpha,
        counts={"faces": len(one_stage.annotations), "images": len(one_stage.images), "groups": groups.num},
        notes=(
            "Each image is judged by models that did not train on it. The interval holds for these trained models on "
            "other images, not for another training.",
        ),
        details={"rivals": _rows(compared)},
    )


def _compare(
    rival: EvaluationTables,
    one_stage: EvaluationTables,
    group_of_file: Mapping[str, int],
    score_threshold: ScoreThreshold,
    resampling: Resampling,
    num_replicates: int,
) -> _Comparison:
    alone = {name: place for place, name in enumerate(one_stage.images["file_name"])}
    options = {"num_replicates": num_replicates, "seed": resampling.seed, "confidence": resampling.confidence}
    by_image, by_group = (
        paired_bootstrap(rival, one_stage, groups, score_threshold, **options).set_index("metric")
        for groups in (alone, group_of_file)
    )
    return _Comparison(by_image, by_group)


def _conclusion(compared: Mapping[str, _Comparison], best: str, alpha: float) -> tuple[Conclusion, float]:
    """Return what follows, and the p-value that decides it."""
    p_values = [comparison.p_value for comparison in compared.values()]
    if all(comparison.difference > 0 for comparison in compared.values()):
        largest = max(p_values)
        return (Conclusion.SUPPORTED if largest < alpha else Conclusion.UNDECIDED), largest
    holm = dict(zip(compared, multipletests(p_values, method="holm")[1].tolist(), strict=True))
    is_behind = compared[best].difference < 0  # of all rivals the best one is the first to be ahead
    return (Conclusion.REFUTED if is_behind and holm[best] < alpha else Conclusion.UNDECIDED), holm[best]


def _by_group_test(num_rivals: int) -> str:
    several = f"; of {num_rivals} two-phase detectors all must be beaten" if num_rivals > 1 else ""
    return f"paired bootstrap of mAP50 over groups{several}"


def _independent_images(groups: FaceGroups, chosen: _Comparison) -> Assumption:
    detail = (
        f"{len(groups.codes):,} images in {groups.num:,} groups of look-alikes; squared ratio of the intervals' widths "
        f"{chosen.design_effect:.2f}"
    )
    return Assumption("images are independent of each other (named test)", groups.num == len(groups.codes), detail)


def _rows(compared: Mapping[str, _Comparison]) -> list[Row]:
    rows: list[Row] = []
    for name, comparison in compared.items():
        for metric, row in comparison.by_group.iterrows():
            if metric in _SHOWN or metric.startswith(_SHOWN[-1]):
                rows.append(
                    {
                        "face_detector": name,
                        "metric": metric,
                        "two_phase": float(row["a"]),
                        "one_stage": float(row["b"]),
                        **{key: float(row[key]) for key in ("difference", "low", "high")},
                        "p_value_by_image": float(comparison.by_image.loc[metric, "p_value"]),
                        "p_value_by_group": float(row["p_value"]),
                    }
                )
    return rows


def _sentence(
    best: str, chosen: _Comparison, num_rivals: int, conclusion: Conclusion, p_value: float, least: float
) -> str:
    verdict = {
        Conclusion.SUPPORTED: "One stage beats two phases",
        Conclusion.REFUTED: "One stage does not beat two phases, it is behind",
        Conclusion.UNDECIDED: "No difference between one stage and two phases is shown",
    }[conclusion]
    row = chosen.by_group.loc[METRIC]
    of_several, of_all = (f", the best of {num_rivals}", ", over all of them") if num_rivals > 1 else ("", "")
    return (
        f"{verdict}: mAP50 {row['b']:.3f} in one stage, {row['a']:.3f} in two phases with {best}{of_several}, "
        f"difference {interval_text(*chosen.interval, '+')} ({p_text(p_value, least)} by groups{of_all})."
    )
