"""What Synology devices with DSM can do.

It was not tried on such a box: this is what manuals and reports of users say.
"""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext_lazy as _

from vpn.platforms.kinds import PLAIN, Product, Rule

SYNOLOGY: Final = Product(
    wireguard=Rule(never=_("DSM has no WireGuard. Use OpenVPN.")),
    openvpn=Rule(
        manual="https://kb.synology.com/en-global/DSM",
        note=_(
            "A DSM with OpenVPN 2.5 or newer is needed. The others reach what is behind it only where its LAN has "
            "routes by way of it."
        ),
        transports=PLAIN,
    ),
)
