"""When a look at hubs and rows leads to applying again, and when not."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest
from django.utils import timezone

from tests.factories import settle
from vpn.actions.peer import expire_peers
from vpn.agent.report import HubReport
from vpn.jobs.observe import observe_instance
from vpn.jobs.reconcile import reconcile_all
from vpn.models import Instance, Peer


@dataclass
class Server:
    """Plays the server; `meanwhile` happens while it is asked."""

    report: HubReport
    meanwhile: Callable[[], object] = lambda: None

    def status(self, hub: str, *, peers: bool) -> HubReport:
        """What it runs."""
        self.meanwhile()
        return self.report


@pytest.fixture
def server(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server that runs what nobody asked for."""
    strange = HubReport(instance.hub, 1, instance.applied_generation, "f" * 64, alive=True, observed_at=0.0, peers={})
    made = Server(strange)
    monkeypatch.setattr("vpn.jobs.observe.driver_for", lambda name: made)
    return made


def applied_generation(instance: Instance) -> int:
    observe_instance(str(instance.pk))
    return Instance.objects.get(pk=instance.pk).applied_generation


def test_a_hub_that_runs_something_else_is_applied_again(instance: Instance, server: Server) -> None:
    assert applied_generation(instance) == 0


def test_a_change_that_was_applied_while_the_hub_was_asked_is_none(instance: Instance, server: Server) -> None:
    newer = instance.applied_generation + 1
    rows = Instance.objects.filter(pk=instance.pk)
    server.meanwhile = lambda: rows.update(desired_generation=newer, applied_generation=newer)
    assert applied_generation(instance) == newer


def test_a_hub_that_is_down_was_not_observed(instance: Instance, server: Server) -> None:
    server.report = dataclasses.replace(server.report, alive=False)
    observe_instance(str(instance.pk))
    assert Instance.objects.get(pk=instance.pk).observed_at is None


def test_nobody_looks_over_the_shoulder_of_a_worker(instance: Instance, server: Server) -> None:
    claim(instance, timedelta(seconds=30))
    assert applied_generation(instance) == instance.applied_generation


def test_a_worker_that_died_with_its_claim_does_not_keep_the_hub_from_being_mended(
    instance: Instance, server: Server
) -> None:
    claim(instance, -timedelta(seconds=1))
    assert applied_generation(instance) == 0


def test_nor_from_being_verified(instance: Instance) -> None:
    claim(instance, -timedelta(seconds=1))
    before = Instance.objects.get(pk=instance.pk).desired_generation
    reconcile_all()  # made-up rows confirm a digest that does not fit
    assert Instance.objects.get(pk=instance.pk).desired_generation == before + 1


def test_a_peer_whose_time_is_over_is_taken_away_once(instance: Instance, client_peer: Peer) -> None:
    settle(instance)
    Peer.objects.update(expires_at=timezone.now())
    before = Instance.objects.get(pk=instance.pk).desired_generation
    for _ in range(3):
        expire_peers()
    assert Instance.objects.get(pk=instance.pk).desired_generation == before + 1


def claim(instance: Instance, time_left: timedelta) -> None:
    rows = Instance.objects.filter(pk=instance.pk)
    rows.update(lease_token=uuid.uuid4(), lease_expires_at=timezone.now() + time_left)
