"""H2: two face detectors find faces equally well. McNemar's test over faces, overall and by size, and by groups."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from maskdet.boxes import box_area
from maskdet.evaluation.hypotheses.by_group import FaceGroups, Resampling, independence_of_faces, many_groups
from maskdet.evaluation.hypotheses.named_faces import groups_of_files
from maskdet.evaluation.hypotheses.paired_outcomes import PairedOutcomes, compare_outcomes
from maskdet.evaluation.hypotheses.verdict import Conclusion, Effect, Row, Verdict
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


def judge_face_finders(
    annotations: pd.DataFrame,
    finder_a: FaceFinder,
    finder_b: FaceFinder,
    group_of_file: Mapping[str, int],
    resampling: Resampling,
    iou_threshold: float = 0.5,
) -> Verdict:
    """Judge "the two find faces equally well", by the true faces that each finds at its own threshold.

    The verdict rests on all faces; the thirds by size are corrected by Holm among themselves and say where a
    difference lies, which may have two signs that cancel. Recall can be bought with false alarms: precision stands
    beside it.

    Args:
        annotations: True boxes of every image judged, columns as `schema.ANNOTATIONS`.
        finder_a: One detector.
        finder_b: The other; differences are b - a.
        group_of_file: Group of every file of both tables; also of images without a face.
        resampling: Draws, flips, level.
        iou_threshold: From which a detection hits a true box, in (0, 1].

    Returns:
        The verdict; `details["sizes"]` has a row for all faces and one a third, `details["detectors"]` one a detector.

    Raises:
        ValueError: If a detection lies in an unknown file, or there are fewer than two groups with faces.
    """
    annotations = annotations.reset_index(drop=True)
    groups = groups_of_files(annotations["file_name"], group_of_file)
    finders = (finder_a, finder_b)
    is_found = [_is_found(annotations, finder, group_of_file, iou_threshold) for finder in finders]
    overall = compare_outcomes(*is_found, groups, resampling)
    thirds, holm = _by_size(annotations, is_found, groups, resampling)
    evidence, num_images = overall.by_group.evidence, annotations["file_name"].nunique()
    rejected = evidence.p_value < resampling.alpha
    names = (finder_a.name, finder_b.name)
    return Verdict(
        hypothesis=f"{finder_b.name} and {finder_a.name} find faces equally well.",
        question=f"Does one of {finder_a.name} and {finder_b.name} find more of the true faces?",
        null="Of the faces that one alone finds, each finds half.",
        named=overall.by_face,
        by_group=evidence,
        design_effect=overall.design_effect,
        effect=Effect(f"recall of {finder_b.name} - recall of {finder_a.name}", *overall.difference.interval),
        assumptions=(
            independence_of_faces(groups, overall.design_effect, num_images),
            overall.discordant_assumption(),
            many_groups(groups, overall.by_group.largest_share),
        ),
        conclusion=Conclusion.REFUTED if rejected else Conclusion.UNDECIDED,
        sentence=_sentence(names, overall, thirds, holm, resampling.alpha),
        rejected=rejected,
        alpha=resampling.alpha,
        counts={"faces": len(annotations), "images": num_images, "groups": groups.num},
        notes=(_thresholds_note(finders, iou_threshold),),
        details={
            "sizes": _size_rows(names, overall, thirds, holm),
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


def _by_size(
    annotations: pd.DataFrame, is_found: list[np.ndarray], groups: FaceGroups, resampling: Resampling
) -> tuple[dict[str, PairedOutcomes], np.ndarray]:
    """Return the comparison in each third by size that has faces of two groups, and their p-values after Holm."""
    sizes = np.sqrt(box_area(annotations[BOX_COLUMNS].to_numpy(np.float64)))  # (N,)
    lower, upper = size_tertiles(annotations)
    third = np.digitize(sizes, [lower, upper])  # (N,) 0, 1 or 2
    labels = (f"up to {lower:.1f} px", f"{lower:.1f} to {upper:.1f} px", f"over {upper:.1f} px")
    thirds = {}
    for place, label in enumerate(labels):
        rows = np.flatnonzero(third == place)
        if len(np.unique(groups.codes[rows])) > 1:
            of_third = FaceGroups.of(groups.codes[rows])
            thirds[label] = compare_outcomes(*(found[rows] for found in is_found), of_third, resampling)
    p_values = [compared.p_value for compared in thirds.values()]
    return thirds, multipletests(p_values, method="holm")[1] if p_values else np.zeros(0)


def _size_rows(
    names: tuple[str, str], overall: PairedOutcomes, thirds: Mapping[str, PairedOutcomes], holm: np.ndarray
) -> list[Row]:
    rows: list[Row] = [{"size": _OVERALL, **overall.row(*names), "p_value_holm": None}]
    for (label, compared), p_value in zip(thirds.items(), holm, strict=True):
        rows.append({"size": label, **compared.row(*names), "p_value_holm": float(p_value)})
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


def _sentence(
    names: tuple[str, str],
    overall: PairedOutcomes,
    thirds: Mapping[str, PairedOutcomes],
    holm: np.ndarray,
    alpha: float,
) -> str:
    better, worse = names[::-1] if overall.difference.value > 0 else names
    rates = f"{names[1]} finds {overall.rate_b:.1%} and {names[0]} {overall.rate_a:.1%} of {overall.num_faces:,} faces"
    differs = overall.p_value < alpha
    verdict = f"{better} finds more faces than {worse}" if differs else "No difference in faces found is shown"
    of_size = [
        f"{compared.difference.value:+.3f} ({label}, {p_text(p_value)})"
        for (label, compared), p_value in zip(thirds.items(), holm, strict=True)
    ]
    by_size = f" By size: {listing(of_size)}, corrected by Holm." if of_size else ""
    return f"{verdict}: {rates} ({overall.text(f'{names[1]} - {names[0]}')}).{by_size}"
