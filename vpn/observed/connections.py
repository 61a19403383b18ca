"""The connection journal: which connections a report begins and ends, and their rows.

WireGuard has no sessions. A connection begins with a handshake after 180 s without one, and ends 180 s after its last.
OpenVPN tells its sessions. Only begins, ends and new addresses are written: bytes stand in PeerObservation meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from portal.models.journal import NAME_LENGTH
from vpn.choices import EndReason, Protocol
from vpn.models import Connection, ConnectionSubnet, Peer, PeerObservation
from vpn.models.observation import connection_id, subnets_id
from vpn.models.row_updates import update_rows
from vpn.observed.sighting import CLOCK_SKEW, TIMEOUT, Sighting

_BATCH = 500
# OpenVPN tells when a session began, so the same one has the same row.
_MAY_GO_ON = (EndReason.REVOKED, EndReason.EXPIRED, EndReason.LOST)


class Begin(NamedTuple):
    """A connection that began, with the counters before it."""

    peer_id: UUID
    at: datetime
    listener: str
    endpoint: str
    received_from: int
    sent_from: int


class End(NamedTuple):
    """A connection that ended, with the counters then; in the order of the columns that `journal_connections` sets."""

    at: datetime
    reason: EndReason
    received_to: int
    sent_to: int
    connection: UUID


class Roam(NamedTuple):
    """A connection whose peer has another address now."""

    endpoint: str
    connection: UUID


@dataclass
class Turns:
    """What a report of one hub changes in the connection journal."""

    # True if the hub was not observed for so long before that handshakes may have been missed.
    had_gap: bool = False
    begins: list[Begin] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    roams: list[Roam] = field(default_factory=list)

    def note(self, peer: Sighting, listener: str, now: datetime) -> bool:
        """Compare a peer with what was recorded before; return True if a connection began or ended.

        `listener` is that of an OpenVPN session, else "".
        """
        former, began = peer.former, peer.connected_from
        if began == former.connected_from:
            if began is not None and address_of(peer.endpoint) != address_of(former.endpoint):
                self.roams.append(Roam(peer.endpoint, connection_id(peer.peer_id, began)))
            return False
        if former.connected_from is not None:
            self.ends.append(self._end(peer, former.connected_from, now))
        if began is not None and began <= now + CLOCK_SKEW:
            before = former.received_bytes, former.sent_bytes
            self.begins.append(Begin(peer.peer_id, began, listener, peer.endpoint, *before))
        return True

    def _end(self, peer: Sighting, began: datetime, now: datetime) -> End:
        """The end of the recorded connection. What was counted since belongs to the next one, if there is one."""
        former, following = peer.former, peer.connected_from
        at = now if following is None else min(following, now)
        if peer.known_key != peer.peer_key:
            reason = EndReason.RENEWED
        elif peer.is_openvpn:
            reason = EndReason.LEFT if following is None else EndReason.REPLACED
            reason = EndReason.UNSEEN if self.had_gap else reason
        else:
            at, was_seen = _lapse(former.last_handshake or began, peer.last_handshake or began, at)
            reason = EndReason.LEFT if was_seen or not self.had_gap else EndReason.UNSEEN
        counted = (peer.received_bytes, peer.sent_bytes) if following is None else former[3:]
        return End(max(at, began), reason, *counted, connection_id(peer.peer_id, began))


def _lapse(recorded: datetime, told: datetime, latest: datetime) -> tuple[datetime, bool]:
    """When a WireGuard connection ended, from the last handshakes before and now; True if none can be missing."""
    is_same = told - recorded <= TIMEOUT
    return min((told if is_same else recorded) + TIMEOUT, latest), is_same


def address_of(endpoint: str) -> str:
    """The address of an endpoint, without its port."""
    return endpoint.rpartition(":")[0].strip("[]")


def journal_connections(turns: Collection[Turns]) -> None:
    """Write the changes of many hubs, with a constant number of statements. The caller has locked their observations.

    A row that an action has ended stays as it is, and one that is there already is not made anew.
    """
    ends: list[tuple[object, ...]] = [(*end, "") for one in turns for end in one.ends]
    update_rows(Connection, ["ended_at", "reason", "received_to", "sent_to"], ["id", "reason"], ends)
    roams: list[tuple[object, ...]] = [(*roam, "") for one in turns for roam in one.roams]
    if roams:
        update_rows(Connection, ["last_endpoint"], ["id", "reason"], roams)
        moved = Connection.objects.filter(pk__in=[roam.connection for one in turns for roam in one.roams])
        moved.filter(ended_at=None).update(endpoint_changes=F("endpoint_changes") + 1)
    _insert([begin for one in turns for begin in one.begins])


def begin_left_out() -> bool:
    """Insert rows for connected peers that have none, since they were connected before rows were written.

    Their bytes count from now on. True if there may be more.
    """
    there = Connection.objects.filter(peer_id=OuterRef("peer_id"), began_at=OuterRef("connected_from"))
    now = timezone.now()
    found = PeerObservation.objects.filter(
        ~Exists(there),
        Exists(Peer.objects.admitted().filter(pk=OuterRef("peer_id"))),
        # A begin in the future waits until then: a row with it would be found by no search before.
        connected_from__lte=now + CLOCK_SKEW,
        last_handshake__gt=now - TIMEOUT,
    )
    columns = ("peer_id", "connected_from", "endpoint", "received_bytes", "sent_bytes")
    rows = list(found.values_list(*columns)[:_BATCH])
    _insert([Begin(pk, at, "", *counted) for pk, at, *counted in rows])
    return len(rows) == _BATCH


def _insert(begins: Sequence[Begin]) -> None:
    """Insert rows for what began. A late report may name a peer that may not connect any more: it gets none."""
    if not begins:
        return
    peers = {peer.pk: peer for peer in _admitted([begin.peer_id for begin in begins])}
    found = [(begin, peers[begin.peer_id]) for begin in begins if begin.peer_id in peers]
    rows = [_row(begin, peer) for begin, peer in found]
    insert_subnets([(peer, peer.subnets) for _, peer in found])
    Connection.objects.bulk_create(rows, ignore_conflicts=True, batch_size=_BATCH)
    # An act has ended it, but the same session goes on: the hub did not notice that its peer was refused, or came back.
    ids = [row.pk for row in rows if row.protocol == Protocol.OPENVPN]
    same = Connection.objects.filter(pk__in=ids, reason__in=_MAY_GO_ON)
    if ids:
        same.update(ended_at=None, reason="", received_to=None, sent_to=None)


def _admitted(ids: Collection[UUID]) -> Sequence[Peer]:
    columns = (
        "type", "protocol", "host", "device", "subnets", "site__name", "member__user__email", "member__user__name",
        "instance__organization_id", "instance__name", "instance__pool_v4", "instance__pool_v6",
        "instance__pool_origin",
    )  # fmt: skip
    found = Peer.objects.admitted().filter(pk__in=ids)
    return list(found.select_related("instance", "site", "member__user").only(*columns))


def _row(begin: Begin, peer: Peer) -> Connection:
    instance, (address_v4, address_v6) = peer.instance, peer.addresses
    return Connection(
        id=connection_id(peer.pk, begin.at),
        organization_id=instance.organization_id,
        instance_id=instance.pk,
        instance_name=instance.name,
        peer_id=peer.pk,
        peer_name=peer.label[:NAME_LENGTH],
        person_id=peer.member_id,
        person=peer.member.user.email[:NAME_LENGTH] if peer.member is not None else "",
        site_id=peer.site_id,
        protocol=peer.protocol,
        listener=begin.listener,
        address_v4=str(address_v4),
        address_v6=str(address_v6),
        subnets=subnets_id(peer.pk, peer.subnets),
        began_at=begin.at,
        endpoint=begin.endpoint,
        last_endpoint=begin.endpoint,
        received_from=begin.received_from,
        sent_from=begin.sent_from,
    )


def insert_subnets(lists: Collection[tuple[Peer, Sequence[str]]]) -> None:
    """Insert the networks of peers' lists that have no rows yet."""
    by_id = {key: one for one in lists if (key := subnets_id(one[0].pk, [*one[1]])) is not None}
    if not by_id:
        return
    there = set(ConnectionSubnet.objects.filter(set_id__in=by_id).values_list("set_id", flat=True).distinct())
    new = [
        ConnectionSubnet(set_id=key, organization_id=peer.instance.organization_id, peer_id=peer.pk, network=network)
        for key, (peer, networks) in by_id.items()
        if key not in there
        for network in networks
    ]
    ConnectionSubnet.objects.bulk_create(new, ignore_conflicts=True, batch_size=_BATCH)
