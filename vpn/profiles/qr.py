"""A QR code as SVG, for the apps that scan a profile."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final
from xml.etree import ElementTree as ET

from qrcode.constants import ERROR_CORRECT_L, ERROR_CORRECT_M
from qrcode.exceptions import DataOverflowError
from qrcode.main import QRCode
from qrcode.util import lost_point

# ISO/IEC 18004 asks for four light modules around the code; they are white in a dark page too.
QUIET_ZONE: Final = 4
# A camera needs at least three pixels for each module on a screen. The largest version then still fits the narrowest
# screen, 320 pixels: 97 + 8 modules are 315 pixels.
MODULE_PIXELS: Final = 3
WIDEST_PIXELS: Final = 320
LARGEST_VERSION: Final = 20
# Any of the standard's eight mask patterns can be read. The best of all takes twice as long as the best of four.
_MASKS: Final = 4


class TooLong(ValueError):
    """The text is too long for a QR code that a camera can read: offer the file or a link instead."""


def svg(text: str, title: str = "QR code of the profile") -> str:
    """An <svg> element for a page, without inline style, which decodes to exactly `text`.

    `title` is its name for screen readers. Each module has a whole number of pixels, three at least. Raises TooLong
    beyond 858 bytes.
    """
    rows = _code(text).modules
    modules = len(rows) + 2 * QUIET_ZONE
    pixels = str(modules * max(MODULE_PIXELS, WIDEST_PIXELS // modules))
    size = {"viewBox": f"0 0 {modules} {modules}", "width": pixels, "height": pixels}
    shown = {"role": "img", "class": "qr", "shape-rendering": "crispEdges"}
    element = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **size, **shown})
    ET.SubElement(element, "title").text = title
    ET.SubElement(element, "rect", {"fill": "white", "x": "0", "y": "0", "width": "100%", "height": "100%"})
    ET.SubElement(element, "path", {"stroke": "black", "d": "".join(_lines(rows))})
    return ET.tostring(element, encoding="unicode")


def _lines(rows: Sequence[Sequence[bool | None]]) -> Iterator[str]:
    """The dark modules as a path of lines, as wide as a module: through a row, from run to run."""
    for number, row in enumerate(rows):
        yield f"M{QUIET_ZONE} {QUIET_ZONE + number}.5"
        for is_dark, run in groupby(row):
            length = len(list(run))
            yield f"h{length}" if is_dark else f"m{length} 0"


def _code(text: str) -> QRCode:
    code = _fitted(text, ERROR_CORRECT_M) or _fitted(text, ERROR_CORRECT_L)
    if code is None:
        raise TooLong("This profile is too long for a QR code. Download the file instead.")
    return code


def _fitted(text: str, error_correction: int) -> QRCode | None:
    code = QRCode(error_correction=error_correction, border=QUIET_ZONE)
    code.add_data(text.encode(), optimize=0)
    try:
        version = code.best_fit(start=1)
    except (DataOverflowError, ValueError):
        return None
    if version > LARGEST_VERSION:
        return None
    code.mask_pattern = min(range(_MASKS), key=lambda mask: _faults(code, mask))
    code.make(fit=False)
    return code


def _faults(code: QRCode, mask: int) -> int:
    """How much a code with this mask pattern has of what is hard to scan, as the standard counts it."""
    code.makeImpl(test=True, mask_pattern=mask)
    return int(lost_point(code.modules))
