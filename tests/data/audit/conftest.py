"""The sets with every defect, written and audited once."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from damaged_set import DamagedSet, write_clean_set, write_other_set, write_voc_set, write_yolo_sets
from maskdet.data.audit.options import AuditOptions
from maskdet.data.audit.whole_set import audit_set
from maskdet.data.formats import read_labelled_set
from maskdet.data.labelled_set import Finding, LabelledSet


@dataclass(frozen=True)
class Audited:
    """A damaged set with what an audit found in it."""

    damaged: DamagedSet
    labelled: LabelledSet
    findings: list[Finding]


def audited(damaged: DamagedSet, *others: DamagedSet) -> Audited:
    labelled = read_labelled_set(damaged.folder)
    sets = [read_labelled_set(other.folder) for other in others]
    return Audited(damaged, labelled, audit_set(labelled, AuditOptions(num_workers=1), sets))


@pytest.fixture(scope="session")
def audits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Audited]:
    """Return every damaged set by name, and `clean`."""
    root: Path = tmp_path_factory.mktemp("damaged")
    voc, other = write_voc_set(root / "voc"), write_other_set(root / "other")
    voc.expected |= other.expected
    sets = [write_clean_set(root / "clean"), *write_yolo_sets(root / "yolo")]
    return {"voc": audited(voc, other)} | {one.folder.name: audited(one) for one in sets}
