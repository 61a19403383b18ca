"""Checks of input. Each refusal has a stable code and says what to enter instead.

`validate_…` returns nothing, `parse_…` returns the parsed value; both raise Django's ValidationError.
"""

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from uuid import UUID

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from vpn.addressing.networks import Network, contains, is_broad, is_default_route, overlaps
from vpn.addressing.reserved import IN_GUEST, reserved_reason
from vpn.constants import (
    HOSTNAME_LENGTH,
    LABEL_TEXT_LENGTH,
    MAX_MTU,
    MAX_POOL_PREFIX,
    MIN_MTU,
    MIN_POOL_PREFIX,
    NAME_LENGTH,
    PRIVATE_NETWORKS_V4,
    RESERVED_HOSTNAMES,
)
from vpn.keys import decode_key, is_canonical, is_contributory

LAST_TCP_PORT = 65_535
NOT_A_PROBE_URL = gettext_lazy(
    "Enter an address such as https://fra1.example.com/ping.txt. Only localhost may have http."
)
# No character in it separates or ends the sources of a content security policy, which knows no IPv6 addresses.
_PROBE_URL = re.compile(
    r"(?:https://[A-Za-z0-9][A-Za-z0-9.-]*|http://(?:localhost|127\.0\.0\.1))(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?:/[A-Za-z0-9._~!$&()*+=:@%/-]*(?:\?[A-Za-z0-9._~!$&()*+=:@%/?-]*)?)?"
)
# A refusal quotes at most this many characters of the input.
QUOTED_CHARACTERS = 50


def validate_name(value: str) -> None:
    """A name of an instance: 3 to 20 printable characters, with no space at either end."""
    _validate_text(value, *NAME_LENGTH)


def validate_label_text(value: str) -> None:
    """A name of a device or site: 1 to 40 printable characters, with no space at either end."""
    _validate_text(value, *LABEL_TEXT_LENGTH)


def _validate_text(value: str, shortest: int, longest: int) -> None:
    # isprintable() also refuses line separators, zero-width characters and bidirectional overrides, which can make one
    # name look like another.
    if not value.isprintable():
        raise ValidationError(_("Use letters, digits and signs only, on one line."), code="not_printable")
    if value != value.strip():
        raise ValidationError(_("Remove the space at the beginning or at the end."), code="not_stripped")
    _validate_length(value, shortest, longest)


def _validate_length(value: str, shortest: int, longest: int) -> None:
    if not value:
        raise ValidationError(
            _("Enter %(shortest)s to %(longest)s characters.") % {"shortest": shortest, "longest": longest},
            code="too_short",
        )
    if not shortest <= len(value) <= longest:
        code = "too_short" if len(value) < shortest else "too_long"
        raise ValidationError(
            _("Use %(shortest)s to %(longest)s characters; this has %(value)s.")
            % {"shortest": shortest, "longest": longest, "value": len(value)},
            code=code,
        )


def validate_hostname(value: str) -> None:
    """The first label of an instance's public name: 3 to 20 characters of one DNS label, lower case (RFC 1123)."""
    if value.isascii() and value != value.lower():
        raise ValidationError(_("Use lower case: %(value)s.") % {"value": quoted(value.lower())}, code="upper_case")
    if "." in value:
        raise ValidationError(_("Enter the first part of the name only, without a dot."), code="dot")
    if not re.fullmatch(r"[a-z0-9-]*", value):
        raise ValidationError(_("Use the letters a to z, digits and hyphens only."), code="bad_character")
    _validate_length(value, *HOSTNAME_LENGTH)
    if value.startswith("-") or value.endswith("-"):
        raise ValidationError(_("Begin and end with a letter or digit, not with a hyphen."), code="hyphen_at_end")
    if value[2:4] == "--":
        # Such labels are reserved for internationalised names ("xn--"; RFC 5890, section 2.3.1).
        raise ValidationError(_("Do not use two hyphens as third and fourth character."), code="reserved_label")
    if value in RESERVED_HOSTNAMES:
        raise ValidationError(
            _("%(value)s is reserved. Choose another hostname.") % {"value": quoted(value)}, code="reserved"
        )


def parse_network(text: str) -> Network:
    """An IPv4 or IPv6 network in CIDR notation, such as 10.1.0.0/24; white space around it is ignored."""
    return _parse_network(text.strip())


