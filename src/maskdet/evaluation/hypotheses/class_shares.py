"""H1: the classes are uniform. Chi-square goodness of fit, and Rao and Scott's correction of it for groups."""

import numpy as np
import pandas as pd
from scipy import stats

from maskdet.evaluation.hypotheses.by_group import (
    FaceGroups,
    GroupEstimate,
    Resampling,
    design_effect,
    estimate_from_sums,
    independence_of_faces,
    many_groups,
)
from maskdet.evaluation.hypotheses.verdict import Assumption, Conclusion, Effect, Evidence, Row, Verdict
from maskdet.evaluation.hypotheses.wording import interval_text, listing, p_text
from maskdet.evaluation.rates import ratio
from maskdet.schema import CLASS_NAMES

_MIN_EXPECTED = 5.0
"""Expected counts from which the chi-square distribution is near enough (Cochran's rule)."""


def judge_class_shares(
    class_names: pd.Series, groups: FaceGroups, resampling: Resampling, num_images: int | None = None
) -> Verdict:
    """Judge "the three classes are equally frequent".

    Args:
        class_names: (N,) the class of each face.
        groups: Of the faces.
        resampling: Of the intervals.
        num_images: With faces, for the record.

    Returns:
        The verdict; `details["classes"]` has the share of each class with its interval and design effect.

    Raises:
        ValueError: If all faces are of one class: there is no spread to test with.
    """
    if class_names.nunique() < 2:
        raise ValueError(f"expected faces of two or more classes, got {sorted(class_names.unique())}")
    is_class = class_indicators(class_names)  # (N, K)
    counts_by_group = groups.sums(is_class)  # (G, K)
    counts = counts_by_group.sum(axis=0)  # (K,)
    uniform = np.full(len(CLASS_NAMES), 1 / len(CLASS_NAMES))  # (K,)
    chi_square = stats.chisquare(counts)
    named = Evidence(
        "chi-square goodness of fit", float(chi_square.statistic), float(chi_square.pvalue), float(len(counts) - 1)
    )
    by_group = rao_scott_test(counts_by_group, uniform)
    effect = _cohens_w(counts_by_group, uniform, resampling)
    classes = _class_rows(is_class, counts_by_group, groups, resampling)
    overall = float(generalized_design_effects(counts_by_group, counts / counts.sum()).mean())
    rejected = by_group.p_value < resampling.alpha
    return Verdict(
        hypothesis="The three classes are equally frequent.",
        question="Do as many faces wear a mask, wear none and wear it wrongly?",
        null="Each class has a third of the faces.",
        named=named,
        by_group=by_group,
        design_effect=overall,
        effect=Effect("Cohen's w", *effect.interval),
        assumptions=(
            independence_of_faces(groups, overall, num_images),
            _expected_counts(len(is_class)),
            many_groups(groups),
        ),
        conclusion=Conclusion.REFUTED if rejected else Conclusion.UNDECIDED,
        sentence=_sentence(classes, named, by_group, effect, overall, rejected),
        rejected=rejected,
        alpha=resampling.alpha,
        counts=_counts(groups, num_images),
        details={"classes": classes},
    )


def class_indicators(class_names: pd.Series) -> np.ndarray:
    """Return (N, K) bool: face n is of class k, classes in the order of `CLASS_NAMES`."""
    return class_names.to_numpy(object)[:, None] == np.array(CLASS_NAMES, object)


def rao_scott_test(counts_by_group: np.ndarray, expected_shares: np.ndarray) -> Evidence:
    """Test the shares of K classes with groups as units.

    Pearson's statistic is divided by the mean of the design effects of the shares and compared with an F
    distribution, whose degrees of freedom fall the more the more these design effects differ.

    Args:
        counts_by_group: (G, K) float, faces of each class in each group.
        expected_shares: (K,) positive, of sum 1.

    Returns:
        The F statistic with its two degrees of freedom. Of groups of one face each it is about Pearson's statistic
        over K - 1; of groups of m equal faces it is what one face a group would give.

    Reference:
        Rao and Scott (1981), The Analysis of Categorical Data from Complex Sample Surveys, JASA 76 (374), 221-230;
        Thomas and Rao (1987), JASA 82 (398), 630-636, for the F distribution.
    """
    counts = counts_by_group.sum(axis=0)  # (K,)
    pearson = stats.chisquare(counts, counts.sum() * expected_shares).statistic
    effects = generalized_design_effects(counts_by_group, expected_shares)  # (K - 1,)
    df = len(effects) / (1 + effects.var() / effects.mean() ** 2)
    f_statistic = float(pearson / effects.sum())
    dfs = (float(df), float(df * (len(counts_by_group) - 1)))
    return Evidence(
        "chi-square corrected for groups (Rao-Scott F)", f_statistic, float(stats.f.sf(f_statistic, *dfs)), dfs
    )


