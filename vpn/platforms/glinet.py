"""What GL.iNet routers can do.

It was not tried on such a box: this is what manuals and reports of users say.
"""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext_lazy as _

from vpn.platforms.kinds import NEEDS_TLS_CRYPT_V2, PLAIN, Naming, Product, Rule

_BEFORE: Final = _("The steps are for firmware 4 or newer. Upgrade the router first.")
_NAMING: Final = Naming("GL.iNet", "4.7.4", ((2, 20),))
GLINET: Final = Product(
    wireguard=Rule(
        manual="https://docs.gl-inet.com/router/en/4/interface_guide/wireguard_client/", since=(4,), before=_BEFORE
    ),
    openvpn=Rule(
        manual="https://docs.gl-inet.com/router/en/4/interface_guide/openvpn_client/",
        since=(4,),
        before=_BEFORE,
        note=NEEDS_TLS_CRYPT_V2,
        transports=PLAIN,
    ),
    naming=_NAMING,
)
