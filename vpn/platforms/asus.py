"""What ASUS routers, also with Asuswrt-Merlin can do.

It was not tried on such a box: this is what manuals and reports of users say.
"""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext_lazy as _

from vpn.platforms.kinds import NEEDS_TLS_CRYPT_V2, PLAIN, Product, Rule

ASUS: Final = Product(
    wireguard=Rule(
        manual="https://www.asus.com/support/",
        note=_(
            "A router with VPN Fusion is needed (ASUSWRT 388 or newer). While its NAT is on, the others do not "
            "reach what is behind it."
        ),
    ),
    openvpn=Rule(manual="https://www.asus.com/support/", note=NEEDS_TLS_CRYPT_V2, transports=PLAIN),
)
