"""H3: the mask model is no better than chance. Against guesses dealt out at random, and against the commonest class."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from maskdet.evaluation.hypotheses.by_group import (
    GroupEstimate,
    Resampling,
    design_effect,
    estimate_from_sums,
    independence_of_faces,
    many_groups,
)
from maskdet.evaluation.hypotheses.class_shares import class_indicators
from maskdet.evaluation.hypotheses.dealt_states import DealtStates
from maskdet.evaluation.hypotheses.group_tests import share_interval
from maskdet.evaluation.hypotheses.named_faces import NamedFaces
from maskdet.evaluation.hypotheses.paired_outcomes import PairedOutcomes, compare_outcomes
from maskdet.evaluation.hypotheses.verdict import Assumption, Conclusion, Effect, Evidence, Row, Verdict
from maskdet.evaluation.hypotheses.wording import interval_text, p_text
from maskdet.evaluation.rates import ratio
from maskdet.schema import CLASS_NAMES

_NAMED_TEST = "permutation of the answers over faces, and McNemar's test against the commonest class: the larger p"
_GROUP_TEST = (
    "classes dealt out anew to equally alike groups, and exchange with the commonest class in whole groups: "
    "the larger p"
)
_PERMUTATION_CHUNK = 200
"""Permutations of all faces held in memory at once."""


@dataclass(frozen=True)
class AgainstGuesses:
    """A model beside two guessers on the same faces.

    Attributes:
        named: The faces and the model's answers.
        majority: The commonest class of these faces, which the second guesser always says.
        excess: Accuracy above that of the model's own answers dealt out at random.
        by_face: Permutation of the answers over faces.
        dealt: Classes dealt out anew to equally alike groups, which agree with the answers by chance.
        kappa: Cohen's, which is `excess` over the most that it could be.
        balanced: Mean recall of the classes that occur.
        rival: The commonest class (a) against the model (b).
        states: The classes as draws in which nothing but the group matters.
    """

    named: NamedFaces
    majority: str
    excess: GroupEstimate
    by_face: Evidence
    dealt: Evidence
    kappa: GroupEstimate
    balanced: GroupEstimate
    rival: PairedOutcomes
    states: DealtStates

    @property
    def is_better(self) -> bool:
        """Return whether the model is ahead of both, by however little."""
        return self.excess.value > 0 and self.rival.difference.value > 0


def judge_against_chance(named: NamedFaces, model: str, resampling: Resampling) -> Verdict:
    """Judge "the mask model is no better than chance".

    The model must beat two guessers, so the larger of two p-values counts, which needs no further correction. The
    first deals the model's own answers out at random, as stratified guessing does; by group it is the true classes
    that are dealt out anew, as alike within groups as they are. The second always says the commonest class. They guess
    on the faces that the model answers for: a guesser finds no faces. So the verdict is of the faces that are found,
    and the sentence says what comes of counting the others as wrong.

    Args:
        named: What the model says of each face.
        model: Its name.
        resampling: Draws, permutations, level.

    Returns:
        The verdict; `details["guesses"]` has a row a guesser and set of faces, `details["classes"]` a row a class.

    Raises:
        ValueError: If all faces with an answer are of one class.

    Reference:
        Ojala and Garriga (2010), Permutation Tests for Studying Classifier Performance, JMLR 11, 1833-1863, test 1.
    """
    answered = named.answered()
    if answered.faces["class_name"].nunique() < 2:
        raise ValueError(f"{model}: expected answers for faces of two or more classes, got one class")
    found = compare_with_guesses(answered, resampling)
    is_complete = len(answered.faces) == len(named.faces)
    everywhere = None if is_complete else compare_with_guesses(named, resampling)
    rejected = found.is_better and max(found.dealt.p_value, found.rival.p_value) < resampling.alpha
    accuracy, dependence = found.rival.rate_b, design_effect(answered.is_right, answered.groups)
    return Verdict(
        hypothesis="The mask model is no better than chance.",
        question=f"Does {model} tell more about a face's mask than guessing does?",
        null="The model's answers say nothing of the class, or are right no more often than the commonest class is.",
        named=_larger_p(_NAMED_TEST, accuracy, found.by_face, found.rival.by_face),
        by_group=_larger_p(_GROUP_TEST, accuracy, found.dealt, found.rival.by_group.evidence),
        design_effect=dependence,
        effect=Effect("Cohen's kappa", *found.kappa.interval),
        assumptions=(
            independence_of_faces(answered.groups, dependence, answered.num_images),
            many_groups(answered.groups, found.rival.by_group.largest_share),
            found.states.assumption(),
            _all_answered(named, answered),
        ),
        conclusion=_conclusion(found, rejected, resampling.alpha),
        sentence=_sentence(model, found, everywhere, rejected),
        rejected=rejected,
        alpha=resampling.alpha,
        counts=answered.counts | {"faces_without_answer": len(named.faces) - len(answered.faces)},
        notes=(_stratified_note(found),),
        details={
            "guesses": _guess_rows(found, "with an answer") + (_guess_rows(everywhere, "all") if everywhere else []),
            "classes": _class_rows(found, resampling),
        },
    )


def compare_with_guesses(named: NamedFaces, resampling: Resampling) -> AgainstGuesses:
    """Hold a model's answers against both guessers; an answer "not found" is right for no class."""
    is_class, is_answer = _indicators(named)
    states = DealtStates.fit(is_class, named.groups)
    columns = np.hstack([is_class, is_answer, is_class & is_answer, np.ones((len(is_class), 1))])  # (N, 3 K + 1)
    sums = named.groups.sums(columns)  # (G, 3 K + 1)
    excess, kappa, balanced = (
        estimate_from_sums(sums, formula, resampling) for formula in (_excess, _kappa, _balanced_accuracy)
    )
    majority = CLASS_NAMES[int(is_class.sum(axis=0).argmax())]
    is_majority = (named.faces["class_name"] == majority).to_numpy()
    return AgainstGuesses(
        named=named,
        majority=majority,
        excess=excess,
        by_face=_permutation_of_faces(is_class, is_answer, resampling),
        dealt=_dealt_classes(states, is_answer[:, is_class.any(axis=0)], resampling),
        kappa=kappa,
        balanced=balanced,
        rival=compare_outcomes(is_majority, named.is_right, named.groups, resampling),
        states=states,
    )


