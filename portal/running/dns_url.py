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
_PROVIDER_FORM: Final = "libcloud+PROVIDER://KEY:SECRET@HOST:PORT/ZONE?ttl=60"
_PROVIDER_SCHEME: Final = "libcloud+"
# The DNS drivers of apache-libcloud that vpn/publishers/cloud.py knows how to use; how many credentials each takes.
PROVIDERS: Final = {
    "cloudflare": (1, 2),
    "digitalocean": (1,),
    "linode": (1,),
    "powerdns": (1,),
    "route53": (2,),
    "vultr": (1,),
}
_LIFETIME: Final = 60
_LIFETIMES: Final = range(30, 3601)
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


@dataclass(frozen=True)
class ProviderDns:
    """A zone at a DNS provider, which a driver of apache-libcloud reaches.

    `credentials` are a token, or a key and its secret. `host` is "" and `port` is 0 for the provider's own.
    """

    provider: str
    credentials: tuple[str, ...] = field(repr=False)
    host: str
    port: int
    zone: str
    secure: bool
    lifetime: int  # of records, in seconds

    @property
    def server(self) -> str:
        """The provider as sentences name it, with the host if that is set."""
        if not self.host:
            return self.provider
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.provider}@{shown}" + (f":{self.port}" if self.port else "")


def parse_dns_url(url: str, vpn_domain: str) -> DynamicDns | ProviderDns | None:
    """Parse DNS_URL; None if it is empty.

    Raises ValueError with what is wrong and the expected form. It never quotes a secret.
    """
    if not url:
        return None
    scheme, found, rest = url.partition("://")
    if found and scheme.startswith(_PROVIDER_SCHEME):
        return _parse_provider(scheme.removeprefix(_PROVIDER_SCHEME), rest, vpn_domain)
    if not found or scheme != "rfc2136":
        raise ValueError(f"DNS_URL must have the form {_FORM} or {_PROVIDER_FORM}")
    return _parse_updates(rest, vpn_domain)


def _parse_updates(rest: str, vpn_domain: str) -> DynamicDns:
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
        zone=_zone(zone, vpn_domain, _FORM),
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


def _parse_endpoint(text: str, variable: str, default: int = _DNS_PORT) -> tuple[str, int]:
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:]+)\]|([^:\[\]/\s]+))(?::([0-9]{1,5}))?", text)
    if match is None:
        raise ValueError(f"{variable} must name a host, with an optional port behind a colon, not {text!r}")
    host, port = (match[1] or match[2]).lower(), int(match[3]) if match[3] else default
    if match[3] and not 1 <= port <= _MOST_PORT:
        raise ValueError(f"The port in {variable} must be a number from 1 to {_MOST_PORT}, not {port}")
    try:
        return str(ipaddress.ip_address(host)), port
    except ValueError:
        return _name(host, f"the host in {variable}"), port


def _parse_provider(provider: str, rest: str, vpn_domain: str) -> ProviderDns:
    if provider not in PROVIDERS:
        raise ValueError(f"The provider in DNS_URL must be one of {', '.join(PROVIDERS)}, not {provider!r}")
    given, found, place = rest.rpartition("@")
    credentials = tuple(map(unquote, given.split(":", 1)))
    if not found or not all(credentials) or len(credentials) not in PROVIDERS[provider]:
        needed = " or ".join(("TOKEN", "KEY:SECRET")[number - 1] for number in PROVIDERS[provider])
        raise ValueError(f"DNS_URL needs {needed} of {provider} before an @: {_PROVIDER_FORM}")
    location, _, query = place.partition("?")
    endpoint, _, zone = location.partition("/")
    host, port = _parse_endpoint(endpoint, "DNS_URL", default=0) if endpoint else ("", 0)
    options = dict(parse_qsl(query, keep_blank_values=True))
    secure, lifetime = options.pop("secure", "true"), options.pop("ttl", str(_LIFETIME))
    if options:
        raise ValueError(f"DNS_URL of a provider takes the options ttl and secure, not {', '.join(sorted(options))}")
    if secure not in {"true", "false"}:
        raise ValueError(f"The option secure in DNS_URL must be true, or false for plain HTTP, not {secure!r}")
    if not lifetime.isdecimal() or int(lifetime) not in _LIFETIMES:
        limits = f"{_LIFETIMES[0]} to {_LIFETIMES[-1]}"
        raise ValueError(f"The option ttl in DNS_URL must be a number of seconds from {limits}, not {lifetime!r}")
    zone = _zone(zone, vpn_domain, _PROVIDER_FORM)
    return ProviderDns(provider, credentials, host, port, zone, secure == "true", int(lifetime))


def _zone(text: str, vpn_domain: str, form: str) -> str:
    zone = unquote(text).strip("/")
    if not zone:
        raise ValueError(f"DNS_URL must name the zone behind the host: {form}")
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
