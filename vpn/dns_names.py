"""Checks names, domains and records of DNS. As in vpn.validators: ValidationError, with a stable code."""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Network

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from vpn.addressing.reserved import reserved_reason
from vpn.constants import SPECIAL_USE_DOMAINS
from vpn.validators import parse_address, quoted

_PARTLY_ONES_OWN = ("local", "in-addr.arpa", "ip6.arpa")
_FOR_DOCUMENTATION = ("example", "example.com", "example.net", "example.org")


def parse_dns_name(text: str) -> str:
    """A DNS name in lower case, without the final dot (RFC 1035; underscores as in RFC 2782)."""
    name = text.strip().lower().removesuffix(".")
    if not name:
        raise ValidationError(_("Enter a name such as nas.example.org."), code="empty")
    if "*" in name:
        raise ValidationError(
            _("%(name)s: wildcards are not answered. Enter each name.") % {"name": quoted(name)}, code="wildcard"
        )
    if not name.isascii():
        message = _("%(name)s is not in ASCII. Enter the form that DNS carries, which has “xn--” in it.") % {
            "name": quoted(name)
        }
        raise ValidationError(message, code="not_ascii")
    if not re.fullmatch(r"[a-z0-9._-]+", name):
        raise ValidationError(
            _("%(name)s: use letters, digits, hyphens and dots only.") % {"name": quoted(name)}, code="bad_character"
        )
    if len(name) > 253:
        raise ValidationError(
            _("A name has at most 253 characters; this has %(length)s.") % {"length": len(name)}, code="too_long"
        )
    labels = name.split(".")
    if not all(labels):
        raise ValidationError(_("%(name)s has a dot too many.") % {"name": quoted(name)}, code="empty_label")
    if any(len(label) > 63 for label in labels):
        raise ValidationError(_("Between two dots there are at most 63 characters."), code="label_too_long")
    if any(label.startswith("-") or label.endswith("-") for label in labels):
        raise ValidationError(
            _("%(name)s: no part begins or ends with a hyphen.") % {"name": quoted(name)}, code="hyphen_at_end"
        )
    if labels[-1].isdigit():
        raise ValidationError(
            _("%(name)s is a number or an address. Enter a name.") % {"name": quoted(name)}, code="not_a_name"
        )
    return name


def parse_dns_domain(text: str) -> str:
    """A domain for which an admin names servers.

    Some networks have their directory below `local`, and a branch's servers may answer reverse lookups of its subnets.
    """
    name = parse_dns_name(text)
    if name in _PARTLY_ONES_OWN or not any(is_below(name, domain) for domain in _PARTLY_ONES_OWN):
        refuse_special_use(name)
    return name


def is_searched(domain: str) -> bool:
    """May devices use a domain as search domain? A domain of reverse lookups has no names to search."""
    return not is_below(domain, "arpa") or is_below(domain, "home.arpa")


def refuse_special_use(name: str) -> None:
    """Raise ValidationError for a special-use name (RFC 6761)."""
    for domain, reason in SPECIAL_USE_DOMAINS.items():
        if is_below(name, domain):
            raise ValidationError(
                _("%(name)s cannot be used: %(reason)s.") % {"name": quoted(name), "reason": _(reason)},
                code="special_use",
            )


def is_below(name: str, domain: str) -> bool:
    """Does a name equal a domain, or lie below it? Both in lower case."""
    return name == domain or name.endswith(f".{domain}")


def is_reserved(domain: str) -> bool:
    """Is a domain one of those for documentation (RFC 2606), where no name can be published?"""
    return any(is_below(domain, reserved) for reserved in _FOR_DOCUMENTATION)


def parse_record_address(text: str, version: int) -> str:
    """The address in an A record (`version` 4) or an AAAA record (6)."""
    example, other = ("10.1.0.9", "AAAA") if version == 4 else ("fd12:3456::9", "A")
    address = parse_address(
        text.strip(),
        _("Enter an IPv%(version)s address such as %(example)s") % {"version": version, "example": example},
    )
    if address.version != version:
        message = _(
            "%(address)s is an IPv%(version)s address. Choose %(other)s, or enter an IPv%(version2)s address."
        ) % {"address": address, "version": address.version, "other": other, "version2": version}
        raise ValidationError(message, code="wrong_family")
    network = IPv4Network(address) if isinstance(address, IPv4Address) else IPv6Network(address)
    reason = reserved_reason(network)
    if reason is not None:
        raise ValidationError(
            _("%(address)s leads nowhere, as %(reason)s.") % {"address": address, "reason": _(reason)}, code="reserved"
        )
    return str(address)
