"""How a report changes one peer's recorded state: handshake, endpoint, session, bytes. Nothing is written here."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Final, NamedTuple
from uuid import UUID

from django.db.models import Q

from vpn.choices import Protocol
from vpn.constants import HANDSHAKE_TIMEOUT
from vpn.models import Peer
from vpn.models.observation.peer import TWOFOLD_KEPT
from vpn.models.querysets import PeerQuerySet
from vpn.observed.trail import followed, is_of_two
from vpn.wire.report import HubReport, PeerReport, SessionReport

# A server's clock may be slightly ahead of ours. Times further in the future are rejected.
CLOCK_SKEW = timedelta(seconds=30)
TIMEOUT: Final = timedelta(seconds=HANDSHAKE_TIMEOUT)
# Up to this number, the peers of one report are read by their names.
_FEW: Final = 500
# The columns of PeerObservation, in the order of `Sighting.values`.
COLUMNS = [
    "public_key",
    "last_handshake",
    "connected_from",
    "endpoint",
    "push_generation",
    "trail",
    "twofold_from",
    "twofold_at",
    "received_bytes",
    "sent_bytes",
    "counter_received",
    "counter_sent",
]


class Former(NamedTuple):
    """A peer's connection as it was recorded before a report."""

    connected_from: datetime | None
    last_handshake: datetime | None
    endpoint: str
    received_bytes: int
    sent_bytes: int


@dataclass(slots=True)
class Sighting:
    """A peer with its recorded state. `known_key` is the key that the state belongs to; None if never observed."""

    instance_id: UUID
    peer_id: UUID
    protocol: str
    former_protocol: str
    peer_key: str
    known_key: str | None
    last_handshake: datetime | None
    connected_from: datetime | None
    endpoint: str
    push_generation: int | None
    trail: str
    twofold_from: datetime | None
    twofold_at: datetime | None
    received_bytes: int
    sent_bytes: int
    counter_received: int
    counter_sent: int
    # What was recorded before this report, also of an earlier key.
    former: Former = field(init=False)
    # True if this report is the first that shows two devices.
    is_newly_twofold: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        """Reset state that belongs to an earlier key. The byte counters belong to the peer and stay."""
        if self.known_key is None:
            self.received_bytes, self.sent_bytes, self.trail = 0, 0, ""
        self.former = Former(
            self.connected_from, self.last_handshake, self.endpoint, self.received_bytes, self.sent_bytes
        )
        if self.known_key != self.peer_key:
            self.last_handshake = self.connected_from = self.push_generation = None
            self.trail, self.twofold_from, self.twofold_at = "", None, None
            self.endpoint, self.counter_received, self.counter_sent = "", 0, 0

    @property
    def is_openvpn(self) -> bool:
        """True if the peer uses OpenVPN."""
        return self.protocol == Protocol.OPENVPN

    def values(self) -> tuple[object, ...]:
        """Return the state in the order of COLUMNS."""
        return (
            self.peer_key,
            self.last_handshake,
            self.connected_from,
            self.endpoint,
            self.push_generation,
            self.trail,
            self.twofold_from,
            self.twofold_at,
            self.received_bytes,
            self.sent_bytes,
            self.counter_received,
            self.counter_sent,
        )

    def has_connected(self, report: HubReport) -> bool:
        """Return True if the peer has connected over its current protocol, according to the report."""
        if self.is_openvpn:
            return str(self.peer_id) in (report.sessions or {})
        seen = (report.peers or {}).get(self.peer_key)
        return seen is not None and seen.latest_handshake > 0

    def count(self, seen: PeerReport | SessionReport | None) -> tuple[int, int]:
        """Update the counters; returns the bytes since the last observation, from the peer and to it."""
        if seen is None:
            return 0, 0
        received, sent = seen.received_bytes - self.counter_received, seen.sent_bytes - self.counter_sent
        # A lower counter means that the hub was restarted. A new session starts at zero.
        is_new = isinstance(seen, SessionReport) and began(seen) != self.connected_from
        if is_new or received < 0 or sent < 0:
            received, sent = seen.received_bytes, seen.sent_bytes
        self.counter_received, self.counter_sent = seen.received_bytes, seen.sent_bytes
        self.received_bytes += received
        self.sent_bytes += sent
        return received, sent

    def take_handshake(self, seen: PeerReport, now: datetime) -> None:
        """Update handshake, endpoint and the start of the connection over WireGuard."""
        if seen.latest_handshake:
            handshake = _moment(seen.latest_handshake)
            if handshake <= now + CLOCK_SKEW:
                lapsed = self.last_handshake is None or handshake - self.last_handshake > TIMEOUT
                # A connection begins with a handshake of its own, also after the portal has ended one.
                is_new = self.last_handshake is None or handshake > self.last_handshake
                if lapsed or (self.connected_from is None and is_new):
                    self.connected_from = handshake
                # A restarted hub may report older handshakes at first, so keep the latest.
                self.last_handshake = max(handshake, self.last_handshake or handshake)
        if self.last_handshake is None or now - self.last_handshake > TIMEOUT:
            self.connected_from = None
        self._come_from(seen.endpoint, now)

    def take_session(self, session: SessionReport | None, now: datetime, generation: int) -> None:
        """Update the OpenVPN session (None: not connected) from the report of a hub at this generation."""
        self.push_generation = self._not_pushed(session, generation)
        if session is None:
            self.connected_from = None
        else:
            self.connected_from = began(session)
            self.last_handshake = now
            self._come_from(session.endpoint, now)

    def _come_from(self, endpoint: str | None, now: datetime) -> None:
        """Update the endpoint, and whether two devices use the profile."""
        if not endpoint or endpoint == self.endpoint:
            return
        trail = followed(self.trail, self.endpoint, endpoint, now)
        if trail != self.trail and is_of_two(trail):
            if self.twofold_at is None or now - self.twofold_at > TWOFOLD_KEPT:
                self.twofold_from, self.is_newly_twofold = now, True
            self.twofold_at = now
        self.endpoint, self.trail = endpoint, trail

    def _not_pushed(self, session: SessionReport | None, generation: int) -> int | None:
        """Return the first generation whose options the session lacks. A hub at an older generation cannot know yet."""
        if session is None:
            return None
        if session.push_outdated:
            return self.push_generation or generation
        is_behind = self.push_generation is not None and generation < self.push_generation
        return self.push_generation if is_behind else None