def _indicators(named: NamedFaces) -> tuple[np.ndarray, np.ndarray]:
    """Return (N, K) bool of true classes and of answers; a face not found is of no class."""
    return class_indicators(named.faces["class_name"]), class_indicators(named.faces["answer"])


def _accuracy_and_chance(totals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return accuracy and that of the same answers dealt out at random, (R,) each, from (3 K + 1, R) sums."""
    of_class, answers, right = np.split(totals[:-1], 3)  # (K, R) each
    num_faces = totals[-1]  # (R,)
    return ratio(right.sum(axis=0), num_faces), ratio((of_class * answers).sum(axis=0), num_faces**2)


def _excess(totals: np.ndarray) -> np.ndarray:
    return np.subtract(*_accuracy_and_chance(totals))


def _kappa(totals: np.ndarray) -> np.ndarray:
    accuracy, chance = _accuracy_and_chance(totals)
    return ratio(accuracy - chance, 1 - chance)


def _balanced_accuracy(totals: np.ndarray) -> np.ndarray:
    of_class, _, right = np.split(totals[:-1], 3)  # (K, R) each
    return np.nanmean(ratio(right, of_class), axis=0)


def _dealt_classes(states: DealtStates, is_answer: np.ndarray, resampling: Resampling) -> Evidence:
    """Test the agreement beyond chance, (N, K) answers held fixed."""
    answers = np.where(is_answer.any(axis=1), is_answer.argmax(axis=1), -1)  # (N,)
    answer_shares = is_answer.mean(axis=0)  # (K,)

    def excess(dealt: np.ndarray) -> np.ndarray:
        chance = sum(share * (dealt == k).mean(axis=1) for k, share in enumerate(answer_shares))  # (R,)
        return np.abs((dealt == answers).mean(axis=1) - chance)[:, None]  # (R, 1)

    observed = float(excess(states.is_state.argmax(axis=1)[None])[0, 0])
    p_value, least = float(states.p_values(excess, resampling)[0]), 1 / (resampling.num_permutations + 1)
    return Evidence("classes dealt out anew to equally alike groups", observed, p_value, least_p_value=least)


def _permutation_of_faces(is_class: np.ndarray, is_answer: np.ndarray, resampling: Resampling) -> Evidence:
    """Test the accuracy against that of the answers in random order, as if faces were independent."""
    truth = is_class.argmax(axis=1)  # (N,)
    answers = np.where(is_answer.any(axis=1), is_answer.argmax(axis=1), -1)  # (N,)
    outcome = stats.permutation_test(
        (answers,),
        lambda dealt, axis: (dealt == truth).mean(axis=axis),
        permutation_type="pairings",
        vectorized=True,
        n_resamples=resampling.num_permutations,
        batch=_PERMUTATION_CHUNK,
        rng=np.random.default_rng(resampling.seed),
    )
    least = 2 / (resampling.num_permutations + 1)
    return Evidence("permutation over faces", float(outcome.statistic), float(outcome.pvalue), least_p_value=least)


def _larger_p(test: str, accuracy: float, stratified: Evidence, majority: Evidence) -> Evidence:
    """Return the evidence against both guessers: of the test that is nearer to failing."""
    weaker = max((stratified, majority), key=lambda evidence: evidence.p_value)
    return Evidence(test, accuracy, weaker.p_value, least_p_value=weaker.least_p_value)


def _all_answered(named: NamedFaces, answered: NamedFaces) -> Assumption:
    num = len(named.faces) - len(answered.faces)
    detail = f"{num:,} of {len(named.faces):,} faces ({num / len(named.faces):.1%}) get none; they are left out here"
    return Assumption("the model answers for every face, as guessers do", num == 0, detail)


def _stratified_note(found: AgainstGuesses) -> str:
    shares = _indicators(found.named)[0].mean(axis=0)  # (K,)
    return (
        f"Stratified guessing here deals out the model's own answers; with the true shares of the classes it would be "
        f"right for {(shares**2).sum():.1%} of the faces, less than the commonest class alone ({shares.max():.1%})."
    )


def _guess_rows(against: AgainstGuesses, faces: str) -> list[Row]:
    accuracy, rival = against.rival.rate_b, against.rival
    stratified, commonest = "stratified: the model's answers dealt out at random", "the commonest class"
    guesses = (
        (stratified, accuracy - against.excess.value, against.excess, against.by_face, against.dealt),
        (f"{commonest}, {against.majority}", rival.rate_a, rival.difference, rival.by_face, rival.by_group.evidence),
    )
    return [
        {
            "faces": faces,
            "guess": name,
            "accuracy_guess": of_guess,
            "accuracy_model": accuracy,
            **difference.columns("difference"),
            **by_face.p_columns("by_face"),
            **by_group.p_columns("by_group"),
        }
        for name, of_guess, difference, by_face, by_group in guesses
    ]


def _class_rows(against: AgainstGuesses, resampling: Resampling) -> list[Row]:
    """Return the recall of each class, and their mean, which saying one class always brings to 1 / K."""
    named = against.named
    is_class, _ = _indicators(named)
    rows: list[Row] = []
    for k, name in enumerate(CLASS_NAMES):
        sums = named.groups.sums(np.column_stack([is_class[:, k] & named.is_right, is_class[:, k]]))  # (G, 2)
        recall = share_interval(*sums.T, resampling.alpha)
        rows.append({"class": name, "faces": int(is_class[:, k].sum()), **recall.columns("recall")})
    mean = {"class": "mean of the classes (balanced accuracy)", "faces": len(is_class)}
    return [*rows, mean | against.balanced.columns("recall")]


def _conclusion(found: AgainstGuesses, rejected: bool, alpha: float) -> Conclusion:
    """Return what follows for "no better than chance": supported only where the commonest class is ahead for sure."""
    if rejected:
        return Conclusion.REFUTED
    is_behind = found.rival.difference.value < 0 and found.rival.p_value < alpha
    return Conclusion.SUPPORTED if is_behind else Conclusion.UNDECIDED


def _sentence(model: str, found: AgainstGuesses, everywhere: AgainstGuesses | None, rejected: bool) -> str:
    verdict = "better than chance" if rejected else "not shown to be better than chance"
    rival = found.rival
    found_ones = f"the {rival.num_faces:,} faces that it finds" if everywhere else f"{rival.num_faces:,} faces"
    return (
        f"The mask model is {verdict}: {model} names the right class for {rival.rate_b:.1%} of {found_ones}. That is "
        f"{_gain_text(found.excess, found.dealt)} against its own answers dealt out at random and "
        f"{_gain_text(rival.difference, rival.by_group.evidence)} against always saying {found.majority}; Cohen's "
        f"kappa {interval_text(*found.kappa.interval)}.{_missed_text(found, everywhere)}"
    )


def _gain_text(gain: GroupEstimate, evidence: Evidence) -> str:
    p_value = p_text(evidence.p_value, evidence.least_p_value)
    return f"{interval_text(*gain.interval, '+')} ({p_value} by groups)"


def _missed_text(found: AgainstGuesses, everywhere: AgainstGuesses | None) -> str:
    """Return what comes of counting the faces without an answer as wrong; nothing where there are none."""
    if everywhere is None:
        return ""
    rival = everywhere.rival
    return (
        f" With the {rival.num_faces - found.rival.num_faces:,} of {rival.num_faces:,} faces that it misses counted as "
        f"wrong it is right for {rival.rate_b:.1%}: {_gain_text(rival.difference, rival.by_group.evidence)} against "
        f"always saying {everywhere.majority}."
    )
