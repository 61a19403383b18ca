"""A QR code as an image inside the page, for the apps that scan a profile."""

import struct
from base64 import b64encode
from typing import Final

from django.utils.html import format_html
from django.utils.safestring import SafeString
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


def image(text: str, title: str = "QR code of the profile") -> SafeString:
    """An <img> element for a page, which decodes to exactly `text`.

    `title` is its name for screen readers. Each module has a whole number of pixels, three at least. Raises TooLong
    beyond 858 bytes.
    """
    rows = [[bool(is_dark) for is_dark in row] for row in _code(text).get_matrix()]
    modules = len(rows)
    pixels = modules * max(MODULE_PIXELS, WIDEST_PIXELS // modules)
    source = b64encode(_bitmap(rows)).decode()
    return format_html(
        '<img class="qr" alt="{}" width="{}" height="{}" src="data:image/bmp;base64,{}">', title, pixels, pixels, source
    )


def _bitmap(rows: list[list[bool]]) -> bytes:
    """A square of modules as a BMP image with one bit for each, a sixth of the length of an SVG path."""
    size = len(rows)
    line = (size + 31) // 32 * 4
    bits = (int("".join("01"[is_dark] for is_dark in row), 2) << (line * 8 - size) for row in reversed(rows))
    body = b"".join(one.to_bytes(line, "big") for one in bits)
    # Red, green, blue and an unused byte: 0 is white, 1 is black.
    palette = b"\xff\xff\xff\x00\x00\x00\x00\x00"
    information = struct.pack("<IiiHHIIiiII", 40, size, size, 1, 1, 0, len(body), 0, 0, 2, 2)
    start = 14 + len(information) + len(palette)
    return struct.pack("<2sIHHI", b"BM", start + len(body), 0, 0, start) + information + palette + body


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
