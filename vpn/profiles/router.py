"""Common parts of the profiles of all routers: the site, the files, the steps, and plain names."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from portal.naming import ascii_text
from vpn.addressing.aliases import Alias
from vpn.keys import decode_key
from vpn.profiles.openvpn import OpenVPNProfile
from vpn.profiles.wireguard import endpoint
from vpn.router_services import NO_ACCESS, RouterAccess

TEXT = "text/plain; charset=utf-8"
LABEL_LENGTH = 60
# Short enough for the name of a Linux interface (15 characters).
TAG = re.compile(r"[a-z][a-z0-9-]{0,12}[a-z0-9]")
KEY_BLOCK = re.compile(
    r"-----BEGIN OpenVPN tls-crypt-v2 client key-----\n([A-Za-z0-9+/=]{1,76}\n)+"
    r"-----END OpenVPN tls-crypt-v2 client key-----\n?"
)

# The text in the field of a private key if the device makes its own.
OWN_KEY = gettext_noop("generate it here, and enter the public key in the portal")

Network = IPv4Network | IPv6Network
Interface = IPv4Interface | IPv6Interface
# A value to enter in a form: (label, value).
Values = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class SiteRouter:
    """A site's router.

    `tag` marks all objects of the portal on it: 2 to 14 of a-z, 0-9 and hyphen, one per peer and constant for the
    peer's life, whatever its protocol. `version` is as the admin entered it, or "". `subnets` are its LANs, and
    `aliases` the networks that stand for some of them in the tunnel.
    """

    name: str
    subnets: tuple[Network, ...]
    version: str = ""
    tag: str = "vpn-portal"
    aliases: tuple[Alias, ...] = ()
    # What it accepts through the tunnel for its own management.
    access: RouterAccess = NO_ACCESS


@dataclass(frozen=True)
class ProfileFile:
    """A file to download. Its content may hold keys."""

    filename: str
    content: str = field(repr=False)
    content_type: str
    title: str
    # Its name in `GET /client?format=`, if that is not the ending of the file's name.
    kind: str = ""

    @property
    def format(self) -> str:
        """Its name in `GET /client?format=`, such as `rsc`, or `rsc-remove` for the file that reverts `rsc`."""
        stem, _, ending = self.filename.rpartition(".")
        return self.kind or (f"{ending}-remove" if stem.endswith("-remove") else ending)


@dataclass(frozen=True)
class Step:
    """One step on the router: the text, the values to paste as (label, value), and commands to enter."""

    text: str
    values: Values = field(default=(), repr=False)
    commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class RouterProfile:
    """Everything that the router's admin needs, in order."""

    files: tuple[ProfileFile, ...]
    steps: tuple[Step, ...]


def tag_of(router: SiteRouter) -> str:
    """The router's tag. Raises ValueError for one that is not valid in a name, a comment or a pattern."""
    if not TAG.fullmatch(router.tag):
        raise ValueError("A tag is 2 to 14 of a-z, 0-9 and hyphen, beginning with a letter.")
    return router.tag


def label_of(text: str) -> str:
    """A name for a comment: one line of printable ASCII, with limited length."""
    return ascii_text(text)[:LABEL_LENGTH].strip()


def networks(values: tuple[Network, ...]) -> tuple[Network, ...]:
    """The same networks, each once, in order. Raises ValueError for anything that is not a parsed network."""
    if not all(isinstance(value, IPv4Network | IPv6Network) for value in values):
        raise ValueError("Parsed networks were expected.")
    return tuple(dict.fromkeys(values))


def host_and_port(host: str, port: int) -> tuple[str, str]:
    """An endpoint's host without brackets, and its port as text.

    Raises ValueError for a host that is neither an address nor a DNS name, or for no port.
    """
    text, _, number = endpoint(host, port).rpartition(":")
    return text.strip("[]"), number


def remote_of(profile: OpenVPNProfile, *transports: str) -> tuple[str, str, str]:
    """(host, port, transport) of the first remote over the first of `transports` that the profile has.

    Raises ValueError if it has none of them.
    """
    for wanted in transports:
        for host, port, transport in profile.remotes:
            if transport == wanted:
                return *host_and_port(host, port), transport
    raise ValueError(f"The profile has no remote over {' or '.join(transports)}.")


