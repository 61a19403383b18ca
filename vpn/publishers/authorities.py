"""The servers that a zone names for itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import dns.exception
import dns.message
import dns.name
import dns.rdatatype

from vpn.publishers.answers import ADDRESS_TYPES, ask, faults_of, records_in
from vpn.publishers.base import NotPublished, Patience
from vpn.publishers.resolving import address_of, resolver

_MOST: Final = 6


def first_lagging(servers: Iterable[tuple[str, str]], name: str, addresses: frozenset[str], patience: Patience) -> str:
    """The first of these servers that answers with other addresses for the name; "" if there is none.

    A server that does not answer is left out.
    """
    full = dns.name.from_text(name)
    for shown, address in servers:
        if patience.is_over:
            break
        found = _answered(full, address, patience)
        if found is not None and found != addresses:
            return shown
    return ""


def servers_of(zone: str, patience: Patience) -> list[tuple[str, str]]:
    """The servers of a zone, as (name, address), by the resolver; none if it does not know them."""
    try:
        return other_servers(resolver(patience).resolve(dns.name.from_text(zone), "NS").response, "", patience)
    except (dns.exception.DNSException, OSError):
        return []


def other_servers(answer: dns.message.Message, known: str, patience: Patience) -> list[tuple[str, str]]:
    """The servers in an answer for NS records, as (name, address); without the one at the address `known`."""
    targets = [record.target for rrset in answer.answer if rrset.rdtype == dns.rdatatype.NS for record in rrset]
    found = []
    for target in targets[:_MOST]:
        addresses = _beside(answer, target) or [address_of(target.to_text(), patience)]
        if addresses[0] and known not in addresses:
            found.append((target.to_text(omit_final_dot=True), addresses[0]))
    return found


def _beside(answer: dns.message.Message, target: dns.name.Name) -> list[str]:
    """The addresses that the answer itself has for a server."""
    beside = (rrset for rrset in answer.additional if rrset.name == target and rrset.rdtype in ADDRESS_TYPES)
    return [one.address for rrset in beside for one in rrset]


def _answered(name: dns.name.Name, address: str, patience: Patience) -> frozenset[str] | None:
    """What the server at this address answers for a name; None if it does not answer."""
    found: set[str] = set()
    try:
        with faults_of(address):
            for kind in ADDRESS_TYPES:
                answer = ask(dns.message.make_query(name, kind), address, 53, patience)
                found |= {record.address for record in records_in(answer, name, kind) or ()}
    except NotPublished:
        return None
    return frozenset(found)
