"""A server that is observed."""

from __future__ import annotations

import pytest

from tests.vpn.observe.observed_server import Server
from vpn.models import Instance
from vpn.wire.report import HubReport


@pytest.fixture
def server(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server that runs another state than the one that the portal asked for."""
    strange = HubReport(instance.hub, 1, instance.applied_generation, "f" * 64, alive=True, observed_at=0.0, peers={})
    made = Server(strange)
    monkeypatch.setattr("vpn.jobs.observe.driver_for", lambda name: made)
    return made
