"""What the table of a platform says: its protocols, and how it shows its version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

Version = tuple[int, ...]

# Later than every release: a build of a development branch, which shows no number.
NEWEST: Final[Version] = (9999,)
# The transports of clients that take the hub's own profile.
PLAIN: Final = ("udp", "tcp")
NEEDS_TLS_CRYPT_V2: Final = _("A client with tls-crypt-v2 is needed (OpenVPN 2.5 or newer).")
NO_TLS_CRYPT_V2: Final = _(
    "Its OpenVPN pages take no tls-crypt-v2 key, so it uses the compatibility listener, over TCP. WireGuard is quicker."
)


@dataclass(frozen=True)
class Rule:
    """A protocol on a platform: offered from the version `since` on (empty: always).

    `manual` is the address of the vendor's manual.
    """

    since: Version = ()
    before: str | Promise = ""  # the reason for older versions
    never: str | Promise = ""  # the reason for all versions
    note: str | Promise = ""
    compat: bool = False
    transports: tuple[str, ...] = ("udp",)
    static_routes: bool = False
    manual: str = ""


@dataclass(frozen=True)
class Naming:
    """How a platform shows its version: its `name`, an `example`, ranges of major versions (lowest and highest), and
    words that stand for a version, such as code names."""

    name: str
    example: str
    majors: tuple[tuple[int, int], ...]
    words: tuple[tuple[str, Version], ...] = ()


@dataclass(frozen=True)
class Product:
    """A platform. Its versions begin with `major`, if it is not 0; any text is a version if it has no `naming`."""

    wireguard: Rule
    openvpn: Rule
    naming: Naming | None = None
    major: int = 0
