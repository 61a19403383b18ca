"""What the profiles of all routers have in common: the site, the files, the steps to take, and the plain names."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from portal.naming import ascii_text
from vpn.keys import decode_key
from vpn.profiles.openvpn import OpenVPNProfile
from vpn.profiles.wireguard import endpoint

TEXT = "text/plain; charset=utf-8"
LABEL_LENGTH = 60
# Short enough for an interface of Linux (15 characters), with room for nothing else.
TAG = re.compile(r"[a-z][a-z0-9-]{0,12}[a-z0-9]")
KEY_BLOCK = re.compile(
    r"-----BEGIN OpenVPN tls-crypt-v2 client key-----\n([A-Za-z0-9+/=]{1,76}\n)+"
    r"-----END OpenVPN tls-crypt-v2 client key-----\n?"
)

# What stands in the field of a private key where the device makes its own.
OWN_KEY = "generate it here, and enter the public key in the portal"

Network = IPv4Network | IPv6Network
Interface = IPv4Interface | IPv6Interface
# What to enter in a form: (label, value).
Values = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class SiteRouter:
    """A site's router. `tag` marks everything that is ours on it: 2 to 14 of a-z, 0-9 and hyphen, one per peer and
    the same for as long as the peer lives, whatever its protocol. `version` is what the admin says it runs, or ""."""

    name: str
    subnets: tuple[Network, ...]
    version: str = ""
    tag: str = "vpn-portal"


@dataclass(frozen=True)
class ProfileFile:
    """A file to download. Its content may hold keys."""

    filename: str
    content: str = field(repr=False)
    content_type: str
    title: str
    # What `GET /client?format=` calls it, where that is not the ending of its name.
    kind: str = ""

    @property
    def format(self) -> str:
        """What `GET /client?format=` calls it, such as `rsc`, or `rsc-remove` for the one that takes `rsc` back."""
        stem, _, ending = self.filename.rpartition(".")
        return self.kind or (f"{ending}-remove" if stem.endswith("-remove") else ending)


@dataclass(frozen=True)
class Step:
    """One thing to do on the router: what, the values to paste as (label, value), and commands to enter."""

    text: str
    values: Values = field(default=(), repr=False)
    commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class RouterProfile:
    """All that a site's admin needs, in order."""

    files: tuple[ProfileFile, ...]
    steps: tuple[Step, ...]


def tag_of(router: SiteRouter) -> str:
    """The router's tag. Raises ValueError for one that a name, a comment or a pattern could not hold as it is."""
    if not TAG.fullmatch(router.tag):
        raise ValueError("A tag is 2 to 14 of a-z, 0-9 and hyphen, beginning with a letter.")
    return router.tag


def label_of(text: str) -> str:
    """A name as a comment may show it: one line of printable ASCII, not too long."""
    return ascii_text(text)[:LABEL_LENGTH].strip()


def networks(values: tuple[Network, ...]) -> tuple[Network, ...]:
    """The same networks, each once, in order. Raises ValueError for anything that is not a parsed network."""
    if not all(isinstance(value, IPv4Network | IPv6Network) for value in values):
        raise ValueError("Parsed networks were expected.")
    return tuple(dict.fromkeys(values))


def host_and_port(host: str, port: int) -> tuple[str, str]:
    """An endpoint's host without brackets, and its port as text. Raises ValueError for what is neither an address
    nor a DNS name, or no port."""
    text, _, number = endpoint(host, port).rpartition(":")
    return text.strip("[]"), number


def remote_of(profile: OpenVPNProfile, *transports: str) -> tuple[str, str, str]:
    """(host, port, transport) of the first remote that is reached over the first of `transports` there is.

    Raises ValueError where the profile has none of them.
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
    """An unencrypted private key as PEM (PKCS 8) with nothing around it. Raises ValueError for anything else, and
    never quotes it."""
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
    """The base64 of a PEM block in one line, as VyOS wants it."""
    return "".join(line for line in pem.splitlines() if not line.startswith("-----"))


def plain_label(text: str) -> str:
    """A name in characters that mean nothing in any configuration: letters, digits, spaces and . _ : - only."""
    return " ".join(re.sub(r"[^A-Za-z0-9._:-]+", " ", label_of(text)).split())


def device_of(router: SiteRouter) -> str:
    """An interface's name of at most 15 characters, of a-z, 0-9 and underscore only: uci allows no hyphen."""
    return tag_of(router).replace("-", "_")


def number_of(router: SiteRouter) -> int:
    """A number from 100 to 999 that belongs to the tag, for platforms that count their interfaces."""
    return 100 + int.from_bytes(hashlib.sha256(tag_of(router).encode()).digest()[:4]) % 900


def metric_of(text: str) -> int:
    """A metric for a tunnel's routes, from 10,000 to 59,999: behind those of a machine's own networks (NetworkManager
    gives them 100 to 800), and another one for each tunnel, so that two of them may have the same network."""
    return 10_000 + int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) % 50_000


def with_device(text: str, device: str) -> str:
    """An .ovpn file whose tunnel has a name of its own, so that firewalls and networks can refer to it."""
    head, _, rest = text.partition("\ndev tun\n")
    if not rest or "\ndev tun\n" in rest:
        raise ValueError("The profile names no tunnel.")
    return f"{head}\ndev {device}\ndev-type tun\n{rest}"


def without_default(values: tuple[Network, ...]) -> tuple[Network, ...]:
    """The networks but the default routes, which most routers must not simply send into the tunnel: the tunnel's own
    packets would take them, too."""
    return tuple(value for value in networks(values) if value.prefixlen)


def everything_step(allowed: tuple[Network, ...]) -> tuple[Step, ...]:
    """The step that leaves a default route to the admin, where the hub takes all traffic."""
    if all(network.prefixlen for network in allowed):
        return ()
    return (Step("The hub takes all traffic: decide with rules and gateways on the router what shall go there."),)


def checked_key(text: str) -> str:
    """A WireGuard key. Raises ValueError, which never quotes it, for anything else."""
    decode_key(text)
    return text


def checked_number(value: int, lowest: int, highest: int) -> str:
    """A number as text. Raises ValueError for one out of range, and for what only looks like a number."""
    if type(value) is not int or not lowest <= value <= highest:
        raise ValueError(f"A number from {lowest} to {highest} was expected.")
    return str(value)


def interface_addresses(values: tuple[Interface, ...]) -> tuple[Interface, ...]:
    """The same addresses. Raises ValueError for what is no parsed address, or has a zone."""
    if not all(isinstance(value, IPv4Interface | IPv6Interface) for value in values):
        raise ValueError("Parsed addresses were expected.")
    if any(isinstance(value, IPv6Interface) and value.scope_id is not None for value in values):
        raise ValueError("An address cannot have a zone.")
    return values
