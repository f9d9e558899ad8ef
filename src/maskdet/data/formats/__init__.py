"""Labelled sets in the formats of others: VOC, YOLO, COCO, tables; read leniently, written whole."""

from maskdet.data.formats.detect import READERS, read_labelled_set
from maskdet.data.formats.reader_rules import READER_RULES
from maskdet.data.formats.source import MAX_UNPACKED_MB, opened_source
from maskdet.data.formats.writing import WRITERS, Written, check_target, write_labelled_set

__all__ = [
    "MAX_UNPACKED_MB",
    "READERS",
    "READER_RULES",
    "WRITERS",
    "Written",
    "check_target",
    "opened_source",
    "read_labelled_set",
    "write_labelled_set",
]
