"""What Teltonika routers can do.

It was not tried on such a box: this is what manuals and reports of users say.
"""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext_lazy as _

from vpn.platforms.kinds import NEEDS_TLS_CRYPT_V2, PLAIN, Product, Rule

TELTONIKA: Final = Product(
    wireguard=Rule(manual="https://wiki.teltonika-networks.com/", note=_("RutOS 7 or newer is needed.")),
    openvpn=Rule(manual="https://wiki.teltonika-networks.com/", note=NEEDS_TLS_CRYPT_V2, transports=PLAIN),
)
