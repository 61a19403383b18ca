"""What Linux can do."""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext_lazy as _

from vpn.platforms.kinds import PLAIN, Product, Rule

LINUX: Final = Product(
    wireguard=Rule(manual="https://man7.org/linux/man-pages/man8/wg-quick.8.html"),
    openvpn=Rule(
        manual="https://openvpn.net/community-resources/reference-manual-for-openvpn-2-6/",
        note=_("OpenVPN 2.5 or newer."),
        transports=PLAIN,
    ),
)
