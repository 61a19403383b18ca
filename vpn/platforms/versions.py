"""Versions of router platforms: read from what a router shows of itself, checked, compared and shown."""

from __future__ import annotations

import re
from typing import Final

from django.utils.translation import gettext as _

from vpn.choices import Platform
from vpn.platforms.kinds import Version
from vpn.platforms.registry import PRODUCTS

VERSION_LENGTH: Final = 200
# From this release on, VyOS reaches a WireGuard hub by name.
VYOS_NAMED_HUB: Final[Version] = (1, 5, 0)
_NUMBER: Final = re.compile(r"(?<![\w.])v?([0-9]{1,4}(?:\.[0-9]{1,4}){0,3})(?![0-9])", re.ASCII | re.IGNORECASE)


def version_number(platform: str, text: str) -> str:
    """The version in the text that a router shows, as it is written there: 1.5 in "VyOS 1.5-rolling-202411190007".

    Empty if the text holds no version of this platform.
    """
    naming = PRODUCTS[Platform(platform)].naming
    _before, _name, behind = text.casefold().partition(naming.name.casefold()) if naming else ("", "", "")
    for part in (behind, text):
        for found in _NUMBER.finditer(part):
            major = _numbers(found[1])[0]
            if naming is None or any(lowest <= major <= highest for lowest, highest in naming.majors):
                return found[1]
    return ""


def version_of(platform: str, text: str) -> Version:
    """`version_number` for comparing: "2.7.2-RELEASE" is (2, 7, 2). () if there is no version of this platform."""
    number = version_number(platform, text)
    if number:
        return _numbers(number)
    naming = PRODUCTS[Platform(platform)].naming
    return next((version for word, version in naming.words if word in text.casefold()), ()) if naming else ()


def _numbers(text: str) -> Version:
    return tuple(int(part) for part in text.split("."))


def version_fault(platform: str, text: str) -> str:
    """Why the text is no version of this platform, or "" if it is one.

    An empty text is fine, and so is any text for a Linux router or another device: nothing depends on it.
    """
    if not text.strip():
        return ""
    other = _other_platform(platform, text)
    if other:
        return _("This is a version of %(other)s. Choose %(other)s as what the router runs.") % {"other": other}
    naming = PRODUCTS[Platform(platform)].naming
    if naming is None:
        return ""
    version = version_of(platform, text)
    if not version:
        return _(
            "No version of %(naming)s was understood in this. Enter it as the router shows it, such as %(example)s, "
            "or leave it empty."
        ) % {"naming": naming.name, "example": naming.example}
    major = PRODUCTS[Platform(platform)].major
    if major and version[0] != major:
        sibling = next((Platform(p) for p, product in PRODUCTS.items() if product.major == version[0]), None)
        return (
            _("This version belongs to %(sibling)s.") % {"sibling": sibling.label}
            if sibling
            else _("RouterOS %(major)s versions begin with %(major)s.") % {"major": major}
        )
    return ""


def _other_platform(platform: str, text: str) -> str:
    """The other product that the text names, or "" if it names none or this platform's."""
    own, shown = PRODUCTS[Platform(platform)].naming, text.casefold()
    if platform == Platform.OTHER or (own and own.name.casefold() in shown):
        return ""
    named = (product.naming.name for product in PRODUCTS.values() if product.naming is not None)
    return next((name for name in named if name.casefold() in shown), "")


def shown(platform: str, text: str) -> str:
    """The platform and its version as a page shows it, with the product's name once."""
    label, naming = str(Platform(platform).label), PRODUCTS[Platform(platform)].naming
    if not text:
        return label
    if naming is None:
        return f"{label}, {text}"
    if naming.name.casefold() in text.casefold():
        return text
    major = version_of(platform, text)[:1]
    return f"{label.removesuffix(f' {major[0]}') if major else label} {text}"


# Releases of pfSense Plus, each with the pfSense that it corresponds to; the newest first.
_PLUS: Final[tuple[tuple[Version, Version], ...]] = (((23, 1), (2, 7)), ((22, 1), (2, 6)))


def release_of(platform: str, text: str) -> Version:
    """`version_of`, with pfSense Plus as the pfSense that it corresponds to."""
    version = version_of(platform, text)
    if platform == Platform.PFSENSE and version and version[0] >= 20:
        return next((release for since, release in _PLUS if version >= since), (2, 5))
    return version
