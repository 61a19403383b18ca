"""What OpenWrt can do."""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext_lazy as _

from vpn.platforms.kinds import NEWEST, PLAIN, Naming, Product, Rule

_NAMING: Final = Naming("OpenWrt", "OpenWrt 23.05.5 r24106-10cc5e456a", ((14, 99),), words=(("snapshot", NEWEST),))
OPENWRT: Final = Product(
    wireguard=Rule(
        manual="https://openwrt.org/docs/guide-user/services/vpn/wireguard/start",
        since=(19, 7),
        before=_("WireGuard needs OpenWrt 19.07 or newer."),
    ),
    openvpn=Rule(
        manual="https://openwrt.org/docs/guide-user/services/vpn/openvpn/start",
        since=(21, 2),
        before=_("OpenVPN needs OpenWrt 21.02 or newer: older ones have no tls-crypt-v2."),
        transports=PLAIN,
    ),
    naming=_NAMING,
)
