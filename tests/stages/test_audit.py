"""The stage `audit` and what the command runs, on damaged sets."""

import csv
import json
import zipfile
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from damaged_set import DamagedSet, write_clean_set, write_other_set, write_yolo_sets
from maskdet.data.audit.options import AuditOptions
from maskdet.data.audit.rules import RULES
from maskdet.data.formats import read_labelled_set
from maskdet.stages.audit import COLUMNS, run, run_audit
from maskdet.stages.entry import Workspace

CONF = Path(__file__).parents[2] / "conf"
OPTIONS = AuditOptions(num_workers=1)


@pytest.fixture
def yolo(tmp_path) -> DamagedSet:
    return write_yolo_sets(tmp_path / "yolo")[0]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return path


def config():
    return OmegaConf.create({"audit": OmegaConf.load(CONF / "audit/default.yaml"), "data": {"name": "drawn"}})


def test_the_config_is_the_options():
    groups = config().audit
    assert set(groups) - {"_target_"} == set(AuditOptions.__dataclass_fields__)
    assert {name: groups[name] for name in AuditOptions.__dataclass_fields__} == vars(AuditOptions())


def test_the_stage_writes_a_table_a_summary_and_a_page(tmp_path, capsys):
    clean = write_clean_set(tmp_path / "build/raw", 3)
    clean.add("faceless.png", (clean.folder / "images/clean0.png").read_bytes(), None)
    summary = run(config(), Workspace(tmp_path, tmp_path / "out"))
    folder = tmp_path / "out/reports/audit"
    assert json.loads((folder / "summary.json").read_text()) == summary
    assert set(summary["num_findings_by_rule"]) == set(RULES)
    assert summary["num_findings"] == {"error": 0, "warning": 2, "note": 0}
    assert (summary["format"], summary["num_images"], summary["num_boxes"]) == ("voc", 4, 6)
    rows = rows_of(folder / "findings.csv")
    assert [(row["rule"], row["file"]) for row in rows] == [
        ("image-without-labels", "images/faceless.png"),
        ("duplicate-exact", "images/faceless.png"),
    ]
    assert tuple(rows[0]) == COLUMNS
    assert "Audit of drawn" in (folder / "audit.html").read_text(encoding="utf-8")
    printed = capsys.readouterr().out
    assert "4 images, 6 boxes, format voc" in printed
    assert "duplicate-exact" in printed


def test_two_runs_write_the_same_bytes(tmp_path):
    write_clean_set(tmp_path / "build/raw", 3)
    for name in ("one", "two"):
        run(config(), Workspace(tmp_path, tmp_path / name))
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / name).rglob("*") if path.is_file()}
        for name in ("one", "two")
    )
    assert first == second


def test_the_command_on_an_archive_with_a_copy_and_another_set(yolo, tmp_path, capsys):
    (yolo.folder / "obj/link.png").unlink()  # an archive that holds links is refused as a whole
    archive = zipped(yolo.folder, tmp_path / "set.zip")
    other = write_other_set(tmp_path / "other").folder
    has_errors = run_audit(
        archive, against=[other], output=tmp_path / "audit", repair=tmp_path / "copy", options=OPTIONS
    )
    assert has_errors
    expected = yolo.expected - {("path-outside", "obj/link.png")}
    assert {(row["rule"], row["file"]) for row in rows_of(tmp_path / "audit/findings.csv")} == expected
    assert "Audit of set.zip" in (tmp_path / "audit/audit.html").read_text(encoding="utf-8")
    printed = capsys.readouterr().out
    assert f"repaired {tmp_path / 'copy'}: " in printed
    assert "left     for a person: 1 image-without-labels" in printed
    assert not run_audit(tmp_path / "copy", output=tmp_path / "again", options=OPTIONS)
    assert len(read_labelled_set(tmp_path / "copy").images) == 9


def test_a_clean_set_has_nothing(tmp_path, capsys):
    clean = write_clean_set(tmp_path / "set", 2)
    assert not run_audit(clean.folder, output=tmp_path / "audit", options=OPTIONS)
    assert rows_of(tmp_path / "audit/findings.csv") == []
    assert "nothing was found" in capsys.readouterr().out


def test_the_format_can_be_said(tmp_path):
    clean = write_clean_set(tmp_path / "set", 2)
    run_audit(clean.folder, output=tmp_path / "audit", format_name="images", options=OPTIONS)
    with pytest.raises(ValueError, match="expected a set in the format coco"):
        run_audit(clean.folder, output=tmp_path / "audit", format_name="coco", options=OPTIONS)


def test_the_folder_of_the_shell_has_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(write_clean_set(tmp_path / "set", 2).folder)
    run_audit(Path(), output=tmp_path / "audit", options=OPTIONS)
    assert "<title>Audit of set</title>" in (tmp_path / "audit/audit.html").read_text(encoding="utf-8")


def test_what_cannot_be_audited_is_refused(tmp_path):
    with pytest.raises(ValueError, match="absent: expected a folder or a zip archive, found nothing"):
        run_audit(tmp_path / "absent", output=tmp_path / "audit")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="expected a data set"):
        run_audit(tmp_path / "empty", output=tmp_path / "audit")
    assert not (tmp_path / "audit").exists()


def test_a_copy_into_a_taken_folder_is_refused(tmp_path):
    clean = write_clean_set(tmp_path / "set", 1)
    with pytest.raises(ValueError, match="expected no folder or an empty one"):
        run_audit(clean.folder, output=tmp_path / "audit", repair=tmp_path, options=OPTIONS)
    inside = clean.folder / "copy"
    with pytest.raises(ValueError, match="expected a folder outside the set"):
        run_audit(clean.folder, output=tmp_path / "audit", repair=inside, format_name="images", options=OPTIONS)
    for output in (tmp_path / "audit", tmp_path / "audit/pages"):
        with pytest.raises(ValueError, match="expected an output folder outside the corrected copy"):
            run_audit(clean.folder, output=output, repair=tmp_path / "audit", options=OPTIONS)
    assert not (tmp_path / "audit").exists()  # it is said before the work
