"""H2: two face detectors find faces equally well. McNemar's test over faces, overall and by size, and by groups."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from maskdet.boxes import box_area
from maskdet.evaluation.holm import holm
from maskdet.evaluation.hypotheses.by_group import FaceGroups, Resampling, independence_of_faces, many_groups
from maskdet.evaluation.hypotheses.chosen import ChosenOn
from maskdet.evaluation.hypotheses.named_faces import groups_of_files
from maskdet.evaluation.hypotheses.paired_outcomes import PairedOutcomes, compare_subsets
from maskdet.evaluation.hypotheses.verdict import Assumption, Conclusion, Effect, Evidence, Row, Verdict, p_columns
from maskdet.evaluation.hypotheses.wording import listing, p_text
from maskdet.evaluation.matching import above_threshold, match_detections
from maskdet.evaluation.sizes import size_tertiles
from maskdet.schema import BOX_COLUMNS

_OVERALL = "all faces"


@dataclass(frozen=True)
class FaceFinder:
    """What a face detector found.

    Attributes:
        name: As the record calls it.
        found: Columns as `schema.FACES`, of every image that is judged.
        score_threshold: Detections with `score >= score_threshold` count: the point at which it would be used.
    """

    name: str
    found: pd.DataFrame
    score_threshold: float


@dataclass(frozen=True)
class _Compared:
    """The two on some of the faces, with the p-values after Holm over all faces and the thirds by size.

    Attributes:
        outcomes: Who found what.
        by_group: The exchange in whole groups, corrected.
        by_face: McNemar's test, corrected.
    """

    outcomes: PairedOutcomes
    by_group: Evidence
    by_face: Evidence


def judge_face_finders(
    annotations: pd.DataFrame,
    finder_a: FaceFinder,
    finder_b: FaceFinder,
    group_of_file: Mapping[str, int],
    resampling: Resampling,
    iou_threshold: float = 0.5,
    chosen_on: ChosenOn | None = None,
) -> Verdict:
    """Judge "the two find faces equally well", by the true faces that each finds at its own threshold.

    They do so neither where one finds more of all faces nor where it finds more of one size: differences of two signs
    cancel in the total. So the verdict rests on all faces and on each third by size, corrected by Holm. Recall can be
    bought with false alarms: precision stands beside it.

    Args:
        annotations: True boxes of every image judged, columns as `schema.ANNOTATIONS`.
        finder_a: One detector.
        finder_b: The other; differences are b - a.
        group_of_file: Group of every file of both tables; also of images without a face.
        resampling: Draws, flips, level.
        iou_threshold: From which a detection hits a true box, in (0, 1].
        chosen_on: Folds on which the thresholds were chosen: the figures are given once more without them.

    Returns:
        The verdict, its figures those of the smallest p-value; `details["sizes"]` has a row for all faces and one a
        third, `details["detectors"]` one a detector.

    Raises:
        ValueError: If a detection lies in an unknown file, or there are fewer than two groups with faces.
    """
    annotations = annotations.reset_index(drop=True)
    groups = groups_of_files(annotations["file_name"], group_of_file)
    finders = (finder_a, finder_b)
    is_found = [_is_found(annotations, finder, group_of_file, iou_threshold) for finder in finders]
    subsets = _subsets(annotations, groups)
    compared = _corrected(compare_subsets(*is_found, subsets, groups, resampling))
    elsewhere = _elsewhere(annotations, is_found, groups, resampling, chosen_on)
    label = _strongest(compared)
    strongest = compared[label]
    outcomes = strongest.outcomes
    rejected = strongest.by_group.p_value < resampling.alpha
    names = (finder_a.name, finder_b.name)
    return Verdict(
        hypothesis=f"{finder_b.name} and {finder_a.name} find faces equally well.",
        question=f"Does one of {finder_a.name} and {finder_b.name} find more of the true faces, or of those of a size?",
        null="Of the faces that one alone finds, each finds half: of all, and of each third by size.",
        named=_named(compared, len(compared)),
        by_group=_several(strongest.by_group, label, len(compared)),
        design_effect=outcomes.design_effect,
        effect=Effect(f"recall of {finder_b.name} - recall of {finder_a.name}, {label}", *outcomes.difference.interval),
        assumptions=_assumptions(outcomes, annotations.loc[subsets[label], "file_name"], group_of_file),
        conclusion=Conclusion.REFUTED if rejected else Conclusion.UNDECIDED,
        sentence=_sentence(names, compared, resampling.alpha),
        rejected=rejected,
        alpha=resampling.alpha,
        counts={"faces": len(annotations), "images": annotations["file_name"].nunique(), "groups": groups.num},
        notes=(_thresholds_note(finders, iou_threshold), *_chosen_note(names, elsewhere, chosen_on)),
        details={
            "sizes": _size_rows(names, compared, elsewhere),
            "detectors": [_detector_row(*pair, len(group_of_file)) for pair in zip(finders, is_found, strict=True)],
        },
    )


def _is_found(
    annotations: pd.DataFrame, finder: FaceFinder, group_of_file: Mapping[str, int], iou_threshold: float
) -> np.ndarray:
    """Return (N,) bool: a detection above the threshold hits the face."""
    unknown = finder.found.loc[~finder.found["file_name"].isin(group_of_file), "file_name"]
    if len(unknown):
        raise ValueError(f"{finder.name}: expected faces in known images, got one in {unknown.iloc[0]!r}")
    kept = above_threshold(finder.found, finder.score_threshold)
    matches = match_detections(annotations, kept, iou_threshold, by_class=False)
    return annotations.index.isin(matches["annotation"])


def _assumptions(
    outcomes: PairedOutcomes, file_names: pd.Series, group_of_file: Mapping[str, int]
) -> tuple[Assumption, ...]:
    """Return what the tests of the faces of these files take for granted."""
    groups = groups_of_files(file_names, group_of_file)
    return (
        independence_of_faces(groups, outcomes.design_effect, file_names.nunique()),
        outcomes.discordant_assumption(),
        many_groups(groups, outcomes.by_group.largest_share),
    )


def _subsets(annotations: pd.DataFrame, groups: FaceGroups) -> dict[str, np.ndarray]:
    """Return all faces and each third by size that has faces of two groups, (N,) bool each."""
    sizes = np.sqrt(box_area(annotations[BOX_COLUMNS].to_numpy(np.float64)))  # (N,)
    lower, upper = size_tertiles(annotations)
    third = np.digitize(sizes, [lower, upper])  # (N,) 0, 1 or 2
    labels = (f"up to {lower:.1f} px", f"{lower:.1f} to {upper:.1f} px", f"over {upper:.1f} px")
    thirds = {label: third == place for place, label in enumerate(labels)}
    return {_OVERALL: np.ones(len(annotations), bool)} | {
        label: is_in for label, is_in in thirds.items() if len(np.unique(groups.codes[is_in])) > 1
    }


def _corrected(outcomes: Mapping[str, PairedOutcomes]) -> dict[str, _Compared]:
    """Correct the p-values by Holm over all faces and the thirds."""

    def over_all(evidence_of: Callable[[PairedOutcomes], Evidence]) -> list[Evidence]:
        each = [evidence_of(compared) for compared in outcomes.values()]
        p_values = holm(*np.transpose([(one.p_value, one.least_p_value) for one in each]))
        corrected = zip(each, *(values.tolist() for values in p_values), strict=True)
        return [Evidence(one.test, one.statistic, p, one.df, least) for one, p, least in corrected]

    by_group, by_face = over_all(lambda one: one.by_group.evidence), over_all(lambda one: one.by_face)
    return {
        label: _Compared(*parts)
        for label, parts in zip(outcomes, zip(outcomes.values(), by_group, by_face, strict=True), strict=True)
    }


def _strongest(compared: Mapping[str, _Compared]) -> str:
    """Return of which faces the p-value by groups is smallest; of equal ones all faces, then the largest difference."""

    def order(label: str) -> tuple[float, bool, float]:
        one = compared[label]
        return one.by_group.p_value, label != _OVERALL, -abs(one.outcomes.difference.value)

    return min(compared, key=order)


def _several(evidence: Evidence, label: str, num: int) -> Evidence:
    """Return the evidence with what it is of in its name: one of several subsets."""
    test = f"{evidence.test}, {label}: smallest p, Holm over all faces and {num - 1} thirds by size"
    return Evidence(test, evidence.statistic, evidence.p_value, evidence.df, evidence.least_p_value)


def _named(compared: Mapping[str, _Compared], num: int) -> Evidence:
    label = min(compared, key=lambda label: compared[label].by_face.p_value)
    return _several(compared[label].by_face, label, num)


def _elsewhere(
    annotations: pd.DataFrame,
    is_found: list[np.ndarray],
    groups: FaceGroups,
    resampling: Resampling,
    chosen_on: ChosenOn | None,
) -> PairedOutcomes | None:
    """Return the comparison on the images of the folds that had no say in the thresholds."""
    is_other = chosen_on.others(annotations["file_name"], groups) if chosen_on else None
    if is_other is None:
        return None
    return compare_subsets(*is_found, {"other": is_other}, groups, resampling)["other"]


def _size_rows(
    names: tuple[str, str], compared: Mapping[str, _Compared], elsewhere: PairedOutcomes | None
) -> list[Row]:
    rows: list[Row] = [
        {"size": label, **one.outcomes.row(*names), **one.by_group.p_columns("holm")} for label, one in compared.items()
    ]
    if elsewhere is not None:
        rows.append({"size": "all faces of the other folds", **elsewhere.row(*names), **p_columns("holm", None, None)})
    return rows


def _detector_row(finder: FaceFinder, is_found: np.ndarray, num_images: int) -> Row:
    shown, hits = len(above_threshold(finder.found, finder.score_threshold)), int(is_found.sum())
    return {
        "detector": finder.name,
        "score_threshold": finder.score_threshold,
        "recall": hits / len(is_found),
        "precision": hits / shown if shown else float("nan"),
        "false_alarms_per_image": (shown - hits) / num_images,
    }


def _thresholds_note(finders: tuple[FaceFinder, FaceFinder], iou_threshold: float) -> str:
    thresholds = listing([f"{finder.name} from a score of {finder.score_threshold:g}" for finder in finders])
    return (
        f"Detections count for {thresholds}, at IoU ≥ {iou_threshold:g}. Another threshold gives another recall and "
        "other false alarms: the verdict is of the two at these points."
    )


def _chosen_note(
    names: tuple[str, str], elsewhere: PairedOutcomes | None, chosen_on: ChosenOn | None
) -> tuple[str, ...]:
    if elsewhere is None or chosen_on is None:
        return ()
    told = elsewhere.text(f"{names[1]} - {names[0]}")
    return (
        f"The score thresholds were chosen on {chosen_on.text}, whose faces are judged here too. On the other folds, "
        f"{elsewhere.num_faces:,} faces: {told}.",
    )


def _sentence(names: tuple[str, str], compared: Mapping[str, _Compared], alpha: float) -> str:
    overall = compared[_OVERALL].outcomes
    better, worse = names[::-1] if overall.difference.value > 0 else names
    if compared[_OVERALL].by_group.p_value < alpha:
        verdict = f"{better} finds more faces than {worse}"
    elif any(one.by_group.p_value < alpha for one in compared.values()):
        verdict = "Equal in total is not rejected, unequal by size is shown"
    else:
        verdict = "No difference in faces found is shown"
    gained = f"{names[1]} - {names[0]}"
    each = [
        f"{one.outcomes.difference.value:+.3f} ({label}, {p_text(one.by_group.p_value, one.by_group.least_p_value)})"
        for label, one in compared.items()
    ]
    return (
        f"{verdict}: {names[1]} finds {overall.rate_b:.1%} and {names[0]} {overall.rate_a:.1%} of "
        f"{overall.num_faces:,} faces ({overall.text(gained)}). By size, after Holm over all faces and "
        f"{len(each) - 1} sizes, {gained} is {listing(each)}."
    )
