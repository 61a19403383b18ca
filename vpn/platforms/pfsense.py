"""What pfSense can do."""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext_lazy as _

from vpn.platforms.kinds import NO_TLS_CRYPT_V2, Naming, Product, Rule

# pfSense Plus is numbered by year and month.
_NAMING: Final = Naming("pfSense", "2.7.2-RELEASE", ((2, 2), (20, 99)))
PFSENSE: Final = Product(
    wireguard=Rule(
        manual="https://docs.netgate.com/pfsense/en/latest/vpn/wireguard/index.html",
        since=(2, 6),
        before=_("The WireGuard package needs pfSense 2.6 or newer."),
        note=_("Install the package WireGuard first (System, Package Manager)."),
    ),
    openvpn=Rule(
        manual="https://docs.netgate.com/pfsense/en/latest/vpn/openvpn/index.html",
        since=(2, 5),
        before=_("OpenVPN needs pfSense 2.5 or newer, for AES-256-GCM without a fallback."),
        note=NO_TLS_CRYPT_V2,
        compat=True,
        transports=("tcp",),
    ),
    naming=_NAMING,
)
