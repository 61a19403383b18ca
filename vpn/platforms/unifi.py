"""What UniFi gateways with UniFi Network can do.

It was not tried on such a box: this is what manuals and reports of users say.
"""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext_lazy as _

from vpn.platforms.kinds import Product, Rule

UNIFI: Final = Product(
    wireguard=Rule(
        manual="https://help.ui.com/",
        note=_(
            "UniFi sends only what a policy names into such a tunnel, and translates the LAN's addresses. The "
            "branch reaches the others; they do not reach what is behind the gateway."
        ),
    ),
    openvpn=Rule(
        never=_("There are no steps for UniFi's OpenVPN client. Use WireGuard, or choose Other for the plain profile."),
    ),
)
