"""A QR code as an image inside the page, for the apps that scan a profile."""

from __future__ import annotations

from typing import Final

import segno
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

# ISO/IEC 18004 asks for four light modules around the code; they are white in a dark page too.
QUIET_ZONE: Final = 4
# A camera needs at least three pixels for each module on a screen. The largest version then still fits the narrowest
# screen, 320 pixels: 97 + 8 modules are 315 pixels.
MODULE_PIXELS: Final = 3
WIDEST_PIXELS: Final = 320
# The bytes that the largest version, 20, holds by the level of error correction (ISO/IEC 18004, table 7).
_MOST_BYTES: Final = {"M": 666, "L": 858}
# Any of the standard's eight mask patterns can be read. To find the best takes three times as long as the code itself,
# and it is this one for ten of twelve profiles of different lengths.
_MASK: Final = 2


class TooLong(ValueError):
    """The text is too long for a QR code that a camera can read: offer the file or a link instead."""


def image(text: str, title: str = "") -> SafeString:
    """An <img> element for a page, which decodes to exactly `text`.

    `title` is its name for screen readers, if it is not a profile's. Each module has a whole number of pixels, three at
    least. Raises TooLong beyond 858 bytes.
    """
    code = _code(text.encode())
    modules, _height = code.symbol_size(border=QUIET_ZONE)
    pixels = modules * max(MODULE_PIXELS, WIDEST_PIXELS // modules)
    source = code.png_data_uri(border=QUIET_ZONE)
    return format_html(
        '<img class="qr" alt="{}" width="{}" height="{}" src="{}">',
        title or _("QR code of the profile"),
        pixels,
        pixels,
        source,
    )


def _code(data: bytes) -> segno.QRCode:
    if len(data) > _MOST_BYTES["L"]:
        raise TooLong(_("This profile is too long for a QR code. Download the file instead."))
    error_correction = "M" if len(data) <= _MOST_BYTES["M"] else "L"
    return segno.make_qr(data, error=error_correction, mode="byte", mask=_MASK)
