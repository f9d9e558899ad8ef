"""What every reader does alike: collect labels and findings, and make a set of them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from maskdet.data.formats.coordinates import number_text
from maskdet.data.formats.files import SetFiles, read_image_sizes
from maskdet.data.formats.reader_rules import reader_finding
from maskdet.data.labelled_set import UNLABELLED, Finding, LabelledBox, LabelledImage, LabelledSet

_MAX_LISTED = 1000  # of a file and rule: a file of garbage must not fill the memory


@dataclass
class Collection:
    """The labels of a set while it is read.

    Attributes:
        files: Of the set.
        sizes: Image → width and height, or None where it cannot be read.
        findings: So far.
        boxes: Image → its boxes, of labelled images alone.
        label_files: Image → the file that labels it, likewise.
        declared: Image → width and height that its labels declare.
        lost: Images with a label that could not be taken.
        lost_in: Label files with a label that could not be taken, of which nobody knows the image.
    """

    files: SetFiles
    sizes: dict[str, tuple[int, int] | None]
    findings: list[Finding]
    boxes: dict[str, list[LabelledBox]] = field(default_factory=dict)
    label_files: dict[str, str] = field(default_factory=dict)
    declared: dict[str, tuple[float, float]] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    lost_in: set[str] = field(default_factory=set)
    _counts: Counter = field(default_factory=Counter)

    @classmethod
    def begin(cls, files: SetFiles) -> "Collection":
        """Read the sizes of all images."""
        sizes, findings = read_image_sizes(files)
        return cls(files, sizes, [*files.findings, *findings])

    def report(self, file: str, rule: str, detail: str, repair: str | None = None) -> None:
        """Add a finding with the severity of its rule; beyond a thousand of a file they are only counted."""
        self._counts[file, rule] += 1
        if self._counts[file, rule] <= _MAX_LISTED:
            self.findings.append(reader_finding(file, rule, detail, repair))

    def report_lost(self, file: str, rule: str, detail: str, image: str | None) -> None:
        """Add a finding on a label that is not taken.

        Args:
            file: That holds the label.
            rule: See `report`, and `detail`.
            detail: What was expected and what was found.
            image: That the label is of; None: nobody knows.
        """
        self.report(file, rule, detail)
        if image is None:
            self.lost_in.add(file)
        else:
            self.lost.add(image)

    def label(self, image: str, label_file: str, boxes: Iterable[LabelledBox] = ()) -> None:
        """Say that a file labels an image, and add boxes to it; without boxes: it is an image without faces."""
        self.label_files.setdefault(image, label_file)
        self.boxes.setdefault(image, []).extend(boxes)

    def compare_size(self, image: str, label_file: str, declared_wh: tuple[float, float] | None) -> None:
        """Keep a declared image size; report one that is not the real one."""
        real_wh = self.sizes[image]
        if declared_wh is not None:
            self.declared[image] = declared_wh
        if declared_wh is not None and real_wh is not None and tuple(declared_wh) != real_wh:
            width, height = declared_wh
            declared = f"{number_text(width)} x {number_text(height)}"
            detail = f"expected the size {real_wh[0]} x {real_wh[1]} of {image}, got {declared}"
            self.report(label_file, "size-differs", detail)

    def finish(self, format_name: str, class_names: Iterable[str] | None = None) -> LabelledSet:
        """Return the set; images that nothing labels become findings.

        Args:
            format_name: Of the set.
            class_names: What the set declares, in its order; None: it declares none, and those that occur are sorted.
        """
        if class_names is None:
            class_names = sorted({box.class_name for boxes in self.boxes.values() for box in boxes})
        for image in self.files.images:
            if format_name != UNLABELLED and image not in self.label_files:
                self.report(image, "image-without-labels", "expected labels, found none")
        for (file, rule), count in self._counts.items():
            if count > _MAX_LISTED:
                self.findings.append(reader_finding(file, rule, f"and {count - _MAX_LISTED} more in this file"))
        images = tuple(map(self._image, self.files.images))
        findings = tuple(sorted(self.findings, key=lambda finding: finding.file))  # stable: in order within a file
        return LabelledSet(self.files.root, format_name, tuple(dict.fromkeys(class_names)), images, findings)

    def _image(self, image: str) -> LabelledImage:
        boxes, label_file = tuple(self.boxes.get(image, ())), self.label_files.get(image)
        has_lost = image in self.lost or (not boxes and label_file in self.lost_in)
        return LabelledImage(image, self.sizes[image], boxes, label_file, self.declared.get(image), has_lost)
