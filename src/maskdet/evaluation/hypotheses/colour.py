"""H6: colour beats grey. The same classifier with and without colour, on the same faces."""

import numpy as np

from maskdet.evaluation.hypotheses.by_group import (
    GroupEstimate,
    Resampling,
    estimate_from_sums,
    independence_of_faces,
    many_groups,
)
from maskdet.evaluation.hypotheses.class_shares import class_indicators
from maskdet.evaluation.hypotheses.named_faces import NamedFaces, check_same_faces
from maskdet.evaluation.hypotheses.paired_outcomes import PairedOutcomes, compare_outcomes
from maskdet.evaluation.hypotheses.verdict import Conclusion, Effect, Row, Verdict, directed_conclusion
from maskdet.evaluation.hypotheses.wording import interval_text
from maskdet.evaluation.rates import ratio
from maskdet.schema import CLASS_NAMES


def judge_colour(
    grey: NamedFaces, colour: NamedFaces, resampling: Resampling, names: tuple[str, str] = ("grey", "colour")
) -> Verdict:
    """Judge "colour beats grey" by accuracy, as the published study has it.

    Args:
        grey: Answers of the classifier that sees no colour.
        colour: Answers of the one that does.
        resampling: Draws, flips, level.
        names: Of the two classifiers, in that order.

    Returns:
        The verdict; `details["classes"]` has the recall of each class under both, and their mean.

    Raises:
        ValueError: If the two judged different faces.
    """
    check_same_faces(grey, colour, *names)
    compared = compare_outcomes(grey.is_right, colour.is_right, grey.groups, resampling)
    evidence = compared.by_group.evidence
    conclusion = directed_conclusion(evidence.p_value, compared.difference.value, resampling.alpha)
    balanced, rows = _recalls(grey, colour, resampling)
    return Verdict(
        hypothesis="Colour beats grey.",
        question="Does a classifier that sees colour name more faces rightly than the same one without colour?",
        null="Of the faces that one alone names rightly, each has half.",
        named=compared.by_face,
        by_group=evidence,
        design_effect=compared.design_effect,
        effect=Effect("accuracy in colour - accuracy in grey", *compared.difference.interval),
        assumptions=(
            independence_of_faces(grey.groups, compared.design_effect, grey.num_images),
            compared.discordant_assumption(),
            many_groups(grey.groups, compared.by_group.largest_share),
        ),
        conclusion=conclusion,
        sentence=_sentence(compared, balanced, conclusion),
        rejected=conclusion is not Conclusion.UNDECIDED,
        alpha=resampling.alpha,
        counts=grey.counts,
        notes=(
            f"{names[1]} against {names[0]}, each trained once a fold: the interval holds for these trainings on other "
            "images; another training would move both accuracies.",
        ),
        details={"accuracy": [{"measure": "accuracy", **compared.row("grey", "colour")}], "classes": rows},
    )


def _recalls(grey: NamedFaces, colour: NamedFaces, resampling: Resampling) -> tuple[GroupEstimate, list[Row]]:
    """Return the difference in balanced accuracy, and rows of the recall of each class and of their mean."""
    is_class = class_indicators(grey.faces["class_name"])  # (N, K)
    right = [is_class & named.is_right[:, None] for named in (grey, colour)]  # (N, K) each
    sums = grey.groups.sums(np.hstack([is_class, *right]))  # (G, 3 K)

    def recalls(totals: np.ndarray) -> np.ndarray:
        faces, of_grey, of_colour = np.split(totals, 3)  # (K, R) each
        return np.stack([ratio(of_grey, faces), ratio(of_colour, faces)])  # (2, K, R)

    def of_class(place: int) -> GroupEstimate:
        return estimate_from_sums(sums, lambda totals: np.diff(recalls(totals)[:, place], axis=0)[0], resampling)

    balanced = estimate_from_sums(
        sums, lambda totals: np.diff(np.nanmean(recalls(totals), axis=1), axis=0)[0], resampling
    )
    observed = recalls(sums.sum(axis=0)[:, None])[..., 0]  # (2, K)
    num_faces = is_class.sum(axis=0)  # (K,)
    rows = [
        _recall_row(name, int(num_faces[k]), observed[:, k], of_class(k))
        for k, name in enumerate(CLASS_NAMES)
        if num_faces[k]
    ]
    mean = _recall_row("mean of the classes (balanced accuracy)", len(is_class), np.nanmean(observed, axis=1), balanced)
    return balanced, [*rows, mean]


def _recall_row(name: str, num_faces: int, recalls: np.ndarray, difference: GroupEstimate) -> Row:
    of_class = {"class": name, "faces": num_faces, "grey": float(recalls[0]), "colour": float(recalls[1])}
    return of_class | difference.columns("difference")


def _sentence(compared: PairedOutcomes, balanced: GroupEstimate, conclusion: Conclusion) -> str:
    verdict = {
        Conclusion.SUPPORTED: "Colour beats grey",
        Conclusion.REFUTED: "Colour does worse than grey",
        Conclusion.UNDECIDED: "No difference between colour and grey is shown",
    }[conclusion]
    return (
        f"{verdict}: accuracy {compared.rate_b:.3f} in colour, {compared.rate_a:.3f} in grey ({compared.text()}); "
        f"balanced accuracy differs by {interval_text(*balanced.interval, '+')}."
    )
