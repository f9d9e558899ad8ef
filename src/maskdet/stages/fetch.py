"""Stage `fetch`: find the archive, unpack it to `build/raw`, compare it with the manifest of known files.

Of a composite, find, read and recode every source, and put them together there.
"""

from collections import Counter
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from maskdet.atomic import atomic_folder
from maskdet.data.archive import FOLDERS, Unpacked, find_archive, unpack
from maskdet.data.composite import Taken, compose
from maskdet.data.composite_sources import find_sources, verify_files
from maskdet.data.manifest import Verification
from maskdet.stages.entry import Workspace, stage_main
from maskdet.stages.json_report import write_json


def run(cfg: DictConfig, workspace: Workspace) -> dict:
    """Write `build/raw/` and `reports/data/fetch.json`; after an error neither is new.

    Args:
        cfg: The whole config; reads `data`, which is a composite where it has `sources`.
        workspace: Where inputs lie and outputs go.

    Returns:
        The content of the report.

    Raises:
        ValueError: If an archive is not found, refused, or holds altered files that the config does not allow; of a
            composite also if labels are in error or a class map misses a class.
    """
    folder, is_composite = workspace.output("build/raw"), "sources" in cfg.data
    report = _fetch_sources(cfg.data, workspace, folder) if is_composite else _fetch_one(cfg.data, workspace, folder)
    write_json(report, workspace.output("reports/data/fetch.json"))
    for line in _composite_lines(report) if is_composite else [_summary(report)]:
        Console().print(line, highlight=False, soft_wrap=True, markup=False)
    return report


def _fetch_one(data: DictConfig, workspace: Workspace, folder: Path) -> dict:
    source = find_archive(data, workspace.root)
    with atomic_folder(folder) as partial:
        unpacked = unpack(source, partial, data.max_unpacked_mb)
        verification = verify_files(data, partial)
    return _report(data, unpacked, verification)


def _report(data: DictConfig, unpacked: Unpacked, verification: Verification | None) -> dict:
    report = {
        "data": data.name,
        "archive": data.archive,
        "num_images": len(unpacked.images),
        "num_annotations": len(unpacked.annotations),
        "num_bytes": unpacked.num_bytes,
        "left_out": list(unpacked.others),
        "manifest": data.manifest,
    }
    return report | _verification_report(verification)


def _verification_report(verification: Verification | None) -> dict:
    if verification is None:
        return {}
    counts = {status: _count(paths) for status, paths in vars(verification).items()}
    return {"counts": counts} | {
        status: list(vars(verification)[status]) for status in ("altered", "unknown", "missing")
    }


def _count(paths: tuple[str, ...]) -> dict[str, int]:
    found = Counter(path.split("/")[0] for path in paths)
    return {folder: found[folder] for folder in FOLDERS}


def _summary(report: dict) -> str:
    text = f"fetch: {report['num_images']} images, {report['num_annotations']} annotations from {report['archive']}"
    if report["left_out"]:
        text += f"; {len(report['left_out'])} other members left out"
    if report["manifest"] is None:
        return f"{text}; no manifest to compare with"
    return f"{text}; images against the manifest: {_status_text(report)}"


def _status_text(report: dict) -> str:
    return ", ".join(f"{count['images']} {status}" for status, count in report["counts"].items())


def _fetch_sources(data: DictConfig, workspace: Workspace, folder: Path) -> dict:
    sources = find_sources(data.sources, workspace.root)
    with atomic_folder(folder) as partial:
        parts = compose(sources, list(data.rotated_copies), partial)
    by_source = {taken.source.name: _source_report(taken) for taken in parts}
    num_originals = sum(report["num_images"] for report in by_source.values())
    return {
        "data": data.name,
        "num_images": num_originals * (1 + len(data.rotated_copies)),
        "num_copies": num_originals * len(data.rotated_copies),
        "rotated_copies": list(data.rotated_copies),
        "sources": by_source,
    }


def _source_report(taken: Taken) -> dict:
    settings, recoded = taken.source.settings, taken.recoded
    report = {
        "archive": settings.archive if settings.path is None else taken.source.place.name,
        "format": taken.format,
        "num_images": len(recoded.images),
        "num_faces": sum(len(image.boxes) for image in recoded.images),
        "boxes_as_written": dict(recoded.num_boxes),
        "class_map": settings.class_map,
        "classes_without_a_box": list(recoded.unused),
        "num_dropped_boxes": recoded.num_dropped,
        "excluded": list(recoded.excluded),
        "not_annotated": list(taken.unlabelled),
        "findings": dict(taken.findings),
        "manifest": settings.manifest,
    }
    return report | _verification_report(taken.verification)


def _composite_lines(report: dict) -> list[str]:
    copies = f" and {report['num_copies']} turned copies" if report["num_copies"] else ""
    num_originals = report["num_images"] - report["num_copies"]
    lines = [f"fetch: {num_originals} images{copies} from {len(report['sources'])} sources"]
    return lines + [f"  {name}: {_source_text(source)}" for name, source in report["sources"].items()]


def _source_text(source: dict) -> str:
    written = ", ".join(f"{count} {name}" for name, count in source["boxes_as_written"].items())
    text = f"{source['num_images']} images with {source['num_faces']} faces, of boxes {written}"
    for key, said in (
        ("excluded", "images excluded for a dropped class"),
        ("not_annotated", "images that nothing labels left out"),
        ("classes_without_a_box", "classes of the map without a box"),
    ):
        text += f"; {len(source[key])} {said}" if source[key] else ""
    if source["num_dropped_boxes"]:
        text += f"; {source['num_dropped_boxes']} boxes dropped from images that stay"
    found = ", ".join(f"{count} {rule}" for rule, count in source["findings"].items())
    text += f"; warnings and notes: {found}" if found else ""
    return text + (f"; images against the manifest: {_status_text(source)}" if source["manifest"] else "")


if __name__ == "__main__":
    stage_main(run)
