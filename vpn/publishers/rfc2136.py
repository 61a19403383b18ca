"""Publishes names by signed dynamic updates (RFC 2136), in one zone."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import dns.update

from portal.running.dns_url import DynamicDns
from vpn import failures
from vpn.publishers.answers import ADDRESS_TYPES, ask, faults_of, is_authoritative, records_in
from vpn.publishers.authorities import first_lagging, other_servers
from vpn.publishers.base import NotPublished, Patience
from vpn.publishers.marks import check_inside, mark_name, mark_of
from vpn.publishers.resolving import address_of

LIFETIME: Final = 60  # seconds
_NO_ZONE: Final = frozenset({dns.rcode.NOTAUTH, dns.rcode.NOTZONE})
# Prerequisites of an update that were not met.
_UNMET: Final = frozenset({dns.rcode.NXDOMAIN, dns.rcode.NXRRSET, dns.rcode.YXDOMAIN, dns.rcode.YXRRSET})


@dataclass(frozen=True)
class _Found:
    """A name's addresses in the zone, whether its lifetimes are as published, and whether its mark is the owner's."""

    addresses: frozenset[str]
    lives: bool
    owned: bool


class DynamicUpdates:
    """The publisher of DNS_URL=rfc2136://…"""

    def __init__(self, options: DynamicDns) -> None:
        self._options = options
        self._zone = dns.name.from_text(options.zone)
        self._key = dns.tsig.Key(options.key_name, options.secret, options.algorithm)
        self._known = ""

    def publish(self, name: str, owner: UUID, addresses: Collection[str], patience: Patience) -> bool:
        """As Publisher.publish."""
        check_inside(name, self._options.zone)
        wanted = frozenset(addresses)
        with faults_of(self._options.server):
            found = self._found(name, owner, patience)
            if found.owned and found.lives and found.addresses == wanted:
                return False
            outcome = self._send(self._replacement(name, owner, wanted, is_owned=found.owned), patience)
            if outcome in _UNMET:
                raise NotPublished(failures.NAME_TAKEN.of(name))
        return True

    def withdraw(self, name: str, owner: UUID, patience: Patience) -> None:
        """As Publisher.withdraw."""
        check_inside(name, self._options.zone)
        full, mark = _names(name)
        update = dns.update.UpdateMessage(self._zone, keyring=self._key)
        update.present(mark, dns.rdatatype.TXT, mark_of(owner))
        for kind in ADDRESS_TYPES:
            update.delete(full, kind)
        update.delete(mark, dns.rdatatype.TXT)
        with faults_of(self._options.server):
            # Without the mark, there is nothing of this owner to remove.
            self._send(update, patience)

    def lagging(self, name: str, addresses: Collection[str], patience: Patience) -> str:
        """As Publisher.lagging."""
        with faults_of(self._options.server):
            host = self._address(patience)
            servers = other_servers(self._query(self._zone, dns.rdatatype.NS, patience), host, patience)
        return first_lagging(servers, name, frozenset(addresses), patience)

    def _found(self, name: str, owner: UUID, patience: Patience) -> _Found:
        full, mark = _names(name)
        addresses: set[str] = set()
        lives = True
        for kind in ADDRESS_TYPES:
            rrset = records_in(self._query(full, kind, patience), full, kind)
            if rrset is not None:
                addresses |= {record.address for record in rrset}
                lives = lives and rrset.ttl == LIFETIME
        marks = records_in(self._query(mark, dns.rdatatype.TXT, patience), mark, dns.rdatatype.TXT)
        own = mark_of(owner).encode()
        return _Found(frozenset(addresses), lives, any(b"".join(one.strings) == own for one in marks or ()))

    def _query(self, name: dns.name.Name, kind: dns.rdatatype.RdataType, patience: Patience) -> dns.message.Message:
        query = dns.message.make_query(name, kind)
        query.use_tsig(self._key)
        answer = ask(query, self._address(patience), self._options.port, patience)
        if not is_authoritative(answer):
            # BIND refuses queries in zones that it does not have.
            lacks = answer.rcode() == dns.rcode.REFUSED
            raise self._fault(dns.rcode.NOTAUTH if lacks else answer.rcode())
        return answer

    def _replacement(
        self, name: str, owner: UUID, addresses: frozenset[str], *, is_owned: bool
    ) -> dns.update.UpdateMessage:
        """One atomic update, with the condition that the name is the owner's, or free."""
        full, mark = _names(name)
        update = dns.update.UpdateMessage(self._zone, keyring=self._key)
        if is_owned:
            update.present(mark, dns.rdatatype.TXT, mark_of(owner))
        else:
            update.absent(full)
            update.absent(mark)
            update.add(mark, LIFETIME, dns.rdatatype.TXT, mark_of(owner))
        for kind in ADDRESS_TYPES:
            update.delete(full, kind)
        for address in sorted(addresses):
            update.add(full, LIFETIME, dns.rdatatype.AAAA if ":" in address else dns.rdatatype.A, address)
        return update

    def _send(self, update: dns.update.UpdateMessage, patience: Patience) -> dns.rcode.Rcode:
        address = self._address(patience)
        answer = dns.query.tcp(update, address, timeout=patience.timeout, port=self._options.port)
        if answer.rcode() != dns.rcode.NOERROR and answer.rcode() not in _UNMET:
            raise self._fault(answer.rcode())
        return answer.rcode()

    def _fault(self, rcode: dns.rcode.Rcode) -> NotPublished:
        if rcode == dns.rcode.REFUSED:
            return NotPublished(failures.NAME_UPDATE_REFUSED.of(self._options.server))
        if rcode in _NO_ZONE or rcode == dns.rcode.NOERROR:
            return NotPublished(failures.NAME_ZONE_MISSING.of(self._options.zone))
        return NotPublished(failures.NAME_SERVER_FAILED.of(dns.rcode.to_text(rcode)))

    def _address(self, patience: Patience) -> str:
        """The server's address, looked up once for each look at a name."""
        if not self._known:
            self._known = address_of(self._options.host, patience)
        if not self._known:
            raise NotPublished(failures.NAME_SERVER_UNKNOWN.of(self._options.host))
        return self._known


def _names(name: str) -> tuple[dns.name.Name, dns.name.Name]:
    return dns.name.from_text(name), dns.name.from_text(mark_name(name))


def _mark_of(owner: UUID) -> str:
    return f"owner={owner}"