def generalized_design_effects(counts_by_group: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return the eigenvalues of the shares' covariance over groups, in units of that of independent faces.

    Args:
        counts_by_group: (G, K) float, faces of each class in each group.
        shares: (K,) of sum 1, those of the independent faces; classes of share 0 are left out.

    Returns:
        (K - 1,), all about 1 where faces of a group are not alike.
    """
    counts_by_group, shares = counts_by_group[:, shares > 0], shares[shares > 0]
    counts = counts_by_group.sum(axis=0)  # (K,)
    num_groups, num_faces = len(counts_by_group), counts.sum()
    residuals = counts_by_group - counts_by_group.sum(axis=1, keepdims=True) * counts / num_faces  # (G, K)
    covariance = num_groups / (num_groups - 1) * residuals.T @ residuals / num_faces**2  # (K, K)
    multinomial = (np.diag(shares) - np.outer(shares, shares)) / num_faces  # (K, K)
    return np.linalg.eigvals(np.linalg.solve(multinomial[:-1, :-1], covariance[:-1, :-1])).real


def _cohens_w(counts_by_group: np.ndarray, expected_shares: np.ndarray, resampling: Resampling) -> GroupEstimate:
    """Return the root of the summed squared deviations of the shares, each over the expected share.

    Reference:
        Cohen (1988), Statistical Power Analysis for the Behavioral Sciences, section 7.2.
    """

    def formula(counts: np.ndarray) -> np.ndarray:
        shares = ratio(counts, counts.sum(axis=0))  # (K, R)
        return np.sqrt(((shares - expected_shares[:, None]) ** 2 / expected_shares[:, None]).sum(axis=0))

    return estimate_from_sums(counts_by_group, formula, resampling)


def _class_rows(
    is_class: np.ndarray, counts_by_group: np.ndarray, groups: FaceGroups, resampling: Resampling
) -> list[Row]:
    rows: list[Row] = []
    for k, name in enumerate(CLASS_NAMES):
        share = estimate_from_sums(counts_by_group, lambda c, k=k: ratio(c[k], c.sum(axis=0)), resampling)
        rows.append(
            {
                "class": name,
                "faces": int(counts_by_group[:, k].sum()),
                "groups": int((counts_by_group[:, k] > 0).sum()),
                **share.columns("share"),
                "design_effect": design_effect(is_class[:, k], groups),
            }
        )
    return rows


def _expected_counts(num_faces: int) -> Assumption:
    expected = num_faces / len(CLASS_NAMES)
    detail = f"{expected:,.0f} faces a class are expected where all are equally frequent; {_MIN_EXPECTED:g} are enough"
    return Assumption("expected counts are large enough", expected >= _MIN_EXPECTED, detail)


def _counts(groups: FaceGroups, num_images: int | None) -> dict[str, int]:
    images = {} if num_images is None else {"images": num_images}
    return {"faces": len(groups.codes), **images, "groups": groups.num}


def _sentence(
    classes: list[Row], named: Evidence, by_group: Evidence, effect: GroupEstimate, overall: float, rejected: bool
) -> str:
    shares = listing([f"{row['class']} {row['share']:.1%}" for row in classes])
    verdict = "The classes are not equally frequent" if rejected else "The data do not show unequal frequencies"
    told = (
        "overstates this: faces of a group are alike"
        if overall > 1
        else "does not overstate this: faces of a group are no more alike than others"
    )
    return (
        f"{verdict}: {shares} of the faces (Rao-Scott F = {by_group.statistic:.3g}, {p_text(by_group.p_value)}; "
        f"Cohen's w {interval_text(*effect.interval)}). Chi-square over single faces, {named.statistic:,.0f} on "
        f"{named.df:g} degrees of freedom, {told} (design effect {overall:.2f})."
    )
