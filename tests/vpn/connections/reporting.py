"""Reports of hubs at chosen times."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import SimpleNamespace
from uuid import UUID

import pytest

from vpn.models import Connection, Instance, Peer
from vpn.observed import record_observations
from vpn.wire.report import HubReport, PeerReport, SessionReport

NOON = datetime.fromisoformat("2026-03-03T12:00:00+00:00")


class Clock:
    """The time of those who record reports; tests turn it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = NOON
        # Every whole report has all sessions.
        self.sessions: dict[str, SessionReport] = {}
        shown = SimpleNamespace(now=lambda: self.now)
        for name in ("vpn.observed.recording", "vpn.connections.ending", "vpn.connections.acting"):
            monkeypatch.setattr(f"{name}.timezone", shown)

    def at(self, seconds: float) -> datetime:
        """Turn to so many seconds after noon."""
        self.now = NOON + timedelta(seconds=seconds)
        return self.now

    def seen(
        self,
        peer: Peer,
        seconds: float,
        *,
        handshake: float | None = None,
        endpoint: str = "203.0.113.7:4242",
        received: int = 0,
        sent: int = 0,
    ) -> None:
        """Report a WireGuard peer; `handshake` in seconds after noon, now by default."""
        at = self.at(seconds)
        shook = at if handshake is None else NOON + timedelta(seconds=handshake)
        self.report({peer.instance_id: {peer.public_key: PeerReport(endpoint, int(shook.timestamp()), received, sent)}})

    def session(
        self,
        peer: Peer,
        seconds: float,
        *,
        began: float | None,
        endpoint: str = "203.0.113.7:4242",
        received: int = 0,
        listener: str = "udp",
    ) -> None:
        """Report an OpenVPN peer with a session that began then, or without one."""
        self.at(seconds)
        since = int((NOON + timedelta(seconds=began or 0)).timestamp())
        self.sessions.pop(str(peer.pk), None)
        if began is not None:
            self.sessions[str(peer.pk)] = SessionReport(endpoint, since, received, 0, listener)
        self.report({peer.instance_id: {}})

    def report(self, peers: dict[UUID, dict[str, PeerReport]]) -> None:
        """Record one report of each of these instances."""
        hubs = dict(Instance.objects.filter(pk__in=peers).values_list("pk", "hub"))
        reports = {
            pk: HubReport(hubs[pk], 1, 1, "", alive=True, observed_at=0.0, peers=seen, sessions=dict(self.sessions))
            for pk, seen in peers.items()
        }
        record_observations(reports, self.now)


def after_noon(moment: datetime | None) -> float | None:
    """The seconds between noon and a moment."""
    return None if moment is None else (moment - NOON).total_seconds()


def spans(peer: Peer) -> list[tuple[float | None, float | None, str]]:
    """The connections of a peer, the first begun first: begin and end in seconds after noon, and the reason."""
    rows = Connection.objects.filter(peer_id=peer.pk).order_by("pk")
    return [(after_noon(row.began_at), after_noon(row.ended_at), row.reason) for row in rows]


def bytes_of(peer: Peer) -> list[tuple[int | None, int | None]]:
    """What each ended connection of a peer received and sent."""
    rows = Connection.objects.filter(peer_id=peer.pk).order_by("pk")
    return [
        (None, None)
        if row.received_to is None or row.sent_to is None
        else (row.received_to - row.received_from, row.sent_to - row.sent_from)
        for row in rows
    ]
