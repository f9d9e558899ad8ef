"""The page of the two-phase study, in the order of a reader's questions: which way, is it real, by what, on what."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from maskdet.reporting.classifier_section import ClassifierPart, best_classifier, classifier_parts
from maskdet.reporting.classifier_tables import METRIC_NAMES
from maskdet.reporting.face_section import FaceSection, face_section
from maskdet.reporting.html import Tile, html_template, write_html
from maskdet.reporting.hypothesis_cards import HypothesisCard, hypothesis_card, overview_table
from maskdet.reporting.model_section import TableSection, model_section, model_tiles
from maskdet.reporting.number_texts import number
from maskdet.reporting.page_content import FEW_FACES
from maskdet.reporting.palette import CLASS_STYLES, class_style
from maskdet.reporting.study_pictures import Pictures
from maskdet.reporting.summary_tables import TextTable
from maskdet.reporting.two_phase_files import PHOTOS, Study
from maskdet.schema import CLASS_NAMES, GROUPED

_TITLE = "One stage or two?"
_ANSWERING = "H7"
"""The hypothesis whose verdict answers the page's first question."""


@dataclass(frozen=True)
class StudySettings:
    """What the page says of the config.

    Attributes:
        classifier: The second phase.
        num_folds: Of the split, whether they were run or not.
    """

    classifier: str
    num_folds: int


@dataclass(frozen=True)
class StudyPage:
    """Everything that the template prints; texts are escaped there.

    Attributes:
        title: Heading and title of the page.
        subtitle: What was compared, in a line.
        answer: The verdict on the first question.
        tiles: Headline figures.
        warnings: What limits the numbers; may be empty.
        models: The one table.
        hypotheses_text: How to read the cards.
        hypotheses_table: A row a hypothesis.
        hypotheses: The cards.
        classifiers: A part a set of crops.
        faces: Face detectors.
        pictures: Galleries.
    """

    title: str
    subtitle: str
    answer: str
    tiles: list[Tile]
    warnings: list[str]
    models: TableSection
    hypotheses_text: str
    hypotheses_table: TextTable
    hypotheses: list[HypothesisCard]
    classifiers: list[ClassifierPart]
    faces: FaceSection
    pictures: Pictures


def build_study_page(study: Study, pictures: Pictures, settings: StudySettings) -> StudyPage:
    """Return the page.

    Args:
        study: What was found.
        pictures: The galleries.
        settings: What was set.

    Raises:
        ValueError: If a hypothesis is missing that the page rests on.
    """
    models, record = study.tables["models"], study.records["models"]
    hypotheses = study.records["hypotheses"]
    if _ANSWERING not in hypotheses:
        raise ValueError(f"hypotheses.json: expected {_ANSWERING}, got {sorted(hypotheses)}; run `hypotheses` again")
    return StudyPage(
        title=_TITLE,
        subtitle="Masks found at once by EfficientDet, or faces first and masks after by "
        f"{settings.classifier}: {record['num_images']:,} images, {record['num_faces']:,} faces",
        answer=hypotheses[_ANSWERING]["verdict"],
        tiles=[*model_tiles(models, record), *_classifier_tiles(study)],
        warnings=study_warnings(study, settings),
        models=model_section(models, record, settings.classifier),
        hypotheses_text=_hypotheses_text(hypotheses),
        hypotheses_table=overview_table(hypotheses),
        hypotheses=[hypothesis_card(key, each) for key, each in hypotheses.items()],
        classifiers=classifier_parts(study),
        faces=face_section(
            *(study.tables[name] for name in ("face_detectors", "face_detector_pairs", "face_curves")),
            study.records["face_detectors"],
        ),
        pictures=pictures,
    )


def _classifier_tiles(study: Study) -> list[Tile]:
    best = best_classifier(study.tables["classifiers"])
    return [
        Tile(
            f"{METRIC_NAMES[metric]} of crops",
            number(best[metric]["value"]),
            f"{number(best[metric]['low'])} to {number(best[metric]['high'])}",
            best["name"],
        )
        for metric in ("accuracy", "balanced_accuracy")
    ]


def study_warnings(study: Study, settings: StudySettings) -> list[str]:
    """Say what limits the numbers, a sentence each; none where nothing does.

    Args:
        study: What was found.
        settings: What was set.
    """
    warnings = []
    num_run = len(study.records["models"]["train_folds"])
    if num_run < settings.num_folds:
        warnings.append(
            f"A partial answer: EfficientDet was run on {num_run} of {settings.num_folds} folds, so that the ways are "
            "compared on their images alone. Classifiers and face detectors are judged on all images."
        )
    counts = study.tables["confusion"]
    counts = counts[(counts["data"] == PHOTOS) & (counts["protocol"] == GROUPED)]
    one = counts[counts["classifier"] == counts["classifier"].iloc[0]]
    faces = one.groupby("actual")["count"].sum().reindex(CLASS_NAMES, fill_value=0)
    rarest = str(faces.idxmin())
    if faces[rarest] < FEW_FACES:
        warnings.append(
            f"Only {faces[rarest]} of {faces.sum():,} faces are of the class “{class_style(rarest).short_name}”: what "
            "is said of it rests on few cases."
        )
    return warnings


def _hypotheses_text(records: Mapping[str, Mapping]) -> str:
    conclusions = [record["conclusion"] for record in records.values()]
    counted = ", ".join(f"{conclusions.count(name)} {name}" for name in dict.fromkeys(conclusions))
    return (
        f"{len(records)} hypotheses: {counted}. Each is tested twice: as its field does, face by face, and with groups "
        "of look-alike images as units, which the verdict rests on. Supported and refuted mean the hypothesis as it is "
        "worded; undecided, that the data do not tell."
    )


def write_study_page(page: StudyPage, path: Path) -> int:
    """Write the page as one UTF-8 HTML file that needs nothing but itself, and return its size in bytes."""
    return write_html(html_template("two_phase.html.j2").render(page=page, class_styles=CLASS_STYLES), path)
