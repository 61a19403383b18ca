"""What VyOS can do."""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext_lazy as _

from vpn.platforms.kinds import NEWEST, PLAIN, Naming, Product, Rule

# Rolling releases are numbered 1.5-rolling-DATE or, later, by their date.
_NAMING: Final = Naming(
    "VyOS",
    "VyOS 1.4.0",
    ((1, 1), (2020, 2999)),
    words=(("equuleus", (1, 3)), ("sagitta", (1, 4)), ("circinus", (1, 5)), ("rolling", NEWEST)),
)
VYOS: Final = Product(
    wireguard=Rule(
        manual="https://docs.vyos.io/en/latest/configuration/interfaces/wireguard.html",
        since=(1, 3),
        before=_("WireGuard needs VyOS 1.3 or newer here."),
    ),
    openvpn=Rule(
        manual="https://docs.vyos.io/en/latest/configuration/interfaces/openvpn.html",
        since=(1, 4),
        before=_("OpenVPN needs VyOS 1.4 or newer, which keeps certificates in its configuration."),
        transports=PLAIN,
    ),
    naming=_NAMING,
)