@lru_cache(maxsize=32_768)
def _parse_network(text: str) -> Network:
    """Cached, since the networks of large hubs are parsed often."""
    address_text, slash, prefix_text = text.partition("/")
    address = parse_address(address_text, _("Enter a network such as 10.1.0.0/24 or fd12:3456::/48"))
    longest = address.max_prefixlen
    if not slash:
        raise ValidationError(
            _(
                "Add the prefix length: %(address)s/%(longest)s for this one address, or such as 10.1.0.0/24 for a "
                "network."
            )
            % {"address": address, "longest": longest},
            code="no_prefix",
        )
    # Netmasks and leading zeros, which ipaddress accepts, are refused, so that a network has one spelling.
    if not re.fullmatch(r"0|[1-9][0-9]{0,2}", prefix_text, re.ASCII) or int(prefix_text) > longest:
        raise ValidationError(
            _("Use a prefix length from 0 to %(longest)s after the slash.") % {"longest": longest}, code="bad_prefix"
        )
    network: Network
    if isinstance(address, IPv4Address):
        network = IPv4Network((address, int(prefix_text)), strict=False)
    else:
        network = IPv6Network((address, int(prefix_text)), strict=False)
    if network.network_address != address:
        raise ValidationError(
            _("%(address)s/%(prefixlen)s has host bits set; the network is %(network)s.")
            % {"address": address, "prefixlen": network.prefixlen, "network": network},
            code="host_bits",
        )
    return network


def parse_address(text: str, instead: str) -> IPv4Address | IPv6Address:
    """An address without a zone. `instead` begins the refusal: what to enter."""
    if "%" in text:
        raise ValidationError(
            _("%(text)s has a zone, which only means something on one host.") % {"text": quoted(text)}, code="zone"
        )
    if re.search(r"(^|\.)0[0-9]", text) and ":" not in text:
        # Some programs read 010 as octal, so an ambiguous address is refused.
        raise ValidationError(
            _("%(text)s has leading zeros. Write it without them.") % {"text": quoted(text)}, code="leading_zero"
        )
    try:
        return ip_address(text)
    except (AddressValueError, ValueError):
        raise ValidationError(
            _("%(instead)s; %(text)s is not one.") % {"instead": instead, "text": quoted(text)}, code="not_an_address"
        ) from None


def parse_pool(text: str) -> IPv4Network:
    """The IPv4 network of an instance's pool: a private or shared one, /16 to /24."""
    network = parse_network(text)
    if not isinstance(network, IPv4Network) or not any(contains(base, network) for base in PRIVATE_NETWORKS_V4):
        bases = ", ".join(map(str, PRIVATE_NETWORKS_V4))
        raise ValidationError(_("Choose an IPv4 network within %(bases)s.") % {"bases": bases}, code="not_private")
    if not MIN_POOL_PREFIX <= network.prefixlen <= MAX_POOL_PREFIX:
        message = _(
            "Choose a prefix length from %(min_pool_prefix)s to %(max_pool_prefix)s; this is /%(prefixlen)s."
        ) % {"min_pool_prefix": MIN_POOL_PREFIX, "max_pool_prefix": MAX_POOL_PREFIX, "prefixlen": network.prefixlen}
        raise ValidationError(message, code="pool_size")
    reason = reserved_reason(network)
    if reason is not None:
        raise ValidationError(
            _("%(network)s cannot be a pool, as %(reason)s.") % {"network": network, "reason": reason}, code="reserved"
        )
    return network


def parse_server_network(text: str) -> Network:
    """A network behind a hub's server that instances may push.

    Metadata addresses, links of hubs and broad networks are refused.
    """
    network = parse_network(text)
    reason = reserved_reason(network)
    if reason is not None:
        raise ValidationError(
            _("%(network)s cannot be allowed, as %(reason)s.") % {"network": network, "reason": reason}, code="reserved"
        )
    if is_default_route(network) or is_broad(network):
        raise ValidationError(
            _("%(network)s is too wide. Allow the networks that are really needed.") % {"network": network},
            code="broad",
        )
    for service in IN_GUEST:
        if overlaps(network, service):
            message = _(
                "%(network)s cannot be allowed, as it contains %(service)s, from which a machine gets its secrets."
            ) % {"network": network, "service": service}
            raise ValidationError(message, code="metadata")
    return network


def validate_pool(value: str) -> None:
    """As `parse_pool`."""
    parse_pool(value)


