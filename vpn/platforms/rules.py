"""What a platform can do with a protocol, as its table says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from vpn.platforms.versions import Version

WIREGUARD: Final = "wireguard"
OPENVPN: Final = "openvpn"
# The transports of clients that take the hub's own profile.
PLAIN: Final = ("udp", "tcp")
NEEDS_TLS_CRYPT_V2: Final = _("A client with tls-crypt-v2 is needed (OpenVPN 2.5 or newer).")


@dataclass(frozen=True)
class Rule:
    """A protocol on a platform: offered from the version `since` on (empty: always)."""

    since: Version = ()
    before: str | Promise = ""  # the reason for older versions
    never: str | Promise = ""  # the reason for all versions
    note: str | Promise = ""
    compat: bool = False
    transports: tuple[str, ...] = ("udp",)
    static_routes: bool = False
