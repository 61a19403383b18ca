"""What FRITZ!Box can do.

It was not tried on such a box: this is what manuals and reports of users say.
"""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext_lazy as _

from vpn.platforms.kinds import Naming, Product, Rule

_NAMING: Final = Naming("FRITZ!OS", "FRITZ!OS 7.57", ((4, 20),))
FRITZBOX: Final = Product(
    wireguard=Rule(
        manual="https://en.avm.de/service/vpn/",
        since=(7, 50),
        before=_("WireGuard needs FRITZ!OS 7.50 or newer. Update the FRITZ!Box first."),
        note=_(
            "Its tunnel carries IPv4 only. All WireGuard connections of a FRITZ!Box have one key, so it takes "
            "this file only while it has no other connection."
        ),
    ),
    openvpn=Rule(never=_("FRITZ!OS has no OpenVPN. Use WireGuard.")),
    naming=_NAMING,
)