def certificate(text: str) -> str:
    """A certificate as PEM with nothing around it. Raises ValueError for anything but exactly one."""
    block = _block(text, "CERTIFICATE")
    x509.load_pem_x509_certificate(block.encode())
    return block


def private_key(text: str | None) -> str:
    """An unencrypted private key as PEM (PKCS 8) with nothing around it.

    Raises ValueError, which never quotes the key, for anything else.
    """
    block = _block(text or "", "PRIVATE KEY")
    try:
        load_pem_private_key(block.encode(), None)
    except (ValueError, TypeError):
        raise ValueError("The private key cannot be read.") from None
    return block


def tls_crypt_v2_key(text: str | None) -> str:
    """A client's tls-crypt-v2 key with nothing around it. Raises ValueError for anything else."""
    if text is None or not KEY_BLOCK.fullmatch(text):
        raise ValueError("The tls-crypt-v2 key cannot be read.")
    return text.rstrip("\n") + "\n"


def _block(text: str, kind: str) -> str:
    pattern = rf"-----BEGIN {kind}-----\n([A-Za-z0-9+/=]{{1,76}}\n)+-----END {kind}-----\n?"
    if not re.fullmatch(pattern, text):
        raise ValueError(f"Exactly one PEM block of a {kind.lower()} was expected.")
    return text.rstrip("\n") + "\n"


def body_of(pem: str) -> str:
    """The base64 of a PEM block in one line, as VyOS expects it."""
    return "".join(line for line in pem.splitlines() if not line.startswith("-----"))


def plain_label(text: str) -> str:
    """A name in characters without a meaning in any configuration: letters, digits, spaces and . _ : - only."""
    return " ".join(re.sub(r"[^A-Za-z0-9._:-]+", " ", label_of(text)).split())


def device_of(router: SiteRouter) -> str:
    """An interface's name of at most 15 characters, of a-z, 0-9 and underscore only: uci allows no hyphen."""
    return tag_of(router).replace("-", "_")


def number_of(router: SiteRouter) -> int:
    """A number from 100 to 999 that belongs to the tag, for platforms that count their interfaces."""
    return 100 + int.from_bytes(hashlib.sha256(tag_of(router).encode()).digest()[:4]) % 900


def metric_of(text: str) -> int:
    """A metric for a tunnel's routes, from 10,000 to 59,999.

    It is higher than those of a machine's own networks (NetworkManager: 100 to 800), and differs for each tunnel, so
    that two of them may have the same network.
    """
    return 10_000 + int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) % 50_000


def with_device(text: str, device: str) -> str:
    """An .ovpn file whose tunnel interface has a name of its own, so that firewalls can refer to it."""
    head, _, rest = text.partition("\ndev tun\n")
    if not rest or "\ndev tun\n" in rest:
        raise ValueError("The profile names no tunnel.")
    return f"{head}\ndev {device}\ndev-type tun\n{rest}"


def without_default(values: tuple[Network, ...]) -> tuple[Network, ...]:
    """The networks but the default routes.

    Most routers must not simply send those into the tunnel: they would match the tunnel's own packets, too.
    """
    return tuple(value for value in networks(values) if value.prefixlen)


def everything_step(allowed: tuple[Network, ...]) -> tuple[Step, ...]:
    """The step that leaves a default route to the admin, if the hub carries all traffic."""
    if all(network.prefixlen for network in allowed):
        return ()
    return (Step(_("The hub takes all traffic: decide with rules and gateways on the router what shall go there.")),)


def checked_key(text: str) -> str:
    """A WireGuard key. Raises ValueError, which never quotes it, for anything else."""
    decode_key(text)
    return text


def checked_number(value: int, lowest: int, highest: int) -> str:
    """A number as text. Raises ValueError for one out of range, and for a value of another type."""
    if type(value) is not int or not lowest <= value <= highest:
        raise ValueError(f"A number from {lowest} to {highest} was expected.")
    return str(value)


def interface_addresses(values: tuple[Interface, ...]) -> tuple[Interface, ...]:
    """The same addresses. Raises ValueError for a value that is no parsed address, or has a zone."""
    if not all(isinstance(value, IPv4Interface | IPv6Interface) for value in values):
        raise ValueError("Parsed addresses were expected.")
    if any(isinstance(value, IPv6Interface) and value.scope_id is not None for value in values):
        raise ValueError("An address cannot have a zone.")
    return values
