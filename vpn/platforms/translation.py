"""Which routers can translate an alias subnet by what the portal gives them, and why the others cannot."""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext as _

from vpn.choices import Platform
from vpn.platforms.kinds import Version
from vpn.platforms.versions import release_of

# OpenWrt's firewall reads nftables from here on.
_FIREWALL4: Final[Version] = (22, 3)
_CAN: Final = frozenset(
    {Platform.ROUTEROS7, Platform.ROUTEROS6, Platform.OPENWRT, Platform.OPNSENSE, Platform.PFSENSE, Platform.LINUX}
)


def why_no_alias(platform: str, version: str) -> str:
    """Why this router cannot translate an alias subnet, or "" if it can."""
    if platform == Platform.VYOS:
        return _("The portal's file for VyOS does not translate an alias subnet yet.")
    if platform not in _CAN:
        return _("The portal has no file that makes this router translate an alias subnet.")
    known = release_of(platform, version)
    if platform == Platform.OPENWRT and known and known < _FIREWALL4:
        return _("An alias subnet needs OpenWrt 22.03 or newer.")
    return ""
