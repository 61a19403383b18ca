"""DNS_URL and DNS_RESOLVER: who publishes the hubs' public names, and which resolver checks them."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote

_FORM: Final = "rfc2136://KEY:SECRET@HOST:PORT/ZONE?algorithm=hmac-sha256"
_ALGORITHMS: Final = ("hmac-sha256", "hmac-sha224", "hmac-sha384", "hmac-sha512", "hmac-sha1")
_DNS_PORT: Final = 53
_MOST_PORT: Final = 65_535
_NAME: Final = re.compile(
    r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*"
)


@dataclass(frozen=True)
class DynamicDns:
    """A server that takes signed updates of one zone (RFC 2136, RFC 8945)."""

    host: str
    port: int
    zone: str
    key_name: str
    secret: bytes = field(repr=False)
    algorithm: str

    @property
    def server(self) -> str:
        """The server as sentences name it."""
        return _endpoint(self.host, self.port)


def parse_dns_url(url: str, vpn_domain: str) -> DynamicDns | None:
    """Parse DNS_URL; None if it is empty.

    Raises ValueError with what is wrong and the expected form. It never quotes the key's secret.
    """
    if not url:
        return None
    scheme, found, rest = url.partition("://")
    if not found or scheme != "rfc2136":
        raise ValueError(f"DNS_URL must have the form {_FORM}")
    # A secret in base64 may contain slashes, so the credentials are taken off first.
    credentials, found, place = rest.rpartition("@")
    key_name, colon, secret = credentials.partition(":")
    if not found or not colon or not key_name or not secret:
        raise ValueError(f"DNS_URL needs the name and the secret of a TSIG key before the host: {_FORM}")
    location, _, query = place.partition("?")
    endpoint, _, zone = location.partition("/")
    host, port = _parse_endpoint(endpoint, "DNS_URL")
    return DynamicDns(
        host=host,
        port=port,
        zone=_zone(zone, vpn_domain),
        key_name=_name(unquote(key_name), "the name of the key in DNS_URL"),
        secret=_secret(unquote(secret)),
        algorithm=_algorithm(query),
    )


def parse_dns_resolver(text: str) -> tuple[str, int] | None:
    """Parse DNS_RESOLVER, an address with an optional port; None if it is empty. Raises ValueError."""
    if not text:
        return None
    try:
        return str(ipaddress.ip_address(text)), _DNS_PORT
    except ValueError:
        pass
    try:
        host, port = _parse_endpoint(text, "DNS_RESOLVER")
        return str(ipaddress.ip_address(host)), port
    except ValueError:
        form = "an address with an optional port, such as 192.0.2.53 or [2001:db8::53]:53"
        raise ValueError(f"DNS_RESOLVER must be {form}, not {text!r}") from None


def _endpoint(host: str, port: int) -> str:
    shown = f"[{host}]" if ":" in host else host
    return shown if port == _DNS_PORT else f"{shown}:{port}"


def _parse_endpoint(text: str, variable: str) -> tuple[str, int]:
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:]+)\]|([^:\[\]/\s]+))(?::([0-9]{1,5}))?", text)
    if match is None:
        raise ValueError(f"{variable} must name a host, with an optional port behind a colon, not {text!r}")
    host, port = (match[1] or match[2]).lower(), int(match[3] or _DNS_PORT)
    if not 1 <= port <= _MOST_PORT:
        raise ValueError(f"The port in {variable} must be a number from 1 to {_MOST_PORT}, not {port}")
    try:
        return str(ipaddress.ip_address(host)), port
    except ValueError:
        return _name(host, f"the host in {variable}"), port


def _zone(text: str, vpn_domain: str) -> str:
    zone = unquote(text).strip("/")
    if not zone:
        raise ValueError(f"DNS_URL must name the zone behind the host: {_FORM}")
    zone = _name(zone, "the zone in DNS_URL")
    if vpn_domain != zone and not vpn_domain.endswith(f".{zone}"):
        raise ValueError(
            f"VPN_DOMAIN is {vpn_domain}, which is not in the zone {zone} of DNS_URL: set VPN_DOMAIN to {zone} or to a "
            "name below it"
        )
    return zone


def _name(text: str, what: str) -> str:
    name = text.lower().strip(".")
    if not _NAME.fullmatch(name):
        raise ValueError(f"{what[0].upper()}{what[1:]} must be a DNS name, not {text!r}")
    return name


def _secret(text: str) -> bytes:
    try:
        secret = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not secret:
        raise ValueError("The secret in DNS_URL must be in base64, as tsig-keygen prints it")
    return secret


def _algorithm(query: str) -> str:
    options = dict(parse_qsl(query, keep_blank_values=True))
    algorithm = options.pop("algorithm", _ALGORITHMS[0]).lower().strip(".")
    if options:
        raise ValueError(f"DNS_URL takes the option algorithm alone, not {', '.join(sorted(options))}")
    if algorithm not in _ALGORITHMS:
        raise ValueError(f"The algorithm in DNS_URL must be one of {', '.join(_ALGORITHMS)}, not {algorithm!r}")
    return algorithm
