"""Pictures sorted into a folder for each class, `with_mask/` and `without_mask/`: found, unpacked, checked, indexed."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from maskdet.data.archive import ARCHIVES_VARIABLE, Member, copy_members, opened_members
from maskdet.data.image import IMAGE_SUFFIXES, pixel_hash, read_image
from maskdet.schema import CLASS_NAMES, CROPS

UNREADABLE = ("stop", "skip")
"""What becomes of a set with files that are no whole picture: an error that names them, or a set without them."""


@dataclass(frozen=True)
class ClassFiles:
    """The pictures of a set and the class that their folder gives them.

    Attributes:
        root: Folder that the file names are relative to.
        classes: File name (`with_mask/a.jpg`) → class name, sorted by file name.
        left_out: Paths of files that are no pictures or lie in a folder that the class map leaves out; sorted.
    """

    root: Path
    classes: Mapping[str, str]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Pictures:
    """What was found when every picture was read.

    Attributes:
        table: Columns `file_name`, `class_name`, `width`, `height` (px) and `sha256` (of the RGB pixels), a row a
            picture that could be read, in the order of the file names.
        unreadable: File name → what is wrong with it.
    """

    table: pd.DataFrame
    unreadable: Mapping[str, str]


def find_class_folders(source: str | None, archive: str, root: Path) -> Path:
    """Return where the set lies: a folder or a zip archive.

    Args:
        source: A folder or zip archive, relative to the root or absolute; null: look for `archive`.
        archive: Name of a zip archive in the folder that the environment variable `MASKDET_ARCHIVES` names.
        root: The project's root.

    Raises:
        ValueError: If nothing is there; the message says where it was looked for.
    """
    if source is not None:
        if not (root / source).exists():
            raise ValueError(f"folder_crops.source: expected a folder or zip archive, found nothing at {source}")
        return root / source
    named = os.environ.get(ARCHIVES_VARIABLE)
    if named and (Path(named) / archive).is_file():
        return Path(named) / archive
    raise ValueError(
        f"{archive}: expected the archive, found none in {ARCHIVES_VARIABLE}={named or '(not set)'}; put it into a "
        f"folder and set {ARCHIVES_VARIABLE} to it, or set folder_crops.source to a folder or zip archive of your own"
    )


def read_class_folders(
    source: Path, scratch: Path, class_of_folder: Mapping[str, str | None], max_unpacked_mb: float
) -> ClassFiles:
    """List the pictures of a set; those of an archive are unpacked, a folder is read where it stands.

    The class folders stand at the top or in one common folder. Pictures in folders below them count too.

    Args:
        source: A folder or a zip archive.
        scratch: An empty folder for what an archive holds.
        class_of_folder: Folder name → class name, or null for a folder that is left out.
        max_unpacked_mb: Largest size of an unpacked archive in MB, 10**6 bytes.

    Returns:
        At least one picture in each folder of the map that has a class.

    Raises:
        ValueError: If the map names an unknown class, a folder is missing, empty or unknown to the map, or if the
            archive is damaged, too large, or has a member that leaves it or is a link.
    """
    _check_class_map(class_of_folder)
    with opened_members(source) as members:
        top = _top_folder(source, members, class_of_folder)
        classes = {member.path: _class_of(source, member.path, top, class_of_folder) for member in members}
        taken = [member for member in members if classes[member.path] is not None]
        _check_none_empty(source, top, taken, class_of_folder)
        if not source.is_dir():
            copy_members(source, members, taken, top, scratch, max_unpacked_mb)
    return ClassFiles(
        root=source / top if source.is_dir() else scratch,
        classes={str(path.relative_to(top)): name for path, name in sorted(classes.items()) if name is not None},
        left_out=tuple(sorted(str(path) for path, name in classes.items() if name is None)),
    )


def _check_class_map(class_of_folder: Mapping[str, str | None]) -> None:
    for folder, class_name in class_of_folder.items():
        if class_name is not None and class_name not in CLASS_NAMES:
            raise ValueError(
                f"folder_crops.classes.{folder}: expected null or one of {', '.join(CLASS_NAMES)}, got {class_name!r}"
            )
    if not any(class_of_folder.values()):
        raise ValueError("folder_crops.classes: expected a folder with a class, got none")


def _is_picture(path: PurePosixPath) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and "__MACOSX" not in path.parts


def _top_folder(source: Path, members: list[Member], class_of_folder: Mapping[str, str | None]) -> PurePosixPath:
    """Return the folder that holds the class folders: the top, else the one folder there that does."""
    pictures = [member.path for member in members if _is_picture(member.path)]
    tops = [PurePosixPath("."), *sorted({PurePosixPath(path.parts[0]) for path in pictures})]
    whole = [top for top in tops if {_folder_below(path, top) for path in pictures} & set(class_of_folder)]
    if len(whole) != 1 and tops[0] not in whole:
        found = sorted({str(path.parent) for path in pictures})
        text = f"{', '.join(found[:5])}{', …' if len(found) > 5 else ''}" if found else "no picture"
        raise ValueError(
            f"{source.name}: expected pictures in the folders {', '.join(class_of_folder)} (folder_crops.classes), "
            f"at the top or in one folder, got {text}"
        )
    return whole[0]


def _folder_below(path: PurePosixPath, top: PurePosixPath) -> str | None:
    """Return the folder just below the top that a file lies in; none for a file beside the class folders."""
    below = path.relative_to(top).parts if path.is_relative_to(top) else ()
    return below[0] if len(below) > 1 else None


def _class_of(
    source: Path, path: PurePosixPath, top: PurePosixPath, class_of_folder: Mapping[str, str | None]
) -> str | None:
    """Return the class of a file; null where it is no picture or its folder is left out."""
    folder = _folder_below(path, top)
    if folder is None or not _is_picture(path):
        return None
    if folder not in class_of_folder:
        raise ValueError(
            f"{source.name}: expected pictures in the folders {', '.join(class_of_folder)} alone, got {path}; "
            f"add {folder} to folder_crops.classes, with null to leave it out"
        )
    return class_of_folder[folder]


def _check_none_empty(
    source: Path, top: PurePosixPath, taken: list[Member], class_of_folder: Mapping[str, str | None]
) -> None:
    filled = {_folder_below(member.path, top) for member in taken}
    empty = [folder for folder, name in class_of_folder.items() if name is not None and folder not in filled]
    if empty:
        raise ValueError(f"{source.name}: expected pictures in every class folder, got none in {', '.join(empty)}")


def read_pictures(files: ClassFiles, unreadable: str) -> Pictures:
    """Read every picture once, for its size and its hash.

    Args:
        files: From `read_class_folders`.
        unreadable: `stop`: a file that is no whole picture is an error; `skip`: it is left out and reported.

    Raises:
        ValueError: If `unreadable` is neither, if files cannot be read and it is `stop`, or if a class has none left.
    """
    if unreadable not in UNREADABLE:
        raise ValueError(f"folder_crops.unreadable: expected one of {', '.join(UNREADABLE)}, got {unreadable!r}")
    rows, broken = [], {}
    for file_name, class_name in files.classes.items():
        try:
            image = read_image(files.root / file_name)  # (H, W, 3)
        except ValueError as error:
            broken[file_name] = str(error).removeprefix(f"{files.root / file_name}: ")
            continue
        rows.append((file_name, class_name, image.shape[1], image.shape[0], pixel_hash(image)))
    if broken and unreadable == "stop":
        raise ValueError(_broken_text(broken, len(files.classes)))
    table = pd.DataFrame(rows, columns=["file_name", "class_name", "width", "height", "sha256"])
    emptied = sorted(set(files.classes.values()) - set(table["class_name"]))
    if emptied:
        raise ValueError(f"expected a readable picture of every class, got none of {', '.join(emptied)}")
    return Pictures(table, broken)


def _broken_text(broken: Mapping[str, str], num_files: int) -> str:
    named = "; ".join(f"{name}: {reason}" for name, reason in list(broken.items())[:5])
    return (
        f"expected {num_files} pictures, got {len(broken)} unreadable: {named}{'; …' if len(broken) > 5 else ''}; "
        "mend or remove them, or set folder_crops.unreadable=skip"
    )


def folder_index(table: pd.DataFrame, folds: pd.DataFrame) -> pd.DataFrame:
    """Return the index of a store of crops in which every picture is one face that fills it.

    Args:
        table: As `Pictures.table`.
        folds: Columns `file_name`, `group`, `fold`, a row a picture.

    Returns:
        Columns as `schema.CROPS`, in the order of `table`; face 0, the box is the whole picture.
    """
    rows = table.merge(folds[["file_name", "group", "fold"]], on="file_name", how="left", validate="one_to_one")
    rows = rows.assign(face=0, x_min=0.0, y_min=0.0, x_max=rows["width"], y_max=rows["height"])
    return rows[list(CROPS.columns)]
