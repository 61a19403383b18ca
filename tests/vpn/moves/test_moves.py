"""Moving: one hub answers at any time, whatever is cancelled, killed or silent in between."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from django.test import Client
from django.utils import timezone

from portal.exceptions import Conflict, NotPossible
from portal.models import ApiToken, JournalEntry, Membership, Organization
from tests.factories import BY, make_instance
from tests.vpn.moves.machines import Machine
from tests.vpn.moves.moving import Servers, go_on, go_on_until, look
from vpn.actions.instances.move import cancel_move, move_instance, rebuild_instance
from vpn.actions.peers.peer import create_client_peer
from vpn.choices import Driver, InstanceState, NodeState, OperationState, ServerState
from vpn.jobs import move as job
from vpn.jobs.knock import give_probe
from vpn.jobs.nodes import ports_in_use
from vpn.jobs.progress import Report
from vpn.jobs.reconcile import reconcile_all
from vpn.models import (
    CloudAccount,
    CloudNode,
    Instance,
    InstanceObservation,
    Move,
    Operation,
    Region,
    RetiredHub,
    Server,
    Tick,
)

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def test_the_new_hub_is_there_before_the_former_one_ends(moving: Instance, servers: Servers) -> None:
    port, home = moving.port_base, servers.rows["home"]
    operation = go_on(moving)
    assert operation.state == OperationState.SUCCEEDED, list(operation.steps.values("name", "state", "message"))
    assert servers.answering(moving.hub) == ["away"]
    assert (moving.server, moving.region_id, moving.port_base) == (servers.rows["away"], "ams", port)
    assert moving.is_up_to_date
    assert moving.earlier_addresses == list(home.addresses)
    forwarding = servers["home"].forwards[moving.hub]
    assert forwarding.to == ("203.0.113.2",)
    assert ("udp", port, port) in forwarding.ports
    assert not Move.objects.exists()
    assert RetiredHub.objects.get().forwarding_since is not None


def test_no_late_request_brings_the_former_hub_back(moving: Instance, servers: Servers) -> None:
    go_on(moving)
    assert servers["home"].tombstones[moving.hub] == moving.epoch - 1


def test_a_change_in_between_is_on_the_new_hub(
    moving: Instance, servers: Servers, admin: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "_SLICE_SECONDS", 0.0)
    go_on_until(moving, lambda: moving.hub in servers["away"].hubs)
    peer = create_client_peer(moving, member=admin, device="laptop", by=BY)
    go_on(moving)
    assert str(peer.pk) in servers["away"].hubs[moving.hub]["peers"]
    assert moving.is_up_to_date


def test_it_is_cancelled_until_the_switch(moving: Instance, servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "_SLICE_SECONDS", 0.0)
    go_on_until(moving, lambda: moving.hub in servers["away"].hubs)
    cancel_move(moving, by=BY)
    look()
    assert servers.answering(moving.hub) == ["home"]
    assert not RetiredHub.objects.exists()
    operation = go_on(moving)
    assert operation.state == OperationState.FAILED
    assert operation.is_cancelled
    assert moving.server == servers.rows["home"]
    with pytest.raises(NotPossible):
        cancel_move(moving, by=BY)


@pytest.mark.parametrize("step", ["new-server", "new-hub", "new-proof", "switch"])
def test_a_job_of_a_cancelled_one_does_nothing_to_the_next(
    moving: Instance, servers: Servers, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """An admin cancels while a job is in a step, and moves the instance elsewhere before the job goes on."""
    servers.add("third", Region.objects.create(pk="par", name="Paris", driver="local"), "203.0.113.7")
    first = Move.objects.get().operation
    real: Callable[[Operation, UUID], Report] = job._STEPS[step]

    def overtaken(operation: Operation, token: UUID) -> Report:
        cancel_move(moving, by=BY)
        move_instance(moving, Region.objects.get(pk="par"), by=BY)
        return real(operation, token)

    monkeypatch.setitem(job._STEPS, step, overtaken)
    job.go_on_moving(str(moving.pk))
    monkeypatch.setitem(job._STEPS, step, real)
    first.refresh_from_db()
    assert first.state == OperationState.FAILED
    assert first.is_cancelled
    moving.refresh_from_db()
    assert moving.server == servers.rows["home"]
    assert go_on(moving).state == OperationState.SUCCEEDED
    assert moving.server == servers.rows["third"]
    look()
    assert servers.answering(moving.hub) == ["third"]


def test_the_switch_waits_for_the_end_of_a_lease(moving: Instance, servers: Servers) -> None:
    """A silent server may still run the hub: with a lease, two hubs never have the same keys."""
    now = timezone.now()
    home = Server.objects.filter(pk=servers.rows["home"].pk)
    home.update(state=ServerState.UNREACHABLE, lease_ends_at=now + timedelta(minutes=5))
    with servers["home"].silent():
        for _ in range(3):
            job.go_on_moving(str(moving.pk))
        assert Move.objects.exists()
        moving.refresh_from_db()
        assert moving.server_id == servers.rows["home"].pk
        home.update(lease_ends_at=now - timedelta(seconds=1))
        assert go_on(moving).state == OperationState.SUCCEEDED
    assert moving.server == servers.rows["away"]


def test_after_a_failed_one_it_moves_all_the_same(moving: Instance, servers: Servers) -> None:
    servers["away"].is_closed = True
    go_on(moving)
    servers["away"].is_closed = False
    look()
    move_instance(moving, Region.objects.get(pk="ams"), by=BY)
    assert go_on(moving).state == OperationState.SUCCEEDED
    assert servers.answering(moving.hub) == ["away"]


def test_a_switched_one_cannot_be_cancelled(moving: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "_SLICE_SECONDS", 0.0)
    go_on_until(moving, lambda: not Move.objects.exists())
    with pytest.raises(NotPossible, match="switched already"):
        cancel_move(moving, by=BY)


def test_only_one_is_under_way(moving: Instance) -> None:
    ways: list[Callable[[], object]] = [
        lambda: move_instance(moving, Region.objects.get(pk="ams"), by=BY),
        lambda: rebuild_instance(moving, by=BY),
    ]
    for again in ways:
        with pytest.raises(Conflict, match="already"):
            again()


def test_a_silent_target_ends_it_with_a_sentence(moving: Instance, servers: Servers) -> None:
    with servers["away"].silent():
        operation = go_on(moving)
        assert operation.state == OperationState.FAILED
        assert "does not answer at away" in operation.steps.get(state="failed").message
        look()
        assert RetiredHub.objects.get().finding is not None
    assert (moving.state, moving.server) == (InstanceState.READY, servers.rows["home"])
    assert servers.answering(moving.hub) == ["home"]
    look()
    assert not RetiredHub.objects.exists()


def test_a_closed_firewall_ends_it_before_the_switch(moving: Instance, servers: Servers) -> None:
    servers["away"].is_closed = True
    operation = go_on(moving)
    assert "Open these ports in the firewall" in operation.steps.get(state="failed").message
    look()
    assert servers.answering(moving.hub) == ["home"]


class Killed(BaseException):
    """The end of a worker."""


@pytest.mark.parametrize("step", ["new-server", "new-hub", "new-proof", "switch", "hand-over"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_killed_worker_leaves_a_move_that_goes_on(
    moving: Instance, servers: Servers, monkeypatch: pytest.MonkeyPatch, step: str, when: str
) -> None:
    real: Callable[[Operation, UUID], Report] = job._STEPS[step]

    def killed(operation: Operation, token: UUID) -> Report:
        if when == "after":
            real(operation, token)
        raise Killed

    monkeypatch.setitem(job._STEPS, step, killed)
    with pytest.raises(Killed):
        go_on(moving)
    monkeypatch.setitem(job._STEPS, step, real)
    operation = go_on(moving)
    assert operation.state == OperationState.SUCCEEDED, list(operation.steps.values("name", "state", "message"))
    look()
    assert servers.answering(moving.hub) == ["away"]
    assert moving.hub in servers["home"].forwards


def test_a_killed_worker_leaves_a_move_that_can_be_cancelled(
    moving: Instance, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(operation: Operation, token: UUID) -> Report:
        raise Killed

    monkeypatch.setitem(job._STEPS, "switch", killed)
    with pytest.raises(Killed):
        go_on(moving)
    assert sorted(servers.answering(moving.hub)) == ["away", "home"]
    cancel_move(moving, by=BY)
    look()
    assert servers.answering(moving.hub) == ["home"]


def test_reconcile_rings_for_moves_and_for_what_is_left(
    moving: Instance, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    rung: list[object] = []
    monkeypatch.setattr("vpn.doorbell.enqueue_move", lambda *ids: rung.append(ids[0]))
    monkeypatch.setattr("vpn.doorbell.enqueue_retired", lambda pk, region_id: rung.append(pk))
    reconcile_all()
    assert rung == [moving.pk]
    go_on(moving)
    retired = RetiredHub.objects.get()
    RetiredHub.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    rung.clear()
    Tick.objects.all().delete()
    reconcile_all()
    assert rung == [retired.pk]


def test_taken_ports_are_replaced(moving: Instance, servers: Servers, organization: Organization) -> None:
    cancel_move(moving, by=BY)
    other = make_instance(organization, name="Other")
    Instance.objects.filter(pk=other.pk).update(server=servers.rows["away"], port_base=moving.port_base)
    before = moving.port_base
    move_instance(moving, Region.objects.get(pk="ams"), by=BY)
    go_on(moving)
    assert moving.port_base != before
    assert ("udp", before, moving.port_base) in servers["home"].forwards[moving.hub].ports


def test_a_server_where_the_ports_are_free_comes_first(
    moving: Instance, servers: Servers, organization: Organization
) -> None:
    cancel_move(moving, by=BY)
    servers.add("free", Region.objects.get(pk="ams"), "203.0.113.3")
    other = make_instance(organization, name="Other")
    Instance.objects.filter(pk=other.pk).update(server=servers.rows["away"], port_base=moving.port_base)
    move_instance(moving, Region.objects.get(pk="ams"), by=BY)
    assert Move.objects.get().target == servers.rows["free"]


def test_pages_say_what_happens(admin_browser: Client, moving: Instance, servers: Servers) -> None:
    base = f"/instances/{moving.pk}"
    page = admin_browser.get(f"{base}/progress/").content.decode()
    assert "Moving the hub" in page
    assert "Cancel and stay" in page
    assert "A new hub is being built" in admin_browser.get(f"{base}/").content.decode()
    admin_browser.post(f"{base}/cancel/")
    page = admin_browser.get(f"{base}/progress/").content.decode()
    assert "The move was cancelled; the hub stays where it was" in page
    assert "Cancelled. The hub stays where it was." in page
    for path in ("progress/", "activity/"):
        assert "Failed" not in admin_browser.get(f"{base}/{path}").content.decode()
    assert '<span class="chip chip--off">Cancelled</span>' in admin_browser.get(f"{base}/activity/").content.decode()
    assert "Amsterdam" in admin_browser.get(f"{base}/move/").content.decode()
    assert admin_browser.post(f"{base}/move/", {"region": "ams"}).status_code == 302
    go_on(moving)
    page = admin_browser.get(f"{base}/progress/").content.decode()
    assert "The hub runs on away" in page
    assert "Cancel and stay" not in page
    page = admin_browser.get(f"{base}/settings/").content.decode()
    assert "This machine forwards UDP and TCP ports" in page
    assert "no packet has passed for an hour" in page
    assert (
        "has no other server that is ready, so the hub is removed"
        in admin_browser.get(f"{base}/rebuild/").content.decode()
    )
    admin_browser.post(f"{base}/forwarding/")
    assert JournalEntry.objects.filter(code="instance.forwarding_ended").count() == 1
    assert "forwards UDP and TCP ports" not in admin_browser.get(f"{base}/settings/").content.decode()


def test_an_observed_hub_of_before_does_not_count(moving: Instance, servers: Servers) -> None:
    InstanceObservation.objects.note([moving.pk], observed_at=timezone.now() - timedelta(days=1))
    go_on(moving)
    assert moving.seen.is_recent


def test_the_api_refuses_what_is_under_way(admin: Membership, moving: Instance, servers: Servers) -> None:
    _, token = ApiToken.issue(admin)
    base, browser = f"/api/v1/vpn/instances/{moving.pk}", Client()

    def post(act: str, **body: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return browser.post(f"{base}/{act}", body, content_type="application/json", headers=headers).status_code

    assert [post("move", region="ams"), post("rebuild")] == [409, 409]
    assert [post("cancel"), post("cancel")] == [202, 409]
    assert [post("move", region="nowhere"), post("move", region=moving.region_id)] == [422, 422]
    assert post("move", region="ams") == 202
    go_on(moving)
    found = browser.get(f"{base}/operations", headers={"Authorization": f"Bearer {token}"}).json()
    assert [one["kind"] for one in found[:2]] == ["move", "move"]
    assert found[1]["state"] == "failed"
    assert found[1]["steps"][0]["message"] == "Cancelled. The hub stays where it was."


def test_a_cloud_orders_a_server_and_the_move_waits_for_it(
    instance: Instance, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_probe(instance)
    instance.save()
    region = Region.objects.create(pk="cld", name="A cloud", driver=Driver.CLOUD)
    CloudAccount.objects.create(region=region, provider="dummy", size="small", image="debian")
    move_instance(instance, region, by=BY)
    target = Move.objects.get().target
    assert instance.operations.get(kind="move").expected_seconds == 600, "minutes, until the region has past runs"
    rung: list[object] = []
    monkeypatch.setattr("vpn.doorbell.enqueue_move", lambda *ids: rung.append(ids[0]))
    for _ in range(2):
        job.go_on_moving(str(instance.pk))
    assert not rung, "the rest waits for reconcile"
    servers.rows["ordered"], servers.machines[target.pk] = target, Machine("ordered")
    Server.objects.filter(pk=target.pk).update(state=ServerState.READY, address="203.0.113.6")
    ports = ports_in_use([target.pk])[target.pk]
    CloudNode.objects.filter(server=target).update(state=NodeState.RUNNING, node_id="node-1", opened=ports)
    assert go_on(instance).state == OperationState.SUCCEEDED
    assert servers.answering(instance.hub) == ["ordered"]
