"""Stage `fetch`: find the archive, unpack it to `build/raw`, compare it with the manifest of known files."""

from collections import Counter
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from maskdet.atomic import atomic_folder
from maskdet.data.archive import FOLDERS, Unpacked, find_archive, unpack
from maskdet.data.manifest import Verification, hash_files, read_manifest, refuse_altered, verify
from maskdet.stages.entry import Workspace, stage_main
from maskdet.stages.json_report import write_json


def run(cfg: DictConfig, workspace: Workspace) -> dict:
    """Write `build/raw/` and `reports/data/fetch.json`; after an error neither is new.

    Args:
        cfg: The whole config; reads `data`.
        workspace: Where inputs lie and outputs go.

    Returns:
        The content of the report.

    Raises:
        ValueError: If the archive is not found, refused, or holds altered files and `data.allow_altered` is false.
    """
    source = find_archive(cfg.data, workspace.root)
    with atomic_folder(workspace.output("build/raw")) as folder:
        unpacked = unpack(source, folder, cfg.data.max_unpacked_mb)
        verification = _verify(cfg.data, folder)
    report = _report(cfg.data, unpacked, verification)
    write_json(report, workspace.output("reports/data/fetch.json"))
    Console().print(_summary(report), highlight=False, soft_wrap=True)
    return report


def _verify(data: DictConfig, raw_dir: Path) -> Verification | None:
    if data.manifest is None:
        return None
    verification = verify(hash_files(raw_dir), read_manifest(data.manifest))
    if not data.allow_altered:
        refuse_altered(verification)
    return verification


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
    if verification is None:
        return report
    counts = {status: _count(paths) for status, paths in vars(verification).items()}
    lists = {status: list(vars(verification)[status]) for status in ("altered", "unknown", "missing")}
    return report | {"counts": counts} | lists


def _count(paths: tuple[str, ...]) -> dict[str, int]:
    found = Counter(path.split("/")[0] for path in paths)
    return {folder: found[folder] for folder in FOLDERS}


def _summary(report: dict) -> str:
    text = f"fetch: {report['num_images']} images, {report['num_annotations']} annotations from {report['archive']}"
    if report["left_out"]:
        text += f"; {len(report['left_out'])} other members left out"
    if report["manifest"] is None:
        return f"{text}; no manifest to compare with"
    counts = ", ".join(f"{count['images']} {status}" for status, count in report["counts"].items())
    return f"{text}; images against the manifest: {counts}"


if __name__ == "__main__":
    stage_main(run)