def parse_pushed_route(text: str) -> Network:
    """A network that every split-tunnel client sends to the hub: neither reserved nor broad."""
    network = parse_network(text)
    if is_default_route(network):
        raise ValidationError(
            _("%(network)s is the default route. Choose “All traffic” on the peers that should send everything.")
            % {"network": network},
            code="default_route",
        )
    reason = reserved_reason(network)
    if reason is not None:
        raise ValidationError(
            _("%(network)s cannot be pushed, as %(reason)s.") % {"network": network, "reason": reason}, code="reserved"
        )
    if is_broad(network):
        raise ValidationError(
            _("%(network)s is too wide. Push the networks that are really needed.") % {"network": network}, code="broad"
        )
    return network


def parse_dns_server(text: str) -> IPv4Address | IPv6Address:
    """The address of a DNS server to which a hub forwards queries."""
    address = parse_address(text.strip(), _("Enter the address of a DNS server, such as 9.9.9.9"))
    network = IPv4Network(address) if isinstance(address, IPv4Address) else IPv6Network(address)
    reason = reserved_reason(network)
    if reason is not None:
        raise ValidationError(
            _("%(address)s cannot be a DNS server, as %(reason)s.") % {"address": address, "reason": reason},
            code="reserved",
        )
    return address


def parse_ports(text: str) -> str:
    """A destination port or a range of them in canonical form: "443", "1000-2000"; white space is ignored."""
    found = re.fullmatch(r"([1-9][0-9]{0,4})(?:\s*-\s*([1-9][0-9]{0,4}))?", text.strip(), re.ASCII)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not found or max(first, last) > 65535:
        raise ValidationError(_("Enter a port from 1 to 65535, or a range such as 1000-2000."), code="not_a_port")
    if first > last:
        raise ValidationError(
            _("The first port comes first: %(last)s-%(first)s.") % {"last": last, "first": first},
            code="wrong_way_round",
        )
    return str(first) if first == last else f"{first}-{last}"


def parse_rule_end(text: str) -> str:
    """One end of a firewall rule, in canonical form: `any`, a network, `site:ID`, `user:ID` or `group:ID`."""
    return _parse_rule_end(text.strip())


@lru_cache(maxsize=16_384)
def _parse_rule_end(text: str) -> str:
    if text == "any":
        return text
    kind, _colon, key = text.partition(":")
    if kind in {"site", "user", "group"}:
        try:
            return f"{kind}:{UUID(key)}"
        except ValueError:
            raise ValidationError(
                _("Give the id of the %(kind)s after the colon.") % {"kind": kind}, code="not_an_id"
            ) from None
    if not re.match(r"[0-9a-fA-F]*[.:]|[0-9]+/", text):
        nothing = _("%(text)s is none of them.") % {"text": quoted(text)} if text else _("This is empty.")
        raise ValidationError(
            _("Enter any, a network such as 10.1.0.0/24, or a site, member or group. %(nothing)s")
            % {"nothing": nothing},
            code="not_an_end",
        )
    return str(parse_network(text))


def validate_mtu(value: int) -> None:
    """The MTU inside the tunnels, in bytes."""
    if not MIN_MTU <= value <= MAX_MTU:
        raise ValidationError(
            _("Use an MTU from %(min_mtu)s to %(max_mtu)s.") % {"min_mtu": MIN_MTU, "max_mtu": MAX_MTU},
            code="out_of_range",
        )


def validate_probe_url(value: str) -> None:
    """An address that browsers may fetch to measure a round trip: https, or http on this machine."""
    if not is_probe_url(value):
        raise ValidationError(NOT_A_PROBE_URL, code="probe_url")


def is_probe_url(text: str) -> bool:
    """May browsers fetch this address to measure a round trip?"""
    found = _PROBE_URL.fullmatch(text)
    return found is not None and int(found["port"] or 443) <= LAST_TCP_PORT


def validate_wireguard_key(value: str) -> None:
    """A public key from a device. A refusal never quotes it: it may be a private key pasted by mistake."""
    try:
        raw = decode_key(value)
    except ValueError:
        message = _("Paste the public key as WireGuard shows it: 44 characters of base64, ending in “=”.")
        raise ValidationError(message, code="not_a_key") from None
    if not is_contributory(raw) or not is_canonical(raw):
        message = _("This key would protect nothing. Make a new key pair on the device and paste its public key.")
        raise ValidationError(message, code="weak_key")


def quoted(text: str) -> str:
    """The input as a refusal quotes it."""
    shown = text if len(text) <= QUOTED_CHARACTERS else text[:QUOTED_CHARACTERS] + "…"
    return f"“{shown}”"
