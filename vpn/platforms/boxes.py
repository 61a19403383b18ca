"""What boxes can do that import a plain profile on their own pages.

None of it was tried on such a box. It is what their manuals and their users say.
"""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext_lazy as _

from vpn.choices import Platform
from vpn.platforms.rules import NEEDS_TLS_CRYPT_V2, OPENVPN, PLAIN, WIREGUARD, Rule

_GLINET: Final = _("The steps are for firmware 4 or newer. Upgrade the router first.")

BOXES: Final[dict[str, dict[str, Rule]]] = {
    Platform.UNIFI: {
        WIREGUARD: Rule(
            note=_(
                "UniFi sends only what a policy names into such a tunnel, and translates the LAN's addresses. The "
                "branch reaches the others; they do not reach what is behind the gateway."
            )
        ),
        OPENVPN: Rule(
            never=_(
                "There are no steps for UniFi's OpenVPN client. Use WireGuard, or choose Other for the plain profile."
            )
        ),
    },
    Platform.FRITZBOX: {
        WIREGUARD: Rule(
            since=(7, 50),
            before=_("WireGuard needs FRITZ!OS 7.50 or newer. Update the FRITZ!Box first."),
            note=_(
                "Its tunnel carries IPv4 only. All WireGuard connections of a FRITZ!Box have one key, so it takes "
                "this file only while it has no other connection."
            ),
        ),
        OPENVPN: Rule(never=_("FRITZ!OS has no OpenVPN. Use WireGuard.")),
    },
    Platform.GLINET: {
        WIREGUARD: Rule(since=(4,), before=_GLINET),
        OPENVPN: Rule(since=(4,), before=_GLINET, note=NEEDS_TLS_CRYPT_V2, transports=PLAIN),
    },
    Platform.TELTONIKA: {
        WIREGUARD: Rule(note=_("RutOS 7 or newer is needed.")),
        OPENVPN: Rule(note=NEEDS_TLS_CRYPT_V2, transports=PLAIN),
    },
    Platform.ASUS: {
        WIREGUARD: Rule(
            note=_(
                "A router with VPN Fusion is needed (ASUSWRT 388 or newer). While its NAT is on, the others do not "
                "reach what is behind it."
            )
        ),
        OPENVPN: Rule(note=NEEDS_TLS_CRYPT_V2, transports=PLAIN),
    },
    Platform.SYNOLOGY: {
        WIREGUARD: Rule(never=_("DSM has no WireGuard. Use OpenVPN.")),
        OPENVPN: Rule(
            note=_(
                "A DSM with OpenVPN 2.5 or newer is needed. The others reach what is behind it only where its LAN has "
                "routes by way of it."
            ),
            transports=PLAIN,
        ),
    },
}
