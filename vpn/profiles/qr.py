"""A QR code as SVG, for the apps that scan a profile."""

from typing import Final
from xml.etree import ElementTree as ET

from qrcode.constants import ERROR_CORRECT_L, ERROR_CORRECT_M
from qrcode.exceptions import DataOverflowError
from qrcode.image.svg import SvgPathFillImage
from qrcode.main import QRCode

# ISO/IEC 18004 asks for four light modules around the code; they are white in a dark page too.
QUIET_ZONE: Final = 4
# A camera needs at least three pixels for each module on a screen. The largest version then still fits the narrowest
# screen, 320 pixels: 97 + 8 modules are 315 pixels.
MODULE_PIXELS: Final = 3
WIDEST_PIXELS: Final = 320
LARGEST_VERSION: Final = 20


class TooLong(ValueError):
    """The text is too long for a QR code that a camera can read: offer the file or a link instead."""


def svg(text: str, title: str = "QR code of the profile") -> str:
    """An <svg> element for a page, without inline style, which decodes to exactly `text`.

    `title` is its name for screen readers. Each module has a whole number of pixels, three at least. Raises TooLong
    beyond 858 bytes.
    """
    image = _code(text).make_image(image_factory=SvgPathFillImage)
    element: ET.Element = image.get_image()
    modules = int(element.attrib["viewBox"].split()[2])
    pixels = str(modules * max(MODULE_PIXELS, WIDEST_PIXELS // modules))
    element.attrib.update({"width": pixels, "height": pixels})
    element.attrib.update({"role": "img", "class": "qr", "shape-rendering": "crispEdges"})
    for path in element.iter("path"):
        path.attrib.pop("id")  # a page may show two codes
    label = ET.Element("title")
    label.text = title
    element.insert(0, label)
    return ET.tostring(element, encoding="unicode")


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
    code.make(fit=False)
    return code
