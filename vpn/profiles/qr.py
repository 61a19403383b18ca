"""A QR code as SVG, for the apps that scan a profile."""

from xml.etree import ElementTree as ET

from qrcode.constants import ERROR_CORRECT_L, ERROR_CORRECT_M
from qrcode.exceptions import DataOverflowError
from qrcode.image.svg import SvgPathFillImage
from qrcode.main import QRCode

# ISO/IEC 18004 asks for four light modules around the code; they are white in a dark page too.
QUIET_ZONE = 4
# Up to this version (97 x 97 modules) a phone reads the code from a screen with ease, so the better error
# correction is worth its room.
COMFORTABLE_VERSION = 20


class TooLong(ValueError):
    """The text does not fit into a QR code: hand out the file instead."""


def svg(text: str, title: str = "QR code of the profile") -> str:
    """An <svg> element to put into a page, without inline style, which decodes to exactly `text`.

    `title` is what a screen reader says. Raises TooLong beyond 2,953 bytes.
    """
    image = _code(text).make_image(image_factory=SvgPathFillImage)
    element: ET.Element = image.get_image()
    # The page's style sheet decides how large the code is shown.
    del element.attrib["width"], element.attrib["height"]
    element.attrib.update({"role": "img", "class": "qr", "shape-rendering": "crispEdges"})
    for path in element.iter("path"):
        path.attrib.pop("id")  # a page may show two codes
    label = ET.Element("title")
    label.text = title
    element.insert(0, label)
    return ET.tostring(element, encoding="unicode")


def _code(text: str) -> QRCode:
    code = _fitted(text, ERROR_CORRECT_M)
    if code is None or code.version > COMFORTABLE_VERSION:
        code = _fitted(text, ERROR_CORRECT_L)
    if code is None:
        raise TooLong("This profile is too long for a QR code. Download the file instead.")
    return code


def _fitted(text: str, error_correction: int) -> QRCode | None:
    code = QRCode(error_correction=error_correction, border=QUIET_ZONE)
    code.add_data(text.encode(), optimize=0)
    try:
        code.best_fit(start=1)
        code.make(fit=False)
    except (DataOverflowError, ValueError):
        return None
    return code
