"""How well crops of faces are classified: figures with intervals over groups of look-alikes, curves, worst errors.

A table of judged faces has the columns of `schema.CROP_PREDICTIONS` and `group`, the face's group of look-alike photos.
A face is called the class of its highest probability, of equal ones the first.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.metrics import confusion_matrix, precision_recall_curve, roc_curve

from maskdet.evaluation.bootstrap import NUM_REPLICATES, Resampled, interval_columns, resample
from maskdet.evaluation.curves import RECALL_POINTS
from maskdet.evaluation.hypotheses.by_group import FaceGroups, Resampling
from maskdet.evaluation.hypotheses.group_tests import share_interval
from maskdet.evaluation.hypotheses.paired_outcomes import BALANCED, class_weights
from maskdet.evaluation.rates import detection_rates, mean_defined, ratio
from maskdet.schema import CLASS_NAMES, PROBABILITY_COLUMNS

HEADLINES = ("accuracy", "balanced_accuracy", "macro_f1", "macro_auc", "macro_ap")
"""Figures of all classes together; `macro` ones and balanced accuracy are means over the classes that occur."""


def with_groups(predictions: pd.DataFrame, group_of_file: Mapping[str, int]) -> pd.DataFrame:
    """Return the faces with the group of look-alikes of their photos.

    Args:
        predictions: Columns as `schema.CROP_PREDICTIONS`.
        group_of_file: As the column `group` of the table `folds` says.

    Returns:
        The rows in their order plus `group` (int64), index 0…N-1.

    Raises:
        ValueError: If a photo has no group.
    """
    groups = predictions["file_name"].map(dict(group_of_file))
    lost = predictions.loc[groups.isna(), "file_name"]
    if len(lost):
        raise ValueError(f"expected a group of every photo whose faces are judged, got none of {lost.iloc[0]!r}")
    return predictions.assign(group=groups.astype("int64")).reset_index(drop=True)


def predicted_classes(faces: pd.DataFrame) -> np.ndarray:
    """Return the class that each face is called, (N,) int, its place in `CLASS_NAMES`."""
    return faces[PROBABILITY_COLUMNS].to_numpy().argmax(axis=1)


class WeightedClassification:
    """The figures of one classifier on any resample of its groups; `bootstrap.resample` calls it.

    `num_groups` is G; `num_hits` is the number of different scores of a class, which decides what memory a call takes.

    Args:
        faces: Judged faces.

    Raises:
        ValueError: If there is no face.
    """

    def __init__(self, faces: pd.DataFrame) -> None:
        if faces.empty:
            raise ValueError("expected one or more judged faces, got none")
        groups, group_of_face = np.unique(faces["group"], return_inverse=True)  # (G,), (N,)
        self.num_groups = len(groups)
        truth, called = _class_indices(faces), predicted_classes(faces)  # (N,) each
        self._confusion = np.zeros((len(CLASS_NAMES), len(CLASS_NAMES), self.num_groups))  # (K, K, G)
        np.add.at(self._confusion, (truth, called, group_of_face), 1)
        self._rankings = [
            _Ranking(faces[column].to_numpy(), truth == k, group_of_face, self.num_groups)
            for k, column in enumerate(PROBABILITY_COLUMNS)
        ]
        self.num_hits = max(ranking.num_scores for ranking in self._rankings)

    def __call__(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Return every figure for R ways to weigh the groups.

        Args:
            weights: (G, R) float, how often each group counts, in the order of the sorted groups; 0 leaves it out.

        Returns:
            Metric → (R,) float in [0, 1]: `HEADLINES`, then `precision/<class>`, `recall/…`, `f1/…`, `auc/…` and
            `ap/…`. NaN where a replicate holds no face of the class, or for AUC nothing else; precision also where no
            face is called so. AP is scikit-learn's, not interpolated, and so not the one of detections.
        """
        counts = self._confusion @ weights  # (K, K, R) true class, called class
        right = np.diagonal(counts).T  # (K, R)
        rates = detection_rates(right, counts.sum(axis=0), counts.sum(axis=1))  # (K, R) each
        auc, ap = (np.stack(values) for values in zip(*(of(weights) for of in self._rankings), strict=True))  # (K, R)
        of_classes = rates | {"auc": auc, "ap": ap}
        macro = {"balanced_accuracy": "recall", "macro_f1": "f1", "macro_auc": "auc", "macro_ap": "ap"}
        metrics = {"accuracy": ratio(right.sum(axis=0), counts.sum(axis=(0, 1)))}
        metrics |= {name: mean_defined(of_classes[source]) for name, source in macro.items()}
        return metrics | {
            f"{kind}/{name}": values[k] for kind, values in of_classes.items() for k, name in enumerate(CLASS_NAMES)
        }


