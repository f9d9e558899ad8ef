"""Stage `audit` and the command `maskdet audit`: what is wrong with a labelled set, as table, page, corrected copy."""

import csv
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from maskdet.atomic import atomic_file
from maskdet.data.audit.options import AuditOptions
from maskdet.data.audit.repair import LOG_NAME, repair_set
from maskdet.data.audit.rules import RULES, SEVERITIES
from maskdet.data.audit.whole_set import audit_set
from maskdet.data.formats import MAX_UNPACKED_MB, check_target, opened_source, read_labelled_set
from maskdet.data.labelled_set import ERROR, NOTE, Finding, LabelledSet
from maskdet.reporting.audit_page import build_audit_page, write_audit_page
from maskdet.stages.entry import Workspace, stage_main
from maskdet.stages.json_report import write_json

COLUMNS = ("file", "rule", "severity", "detail", "repair")
"""Of `findings.csv`."""

_FOLDER = "reports/audit"


def run(cfg: DictConfig, workspace: Workspace) -> dict:
    """Audit `build/raw`; write `reports/audit/{findings.csv,summary.json,audit.html}`, the page last.

    Args:
        cfg: The whole config; reads `audit` and `data.name`.
        workspace: Where inputs lie and outputs go.

    Returns:
        The content of `summary.json`.

    Raises:
        ValueError: If `build/raw` holds no set, or an option is out of range; nothing is written then.
    """
    options: AuditOptions = instantiate(cfg.audit)
    labelled = read_labelled_set(workspace.input("build/raw"))
    findings = audit_set(labelled, options)
    summary = summarize_audit(labelled, findings)
    write_findings(findings, workspace.output(f"{_FOLDER}/findings.csv"))
    write_json(summary, workspace.output(f"{_FOLDER}/summary.json"))
    page = build_audit_page(labelled, findings, cfg.data.name)
    write_audit_page(page, workspace.output(f"{_FOLDER}/audit.html"))
    print_counts(labelled, findings)
    return summary


def run_audit(
    source: Path,
    *,
    against: Sequence[Path] = (),
    output: Path = Path("audit"),
    repair: Path | None = None,
    format_name: str | None = None,
    options: AuditOptions | None = None,
    max_unpacked_mb: float = MAX_UNPACKED_MB,
) -> bool:
    """Audit a set; write `findings.csv` and `audit.html`, and print how often each rule was broken.

    Args:
        source: A folder or a zip archive.
        against: Other sets, in which copies of the set's pictures are looked for.
        output: The folder to write to.
        repair: Where a corrected copy goes: an absent or empty folder outside the set; None: no copy.
        format_name: Of `source`; None: recognized. Those of the others are always recognized.
        options: Limits; None: the defaults.
        max_unpacked_mb: Largest size of an unpacked archive in MB, 10**6 bytes.

    Returns:
        Whether there is an error among the findings.

    Raises:
        ValueError: If a source is none, the copy cannot be written, or `output` lies in it.
        OSError: If a file cannot be read or written.
    """
    with ExitStack() as stack:
        folder, *folders = (stack.enter_context(opened_source(path, max_unpacked_mb)) for path in (source, *against))
        if repair is not None:  # before the work, not after it
            check_target(repair, folder)
            if output.resolve().is_relative_to(repair.resolve()):
                raise ValueError(f"{output}: expected an output folder outside the corrected copy, {repair}")
        labelled = read_labelled_set(folder, format_name)
        others = [read_labelled_set(other) for other in folders]
        findings = audit_set(labelled, options or AuditOptions(), others)
        write_findings(findings, output / "findings.csv")
        page = build_audit_page(labelled, findings, source.absolute().name)
        write_audit_page(page, output / "audit.html")
        print_counts(labelled, findings)
        changes = repair_set(labelled, findings, repair) if repair is not None else []
    print(f"wrote    {output / 'findings.csv'}")
    print(f"wrote    {output / 'audit.html'}")
    if repair is not None:
        left = Counter(finding.rule for finding in findings if not finding.repair and finding.severity != NOTE)
        print(f"repaired {repair}: {len(changes)} changes, each in {repair / LOG_NAME}")
        print(f"left     for a person: {', '.join(f'{count} {rule}' for rule, count in left.items()) or 'nothing'}")
    return any(finding.severity == ERROR for finding in findings)


def summarize_audit(labelled: LabelledSet, findings: Sequence[Finding]) -> dict:
    """Return counts by severity and by rule, rules without a finding too, and what the set holds."""
    severities, rules = (Counter(getattr(finding, name) for finding in findings) for name in ("severity", "rule"))
    return {
        "format": labelled.format,
        "num_images": len(labelled.images),
        "num_boxes": sum(len(image.boxes) for image in labelled.images),
        "num_findings": {severity: severities[severity] for severity in SEVERITIES},
        "num_findings_by_rule": {name: rules[name] for name in RULES},
    }


def write_findings(findings: Sequence[Finding], path: Path) -> None:
    """Write findings as CSV with the columns `COLUMNS`, in their order."""
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([getattr(finding, name) for name in COLUMNS] for finding in findings)


def print_counts(labelled: LabelledSet, findings: Sequence[Finding]) -> None:
    """Print how often each rule was broken, the worst first."""
    console = Console(highlight=False, width=100)
    num_boxes = sum(len(image.boxes) for image in labelled.images)
    console.print(f"{len(labelled.images)} images, {num_boxes} boxes, format {labelled.format}")
    counts = Counter(finding.rule for finding in findings)
    if not counts:
        console.print("nothing was found")
        return
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    for name, justify in (("rule", "left"), ("severity", "left"), ("findings", "right"), ("repair", "left")):
        table.add_column(name, justify=justify)
    for rule in sorted((RULES[name] for name in counts), key=lambda rule: SEVERITIES.index(rule.severity)):
        table.add_row(rule.name, rule.severity, str(counts[rule.name]), rule.repair or "a person decides")
    console.print(table)


if __name__ == "__main__":
    stage_main(run)
