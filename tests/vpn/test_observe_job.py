"""When a look at hubs and rows leads to applying again, and when not."""

from __future__ import annotations

import contextlib
import dataclasses
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from portal.models import Organization
from tests.factories import BY, make_instance, observe_hubs, settle
from vpn.actions.peers.admission import expire_peers
from vpn.drivers.base import Unreachable
from vpn.jobs.observe import OBSERVE_SECONDS, observe_all, observe_server
from vpn.jobs.reconcile import reconcile_all
from vpn.models import Instance, InstanceObservation, Operation, Peer
from vpn.wire import codes
from vpn.wire.report import HubReport


@dataclass
class Server:
    """Plays the server; `meanwhile` happens while it is asked."""

    report: HubReport
    meanwhile: Callable[[], object] = lambda: None
    asked: list[str] = field(default_factory=list)

    def status(self, hub: str, *, peers: bool) -> HubReport:
        """What it runs."""
        self.asked.append(hub)
        self.meanwhile()
        return self.report


@pytest.fixture
def server(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server that runs what nobody asked for."""
    strange = HubReport(instance.hub, 1, instance.applied_generation, "f" * 64, alive=True, observed_at=0.0, peers={})
    made = Server(strange)
    monkeypatch.setattr("vpn.jobs.observe.driver_for", lambda name: made)
    return made


def look_at(instance: Instance) -> None:
    """It is the hub's turn."""
    observe_hubs(instance, looked_at=None)
    observe_server(str(instance.server_id))


def applied_generation(instance: Instance) -> int:
    look_at(instance)
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
    observe_hubs(instance, observed_at=None)
    look_at(instance)
    assert Instance.objects.get(pk=instance.pk).seen.observed_at is None


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
        expire_peers(by=BY)
    assert Instance.objects.get(pk=instance.pk).desired_generation == before + 1


A_ROUTE = codes.ROUTING_ROUTE_ADDED.of("10.9.0.0/16")
IN_WORDS = "A route to 10.9.0.0/16 was added."
A_PEER = codes.WIREGUARD_PEER_ADDED.of("abcdefgh")


@pytest.fixture
def drifted(instance: Instance, server: Server) -> Instance:
    """A settled instance whose server has what it confirmed, and a route and a peer that somebody added."""
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
    """As if the worker had applied what it was rung for, and the server had confirmed it."""
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


def claim(instance: Instance, time_left: timedelta) -> None:
    rows = Instance.objects.filter(pk=instance.pk)
    rows.update(lease_token=uuid.uuid4(), lease_expires_at=timezone.now() + time_left)


def test_all_hubs_of_a_server_are_one_job_and_each_is_asked_once(
    organization: Organization, instance: Instance, server: Server, rung: list[tuple[str, ...]]
) -> None:
    others = [make_instance(organization, name=f"Hub {number}") for number in range(24)]
    observe_all()
    assert [ring for ring in rung if ring[0] == "observe"] == [
        ("observe", "vpn.jobs.observe.observe_server", str(instance.server_id))
    ]
    observe_server(str(instance.server_id))
    observe_server(str(instance.server_id))
    assert sorted(server.asked) == sorted(one.hub for one in (instance, *others))


def test_what_a_slice_has_no_time_for_is_rung_for_and_comes_first(
    organization: Organization,
    instance: Instance,
    server: Server,
    rung: list[tuple[str, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in range(4):
        make_instance(organization, name=f"Hub {number}")
    now = [0.0]
    monkeypatch.setattr("vpn.jobs.observe.time.monotonic", lambda: now[0])
    server.meanwhile = lambda: now.__setitem__(0, now[0] + 1.0)
    rung.clear()
    observe_server(str(instance.server_id))
    assert len(server.asked) == 4, "none is asked after three seconds"
    assert ("observe", "vpn.jobs.observe.observe_server", str(instance.server_id)) in rung
    observe_server(str(instance.server_id))
    assert len(set(server.asked)) == len(server.asked) == 5


def test_a_server_that_does_not_answer_is_left_alone_until_the_next_tick(
    organization: Organization, instance: Instance, server: Server, rung: list[tuple[str, ...]]
) -> None:
    for number in range(9):
        make_instance(organization, name=f"Hub {number}")

    def fail() -> None:
        raise Unreachable("The agent does not answer.")

    server.meanwhile = fail
    rung.clear()
    observe_server(str(instance.server_id))
    assert (len(server.asked), rung) == (3, [])
    server.meanwhile = lambda: None
    observe_server(str(instance.server_id))
    assert len(set(server.asked)) == 10, "those that were not asked come first"


def test_one_hub_that_is_odd_keeps_no_other_from_being_seen(
    organization: Organization, instance: Instance, server: Server
) -> None:
    for number in range(5):
        make_instance(organization, name=f"Hub {number}")

    def fail_once() -> None:
        if len(server.asked) == 2:
            raise Unreachable("The agent answered with a report that makes no sense.")

    server.meanwhile = fail_once
    observe_hubs(observed_at=None)
    observe_server(str(instance.server_id))
    assert InstanceObservation.objects.filter(observed_at__isnull=False).count() == 5


def test_a_hub_that_takes_the_jobs_whole_time_keeps_no_other_from_being_seen(
    organization: Organization, instance: Instance, server: Server
) -> None:
    hung = make_instance(organization, name="A Hub")
    others = [instance, *(make_instance(organization, name=f"Hub {number}") for number in range(4))]
    # Each was asked in the same moment, and gave no answer.
    observe_hubs(hung, *others, observed_at=None, looked_at=timezone.now())

    def hang() -> None:
        if server.asked[-1] == hung.hub:
            raise TimeoutError("the job's time is over")

    server.meanwhile = hang
    made = timezone.now()
    for _ in range(3):
        later = {name: F(name) - timedelta(seconds=OBSERVE_SECONDS) for name in ("looked_at", "observed_at")}
        InstanceObservation.objects.update(**later)
        with contextlib.suppress(TimeoutError):
            observe_server(str(instance.server_id))
    seen = set(InstanceObservation.objects.filter(observed_at__gt=made).values_list("pk", flat=True))
    assert seen == {other.pk for other in others}


def test_many_hubs_are_noted_in_a_constant_number_of_statements(
    organization: Organization, instance: Instance, server: Server
) -> None:
    def statements() -> int:
        observe_hubs(looked_at=None)
        with CaptureQueriesContext(connection) as queries:
            observe_server(str(instance.server_id))
        return len(queries)

    make_quiet(server, instance)
    observe_server(str(instance.server_id))
    one = statements()
    for number in range(15):
        make_instance(organization, name=f"Hub {number}")
    assert statements() == one


def make_quiet(server: Server, instance: Instance) -> None:
    """What the server reports asks for nothing to be done."""
    server.report = dataclasses.replace(server.report, alive=True, generation=instance.applied_generation, digest="")
