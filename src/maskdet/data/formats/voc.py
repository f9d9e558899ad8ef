"""Sets in Pascal VOC format: an XML file an image, in `Annotations/`, in a folder of its own, or beside the image.

Own code rather than supervision's, which takes a pixel from the minima (see `maskdet.data.voc`), decodes every picture,
reads a missing XML file as an image without objects, and stops at the first malformed one.
"""

from collections import Counter

from maskdet.data.formats.collection import Collection
from maskdet.data.formats.coordinates import check_number
from maskdet.data.formats.files import SetFiles
from maskdet.data.formats.pairing import pair_labels
from maskdet.data.formats.progress import tracked
from maskdet.data.formats.reader_rules import LabelError
from maskdet.data.labelled_set import LabelledBox, LabelledSet
from maskdet.data.voc import VocFile, read_voc_leniently

_PEEK_BYTES = 4096


def recognize_voc(files: SetFiles) -> str | None:
    """Say which VOC files there are, if any."""
    found = next((path for path in files.with_suffix(".xml") if _is_annotation(files, path)), None)
    return f"VOC files such as {found}" if found else None


def _is_annotation(files: SetFiles, path: str) -> bool:
    with (files.root / path).open("rb") as stream:
        return b"<annotation" in stream.read(_PEEK_BYTES).replace(b"\0", b"")  # also as UTF-16


def read_voc_set(files: SetFiles) -> LabelledSet:
    """Read a set in VOC format.

    An XML file belongs to the image of the same name (`maskdet.data.formats.pairing`), whatever its `<filename>` says:
    sets that were renamed or re-encoded keep wrong ones. Names of classes are stripped of white space at their ends.
    What a file says of an object beside its class, its box and `difficult` is not taken, with a note.
    """
    collected = Collection.begin(files)
    pairs = pair_labels(files.images, files.with_suffix(".xml"))
    collected.findings += pairs.findings
    for label_file in pairs.unpaired_labels:
        collected.report(label_file, "labels-without-image", "expected an image of this name, found none")
    for image, label_file in tracked(pairs.label_of.items(), "read VOC files"):
        content, problems = read_voc_leniently(files.root / label_file)
        for problem in problems:
            if problem.costs_object:
                collected.report_lost(label_file, problem.rule, problem.detail, image)
            else:
                repair = None if problem.rule == "flag-unknown" else "the real size"
                collected.report(label_file, problem.rule, problem.detail, repair)
        if not any(problem.rule in ("label-unreadable", "entity-in-xml") for problem in problems):
            collected.label(image, label_file, _boxes(collected, image, label_file, content))
            collected.compare_size(image, label_file, content.image_wh)
            _report_marks(collected, label_file, content)
    return collected.finish("voc")


def _report_marks(collected: Collection, label_file: str, content: VocFile) -> None:
    """Tell in a note what a file says of its objects that is not taken."""
    counts = Counter(mark for item in content.objects for mark in item.marks)
    found = ", ".join(f"{count} {mark}" for mark, count in counts.items())
    if found:
        collected.report(label_file, "label-reduced", f"expected classes, boxes and difficult alone, got {found}")


def _boxes(collected: Collection, image: str, label_file: str, content: VocFile) -> list[LabelledBox]:
    boxes = []
    for item in content.objects:
        place = f"object {item.index}"
        try:
            box = tuple(check_number(value) for value in item.box)
        except LabelError as error:
            collected.report_lost(label_file, error.rule, f"{place}: {error}", image)
            continue
        boxes.append(LabelledBox(item.class_name, box, item.is_difficult, place))
    return boxes
