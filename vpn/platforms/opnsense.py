"""What OPNsense can do."""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext_lazy as _

from vpn.platforms.kinds import NO_TLS_CRYPT_V2, Naming, Product, Rule

_NAMING: Final = Naming("OPNsense", "OPNsense 24.7.9_1-amd64", ((15, 99),))
OPNSENSE: Final = Product(
    wireguard=Rule(
        manual="https://docs.opnsense.org/manual/how-tos/wireguard-client.html",
        since=(24, 1),
        before=_("WireGuard is part of OPNsense from 24.1 on. Upgrade the router first."),
    ),
    openvpn=Rule(
        manual="https://docs.opnsense.org/manual/vpnet.html",
        since=(23, 7),
        before=_("OpenVPN needs OPNsense 23.7 or newer, where instances came."),
        note=NO_TLS_CRYPT_V2,
        compat=True,
        transports=("tcp",),
    ),
    naming=_NAMING,
)
