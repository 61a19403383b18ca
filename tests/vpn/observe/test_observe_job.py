"""Observing hubs: all of a server in one job, in slices; one that runs another state is applied again."""

from __future__ import annotations

import contextlib
import dataclasses
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from portal.models import Organization
from tests.factories import BY, make_instance, observe_hubs, settle
from tests.vpn.observe.observed_server import Server, applied_generation, claim, look_at
from vpn import failures
from vpn.actions.peers.admission import expire_peers
from vpn.drivers.base import Unreachable
from vpn.jobs.observe import OBSERVE_SECONDS, observe_all, observe_server
from vpn.jobs.reconcile import reconcile_all
from vpn.models import Instance, InstanceObservation, Peer, Tick
from vpn.models import Server as ServerRow


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


def test_all_hubs_of_a_server_are_one_job_and_one_request(
    organization: Organization, instance: Instance, server: Server, rung: list[tuple[str, ...]]
) -> None:
    others = [make_instance(organization, name=f"Hub {number}") for number in range(24)]
    observe_all()
    assert [ring for ring in rung if ring[0] == "observe"] == [
        ("observe", "vpn.jobs.runtime.looks.begin_observing", str(instance.server_id))
    ]
    observe_server(str(instance.server_id))
    observe_server(str(instance.server_id))
    assert sorted(server.asked) == sorted(one.hub for one in (instance, *others))
    assert server.requests == 1


def test_ringing_takes_as_many_statements_for_many_hubs_as_for_one(
    organization: Organization, instance: Instance, rung: list[tuple[str, ...]]
) -> None:
    def statements() -> int:
        Tick.objects.all().delete()
        rung.clear()
        with CaptureQueriesContext(connection) as queries:
            observe_all()
        assert len(rung) == 1
        return len(queries)

    one = statements()
    for number in range(15):
        make_instance(organization, name=f"Hub {number}")
    assert statements() == one


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
    assert ("observe", "vpn.jobs.runtime.looks.begin_observing", str(instance.server_id)) in rung
    observe_server(str(instance.server_id))
    assert len(set(server.asked)) == len(server.asked) == 5


def test_the_hub_that_has_waited_longest_is_asked_first(
    organization: Organization, instance: Instance, server: Server
) -> None:
    hubs = [instance, *(make_instance(organization, name=f"Hub {number}") for number in range(4))]
    for place, hub in enumerate(reversed(hubs)):
        observe_hubs(hub, looked_at=timezone.now() - timedelta(minutes=10 - place))
    observe_server(str(instance.server_id))
    assert server.asked == [hub.hub for hub in reversed(hubs)]


def test_the_agent_is_told_which_report_was_recorded_last(
    instance: Instance, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("vpn.jobs.recorded.time.monotonic", lambda: now[0])
    first, second = "1" * 16, "2" * 16
    server.report = dataclasses.replace(server.report, stamp=first)
    look_at(instance)
    assert server.known == {instance.hub: ""}
    server.report = dataclasses.replace(server.report, stamp=second, since=first, alive=False)
    look_at(instance)
    assert server.known == {instance.hub: first}
    server.report = dataclasses.replace(server.report, alive=True)
    look_at(instance)
    assert server.known == {instance.hub: first}, "the report of a hub that is down was not recorded"
    look_at(instance)
    assert server.known == {instance.hub: second}
    now[0] += 61
    look_at(instance)
    assert server.known == {instance.hub: ""}, "a whole report corrects what others have written"


def test_a_report_that_says_nothing_new_is_recorded_in_fewer_statements(instance: Instance, server: Server) -> None:
    def statements(**said: Any) -> int:
        server.report = dataclasses.replace(server.report, **said)
        observe_hubs(observed_at=None)
        with CaptureQueriesContext(connection) as queries:
            look_at(instance)
        assert Instance.objects.get(pk=instance.pk).seen.observed_at is not None
        return len(queries)

    stamps = [str(number) * 16 for number in range(1, 6)]
    statements(stamp=stamps[0], sessions={}, hits={}, families=["ipv4"])
    nothing = statements(stamp=stamps[1], since=stamps[0])
    assert server.known == {instance.hub: stamps[0]}
    news = statements(stamp=stamps[2], since=stamps[1], families=["ipv4", "ipv6"])
    assert server.known == {instance.hub: stamps[1]}
    assert nothing < news
    row = ServerRow.objects.get(instances=instance)
    assert (row.carries_ipv4, row.carries_ipv6) == (True, True)
    assert statements(stamp=stamps[3], since=stamps[2]) == nothing


def test_a_server_that_does_not_answer_is_left_alone_until_the_next_tick(
    organization: Organization, instance: Instance, server: Server, rung: list[tuple[str, ...]]
) -> None:
    for number in range(9):
        make_instance(organization, name=f"Hub {number}")

    def fail() -> None:
        raise Unreachable(failures.AGENT_SILENT.of())

    server.meanwhile = fail
    rung.clear()
    observe_server(str(instance.server_id))
    assert (server.requests, rung) == (1, [])
    let_time_pass()
    observe_server(str(instance.server_id))
    assert (server.requests, rung) == (4, []), "each hub is asked for alone, until three in a row gave no answer"
    server.meanwhile = lambda: None
    let_time_pass()
    observe_server(str(instance.server_id))
    assert InstanceObservation.objects.exclude(observed_at=None).count() == 10


def test_one_hub_that_is_odd_keeps_no_other_from_being_seen(
    organization: Organization, instance: Instance, server: Server
) -> None:
    for number in range(5):
        make_instance(organization, name=f"Hub {number}")

    server.odd = {instance.hub}
    observe_hubs(observed_at=None)
    observe_server(str(instance.server_id))
    assert InstanceObservation.objects.filter(observed_at__isnull=False).count() == 5


def test_a_hub_that_takes_the_jobs_whole_time_keeps_no_other_from_being_seen(
    organization: Organization, instance: Instance, server: Server
) -> None:
    hung = make_instance(organization, name="A Hub")
    others = [instance, *(make_instance(organization, name=f"Hub {number}") for number in range(4))]
    # All were asked at the same moment, and none answered.
    observe_hubs(hung, *others, observed_at=None, looked_at=timezone.now())

    def hang() -> None:
        if server.asked[-1] == hung.hub:
            raise TimeoutError("the job's time is over")

    server.meanwhile = hang
    made = timezone.now()
    for _ in range(3):
        let_time_pass()
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


def let_time_pass() -> None:
    """Move the times of all observations back by one interval."""
    later = {name: F(name) - timedelta(seconds=OBSERVE_SECONDS) for name in ("looked_at", "observed_at")}
    InstanceObservation.objects.update(**later)


def make_quiet(server: Server, instance: Instance) -> None:
    """Let the server report the applied state, so that nothing is to be done."""
    server.report = dataclasses.replace(server.report, alive=True, generation=instance.applied_generation, digest="")
