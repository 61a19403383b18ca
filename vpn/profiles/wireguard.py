"""The WireGuard profile in the format of wg-quick(8), which the official apps of every platform import."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network, ip_address

from portal.naming import ascii_text
from vpn.constants import MAX_MTU, MIN_MTU, PERSISTENT_KEEPALIVE
from vpn.keys import decode_key

CONTENT_TYPE = "text/plain; charset=utf-8"

# wg-quick uses the file's name as the interface's name: 1 to 15 of these characters.
INTERFACE_LENGTH = 15
# Names that an interface cannot or should not have: devices and sysctl branches of Linux, device files of Windows.
TAKEN_INTERFACES = re.compile(r"lo|all|default|(eth|wlan|docker|br)[0-9]*|con|prn|aux|nul|(com|lpt)[0-9]")
COMMENT_LENGTH = 80
# Stands where the private key belongs, if the device made its own. Not spelled like the directive, so that no program
# mistakes the comment for one.
OWN_KEY_PLACE = "# This device made its own key: add the line with its private key here."
MOST_METRIC = 65_535
_LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
SEARCH_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


@dataclass(frozen=True)
class WireGuardProfile:
    """All values of a profile.

    Addresses have the prefix length that is written; `endpoint_host` is a name or an address without brackets;
    `private_key` is None if the device keeps its own key.
    """

    name: str
    private_key: str | None = field(repr=False)
    public_key: str
    addresses: tuple[IPv4Interface | IPv6Interface, ...]
    dns: tuple[IPv4Address | IPv6Address, ...]
    mtu: int
    hub_public_key: str
    preshared_key: str | None = field(repr=False)
    endpoint_host: str
    endpoint_port: int
    allowed_ips: tuple[IPv4Network | IPv6Network, ...]
    search_domains: tuple[str, ...] = ()
    keepalive: int = PERSISTENT_KEEPALIVE
    listen_port: int | None = None
    # Only for wg-quick(8) on Linux, as no app accepts such lines: the routes have a higher metric than those of the
    # machine's own networks, and a second tunnel may have the same ones. For full tunnels wg-quick has a method of its
    # own.
    metric: int | None = None


def render(profile: WireGuardProfile) -> str:
    """The file's text, in ASCII.

    Raises ValueError for a value that its line may not hold, so that no value can add a line or a directive.
    """
    lines = []
    comment = ascii_text(profile.name)[:COMMENT_LENGTH].strip()
    if comment:
        lines.append(f"# {comment}")
    lines += ["[Interface]", *_interface(profile), "", "[Peer]", *_peer(profile)]
    return "\n".join(lines) + "\n"


def _interface(profile: WireGuardProfile) -> list[str]:
    lines = [OWN_KEY_PLACE] if profile.private_key is None else [f"PrivateKey = {_key(profile.private_key)}"]
    lines.append("Address = " + _listed(profile.addresses, IPv4Interface, IPv6Interface))
    if profile.listen_port is not None:
        lines.append(f"ListenPort = {_number(profile.listen_port, 1, 65535)}")
    if profile.dns:
        # Entries that are no addresses are search domains (wg-quick(8)).
        servers = _listed(profile.dns, IPv4Address, IPv6Address)
        lines.append("DNS = " + ", ".join([servers, *map(_search_domain, profile.search_domains)]))
    lines.append(f"MTU = {_number(profile.mtu, MIN_MTU, MAX_MTU)}")
    if profile.metric is not None:
        lines += _routes(profile.allowed_ips, _number(profile.metric, 1, MOST_METRIC))
    return lines


def _routes(networks: Sequence[IPv4Network | IPv6Network], metric: int) -> list[str]:
    _listed(networks, IPv4Network, IPv6Network)
    if any(not network.prefixlen for network in networks):
        return []
    return [
        "Table = off",
        *(f"PostUp = ip -{each.version} route add {each} dev %i metric {metric}" for each in networks),
    ]


def _peer(profile: WireGuardProfile) -> list[str]:
    lines = [f"PublicKey = {_key(profile.hub_public_key)}"]
    if profile.preshared_key is not None:
        lines.append(f"PresharedKey = {_key(profile.preshared_key)}")
    lines.append("AllowedIPs = " + _listed(profile.allowed_ips, IPv4Network, IPv6Network))
    lines.append(f"Endpoint = {endpoint(profile.endpoint_host, profile.endpoint_port)}")
    if profile.keepalive:
        lines.append(f"PersistentKeepalive = {_number(profile.keepalive, 1, 65535)}")
    return lines


def configuration_digest(profile: WireGuardProfile) -> str:
    """A digest (hex) of the configuration in a profile, to find outdated ones."""
    return hashlib.sha256(configuration(profile).encode()).hexdigest()


def configuration(profile: WireGuardProfile) -> str:
    """The configuration in a profile, as canonical JSON.

    It holds no secret. It leaves out what may change without a new profile: the name, and the endpoint's host, which
    turns from an address into a name once that resolves.
    """
    configured = {
        "public_key": profile.public_key,
        "addresses": sorted(str(address) for address in profile.addresses),
        "dns": [str(server) for server in profile.dns],
        "mtu": profile.mtu,
        "hub_public_key": profile.hub_public_key,
        "preshared": profile.preshared_key is not None,
        "endpoint_port": profile.endpoint_port,
        "allowed_ips": sorted(str(network) for network in profile.allowed_ips),
        "keepalive": profile.keepalive,
        "listen_port": profile.listen_port,
    }
    if profile.search_domains:
        configured["search_domains"] = list(profile.search_domains)
    return json.dumps(configured, sort_keys=True, separators=(",", ":"))


def filename(name: str, distinction: str = "", fallback: str = "vpn") -> str:
    """A file name that wg-quick and WireGuard for Windows accept as an interface: 1 to 15 characters and ".conf".

    As much of `name` as fits, or `fallback` if nothing of it can be kept, comes before `distinction` (at most 11 of a-z
    and 0-9), which is kept whole.
    """
    end = f"-{distinction}" if distinction else ""
    room = INTERFACE_LENGTH - len(end)
    beginning = _plain(name, room) or _plain(fallback, room) or "vpn"
    interface = f"{beginning}{end}"
    if TAKEN_INTERFACES.fullmatch(interface):
        interface = f"vpn-{interface}"[:INTERFACE_LENGTH]
    return f"{interface}.conf"


def _plain(name: str, longest: int) -> str:
    plain = re.sub(r"[^a-z0-9_-]+", "-", ascii_text(name).lower())
    return plain.strip("-_")[:longest].strip("-_")


@lru_cache(maxsize=1024, typed=True)
def endpoint(host: str, port: int) -> str:
    """host:port, with brackets around an IPv6 address. Cached, as lists ask for those of each hub.

    Raises ValueError for a host that is neither an address nor a name.
    """
    try:
        address = ip_address(host)
    except ValueError:
        if not _is_dns_name(host):
            raise ValueError("The endpoint is neither an address nor a DNS name.") from None
        return f"{host}:{_number(port, 1, 65535)}"
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            raise ValueError("An endpoint cannot have a zone.")
        return f"[{address}]:{_number(port, 1, 65535)}"
    return f"{address}:{_number(port, 1, 65535)}"


def _search_domain(name: str) -> str:
    # wg-quick treats a text of digits and dots, or one with a colon, as an address.
    if len(name) > 253 or not SEARCH_DOMAIN.fullmatch(name) or not re.search("[a-z]", name):
        raise ValueError("A DNS name in lower case was expected.")
    return name


def _is_dns_name(host: str) -> bool:
    label = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    return len(host) <= 253 and re.fullmatch(rf"{label}(\.{label})*", host) is not None


def _key(text: str) -> str:
    decode_key(text)
    return text


def _number(value: int, lowest: int, highest: int) -> int:
    if type(value) is not int or not lowest <= value <= highest:
        raise ValueError(f"A number from {lowest} to {highest} was expected.")
    return value


def _listed(values: Sequence[object], *types: type) -> str:
    # A line gets only parsed addresses, never a text that looks like one; a zone could contain anything.
    for value in values:
        if not isinstance(value, types) or getattr(value, "scope_id", None) is not None:
            raise ValueError("A parsed address or network, without a zone, was expected.")
    if not values:
        raise ValueError("At least one address or network was expected.")
    return ", ".join(str(value) for value in values)
