"""A clock for reports, and an OpenVPN peer."""

from __future__ import annotations

from datetime import timedelta

import pytest

from portal.models import Membership
from tests.factories import BY, observe_hubs
from tests.vpn.connections.reporting import NOON, Clock
from vpn.actions.peers.peer import create_client_peer
from vpn.choices import Protocol
from vpn.models import Instance, Peer


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, instance: Instance) -> Clock:
    """The time of those who record reports; the hub was observed a moment before noon."""
    observe_hubs(instance, observed_at=NOON - timedelta(seconds=60))
    return Clock(monkeypatch)


@pytest.fixture
def phone(instance: Instance, member: Membership) -> Peer:
    """A device over OpenVPN."""
    return create_client_peer(instance, member=member, device="phone", protocol=Protocol.OPENVPN, by=BY)
