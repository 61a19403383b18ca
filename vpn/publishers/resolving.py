"""Whether a name resolves, as the rest of the world sees it: by DNS_RESOLVER, else by the system's resolver."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address

import dns.exception
import dns.name
import dns.resolver
from django.conf import settings

from vpn import failures
from vpn.publishers.base import NotPublished, Patience


def resolve(name: str, patience: Patience) -> frozenset[str]:
    """The addresses of a name, IPv4 and IPv6; none if there is no such name. Raises NotPublished."""
    found: set[str] = set()
    asked = None
    try:
        asked = resolver(patience)
        for kind in ("A", "AAAA"):
            asked.lifetime = patience.timeout
            try:
                found |= {record.address for record in asked.resolve(dns.name.from_text(name), kind)}
            except dns.resolver.NoAnswer:
                continue
    except dns.resolver.NXDOMAIN:
        return frozenset()
    except (dns.exception.DNSException, OSError) as error:
        servers = [str(one) for one in asked.nameservers] if asked is not None else []
        raise NotPublished(failures.NAME_RESOLVER_SILENT.of(servers[0] if servers else "resolv.conf")) from error
    return frozenset(found)


def address_of(host: str, patience: Patience) -> str:
    """The first address of a server, IPv4 before IPv6; "" if it has none that is found."""
    try:
        return str(ip_address(host))
    except ValueError:
        pass
    with suppress(NotPublished):
        return next(iter(sorted(resolve(host, patience), key=lambda one: (":" in one, one))), "")
    return ""


def resolver(patience: Patience) -> dns.resolver.Resolver:
    """The resolver that checks names; it keeps no answers. Raises dns.resolver.NoResolverConfiguration."""
    if settings.DNS_RESOLVER is None:
        found = dns.resolver.Resolver()
    else:
        found = dns.resolver.Resolver(configure=False)
        address, port = settings.DNS_RESOLVER
        found.nameservers, found.port = [address], port
    found.lifetime = found.timeout = patience.timeout
    return found
