"""What was changed on a server outside the portal is logged, shown and undone, at growing intervals."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from tests.factories import settle
from tests.vpn.observe.observed_server import Server, applied_generation, claim, look_at
from vpn.models import Instance, Operation, Peer
from vpn.wire import codes
from vpn.wire.report import HubReport

A_ROUTE = codes.ROUTING_ROUTE_ADDED.of("10.9.0.0/16")
IN_WORDS = "A route to 10.9.0.0/16 was added."
A_PEER = codes.WIREGUARD_PEER_ADDED.of("abcdefgh")


@pytest.fixture
def drifted(instance: Instance, server: Server) -> Instance:
    """A settled instance whose server runs what it confirmed, and a route and a peer that were added by hand."""
    settle(instance)
    rows = Instance.objects.filter(pk=instance.pk)
    rows.update(applied_digest="d" * 64)
    instance.refresh_from_db()
    server.report = HubReport(
        instance.hub, instance.epoch, instance.applied_generation, "d" * 64, alive=True, observed_at=0.0,
        drift=[A_ROUTE, A_PEER],
    )  # fmt: skip
    return instance


def applied(instance: Instance) -> None:
    """Note the state as applied and confirmed, as the worker would."""
    settle(instance)
    Instance.objects.filter(pk=instance.pk).update(applied_digest="d" * 64)
    instance.refresh_from_db()


def undoings(instance: Instance) -> list[Operation]:
    return list(instance.operations.undoing())


def test_what_somebody_else_added_is_told_and_undone(
    drifted: Instance, rung: list[tuple[str, ...]], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        assert applied_generation(drifted) == 0
    assert ("apply", "vpn.jobs.apply.apply_instance", str(drifted.pk)) in rung
    [operation] = undoings(drifted)
    assert (operation.kind, operation.state) == ("apply", "running")
    assert operation.undone == [A_ROUTE, A_PEER]


def test_everybody_sees_it_in_the_activity(drifted: Instance, auditor_browser: Client) -> None:
    look_at(drifted)
    page = auditor_browser.get(f"/instances/{drifted.pk}/activity/").content.decode()
    assert f"Undo what was changed on the server: {IN_WORDS} And 1 more." in page


def test_it_is_logged(drifted: Instance, caplog: pytest.LogCaptureFixture) -> None:
    look_at(drifted)
    assert "routing: route-added (10.9.0.0/16)" in caplog.text


def test_sentences_of_an_agent_of_the_release_before_are_shown_as_they_came(
    drifted: Instance, server: Server, auditor_browser: Client
) -> None:
    server.report = dataclasses.replace(server.report, drift=["A route to 10.8.0.0/16 was added."] * 20)
    look_at(drifted)
    page = auditor_browser.get(f"/instances/{drifted.pk}/activity/").content.decode()
    assert "Undo what was changed on the server: A route to 10.8.0.0/16 was added. And 19 more." in page


def test_of_a_peer_its_name_is_told(
    client_peer: Peer, drifted: Instance, server: Server, auditor_browser: Client
) -> None:
    gone = [codes.WIREGUARD_PEER_REMOVED.of(client_peer.pk)]
    server.report = dataclasses.replace(server.report, drift=gone)
    look_at(drifted)
    page = auditor_browser.get(f"/instances/{drifted.pk}/activity/").content.decode()
    assert f"The WireGuard peer {client_peer.label} was removed." in unescape(page)
    assert str(client_peer.pk) not in page


def test_what_a_hub_says_in_the_midst_of_a_change_is_not_undone(drifted: Instance, server: Server) -> None:
    claim(drifted, timedelta(seconds=30))
    look_at(drifted)
    assert not undoings(drifted)


@pytest.mark.parametrize(("times", "seconds"), [(1, 10), (2, 40), (3, 160), (4, 600), (9, 600)])
def test_what_comes_back_is_undone_at_growing_intervals(drifted: Instance, times: int, seconds: int) -> None:
    for _ in range(times):
        Operation.objects.create(instance=drifted, kind="apply", state="succeeded", findings=[A_ROUTE.document()])
    look_at(drifted)
    assert len(undoings(drifted)) == times, "it has to wait"
    Operation.objects.filter(instance=drifted).update(started_at=timezone.now() - timedelta(seconds=seconds))
    look_at(drifted)
    assert len(undoings(drifted)) == times + 1


def test_and_the_instance_page_says_so(drifted: Instance, admin_browser: Client) -> None:
    page = f"/instances/{drifted.pk}/"
    for times in range(3):
        assert "keeps changing the hub" not in admin_browser.get(page).content.decode(), times
        Operation.objects.create(instance=drifted, kind="apply", state="succeeded", findings=[A_ROUTE.document()])
    text = admin_browser.get(page).content.decode()
    assert "keeps changing the hub" in text
    assert IN_WORDS in text
    assert "3 times" in text


def test_another_change_is_undone_at_once(drifted: Instance, server: Server) -> None:
    look_at(drifted)
    applied(drifted)
    server.report = dataclasses.replace(server.report, drift=[codes.EGRESS_ADDRESS_ADDED.of("10.98.0.1/24")])
    look_at(drifted)
    assert len(undoings(drifted)) == 2


def test_a_server_that_never_stops_telling_is_not_heeded_each_time(drifted: Instance, server: Server) -> None:
    for number in range(30):
        server.report = dataclasses.replace(server.report, drift=[codes.ROUTING_ROUTE_ADDED.of(f"10.{number}.0.0/16")])
        look_at(drifted)
        applied(drifted)
    assert len(undoings(drifted)) == 20
