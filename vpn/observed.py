"""HubReport to rows: what is true now. Reports are untrusted; `agent.report` has validated them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from vpn.choices import Listener
from vpn.constants import HANDSHAKE_TIMEOUT
from vpn.desired import PLACEHOLDER_ID, PROBE_ID, Desired
from vpn.models import FirewallRule, Instance, Peer, PeerTombstone, Server, Traffic
from vpn.models.row_updates import update_rows
from vpn.proofs import Coming, record_devices
from vpn.wire.report import HubReport, PeerReport, SessionReport

_CHUNK = 500
# Peers of a spec that no row stands for.
_NOT_ROWS = {PROBE_ID, PLACEHOLDER_ID}
# A server's clock may be a little ahead of ours; what lies further in the future is not believed.
_CLOCK_SKEW = timedelta(seconds=30)


def record_applied(instance_id: UUID, token: UUID, desired: Desired, report: HubReport) -> bool:
    """Note what the server confirmed; False where the claim was lost or something newer is noted already."""
    if report.digest != desired.digest or (report.epoch, report.generation) != (desired.epoch, desired.generation):
        return False
    older = Q(applied_epoch__lt=desired.epoch) | Q(
        applied_epoch=desired.epoch, applied_generation__lte=desired.generation
    )
    with transaction.atomic():
        noted = Instance.objects.filter(older, pk=instance_id, lease_token=token, epoch=desired.epoch).update(
            applied_epoch=desired.epoch,
            applied_generation=desired.generation,
            applied_digest=desired.digest,
            applied_header_digest=desired.header_digest,
            applied_total=desired.total_hex,
            failure="",
        )
        if not noted:
            return False
        _note_peers(instance_id, desired)
        PeerTombstone.objects.filter(instance=instance_id, generation__lte=desired.generation).delete()
    return True


def _note_peers(instance_id: UUID, desired: Desired) -> None:
    """Note each peer's digest as the hub has it now, and its absence."""
    peers = Peer.objects.filter(instance=instance_id)
    digests = {UUID(peer_id): digest for peer_id, digest in desired.peer_digests.items() if peer_id not in _NOT_ROWS}
    if desired.is_delta:
        peers.filter(pk__in=desired.removed).update(applied_digest="")
        differing: Iterable[tuple[UUID, str]] = digests.items()
    else:
        known = dict(peers.values_list("pk", "applied_digest"))
        gone = [pk for pk, digest in known.items() if digest and pk not in digests]
        for start in range(0, len(gone), _CHUNK):
            peers.filter(pk__in=gone[start : start + _CHUNK]).update(applied_digest="")
        differing = [(pk, digest) for pk, digest in digests.items() if known.get(pk) != digest]
    update_rows(Peer, ["applied_digest"], ["id"], [(digest, pk) for pk, digest in differing])
    _note_leavers(instance_id, desired, digests)


def _note_leavers(instance_id: UUID, desired: Desired, digests: dict[UUID, str]) -> None:
    """Note on the tombstones of peers that were deleted while this was under way what the hub has of them now."""
    for tombstone in PeerTombstone.objects.filter(instance=instance_id, generation__gt=desired.generation):
        is_named = not desired.is_delta or str(tombstone.peer_id) in desired.removed
        digest = digests.get(tombstone.peer_id, "" if is_named else tombstone.applied_digest)
        if digest != tombstone.applied_digest:
            tombstone.applied_digest = digest
            tombstone.save(update_fields=["applied_digest"])


