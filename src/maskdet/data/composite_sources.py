"""The data sets that a composite is made of: found, unpacked, verified, read."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from maskdet.data.archive import copy_members, find_archive, opened_members, unpack
from maskdet.data.audit.orientation import refuse_turned
from maskdet.data.formats import read_labelled_set
from maskdet.data.labelled_set import LabelledSet, refuse_errors
from maskdet.data.manifest import Verification, hash_files, read_manifest, refuse_altered, verify

_NAME = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")  # no double underscore: it parts source and name in file names


@dataclass
class SourceSettings:
    """What the config says of a source; keys that it leaves out have the values given here.

    Attributes:
        class_map: Class as written → this project's name, or null to drop it.
        name: Set by `source_settings`: the key in `data.sources`.
        enabled: False leaves the source out.
        path: A folder or zip archive, relative to the project; null: look for `archive`.
        archive: File name of the archive, see `maskdet.data.archive.find_archive`.
        archive_dir: A folder of archives that ship with the project; null: not shipped.
        kaggle_id: Where kagglehub finds it; null: nowhere.
        format: `voc`, `yolo`, `coco`, `csv`; null: recognized.
        exclude_images_with_dropped: See `maskdet.data.class_map.recode`.
        manifest: Name of a list of known files, which stand in `images/` and `annotations/`; null: none.
        allow_altered: Take files that differ from the manifest.
        max_unpacked_mb: A larger archive is refused.
        series_wh: Images of this size share a fold, see `maskdet.data.duplicates.join_series`; null: none do.
    """

    class_map: dict[str, str | None]
    name: str = ""
    enabled: bool = True
    path: str | None = None
    archive: str | None = None
    archive_dir: str | None = None
    kaggle_id: str | None = None
    format: str | None = None
    exclude_images_with_dropped: bool = True
    manifest: str | None = None
    allow_altered: bool = False
    max_unpacked_mb: float = 2000
    series_wh: tuple[int, int] | None = None


@dataclass(frozen=True)
class Source:
    """A set that lies ready to be read.

    Attributes:
        settings: What the config says of it.
        place: A zip archive or a folder.
    """

    settings: SourceSettings
    place: Path

    @property
    def name(self) -> str:
        """Its key in `data.sources`."""
        return self.settings.name

    @property
    def origin(self) -> str:
        """What messages call it: the setting to change."""
        return f"data.sources.{self.name}"


def source_settings(sources: Mapping[str, DictConfig]) -> list[SourceSettings]:
    """Return what the config says of the enabled sources, sorted by name.

    Args:
        sources: The config node `data.sources`.

    Raises:
        ValueError: If none is enabled, a name is no plain word, a key is unknown or missing, or a value of another type
            than in `SourceSettings`.
    """
    found = [_checked(str(name), node) for name, node in sources.items()]
    enabled = sorted((settings for settings in found if settings.enabled), key=lambda settings: settings.name)
    if not enabled:
        raise ValueError(f"data.sources: expected an enabled source, got {len(found)} that are not")
    return enabled


def _checked(name: str, node: DictConfig) -> SourceSettings:
    if not _NAME.fullmatch(name):
        raise ValueError(f"data.sources: expected names of a-z, 0-9 and single - or _, got {name!r}")
    values = OmegaConf.to_container(node) | {"name": name}
    if isinstance(values.get("class_map"), dict):  # YAML reads the classes of a set without names as numbers
        values["class_map"] = {str(written): target for written, target in values["class_map"].items()}
    try:
        return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(SourceSettings), values))
    except OmegaConfBaseException as error:
        raise ValueError(f"data.sources.{name}: {str(error).splitlines()[0]}") from error


def find_sources(sources: Mapping[str, DictConfig], root: Path) -> list[Source]:
    """Find every enabled source, where its `path` says, else as `maskdet.data.archive.find_archive` does.

    Args:
        sources: The config node `data.sources`.
        root: The project's root, which paths are relative to.

    Returns:
        The enabled sources, sorted by name.

    Raises:
        ValueError: If sources cannot be had, the message names all of these with the remedy; see also
            `source_settings`.
    """
    found, missing = [], []
    for settings in source_settings(sources):
        try:
            found.append(Source(settings, _find(settings, root)))
        except ValueError as error:
            setting = f"data.sources.{settings.name}"
            missing.append(f"{setting}: {error}; or leave this source out: {setting}.enabled=false")
    if missing:
        raise ValueError("\n".join(missing))
    return found


def _find(settings: SourceSettings, root: Path) -> Path:
    if settings.path is None and settings.archive is None:
        raise ValueError("expected a path or the name of an archive, got neither")
    if settings.path is None:
        return find_archive(settings, root)
    if not (root / settings.path).exists():
        raise ValueError(f"expected a folder or a zip archive, found nothing at path={settings.path}")
    return root / settings.path


def read_source(source: Source, scratch: Path) -> tuple[LabelledSet, Verification | None]:
    """Unpack a source, compare its files with its manifest and read its labels, all of them or nothing.

    Args:
        source: Where it lies. A folder is read where it stands, unless there is a manifest to compare it with.
        scratch: An empty folder for what an archive holds.

    Returns:
        The set, whose root is `scratch` or the folder of the source, and how it compares with its manifest.

    Raises:
        ValueError: If the archive is refused, files are altered, the format is none that is known, or labels are in
            error; the message has the remedy.
    """
    root = _unpacked(source, scratch)
    try:
        verification = verify_files(source.settings, root)
    except ValueError as error:
        raise ValueError(f"{source.origin}: {error} (of this source: {source.origin}.allow_altered=true)") from error
    try:
        labelled = read_labelled_set(root, source.settings.format)
    except ValueError as error:  # it names the folder, which is gone when a person reads this
        raise ValueError(f"{source.origin}: {str(error).replace(str(root), source.place.name)}") from error
    try:
        refuse_errors(source.origin, labelled.findings)
        refuse_turned(source.origin, labelled)
    except ValueError as error:
        remedy = f"`maskdet audit {source.place.name} --repair FOLDER`, then {source.origin}.path=FOLDER"
        raise ValueError(f"{error}\nsee what is wrong and repair what can be: {remedy}") from error
    return labelled, verification


def _unpacked(source: Source, scratch: Path) -> Path:
    limit = source.settings.max_unpacked_mb
    if source.settings.manifest is not None:
        unpack(source.place, scratch, limit)
        return scratch
    if source.place.is_dir():
        return source.place
    with opened_members(source.place) as members:
        copy_members(source.place, members, members, PurePosixPath("."), scratch, limit)
    return scratch


def verify_files(settings: SourceSettings | DictConfig, raw_dir: Path) -> Verification | None:
    """Compare unpacked files with the manifest of known ones.

    Args:
        settings: `manifest` and `allow_altered`, of a source or of the config group `data`.
        raw_dir: A folder with `images/` and `annotations/`.

    Returns:
        How they compare; None where there is no manifest.

    Raises:
        ValueError: If files are altered and that is not allowed.
    """
    if settings.manifest is None:
        return None
    verification = verify(hash_files(raw_dir), read_manifest(settings.manifest))
    if not settings.allow_altered:
        refuse_altered(verification)
    return verification
