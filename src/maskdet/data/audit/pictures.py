"""What a scan says of pictures, as findings."""

from collections.abc import Iterator, Sequence

from maskdet.data.audit.headers import UPRIGHT, Header
from maskdet.data.audit.options import AuditOptions
from maskdet.data.audit.rules import AuditFinding, audit_finding
from maskdet.data.audit.scan import Scan
from maskdet.data.audit.traits import odd_pictures

SUFFIXES = {"PNG": (".png",), "JPEG": (".jpg", ".jpeg")}
"""Suffixes, in lower case, of the formats that the pipeline reads; a file of another format has none that is right."""

_ODD = {
    "image-blurred": "sharpness",
    "image-dark": "brightness of the brightest hundredth",
    "image-bright": "darkness of the darkest twentieth",
    "image-low-information": "information",
    "image-odd-size": "likeness to the other sizes",
    "image-odd-ratio": "ratio of the shorter side to the longer",
}


def picture_findings(scan: Scan, options: AuditOptions, *, is_turned: bool) -> Iterator[AuditFinding]:
    """Yield what one picture's header and pixels show.

    Args:
        scan: Of the picture.
        options: Reads `min_side_px`.
        is_turned: Its labels were drawn on it as EXIF turns it.
    """
    name, header = scan.file_name, scan.header
    if scan.problem:
        yield audit_finding(scan.problem, name, scan.detail)
    if header is None or scan.problem:
        return
    if not name.lower().endswith(SUFFIXES.get(header.format, ("\0",))):
        expected = (
            "PNG or JPEG" if header.format not in SUFFIXES else f"a name that ends in {SUFFIXES[header.format][0]}"
        )
        yield audit_finding("image-suffix", name, f"expected {expected}, got {header.format} in {name.rsplit('/')[-1]}")
    if header.is_animated:
        yield audit_finding("image-animated", name, f"expected one picture, got an animated {header.format} file")
    if header.is_cmyk:
        yield audit_finding("image-cmyk", name, "expected RGB or grey, got CMYK")
    if header.is_16_bit:
        yield audit_finding("image-16-bit", name, "expected 8 bits a channel, got 16")
    if header.orientation != UPRIGHT:
        yield _rotated(name, header, is_turned=is_turned)
    if min(header.image_wh) < options.min_side_px:
        width, height = header.image_wh
        yield audit_finding("image-tiny", name, f"expected sides of {options.min_side_px} px, got {width} x {height}")


def _rotated(name: str, header: Header, *, is_turned: bool) -> AuditFinding:
    width, height = header.turned_wh
    labelled = (
        f"the labels fit the turned picture of {width} x {height}" if is_turned else "the labels fit the stored one"
    )
    repair = "pixels turned, tag dropped" if is_turned else "tag dropped"
    detail = f"expected orientation 1 (upright), got {header.orientation}; {labelled}"
    return audit_finding("image-exif-rotated", name, detail, repair=repair)


def odd_picture_findings(scans: Sequence[Scan]) -> Iterator[AuditFinding]:
    """Yield what cleanvision's measures show; pictures without pixels are passed over."""
    measured = [scan for scan in scans if scan.traits is not None]
    for rule, odd in odd_pictures([scan.traits for scan in measured]).items():
        for position, score, threshold in odd:
            detail = f"expected a score for {_ODD[rule]} of {threshold:.2f} or more, got {score:.2f}"
            yield audit_finding(rule, measured[position].file_name, detail)
