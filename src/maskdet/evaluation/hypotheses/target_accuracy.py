"""H5: a ternary accuracy above a target is reachable. Intervals against it, grouped and split by face."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from maskdet.evaluation.holm import holm
from maskdet.evaluation.hypotheses.by_group import (
    GroupEstimate,
    Resampling,
    design_effect,
    independence_of_faces,
    many_groups,
)
from maskdet.evaluation.hypotheses.chosen import ChosenOn
from maskdet.evaluation.hypotheses.group_tests import share_against
from maskdet.evaluation.hypotheses.named_faces import NamedFaces, check_same_faces
from maskdet.evaluation.hypotheses.paired_outcomes import PairedOutcomes, compare_outcomes
from maskdet.evaluation.hypotheses.verdict import Assumption, Conclusion, Effect, Evidence, Row, Verdict
from maskdet.evaluation.hypotheses.wording import interval_text, p_text

_SCOPE = "The intervals hold for these trained classifiers on other images, not for another training of them."
_ALL_BELOW = "All classifiers lie below the target; that no other could reach it is not shown by this."


@dataclass(frozen=True)
class JudgedClassifier:
    """One classifier under both protocols.

    Attributes:
        name: Of the classifier.
        grouped: Its answers where groups of look-alikes were held out whole.
        by_face: Its answers on the same faces where the split was by face, as published studies have it.
    """

    name: str
    grouped: NamedFaces
    by_face: NamedFaces


@dataclass(frozen=True)
class _Accuracy:
    """Accuracy under one protocol, with its tests against the target, by groups and by faces."""

    estimate: GroupEstimate
    by_group: Evidence
    over_faces: Evidence


@dataclass(frozen=True)
class _Contender:
    """A classifier's accuracies, what the split by face adds, and the p-value of the grouped one after Holm.

    `elsewhere`: the grouped protocol's answers on the folds that had no say in the recipe, with their accuracy.
    """

    classifier: JudgedClassifier
    grouped: _Accuracy
    by_face: _Accuracy
    inflation: PairedOutcomes
    elsewhere: tuple[NamedFaces, _Accuracy] | None
    p_holm: float

    @property
    def accuracy(self) -> float:
        return self.grouped.estimate.value


def judge_target_accuracy(
    classifiers: Sequence[JudgedClassifier],
    target: float,
    resampling: Resampling,
    chosen_on: ChosenOn | None = None,
) -> Verdict:
    """Judge "an accuracy above the target is reachable", by the best of several classifiers.

    What counts is the grouped protocol. Any of the classifiers may reach the target, so their p-values are corrected
    by Holm; the interval of the best is not corrected for its having been chosen. Nor does Holm know of recipes that
    were tried out and dropped: the figures stand once more without the folds that they were tried on. That none
    reaches the target would not show that it cannot be reached.

    Args:
        classifiers: One or more, each under both protocols on the same faces.
        target: In (0, 1).
        resampling: Draws, flips, level.
        chosen_on: Folds on which recipes were tried out.

    Returns:
        The verdict, of the best of the classifiers that reach the target, else of the best; `details["classifiers"]`
        has a row a classifier and protocol, `details["inflation"]` what the split by face adds to each.

    Raises:
        ValueError: If there is no classifier, the target is none, or a classifier's protocols judged different faces.
    """
    contenders = _contenders(classifiers, target, resampling, chosen_on)
    reached = [one for one in contenders if one.p_holm < resampling.alpha and one.accuracy > target]
    best = max(reached or contenders, key=lambda one: one.accuracy)
    named, several = best.classifier.grouped, f", Holm over {len(contenders)} classifiers"
    dependence = design_effect(named.is_right, named.groups)
    by_group = best.grouped.by_group
    return Verdict(
        hypothesis=f"A ternary accuracy above {target:g} is reachable.",
        question=f"Does a classifier of face crops name the right one of three classes for more than {target:.0%}?",
        null=f"The accuracy of {best.classifier.name}, with look-alike images held out together, is {target:g}.",
        named=best.grouped.over_faces,
        by_group=Evidence(by_group.test + several, by_group.statistic, best.p_holm, by_group.df),
        design_effect=dependence,
        effect=Effect(f"accuracy of {best.classifier.name}, grouped", *best.grouped.estimate.interval),
        assumptions=(
            independence_of_faces(named.groups, dependence, named.num_images),
            many_groups(named.groups),
            _few_contenders(len(contenders)),
        ),
        conclusion=Conclusion.SUPPORTED if reached else Conclusion.UNDECIDED,
        sentence=_sentence(best, target, bool(reached)),
        rejected=bool(reached),
        alpha=resampling.alpha,
        counts=named.counts,
        notes=(
            _SCOPE,
            *_chosen_note(best, len(contenders), target, chosen_on),
            *([_ALL_BELOW] if _all_below(contenders, target, resampling.alpha) else []),
        ),
        details={
            "classifiers": [row for one in contenders for row in _rows(one)],
            "inflation": [
                {"classifier": one.classifier.name, **one.inflation.row("grouped", "by_face")} for one in contenders
            ],
        },
    )


def _contenders(
    classifiers: Sequence[JudgedClassifier], target: float, resampling: Resampling, chosen_on: ChosenOn | None
) -> list[_Contender]:
    """Test every classifier; inputs are checked here."""
    if not classifiers:
        raise ValueError("expected one or more classifiers, got none")
    if not 0 < target < 1:
        raise ValueError(f"target: expected an accuracy in (0, 1), got {target}")
    for one in classifiers:
        check_same_faces(one.grouped.faces, one.by_face.faces, f"{one.name} (grouped) and {one.name} (by face)")
    grouped = [_accuracy(one.grouped, target, resampling.alpha) for one in classifiers]
    p_holm = holm(np.array([accuracy.by_group.p_value for accuracy in grouped]))[0].tolist()
    return [
        _Contender(
            one,
            accuracy,
            _accuracy(one.by_face, target, resampling.alpha),
            compare_outcomes(one.grouped.is_right, one.by_face.is_right, one.grouped.groups, resampling),
            _elsewhere(one.grouped, target, resampling.alpha, chosen_on),
            p_value,
        )
        for one, accuracy, p_value in zip(classifiers, grouped, p_holm, strict=True)
    ]


def _elsewhere(
    named: NamedFaces, target: float, alpha: float, chosen_on: ChosenOn | None
) -> tuple[NamedFaces, _Accuracy] | None:
    """Return the answers on the folds that had no say; None where there are none, or no others."""
    is_other = chosen_on.others(named.faces["file_name"], named.groups) if chosen_on else None
    if is_other is None:
        return None
    others = named.only(is_other)
    return others, _accuracy(others, target, alpha)


def _accuracy(named: NamedFaces, target: float, alpha: float) -> _Accuracy:
    is_right = named.is_right
    binomial = stats.binomtest(int(is_right.sum()), len(is_right), target)
    test = f"exact binomial test against {target:g}, over faces"
    over_faces = Evidence(test, float(binomial.statistic), float(binomial.pvalue))
    return _Accuracy(*share_against(is_right, named.groups, target, alpha), over_faces)


def _all_below(contenders: Sequence[_Contender], target: float, alpha: float) -> bool:
    return all(one.accuracy < target and one.grouped.by_group.p_value < alpha for one in contenders)


def _few_contenders(num: int) -> Assumption:
    detail = f"the best of {num}: its p-value is corrected for that, its accuracy and interval are not"
    return Assumption("the classifier was not chosen by the figure that is judged", num == 1, detail)


def _rows(one: _Contender) -> list[Row]:
    protocols = [("grouped", one.classifier.grouped, one.grouped, one.p_holm)]
    if one.elsewhere:
        protocols.append(("grouped, other folds", *one.elsewhere, None))
    protocols.append(("by face", one.classifier.by_face, one.by_face, None))
    return [
        {
            "classifier": one.classifier.name,
            "protocol": protocol,
            "faces": len(named.faces),
            **accuracy.estimate.columns("accuracy"),
            "p_value_by_face": accuracy.over_faces.p_value,
            "p_value_by_group": accuracy.by_group.p_value,
            "p_value_holm": p_holm,
            "design_effect": design_effect(named.is_right, named.groups),
        }
        for protocol, named, accuracy, p_holm in protocols
    ]


def _chosen_note(best: _Contender, num: int, target: float, chosen_on: ChosenOn | None) -> tuple[str, ...]:
    if best.elsewhere is None or chosen_on is None:
        return ()
    named, accuracy = best.elsewhere
    p_value = p_text(accuracy.by_group.p_value)
    return (
        f"Recipes were tried out on {chosen_on.text}, whose faces are judged here too, and Holm counts the {num} "
        f"classifiers, not the recipes. On the other folds, {len(named.faces):,} faces, {best.classifier.name} comes "
        f"to {interval_text(*accuracy.estimate.interval)} ({p_value} against {target:g} by groups, not corrected).",
    )


def _sentence(best: _Contender, target: float, is_reached: bool) -> str:
    grouped, by_face = best.grouped, best.by_face
    verdict = f"An accuracy above {target:g} is {'reached' if is_reached else 'not shown'}"
    return (
        f"{verdict}: {best.classifier.name} comes to {interval_text(*grouped.estimate.interval)} with look-alikes "
        f"held out together ({p_text(best.p_holm)} against {target:g} by groups, after Holm; "
        f"{p_text(grouped.over_faces.p_value)} by faces). Split by face, as published, it comes to "
        f"{interval_text(*by_face.estimate.interval)} ({best.inflation.text('by face - grouped')})."
    )
