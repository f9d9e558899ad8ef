"""Images that a JSON file or a table names: found in the set, never opened outside it."""

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

from maskdet.data.formats.reader_rules import LabelError

_IMAGE_FOLDER = "images"
_DRIVE = re.compile(r"[A-Za-z]:/")


def leaves_folder(path: str, place: str = "") -> bool:
    """Say whether a path leads out of a set.

    Args:
        path: As a file of the set says it, with `/`.
        place: Posix path of that file's folder, relative to the set's root.

    >>> leaves_folder("../images/a.jpg", "labels"), leaves_folder("../a.jpg"), leaves_folder("/a.jpg")
    (False, True, True)
    """
    joined = posixpath.normpath(posixpath.join(place, path))
    return path.startswith("/") or bool(_DRIVE.match(path)) or joined == ".." or joined.startswith("../")


class ImageIndex:
    """The images of a set, to be found by what a label file in it calls them.

    A name is looked for where it leads from the label file's folder, from the root, and from the folder `images` of
    either, in this order; else it is the one image whose path ends so. COCO files and tables name images without the
    folder that they lie in as often as with it.
    """

    def __init__(self, images: Iterable[str]) -> None:
        self._images = frozenset(images)
        self._by_name: Mapping[str, list[str]] = defaultdict(list)
        for image in sorted(self._images):
            self._by_name[posixpath.basename(image)].append(image)

    def find(self, name: str, label_file: str) -> str:
        """Return the image that a label file means.

        Args:
            name: As written; a backslash separates folders too.
            label_file: Posix path relative to the set's root.

        Raises:
            LabelError: `path-outside`, if the name is absolute or leaves the set's folder; `labels-without-image`, if
                no image has it; `label-ambiguous`, if several have.
        """
        shown, written = repr(name[:120]), name.strip().replace("\\", "/")
        if not written:
            raise LabelError("labels-without-image", f"expected the name of an image, got {shown}")
        if leaves_folder(written, posixpath.dirname(label_file)):
            raise LabelError("path-outside", f"expected a path inside the set, got {shown}")
        places = dict.fromkeys([posixpath.dirname(label_file), ""])
        folders = [*places, *(posixpath.join(place, _IMAGE_FOLDER) for place in places)]
        for text in dict.fromkeys([name, written]):  # a name may hold spaces or a backslash of its own
            for folder in folders:
                path = posixpath.normpath(posixpath.join(folder, text))
                if path in self._images:
                    return path
        return self._find_by_ending(posixpath.normpath(written), shown)

    def _find_by_ending(self, written: str, shown: str) -> str:
        """Return the only image whose last folders and name are the written ones."""
        named = self._by_name.get(posixpath.basename(written), [])
        found = [image for image in named if image.endswith(f"/{written}")]
        if len(found) != 1:
            what = f"{len(found)} of this name, {found[0]} and {found[1]}" if found else "none"
            rule = "label-ambiguous" if found else "labels-without-image"
            raise LabelError(rule, f"expected one image {shown} in the set, found {what}")
        return found[0]
