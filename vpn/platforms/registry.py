"""All platforms; each has a file of its own for what it can do."""

from __future__ import annotations

from typing import Final

from vpn.choices import Platform
from vpn.platforms import (
    asus,
    fritzbox,
    glinet,
    linux,
    openwrt,
    opnsense,
    pfsense,
    routeros,
    synology,
    teltonika,
    unifi,
    vyos,
)
from vpn.platforms.kinds import NEEDS_TLS_CRYPT_V2, PLAIN, Product, Rule

_OTHER: Final = Product(wireguard=Rule(), openvpn=Rule(note=NEEDS_TLS_CRYPT_V2, transports=PLAIN))

PRODUCTS: Final[dict[str, Product]] = {
    Platform.ROUTEROS7: routeros.ROUTEROS7,
    Platform.ROUTEROS6: routeros.ROUTEROS6,
    Platform.OPENWRT: openwrt.OPENWRT,
    Platform.VYOS: vyos.VYOS,
    Platform.OPNSENSE: opnsense.OPNSENSE,
    Platform.PFSENSE: pfsense.PFSENSE,
    Platform.LINUX: linux.LINUX,
    Platform.UNIFI: unifi.UNIFI,
    Platform.FRITZBOX: fritzbox.FRITZBOX,
    Platform.GLINET: glinet.GLINET,
    Platform.TELTONIKA: teltonika.TELTONIKA,
    Platform.ASUS: asus.ASUS,
    Platform.SYNOLOGY: synology.SYNOLOGY,
    Platform.OTHER: _OTHER,
}