def record_observation(instance_id: UUID, report: HubReport) -> list[tuple[UUID, str]]:
    """Note handshakes, endpoints and bytes of an instance's peers, and add to its traffic of the day.

    Returns those peers (id and public key) that came over a new protocol while the former one is still good.
    """
    now = timezone.now()
    reported = report.peers or {}
    rows = []
    arrived = []
    seen_at = Seen()
    incoming = outgoing = 0
    for peer in _known(instance_id):
        if peer.former_protocol and _is_there(peer, report):
            arrived.append((peer.pk, peer.public_key))
        if peer.is_openvpn:
            session = (report.sessions or {}).get(str(peer.pk))
            received, sent = _session_bytes(peer, session)
            seen_at.note_session(peer, session, received)
            changed = _observed_session(peer, session, now, report.generation)
            counters = (session.received_bytes, session.sent_bytes) if session else (0, 0)
        elif (seen := reported.get(peer.public_key)) is not None:
            received, sent = _since(seen, peer)
            before = (peer.last_handshake, peer.connected_from, peer.endpoint)
            changed = _observed(peer, seen, now)
            seen_at.note_handshake(before, peer)
            counters = (seen.received_bytes, seen.sent_bytes)
        else:
            continue
        if changed or received or sent:
            incoming, outgoing = incoming + received, outgoing + sent
            rows.append(_row(peer, counters, received, sent))
    with transaction.atomic():
        # The instance first, as actions have it, so that nobody waits in a circle.
        Instance.objects.filter(pk=instance_id).update(observed_at=now)
        # What was seen belongs to the key: a peer that has got new ones meanwhile was not seen yet.
        update_rows(Peer, _OBSERVED, ["id", "public_key"], rows)
        _note_hits(instance_id, report.hits or {})
        if incoming or outgoing:
            _add_traffic(instance_id, now, incoming, outgoing)
    record_devices(instance_id, seen_at.arrived, seen_at.heard)
    if report.families is not None:
        _note_families(instance_id, report.families)
    if report.upstreams is not None:
        _note_upstreams(instance_id, report.upstreams)
    return arrived


@dataclass
class Seen:
    """At which listeners devices began a connection since the last look, and at which they were heard at all."""

    arrived: set[Coming] = field(default_factory=set)
    heard: set[Coming] = field(default_factory=set)

    def note_handshake(self, before: tuple[datetime | None, datetime | None, str], peer: Peer) -> None:
        """Take what an observation changed of a peer over WireGuard: handshake, beginning, endpoint."""
        handshake, began, endpoint = before
        if peer.last_handshake is None or peer.last_handshake == handshake:
            return
        coming = (str(Listener.WIREGUARD), _version(peer.endpoint))
        self.heard.add(coming)
        if peer.connected_from != began or peer.endpoint != endpoint:
            self.arrived.add(coming)

    def note_session(self, peer: Peer, session: SessionReport | None, received: int) -> None:
        """Take a session over OpenVPN, before it is put on the row."""
        if session is None:
            return
        coming = (f"openvpn_{session.listener}", _version(session.endpoint or ""))
        if received > 0:
            self.heard.add(coming)
        began = datetime.fromtimestamp(min(session.connected_since, 2**33), UTC)
        if peer.connected_from is None or began > peer.connected_from:
            self.arrived.add(coming)


def _version(endpoint: str) -> int:
    """The IP version of an endpoint."""
    return 6 if endpoint.startswith("[") else 4


def _is_there(peer: Peer, report: HubReport) -> bool:
    """Was the peer seen over its protocol, ever, with what it has now?"""
    if peer.is_openvpn:
        return str(peer.pk) in (report.sessions or {})
    seen = (report.peers or {}).get(peer.public_key)
    return seen is not None and seen.latest_handshake > 0


def _note_families(instance_id: UUID, families: list[str]) -> None:
    """Note on the server which families it has a way out for; nothing is written where that is known."""
    found = {"carries_ipv4": "ipv4" in families, "carries_ipv6": "ipv6" in families}
    Server.objects.filter(instances=instance_id).exclude(**found).update(**found)


def _note_upstreams(instance_id: UUID, answers: dict[str, bool]) -> None:
    """Note which of the hub's resolvers do not answer; nothing is written where that is known."""
    silent = sorted(server for server, answered in answers.items() if not answered)
    rows = Instance.objects.filter(pk=instance_id)
    if rows.values_list("silent_resolvers", flat=True).first() not in (silent, None):
        rows.update(silent_resolvers=silent)


_OBSERVED = [
    "last_handshake",
    "connected_from",
    "endpoint",
    "push_generation",
    "received_bytes",
    "sent_bytes",
    "counter_received",
    "counter_sent",
]


def _known(instance_id: UUID) -> Iterable[Peer]:
    return (
        Peer.objects.filter(instance=instance_id)
        .only("public_key", "protocol", "former_protocol", *_OBSERVED)
        .iterator(2000)
    )


def _since(seen: PeerReport, peer: Peer) -> tuple[int, int]:
    """Bytes since the last observation; a counter that went back began anew with its hub."""
    received = seen.received_bytes - peer.counter_received
    sent = seen.sent_bytes - peer.counter_sent
    if received < 0 or sent < 0:
        return seen.received_bytes, seen.sent_bytes
    return received, sent


