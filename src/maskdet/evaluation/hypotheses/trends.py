"""H4: the mask state goes with what else the data hold. A test a trait, by face and by group, corrected for many."""

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from maskdet.evaluation.hypotheses.associations import GROUP_TEST, Association, associations
from maskdet.evaluation.hypotheses.by_group import FaceGroups, Resampling, design_effect, independence_of_faces
from maskdet.evaluation.hypotheses.class_shares import class_indicators
from maskdet.evaluation.hypotheses.dealt_states import DealtStates
from maskdet.evaluation.hypotheses.traits import Trait
from maskdet.evaluation.hypotheses.verdict import Assumption, Conclusion, Effect, Evidence, Row, Verdict
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
        The verdict; its p-values are the smallest after Holm. `details["traits"]` has a row a trait with Holm's and
        Benjamini and Hochberg's corrected p-values of the group-aware test.

    Raises:
        ValueError: If fewer than two classes occur, or no trait varies.
    """
    traits = [trait for trait in traits if len(np.unique(trait.values)) > 1]
    if not traits:
        raise ValueError("expected a trait with two or more values, got none")
    states = DealtStates.fit(class_indicators(class_names), groups)
    found = associations(class_names, traits, states, resampling)
    holm, fdr = (_corrected([one.p_by_group for one in found], method) for method in ("holm", "fdr_bh"))
    holm_by_face = _corrected([one.by_face.p_value for one in found], "holm")
    strongest = _strongest(found, holm)
    dependence = design_effect(states.is_state[:, 0], groups)
    rejected = bool(holm.min() < resampling.alpha)
    return Verdict(
        hypothesis="The mask state goes with the photo's orientation, the face's size, crowd, place or light.",
        question="Are masks left off or worn wrongly more often in some kinds of photos and places than in others?",
        null="The mask state is independent of each of the traits.",
        named=_smallest([one.by_face for one in found], holm_by_face),
        by_group=Evidence(
            f"{GROUP_TEST}, smallest p, Holm over {len(found)} traits",
            strongest.effect.value,
            float(holm.min()),
            least_p_value=min(1.0, len(found) / (resampling.num_permutations + 1)),
        ),
        design_effect=dependence,
        effect=Effect(f"{strongest.effect_name} of {strongest.trait.name}", *strongest.effect.interval),
        assumptions=(
            independence_of_faces(groups, dependence, num_images),
            _expected_counts(found),
            states.assumption(),
        ),
        conclusion=Conclusion.SUPPORTED if rejected else Conclusion.UNDECIDED,
        sentence=_sentence(found, holm, holm_by_face, resampling),
        rejected=rejected,
        alpha=resampling.alpha,
        counts={"faces": len(class_names), "images": num_images, "groups": groups.num}
        | {"effective_faces": round(states.effective_num_faces)},
        notes=(NO_DEMOGRAPHICS, _SCOPE),
        details={"traits": [_row(*parts) for parts in zip(found, holm, fdr, holm_by_face, strict=True)]},
    )


def _corrected(p_values: list[float], method: str) -> np.ndarray:
    return multipletests(p_values, method=method)[1]


def _strongest(found: list[Association], holm: np.ndarray) -> Association:
    """Return the trait of the smallest p-value; of equal ones that of the largest share explained."""

    def order(place: int) -> tuple[float, float]:
        one = found[place]
        explained = one.effect.value if one.trait.is_ordered else one.effect.value**2
        return float(holm[place]), -explained

    return found[min(range(len(found)), key=order)]


def _smallest(evidences: list[Evidence], holm: np.ndarray) -> Evidence:
    best = evidences[int(np.argmin(holm))]
    test = f"Kruskal-Wallis or chi-square over faces, smallest p, Holm over {len(evidences)} traits"
    return Evidence(test, best.statistic, float(holm.min()), best.df)


def _expected_counts(found: list[Association]) -> Assumption:
    least = [one.least_expected for one in found if not one.trait.is_ordered]
    if not least:
        return Assumption("expected counts are large enough (chi-square)", True, "no trait has levels")
    detail = f"the least is {min(least):.1f}, {_MIN_EXPECTED:g} are enough; the group-aware test needs none"
    return Assumption("expected counts are large enough (chi-square)", min(least) >= _MIN_EXPECTED, detail)


def _row(one: Association, holm: float, fdr: float, holm_by_face: float) -> Row:
    return {
        "trait": one.trait.name,
        "test": one.by_face.test,
        "statistic": one.by_face.statistic,
        "df": one.by_face.df,
        "p_value_by_face": one.by_face.p_value,
        "p_value_by_face_holm": float(holm_by_face),
        "p_value_by_group": one.p_by_group,
        "p_value_holm": float(holm),
        "p_value_benjamini_hochberg": float(fdr),
        "effect": one.effect_name,
        **one.effect.columns("value"),
        "value_by_face": one.effect_by_face,
        "typical": one.typical_name,
        **one.typical,
    }


def _sentence(found: list[Association], holm: np.ndarray, holm_by_face: np.ndarray, resampling: Resampling) -> str:
    is_shown = holm < resampling.alpha
    least = len(found) / (resampling.num_permutations + 1)
    told = [_association_text(one, p, least) for one, p, shown in zip(found, holm, is_shown, strict=True) if shown]
    rest = [one.trait.name for one, shown in zip(found, is_shown, strict=True) if not shown]
    verdict = f"The mask state goes with {listing(told)}" if told else "No association of the mask state is shown"
    missing = f"; not shown for {listing(rest)}" if rest and told else ""
    num_by_face = int((holm_by_face < resampling.alpha).sum())
    return (
        f"{verdict}{missing}. After Holm {len(told)} of {len(found)} traits pass by groups, {num_by_face} by faces. "
        "Demographics are not in the data, so nothing is said of them."
    )


def _association_text(one: Association, p_value: float, least_p_value: float) -> str:
    values = ", ".join(f"{name} {value:.3g}" for name, value in one.typical.items() if not np.isnan(value))
    return (
        f"{one.trait.name} ({one.effect_name} {interval_text(*one.effect.interval)}, {p_text(p_value, least_p_value)}; "
        f"{one.typical_name}: {values})"
    )
