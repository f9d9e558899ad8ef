"""H4: the mask state goes with what else the data hold. A test a trait, by face and by group, corrected for many."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from maskdet.evaluation.holm import holm, is_bound
from maskdet.evaluation.hypotheses.associations import GROUP_TEST, Association, associations
from maskdet.evaluation.hypotheses.by_group import FaceGroups, Resampling, design_effect, independence_of_faces
from maskdet.evaluation.hypotheses.class_shares import class_indicators
from maskdet.evaluation.hypotheses.dealt_states import DealtStates
from maskdet.evaluation.hypotheses.traits import Trait
from maskdet.evaluation.hypotheses.verdict import Assumption, Conclusion, Effect, Evidence, Row, Verdict, p_columns
from maskdet.evaluation.hypotheses.wording import interval_text, listing, p_text

NO_DEMOGRAPHICS = (
    "Demographics are not in the data: nobody recorded age, sex, skin tone, ethnicity or region of the people shown. "
    "No trend over them can be tested, and none may be read out of the traits that are."
)
_SCOPE = (
    "Each trait is tested by itself: small faces stand in crowds, and portrait photos show one person, so that one "
    "trait may show through another. Faces of a group repeat each other: in the group-aware test, its effects and the "
    "typical values a group of n faces counts as n / (1 + (n - 1) ICC) of them. Effects cannot be negative, and their "
    "intervals do not reach 0 even where there is none: the p-values say whether there is one."
)
_MIN_EXPECTED = 5.0


def judge_trends(
    class_names: pd.Series, traits: list[Trait], groups: FaceGroups, resampling: Resampling, num_images: int
) -> Verdict:
    """Judge "the mask state goes with other traits of faces and photos".

    Args:
        class_names: (N,) the class of each face.
        traits: What may go with it, chosen beforehand; those without two values are left out.
        groups: Of the faces.
        resampling: Draws, deals, level.
        num_images: With faces.

    Returns:
        The verdict; its p-values are the smallest after Holm, each of the trait that its test names.
        `details["traits"]` has a row a trait with Holm's and Benjamini and Hochberg's corrected p-values of the
        group-aware test.

    Raises:
        ValueError: If fewer than two classes occur, or no trait varies.
    """
    traits = [trait for trait in traits if len(np.unique(trait.values)) > 1]
    if not traits:
        raise ValueError("expected a trait with two or more values, got none")
    states = DealtStates.fit(class_indicators(class_names), groups)
    found = associations(class_names, traits, states, resampling)
    corrected = _corrected(found, resampling)
    place = _strongest(found, corrected)
    strongest, p_value = found[place], corrected[place].by_group
    dependence = design_effect(states.is_state[:, 0], groups)
    rejected = p_value < resampling.alpha
    return Verdict(
        hypothesis="The mask state goes with the photo's orientation, the face's size, crowd, place or light.",
        question="Are masks left off or worn wrongly more often in some kinds of photos and places than in others?",
        null="The mask state is independent of each of the traits.",
        named=_smallest_by_face(found, corrected),
        by_group=Evidence(
            f"{GROUP_TEST}, {strongest.effect_name} of {strongest.trait.name}: smallest p, Holm over {len(found)} "
            "traits",
            strongest.effect.value,
            p_value,
            least_p_value=corrected[place].least_by_group,
        ),
        design_effect=dependence,
        effect=Effect(f"{strongest.effect_name} of {strongest.trait.name}", *strongest.effect.interval),
        assumptions=(
            independence_of_faces(groups, dependence, num_images),
            _expected_counts(found),
            states.assumption(),
        ),
        conclusion=Conclusion.SUPPORTED if rejected else Conclusion.UNDECIDED,
        sentence=_sentence(found, corrected, resampling.alpha),
        rejected=rejected,
        alpha=resampling.alpha,
        counts={"faces": len(class_names), "images": num_images, "groups": groups.num}
        | {"effective_faces": round(states.effective_num_faces)},
        notes=(NO_DEMOGRAPHICS, _SCOPE),
        details={"traits": [_row(*parts, resampling) for parts in zip(found, corrected, strict=True)]},
    )


@dataclass(frozen=True)
class _Corrected:
    """The p-values of one trait, corrected for the number of traits."""

    by_group: float
    least_by_group: float
    by_face: float
    benjamini_hochberg: float
    least_benjamini_hochberg: float


def _corrected(found: list[Association], resampling: Resampling) -> list[_Corrected]:
    by_group = np.array([one.p_by_group for one in found])
    false_discoveries, lowest = (
        multipletests(p_values, method="fdr_bh")[1]
        for p_values in (by_group, np.where(is_bound(by_group, resampling.least_p_value), 0.0, by_group))
    )
    columns = (
        *holm(by_group, resampling.least_p_value),
        holm(np.array([one.by_face.p_value for one in found]))[0],
        false_discoveries,
        np.where(lowest < false_discoveries, false_discoveries, 0.0),
    )
    return [_Corrected(*row) for row in np.transpose(columns).tolist()]


def _strongest(found: list[Association], corrected: list[_Corrected]) -> int:
    """Return the place of the smallest p-value by groups; of equal ones that of the largest share explained."""

    def order(place: int) -> tuple[float, float]:
        one = found[place]
        explained = one.effect.value if one.trait.is_ordered else one.effect.value**2
        return corrected[place].by_group, -explained

    return min(range(len(found)), key=order)


def _smallest_by_face(found: list[Association], corrected: list[_Corrected]) -> Evidence:
    place = min(range(len(found)), key=lambda place: found[place].by_face.p_value)
    best = found[place].by_face
    test = f"{best.test} of {found[place].trait.name} over faces: smallest p, Holm over {len(found)} traits"
    return Evidence(test, best.statistic, corrected[place].by_face, best.df)


def _expected_counts(found: list[Association]) -> Assumption:
    least = [one.least_expected for one in found if not one.trait.is_ordered]
    if not least:
        return Assumption("expected counts are large enough (chi-square)", True, "no trait has levels")
    detail = f"the least is {min(least):.1f}, {_MIN_EXPECTED:g} are enough; the group-aware test needs none"
    return Assumption("expected counts are large enough (chi-square)", min(least) >= _MIN_EXPECTED, detail)


def _row(one: Association, corrected: _Corrected, resampling: Resampling) -> Row:
    return {
        "trait": one.trait.name,
        "test": one.by_face.test,
        "statistic": one.by_face.statistic,
        "df": one.by_face.df,
        "p_value_by_face": one.by_face.p_value,
        "p_value_by_face_holm": corrected.by_face,
        **p_columns("by_group", one.p_by_group, resampling.least_p_value),
        **p_columns("holm", corrected.by_group, corrected.least_by_group),
        **p_columns("benjamini_hochberg", corrected.benjamini_hochberg, corrected.least_benjamini_hochberg),
        "effect": one.effect_name,
        **one.effect.columns("value"),
        "value_by_face": one.effect_by_face,
        "typical": one.typical_name,
        **one.typical,
    }


def _sentence(found: list[Association], corrected: list[_Corrected], alpha: float) -> str:
    is_shown = [each.by_group < alpha for each in corrected]
    told = [_association_text(*parts) for *parts, shown in zip(found, corrected, is_shown, strict=True) if shown]
    rest = [one.trait.name for one, shown in zip(found, is_shown, strict=True) if not shown]
    verdict = f"The mask state goes with {listing(told)}" if told else "No association of the mask state is shown"
    missing = f"; not shown for {listing(rest)}" if rest and told else ""
    num_by_face = sum(each.by_face < alpha for each in corrected)
    return (
        f"{verdict}{missing}. After Holm {len(told)} of {len(found)} traits pass by groups, {num_by_face} by faces. "
        "Demographics are not in the data, so nothing is said of them."
    )


def _association_text(one: Association, corrected: _Corrected) -> str:
    values = ", ".join(f"{name} {value:.3g}" for name, value in one.typical.items() if not np.isnan(value))
    p_value = p_text(corrected.by_group, corrected.least_by_group)
    return (
        f"{one.trait.name} ({one.effect_name} {interval_text(*one.effect.interval)}, {p_value}; "
        f"{one.typical_name}: {values})"
    )
