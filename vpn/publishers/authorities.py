"""The servers that a zone names for itself."""

from __future__ import annotations

from typing import Final

import dns.message
import dns.name
import dns.rdatatype

from vpn.publishers.base import Patience
from vpn.publishers.resolving import address_of

_MOST: Final = 6


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
    kinds = (dns.rdatatype.A, dns.rdatatype.AAAA)
    return [
        one.address for rrset in answer.additional if rrset.name == target and rrset.rdtype in kinds for one in rrset
    ]
