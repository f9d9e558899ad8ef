"""Which way up the labels of an EXIF-rotated picture were drawn: as it is stored, or as a viewer shows it."""

from collections.abc import Iterable

from maskdet.data.audit.headers import Header
from maskdet.data.labelled_set import Finding, LabelledImage

_BORDER_PX = 1.0  # formats that count from 1 reach out of the image by so much


def is_labelled_turned(image: LabelledImage, header: Header, findings: Iterable[Finding]) -> bool:
    """Say whether the labels of a picture were drawn on it as its EXIF orientation turns it.

    The evidence is the size that the labels declare, as the reader's `size-differs` reports it; else boxes that reach
    out of the stored picture and lie in the turned one. A half turn and a mirrored picture have the size of the stored
    one, so that nothing can tell; then, as without evidence, the answer is no: the pipeline has always read the stored
    pixels, and nothing changes for it.

    Args:
        image: With its boxes as written.
        header: Of the picture.
        findings: Of the reader on this picture and its label file.
    """
    if header.turned_wh == header.image_wh:
        return False
    if any(_declares(finding, image.file_name, header.turned_wh) for finding in findings):
        return True
    return not _all_fit(image, header.image_wh) and _all_fit(image, header.turned_wh)


def _declares(finding: Finding, file_name: str, image_wh: tuple[int, int]) -> bool:
    says_size = finding.rule == "size-differs" and file_name in finding.detail
    return says_size and finding.detail.endswith(f"got {image_wh[0]} x {image_wh[1]}")


def _all_fit(image: LabelledImage, image_wh: tuple[int, int]) -> bool:
    limits = [limit + _BORDER_PX for limit in image_wh] * 2
    return all(value <= limit for box in image.boxes for value, limit in zip(box.box_xyxy, limits, strict=True))
