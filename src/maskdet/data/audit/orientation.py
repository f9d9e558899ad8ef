"""Which way up the labels of an EXIF-rotated picture were drawn: as it is stored, or as a viewer shows it."""

from maskdet.data.audit.headers import Header, read_header
from maskdet.data.labelled_set import LabelledBox, LabelledImage, LabelledSet

_BORDER_PX = 1.0  # formats that count from 1 reach out of the image by so much
_SLIP = 0.05  # of a side: a box that reaches out by less was drawn a little too large


def is_labelled_turned(image: LabelledImage, header: Header) -> bool:
    """Say whether the labels of a picture were drawn on it as its EXIF orientation turns it.

    The evidence is the size that the labels declare, where it is that of the turned picture; else a box that reaches
    far out of the stored picture, where all lie in the turned one. A half turn and a mirrored picture have the size of
    the stored one, so that nothing can tell; then, as without evidence, the answer is no: the pipeline has always read
    the stored pixels, and nothing changes for it.

    Args:
        image: With its boxes as written.
        header: Of the picture.
    """
    if header.turned_wh == header.image_wh:
        return False
    if image.declared_wh is not None and tuple(image.declared_wh) == header.turned_wh:
        return True
    return any(_lies_beyond(box, header.image_wh) for box in image.boxes) and _all_fit(image, header.turned_wh)


def turned_images(labelled: LabelledSet) -> list[str]:
    """Return the file names of pictures that were labelled as their EXIF orientation turns them.

    Args:
        labelled: Its pictures are opened, their headers alone are read; those that cannot be read are passed over.
    """
    return [image.file_name for image in labelled.images if _is_turned(labelled, image)]


def refuse_turned(origin: str, labelled: LabelledSet) -> None:
    """Raise if labels were drawn on pictures as their EXIF orientation turns them: elsewhere they would be wrong.

    Args:
        origin: What the message calls the set.
        labelled: See `turned_images`.

    Raises:
        ValueError: The message names the first picture.
    """
    if turned := turned_images(labelled):
        raise ValueError(
            f"{origin}: expected labels of pictures as they are stored, got {len(turned)} of pictures as EXIF turns "
            f"them, such as {turned[0]}"
        )


def _is_turned(labelled: LabelledSet, image: LabelledImage) -> bool:
    if image.image_wh is None or not (image.boxes or image.declared_wh):
        return False
    try:
        return is_labelled_turned(image, read_header(labelled.root / image.file_name))
    except ValueError:
        return False


def _lies_beyond(box: LabelledBox, image_wh: tuple[int, int]) -> bool:
    """Say whether a box reaches farther out of a picture than a hand slips, or has its centre outside."""
    for axis, limit in enumerate(image_wh):
        start, stop = sorted(box.box_xyxy[axis::2])
        beyond = stop - limit
        if beyond > _BORDER_PX and (beyond > _SLIP * limit or start + stop > 2 * limit):
            return True
    return False


def _all_fit(image: LabelledImage, image_wh: tuple[int, int]) -> bool:
    limits = [limit + _BORDER_PX for limit in image_wh] * 2
    return all(value <= limit for box in image.boxes for value, limit in zip(box.box_xyxy, limits, strict=True))
