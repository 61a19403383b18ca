"""Record observations of peers: handshakes, endpoints, bytes, hits. Only changes are written."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from typing import NamedTuple
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Case, F, Q, Value, When
from django.utils import timezone

from vpn.choices import Listener
from vpn.models import Instance, InstanceObservation, PeerObservation, Traffic
from vpn.models.row_updates import update_rows
from vpn.observed.connections import Turns, journal_connections
from vpn.observed.hubs import note_families, note_hits, note_upstreams
from vpn.observed.sighting import CLOCK_SKEW, COLUMNS, TIMEOUT, Sighting, began, known_peers, named_peers, names_few
from vpn.observed.trail import networks_on
from vpn.proofs import Coming, Devices, record_devices
from vpn.wire.report import HubReport, SessionReport

# A peer that connected: its id and the public key with which it was seen.
SwitchedPeer = tuple[UUID, str]


class Arrivals(NamedTuple):
    """What a report tells that somebody has to act upon."""

    # Peers that connected over a new protocol while the former one is still valid.
    switched: list[SwitchedPeer]
    # Peers whose profile is used on two devices at once, if it was not so already: the addresses that they came from.
    twofold: dict[UUID, list[str]]


@dataclass
class Findings:
    """The news in the report of one hub."""

    # Peers that connected over a new protocol while the former one is still valid.
    switched: list[SwitchedPeer] = field(default_factory=list)
    twofold: dict[UUID, list[str]] = field(default_factory=dict)
    changed: list[Sighting] = field(default_factory=list)
    incoming: int = 0
    outgoing: int = 0
    # Listeners at which devices connected since the last observation, and listeners with any traffic of devices.
    began_at: set[Coming] = field(default_factory=set)
    heard_at: set[Coming] = field(default_factory=set)
    turns: Turns = field(default_factory=Turns)

    def note(self, peer: Sighting, report: HubReport, now: datetime) -> None:
        """Compare a peer in the report with its recorded state."""
        if peer.former_protocol and peer.has_connected(report):
            self.switched.append((peer.peer_id, peer.peer_key))
        session = (report.sessions or {}).get(str(peer.peer_id))
        seen = session if peer.is_openvpn else (report.peers or {}).get(peer.peer_key)
        if seen is None and (not peer.is_openvpn or _is_unchanged(peer, report)):
            return
        before = (peer.last_handshake, peer.connected_from, peer.endpoint, peer.push_generation)
        received, sent = peer.count(seen)
        if isinstance(seen, SessionReport) or seen is None:
            self._note_session(peer, seen, received)
            peer.take_session(seen, now, report.generation)
            # A later time of observation alone is not written: the byte counters change anyway, at least by pings.
            is_new = before[1:] != (peer.connected_from, peer.endpoint, peer.push_generation)
        else:
            peer.take_handshake(seen, now)
            self._note_handshake(peer, *before[:3])
            is_new = before[:3] != (peer.last_handshake, peer.connected_from, peer.endpoint)
        is_new |= self.turns.note(peer, session.listener if session is not None else "", now)
        if is_new or received or sent:
            self.incoming, self.outgoing = self.incoming + received, self.outgoing + sent
            self.changed.append(peer)
        if peer.is_newly_twofold:
            self.twofold[peer.peer_id] = sorted(set(networks_on(peer.trail)))

    def _note_handshake(
        self, peer: Sighting, handshake: datetime | None, connected_from: datetime | None, endpoint: str
    ) -> None:
        if peer.last_handshake is None or peer.last_handshake == handshake:
            return
        coming = (str(Listener.WIREGUARD), _version(peer.endpoint))
        self.heard_at.add(coming)
        if peer.connected_from != connected_from or peer.endpoint != endpoint:
            self.began_at.add(coming)

    def _note_session(self, peer: Sighting, session: SessionReport | None, received: int) -> None:
        if session is None:
            return
        coming = (f"openvpn_{session.listener}", _version(session.endpoint or ""))
        if received > 0:
            self.heard_at.add(coming)
        if peer.connected_from is None or began(session) > peer.connected_from:
            self.began_at.add(coming)


def _is_unchanged(peer: Sighting, report: HubReport) -> bool:
    """Return True if a short report leaves out the peer's session because nothing has changed."""
    return bool(report.since) and str(peer.peer_id) not in report.ended


def _version(endpoint: str) -> int:
    """The IP version of an endpoint."""
    return 6 if endpoint.startswith("[") else 4