class _Ranking:
    """The faces by their probability of one class, those of equal probability together."""

    def __init__(
        self, probabilities: np.ndarray, is_of_class: np.ndarray, group_of_face: np.ndarray, num_groups: int
    ) -> None:
        scores, place = np.unique(-probabilities, return_inverse=True)  # (U,) from the highest down, (N,)
        self.num_scores = len(scores)
        self._right, self._wrong = (
            sparse.csr_matrix((kept.astype(np.float64), (place, group_of_face)), shape=(len(scores), num_groups))
            for kept in (is_of_class, ~is_of_class)
        )  # (U, G) each

    def __call__(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return AUC and AP of (G, R) weights, (R,) each.

        Reference:
            scikit-learn, `roc_auc_score` and `average_precision_score` with sample weights.
        """
        right, wrong = self._right @ weights, self._wrong @ weights  # (U, R) each
        above, alarms = np.cumsum(right, axis=0), np.cumsum(wrong, axis=0)  # (U, R) each
        num_right, num_wrong = above[-1], alarms[-1]  # (R,) each
        pairs = np.einsum("ur,ur->r", right, num_wrong - alarms + wrong / 2)  # a tie is half a pair in order
        called = above + alarms  # (U, R)
        precision = np.divide(above, called, out=np.zeros_like(above), where=called > 0)
        return ratio(pairs, num_right * num_wrong), ratio(np.einsum("ur,ur->r", right, precision), num_right)


def _class_indices(faces: pd.DataFrame) -> np.ndarray:
    return pd.Index(CLASS_NAMES).get_indexer(faces["class_name"])  # (N,)


def resample_faces(faces: pd.DataFrame, num_replicates: int = NUM_REPLICATES, seed: int = 0) -> Resampled:
    """Return the figures on the groups as they are, on draws, and without each group.

    Classifiers of the same groups get the same draws from the same seed: differences may be taken draw by draw.

    Args:
        faces: Judged faces.
        num_replicates: At least 2.
        seed: Of the draws.

    Raises:
        ValueError: If there are fewer than two groups or replicates, or no face.
    """
    return resample(WeightedClassification(faces), num_replicates, seed)


def mean_weights(class_names: pd.Series) -> dict[str, np.ndarray]:
    """Return what each face counts in the figures that are means of right answers, (N,) each.

    Args:
        class_names: (N,) the true classes, one face or more.

    Returns:
        `accuracy`, `recall/<class>` of the classes that occur, `balanced_accuracy`.
    """
    weights = class_weights(class_names)
    recalls = {f"recall/{name}": weight for name, weight in weights.items() if name != BALANCED}
    return {"accuracy": np.ones(len(class_names))} | recalls | {"balanced_accuracy": weights[BALANCED]}


def is_right(faces: pd.DataFrame) -> np.ndarray:
    """Return (N,) bool: the face is called its class."""
    return predicted_classes(faces) == _class_indices(faces)


def interval_rows(faces: pd.DataFrame, resampling: Resampling) -> pd.DataFrame:
    """Return the figures of some judged faces with their intervals over groups.

    Args:
        faces: Judged faces.
        resampling: Replicates, seed, level.

    Returns:
        A row a metric: `metric, value, low, high`, NaN where undefined. Shares of faces, which accuracy and recalls
        are, have the interval of `share_interval`, as in the hypotheses; the others BCa's.

    Raises:
        ValueError: If there are fewer than two groups, or no face.
    """
    resampled = resample_faces(faces, resampling.num_replicates, resampling.seed)
    groups, right = FaceGroups.of(faces["group"]), is_right(faces)
    shares = {
        name: share_interval(*groups.sums(np.column_stack([right * weight, weight])).T, resampling.alpha)
        for name, weight in mean_weights(faces["class_name"]).items()
        if name != "balanced_accuracy"
    }
    return pd.DataFrame(
        [
            {"metric": name, **shares[name].columns("value")}
            if name in shares
            else {"metric": name, "value": value, **interval_columns(resampled, name, resampling.confidence)}
            for name, value in resampled.values.items()
        ]
    )


def confusion_table(faces: pd.DataFrame) -> pd.DataFrame:
    """Count which class is called which, zeros included.

    Returns:
        Columns `actual, predicted, count, share` (of the faces that are `actual`; NaN without any), K² rows by
        actual, then predicted class.
    """
    called = np.array(CLASS_NAMES)[predicted_classes(faces)]
    counts = confusion_matrix(faces["class_name"].to_numpy(str), called, labels=list(CLASS_NAMES))  # (K, K)
    grid = pd.MultiIndex.from_product([CLASS_NAMES, CLASS_NAMES], names=["actual", "predicted"]).to_frame(index=False)
    return grid.assign(count=counts.ravel(), share=ratio(counts, counts.sum(axis=1, keepdims=True)).ravel())


def roc_curves(faces: pd.DataFrame) -> pd.DataFrame:
    """Return each class's ROC curve against the rest, its corners alone.

    Returns:
        Columns `class_name, false_positive_rate, true_positive_rate, score`, rising from (0, 0) to (1, 1); the area
        below straight lines between the corners is the class's AUC. `score` is the lowest probability that counts as
        the class, NaN at (0, 0). No row for a class that no face or every face is of.
    """
    tables = []
    for name, column in zip(CLASS_NAMES, PROBABILITY_COLUMNS, strict=True):
        is_of_class = faces["class_name"] == name
        if is_of_class.any() and not is_of_class.all():
            false_rate, true_rate, scores = roc_curve(is_of_class, faces[column])  # (J,) each
            columns = {"class_name": name, "false_positive_rate": false_rate, "true_positive_rate": true_rate}
            tables.append(pd.DataFrame(columns | {"score": np.where(np.isinf(scores), np.nan, scores)}))
    empty = pd.DataFrame(columns=["class_name", "false_positive_rate", "true_positive_rate", "score"])
    return pd.concat(tables, ignore_index=True) if tables else empty


def precision_recall_curves(faces: pd.DataFrame) -> pd.DataFrame:
    """Return each class's precision at the 101 recall points of `curves.pr_curves`, as an envelope like there.

    Returns:
        Columns `class_name, recall, precision, score`: the best precision at this recall or a higher one, and the
        lowest probability that counts as the class for it. No row for a class without a face.
    """
    tables = []
    for name, column in zip(CLASS_NAMES, PROBABILITY_COLUMNS, strict=True):
        is_of_class = faces["class_name"] == name
        if is_of_class.any():
            precision, recall, scores = (
                values[::-1] for values in precision_recall_curve(is_of_class, faces[column])
            )  # (J + 1,), (J + 1,) rising from 0, (J,)
            envelope = np.maximum.accumulate(precision[::-1])[::-1]  # (J + 1,)
            reached = np.maximum(np.searchsorted(recall, RECALL_POINTS), 1)  # (101,); row 0 has no score
            columns = {"class_name": name, "recall": RECALL_POINTS, "precision": envelope[reached]}
            tables.append(pd.DataFrame(columns | {"score": scores[reached - 1]}))
    empty = pd.DataFrame(columns=["class_name", "recall", "precision", "score"])
    return pd.concat(tables, ignore_index=True) if tables else empty


def confident_errors(faces: pd.DataFrame, num_errors: int) -> pd.DataFrame:
    """Return the wrongly classified faces that the classifier was surest of.

    Args:
        faces: Judged faces.
        num_errors: How many at most.

    Returns:
        Columns `file_name, face, fold, class_name, predicted, probability` (of the class it was called) and
        `probability_true` (of its own), surest first, equal ones by file and face.
    """
    called = predicted_classes(faces)  # (N,)
    probabilities = faces[PROBABILITY_COLUMNS].to_numpy()  # (N, K)
    rows = np.arange(len(faces))
    table = faces[["file_name", "face", "fold", "class_name"]].assign(
        predicted=np.array(CLASS_NAMES, dtype=object)[called],
        probability=probabilities[rows, called],
        probability_true=probabilities[rows, _class_indices(faces)],
    )
    wrong = table[table["predicted"] != table["class_name"]]
    ranked = wrong.sort_values(["probability", "file_name", "face"], ascending=[False, True, True])
    return ranked.head(num_errors).reset_index(drop=True)
