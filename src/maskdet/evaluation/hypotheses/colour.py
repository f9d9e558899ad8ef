"""H6: colour beats grey. The same classifier with and without colour, on the same faces."""

import numpy as np

from maskdet.evaluation.hypotheses.by_group import Resampling, independence_of_faces, many_groups
from maskdet.evaluation.hypotheses.group_tests import SignFlip
from maskdet.evaluation.hypotheses.named_faces import NamedFaces, check_same_faces
from maskdet.evaluation.hypotheses.paired_outcomes import (
    BALANCED,
    PairedOutcomes,
    class_weights,
    compare_means,
    compare_outcomes,
)
from maskdet.evaluation.hypotheses.verdict import Conclusion, Effect, Row, Verdict, directed_conclusion
from maskdet.evaluation.hypotheses.wording import interval_text, p_text

_BALANCED = "mean of the classes (balanced accuracy)"


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
    check_same_faces(grey.faces, colour.faces, " and ".join(names))
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


def _recalls(grey: NamedFaces, colour: NamedFaces, resampling: Resampling) -> tuple[SignFlip, list[Row]]:
    """Return the difference in balanced accuracy, and rows of the recall of each class and of their mean."""
    weights = class_weights(grey.faces["class_name"])
    compared = compare_means(grey.is_right, colour.is_right, weights, grey.groups, resampling)
    rows: list[Row] = [
        {
            "class": _BALANCED if name == BALANCED else name,
            "faces": int((weight > 0).sum()),
            "grey": float(np.average(grey.is_right, weights=weight)),
            "colour": float(np.average(colour.is_right, weights=weight)),
            **compared[name].estimate.columns("difference"),
            **compared[name].evidence.p_columns("by_group"),
        }
        for name, weight in weights.items()
    ]
    return compared[BALANCED], rows


def _sentence(compared: PairedOutcomes, balanced: SignFlip, conclusion: Conclusion) -> str:
    verdict = {
        Conclusion.SUPPORTED: "Colour beats grey",
        Conclusion.REFUTED: "Colour does worse than grey",
        Conclusion.UNDECIDED: "No difference between colour and grey is shown",
    }[conclusion]
    return (
        f"{verdict}: accuracy {compared.rate_b:.3f} in colour, {compared.rate_a:.3f} in grey ({compared.text()}); "
        f"balanced accuracy differs by {interval_text(*balanced.estimate.interval, '+')} "
        f"({p_text(balanced.evidence.p_value, balanced.evidence.least_p_value)} by groups)."
    )
