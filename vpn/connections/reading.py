"""Reading the connection journal: filters, search, and pages by the last row's id.

Ids sort by the begin of a connection. What is asked of a moment or a span is who was connected at any time in it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import Q, QuerySet

from portal.models.journal import first_id_at
from portal.searching import has_word
from vpn.models import Connection, ConnectionSubnet, PeerObservation

# A search looks at so many rows at once, so that no search of a long journal takes long.
SEARCHED: Final = 10_000
_CHUNK: Final = 1000
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Filters:
    """Which connections are wanted; what is None or "" does not matter."""

    peer: UUID | None = None
    person: UUID | None = None
    site: UUID | None = None
    instance: UUID | None = None
    # A tunnel address, or one in the networks behind a site.
    address: Address | None = None
    # Connected at any time from `since` until before `until`.
    since: datetime | None = None
    until: datetime | None = None
    words: str = ""

    @property
    def is_narrow(self) -> bool:
        """Do indexes alone find the rows?"""
        return not self.words and self.since is None


@dataclass(frozen=True)
class Found:
    """A page of connections, the last begun first. The next one begins before the id `before`; None on the last."""

    rows: list[Connection]
    before: UUID | None
    # A search was ended early: it goes on with the next page.
    is_cut: bool = False


def find(organization_id: UUID, filters: Filters, *, limit: int, before: UUID | None = None) -> Found:
    """A page of connections. With words or an earliest time, it looks at no more than SEARCHED rows."""
    rows = _indexed(organization_id, filters)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    end = None
    if not filters.is_narrow:
        end = rows.values_list("pk", flat=True)[SEARCHED - 1 : SEARCHED].first()
        if end is not None:
            rows = rows.filter(pk__gte=end)
        if filters.since is not None:
            rows = rows.filter(Q(ended_at=None) | Q(ended_at__gt=filters.since))
        for word in filters.words.split():
            names = (has_word(field, word) for field in ("peer_name", "person", "instance_name", "last_endpoint"))
            rows = rows.filter(_any([*names, has_word("endpoint", word)]))
    found = list(rows[: limit + 1])
    if len(found) > limit:
        return Found(found[:limit], found[limit - 1].pk)
    return Found(found, end, is_cut=end is not None)


def pages(organization_id: UUID, filters: Filters, most: int) -> Iterator[list[Connection]]:
    """Yield the connections that the filters leave, at most so many, in short queries."""
    before: UUID | None = None
    while most > 0:
        found = find(organization_id, filters, limit=min(_CHUNK, most), before=before)
        yield found.rows
        most -= len(found.rows)
        before = found.before
        if before is None:
            return


def documents_of(rows: Collection[Connection]) -> list[dict[str, Any]]:
    """Connections as programs get them; two queries for any number."""
    counters = _counters([row.peer_id for row in rows if row.is_open])
    sets = {row.subnets for row in rows if row.subnets is not None}
    networks: dict[UUID, list[str]] = {}
    for key, network in (
        ConnectionSubnet.objects.filter(set_id__in=sets).order_by("pk").values_list("set_id", "network")
    ):
        networks.setdefault(key, []).append(network)
    return [_document(row, counters, networks.get(row.subnets, []) if row.subnets else []) for row in rows]


def parse_address(text: str) -> Address | None:
    """The address that a text is, with or without a prefix length; None for any other text."""
    try:
        return ipaddress.ip_interface(text.strip().strip("[]")).ip
    except ValueError:
        return None


def _indexed(organization_id: UUID, filters: Filters) -> QuerySet[Connection]:
    """The rows that indexes find, the last begun first."""
    rows = Connection.objects.filter(organization_id=organization_id)
    for name in ("peer", "person", "site", "instance"):
        if (wanted := getattr(filters, name)) is not None:
            rows = rows.filter(**{f"{name}_id": wanted})
    if filters.address is not None:
        rows = rows.filter(_with_address(organization_id, filters.address))
    if filters.until is not None:
        rows = rows.filter(pk__lt=first_id_at(filters.until))
    return rows.order_by("-pk")


def _with_address(organization_id: UUID, address: Address) -> Q:
    """The connections whose own address it was, or that led to it."""
    own = Q(**{f"address_v{address.version}": str(address)})
    holding = [str(ipaddress.ip_network((address, bits), strict=False)) for bits in range(address.max_prefixlen + 1)]
    # A query of its own: as a part of the other one, PostgreSQL reads all rows of the organization.
    sets = ConnectionSubnet.objects.filter(organization_id=organization_id, network__in=holding)
    behind = list(sets.values_list("set_id", flat=True).distinct())
    return own | Q(subnets__in=behind) if behind else own


def _any(conditions: list[Q]) -> Q:
    found = Q()
    for condition in conditions:
        found |= condition
    return found


def _counters(peer_ids: Collection[UUID]) -> dict[UUID, tuple[int, int]]:
    found = PeerObservation.objects.filter(peer__in=peer_ids)
    return {pk: (received, sent) for pk, received, sent in found.values_list("peer", "received_bytes", "sent_bytes")}


def _document(row: Connection, counters: dict[UUID, tuple[int, int]], networks: list[str]) -> dict[str, Any]:
    if row.received_to is not None and row.sent_to is not None:
        received_to, sent_to = row.received_to, row.sent_to
    else:
        received_to, sent_to = counters.get(row.peer_id, (row.received_from, row.sent_from))
    return {
        "id": str(row.pk),
        "began_at": row.began_at.isoformat(),
        "ended_at": row.ended_at.isoformat() if row.ended_at else None,
        "reason": row.reason or None,
        "instance": {"id": str(row.instance_id), "name": row.instance_name},
        "peer": {"id": str(row.peer_id), "name": row.peer_name},
        "user": {"id": str(row.person_id), "email": row.person} if row.person_id else None,
        "site_id": str(row.site_id) if row.site_id else None,
        "protocol": row.protocol,
        "listener": row.listener or None,
        "addresses": [row.address_v4, row.address_v6],
        "subnets": networks,
        "endpoint": row.endpoint or None,
        "last_endpoint": row.last_endpoint or None,
        "endpoint_changes": row.endpoint_changes,
        # A restored database may have counted less since.
        "received_bytes": max(0, received_to - row.received_from),
        "sent_bytes": max(0, sent_to - row.sent_from),
    }