def _observed(peer: Peer, seen: PeerReport, now: datetime) -> bool:
    """Put handshake, endpoint and the beginning of the connection on the row; was any of it new?"""
    before = (peer.last_handshake, peer.endpoint, peer.connected_from)
    if seen.latest_handshake:
        handshake = datetime.fromtimestamp(min(seen.latest_handshake, 2**33), UTC)
        if handshake <= now + _CLOCK_SKEW:
            timeout = timedelta(seconds=HANDSHAKE_TIMEOUT)
            lapsed = peer.last_handshake is None or handshake - peer.last_handshake > timeout
            if peer.connected_from is None or lapsed:
                peer.connected_from = handshake
            # A hub that was restarted reports older handshakes for a moment; time does not go back.
            peer.last_handshake = max(handshake, peer.last_handshake or handshake)
    if peer.last_handshake is None or now - peer.last_handshake > timedelta(seconds=HANDSHAKE_TIMEOUT):
        peer.connected_from = None
    if seen.endpoint:
        peer.endpoint = seen.endpoint
    return before != (peer.last_handshake, peer.endpoint, peer.connected_from)


def _session_bytes(peer: Peer, session: SessionReport | None) -> tuple[int, int]:
    """Bytes since the last observation; a new session counts from nothing."""
    if session is None:
        return 0, 0
    began = datetime.fromtimestamp(min(session.connected_since, 2**33), UTC)
    received, sent = session.received_bytes - peer.counter_received, session.sent_bytes - peer.counter_sent
    if began != peer.connected_from or received < 0 or sent < 0:
        return session.received_bytes, session.sent_bytes
    return received, sent


def _observed_session(peer: Peer, session: SessionReport | None, now: datetime, generation: int) -> bool:
    """Put an OpenVPN session on the row, as a hub of this generation reported it; was any of it new?"""
    before = (peer.connected_from, peer.endpoint, peer.push_generation)
    peer.push_generation = _not_pushed(peer, session, generation)
    if session is None:
        peer.connected_from = None
    else:
        peer.connected_from = datetime.fromtimestamp(min(session.connected_since, 2**33), UTC)
        peer.last_handshake = now
        peer.endpoint = session.endpoint or peer.endpoint
    return before != (peer.connected_from, peer.endpoint, peer.push_generation)


def _not_pushed(peer: Peer, session: SessionReport | None, generation: int) -> int | None:
    """The first generation that the session was not pushed; a hub that is behind it knows nothing of that yet."""
    if session is None:
        return None
    if session.push_outdated:
        return peer.push_generation or generation
    is_behind = peer.push_generation is not None and generation < peer.push_generation
    return peer.push_generation if is_behind else None


def _row(peer: Peer, counters: tuple[int, int], received: int, sent: int) -> tuple[object, ...]:
    return (
        peer.last_handshake,
        peer.connected_from,
        peer.endpoint,
        peer.push_generation,
        peer.received_bytes + received,
        peer.sent_bytes + sent,
        *counters,
        peer.pk,
        peer.public_key,
    )


def _note_hits(instance_id: UUID, counters: dict[str, int]) -> None:
    """Add what the hub counted since the last observation; a counter that went back began anew with its hub."""
    if not counters:
        return
    rows: list[tuple[object, ...]] = []
    for rule in FirewallRule.objects.filter(instance=instance_id):
        counted = counters.get(str(rule.pk), rule.counter_hits)
        if counted != rule.counter_hits:
            since = counted - rule.counter_hits if counted > rule.counter_hits else counted
            rows.append((rule.hits + since, counted, rule.pk, rule.counter_hits))
    # By the counter too, so that two observers do not add the same packets twice.
    update_rows(FirewallRule, ["hits", "counter_hits"], ["id", "counter_hits"], rows)


def _add_traffic(instance_id: UUID, now: datetime, incoming: int, outgoing: int) -> None:
    day, _ = Traffic.objects.get_or_create(instance_id=instance_id, day=now.astimezone(UTC).date())
    Traffic.objects.filter(pk=day.pk).update(
        incoming_bytes=F("incoming_bytes") + incoming, outgoing_bytes=F("outgoing_bytes") + outgoing
    )
