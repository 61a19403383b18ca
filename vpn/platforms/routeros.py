"""What MikroTik RouterOS can do."""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext_lazy as _

from vpn.platforms.kinds import Naming, Product, Rule

# From 7.17 on, an import of an .ovpn file is said to keep a tls-crypt key, which all clients of a listener share; the
# hub has none. `/interface ovpn-client` has no property for a key of either kind in 7.17, 7.19.6, 7.20.6 or 7.21.4.
# What such an import does to an existing interface is not known, so it does not suit a script that may run repeatedly.
_OPENVPN_NOTE: Final = _(
    "RouterOS has no setting for the tls-crypt-v2 key that the hub's main OpenVPN listeners ask for, so it uses the "
    "compatibility listener, over TCP. WireGuard is quicker."
)
_NAMING: Final = Naming("RouterOS", "7.16.1 (stable)", ((2, 20),))

ROUTEROS7: Final = Product(
    wireguard=Rule(
        manual="https://help.mikrotik.com/docs/spaces/ROS/pages/69664792/WireGuard",
        since=(7, 1),
        before=_("WireGuard came with RouterOS 7.1. Upgrade the router first."),
    ),
    openvpn=Rule(
        manual="https://help.mikrotik.com/docs/spaces/ROS/pages/2031655/OpenVPN",
        since=(7, 12),
        before=_(
            "OpenVPN needs RouterOS 7.12 or newer here: before, ciphers and pushed routes were handled "
            "differently. Upgrade the router, or use WireGuard."
        ),
        note=_OPENVPN_NOTE,
        compat=True,
        transports=("tcp",),
    ),
    naming=_NAMING,
    major=7,
)
ROUTEROS6: Final = Product(
    wireguard=Rule(
        never=_("RouterOS 6 has no WireGuard. Upgrade the router to RouterOS 7, then change its platform here."),
    ),
    openvpn=Rule(
        manual="https://wiki.mikrotik.com/Manual:Interface/OVPN",
        since=(6, 49),
        before=_(
            "OpenVPN needs RouterOS 6.49 here: older versions cannot all check the hub's certificate. "
            "Upgrade the router first."
        ),
        note=_(
            "RouterOS 6 speaks OpenVPN over TCP only, without tls-crypt, and so uses the compatibility listener. "
            "Its tunnel carries IPv4 only, and its routes are written into the profile."
        ),
        compat=True,
        transports=("tcp",),
        static_routes=True,
    ),
    naming=_NAMING,
    major=6,
)