def began(session: SessionReport) -> datetime:
    """Return when a session began."""
    return _moment(session.connected_since)


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(min(seconds, 2**33), UTC)


def known_peers(instance_ids: Collection[UUID]) -> Iterator[tuple[UUID, Iterator[Sighting]]]:
    """Yield by instance its peers with their recorded state; one query."""
    return _by_instance(Peer.objects.filter(instance__in=instance_ids)) if instance_ids else iter(())


def names_few(report: HubReport) -> bool:
    """Return True if a report has so few peers that these are better read by name than all."""
    return len(report.peers or {}) + len(report.sessions or {}) + len(report.ended) <= _FEW


def named_peers(reports: Mapping[UUID, HubReport]) -> Iterator[tuple[UUID, Iterator[Sighting]]]:
    """Yield by instance those peers that reports concern, with their recorded state; one query at most.

    A whole report also concerns peers whose recorded session it does not name: that has ended.
    """
    keys = {key for report in reports.values() for key in report.peers or ()}
    ids = {peer_id for report in reports.values() for peer_id in (*(report.sessions or ()), *report.ended)}
    whole = [pk for pk, report in reports.items() if not report.since]
    if not (keys or ids or whole):
        return iter(())
    concerned = Q(public_key__in=keys) | Q(pk__in=ids)
    if whole:
        recorded = Q(observation__connected_from__isnull=False) | Q(observation__push_generation__isnull=False)
        concerned |= Q(recorded, instance__in=whole, protocol=Protocol.OPENVPN)
    return _by_instance(Peer.objects.filter(concerned, instance__in=reports))


def _by_instance(peers: PeerQuerySet) -> Iterator[tuple[UUID, Iterator[Sighting]]]:
    columns = [
        "instance_id",
        "pk",
        "protocol",
        "former_protocol",
        "public_key",
        *(f"observation__{c}" for c in COLUMNS),
    ]
    rows = peers.order_by("instance_id").values_list(*columns).iterator(2000)
    return groupby((Sighting(*row) for row in rows), key=attrgetter("instance_id"))