def record_observations(reports: Mapping[UUID, HubReport], asked_at: datetime | None = None) -> dict[UUID, Arrivals]:
    """Record reports by instance, with a constant number of statements and without waiting for locks on instances.

    `asked_at` is the time of the request, by default now. Newer observations, and those of another worker, are kept.
    Returns by instance what has to be acted upon.
    """
    now = timezone.now()
    asked_at = asked_at or now
    known = _known_hubs(reports)
    newer = {pk for pk, at in known.items() if at is None or at < asked_at or at > now + CLOCK_SKEW}
    found = {pk: Findings(turns=Turns(had_gap=_had_gap(known[pk], asked_at))) for pk in newer}
    few = {pk: reports[pk] for pk in newer if names_few(reports[pk])}
    for instance_id, peers in chain(known_peers(newer - few.keys()), named_peers(few)):
        for peer in peers:
            found[instance_id].note(peer, reports[instance_id], now)
    _ensure_traffic([pk for pk, one in found.items() if one.incoming or one.outgoing], now)
    with transaction.atomic():
        # Lock these rows first and in order, so that two workers cannot deadlock.
        rows = InstanceObservation.objects.select_for_update().filter(pk__in=newer).order_by("pk")
        mine = {row.pk: row for row in rows if row.observed_at == known[row.pk]}
        InstanceObservation.objects.filter(pk__in=mine).update(observed_at=asked_at)
        _write_peers([peer for pk in mine for peer in found[pk].changed])
        journal_connections([found[pk].turns for pk in mine])
        _add_traffic({pk: (found[pk].incoming, found[pk].outgoing) for pk in mine}, now)
        note_hits({pk: reports[pk] for pk in mine})
    record_devices({pk: Devices(found[pk].began_at, found[pk].heard_at) for pk in mine})
    note_upstreams(mine.values(), reports)
    note_families({pk: reports[pk] for pk in mine})
    return {pk: Arrivals(found[pk].switched, found[pk].twofold) for pk in mine}


def note_unchanged(instance_ids: Collection[UUID], asked_at: datetime) -> None:
    """Record that hubs were observed whose reports say nothing new; newer observations are kept."""
    if not instance_ids:
        return
    older = Q(observed_at=None) | Q(observed_at__lt=asked_at) | Q(observed_at__gt=timezone.now() + CLOCK_SKEW)
    rows = InstanceObservation.objects.filter(older, pk__in=instance_ids)
    with transaction.atomic():
        # In the order of `record_observations`.
        mine = list(rows.select_for_update().order_by("pk").values_list("pk", flat=True))
        InstanceObservation.objects.filter(pk__in=mine).update(observed_at=asked_at)


def _had_gap(observed_at: datetime | None, asked_at: datetime) -> bool:
    return observed_at is not None and asked_at - observed_at > TIMEOUT


def _known_hubs(reports: Mapping[UUID, HubReport]) -> dict[UUID, datetime | None]:
    """Return when each of these hubs was last observed, and create missing rows for existing instances."""
    known = dict(InstanceObservation.objects.filter(pk__in=reports).values_list("pk", "observed_at"))
    if missing := reports.keys() - known.keys():
        there = list(Instance.objects.filter(pk__in=missing).values_list("pk", flat=True))
        rows = [InstanceObservation(instance_id=pk) for pk in there]
        InstanceObservation.objects.bulk_create(rows, ignore_conflicts=True)
        known |= dict.fromkeys(there)
    return known


def _write_peers(changed: Collection[Sighting]) -> None:
    new = [peer for peer in changed if peer.known_key is None]
    PeerObservation.objects.bulk_create(
        [PeerObservation(peer_id=peer.peer_id, **dict(zip(COLUMNS, peer.values(), strict=True))) for peer in new],
        ignore_conflicts=True,
        batch_size=500,
    )
    # Match the key that was read: renewing a certificate meanwhile replaces the row.
    rows = [(*peer.values(), peer.peer_id, peer.known_key) for peer in changed if peer.known_key is not None]
    update_rows(PeerObservation, COLUMNS, ["peer", "public_key"], rows)


def _ensure_traffic(instance_ids: Collection[UUID], now: datetime) -> None:
    """Create the rows of the day one by one: a foreign key may wait for an action that has locked the instance."""
    day = now.astimezone(UTC).date()
    there = Traffic.objects.filter(instance__in=instance_ids, day=day).values_list("instance", flat=True)
    for pk in set(instance_ids).difference(there):
        with suppress(IntegrityError):  # the instance was deleted meanwhile
            Traffic.objects.bulk_create([Traffic(instance_id=pk, day=day)], ignore_conflicts=True)


def _add_traffic(counted: Mapping[UUID, tuple[int, int]], now: datetime) -> None:
    moved = {pk: both for pk, both in counted.items() if any(both)}
    if not moved:
        return
    more = [Case(*(When(instance=pk, then=Value(both[way])) for pk, both in moved.items())) for way in (0, 1)]
    Traffic.objects.filter(instance__in=moved, day=now.astimezone(UTC).date()).update(
        incoming_bytes=F("incoming_bytes") + more[0], outgoing_bytes=F("outgoing_bytes") + more[1]
    )
