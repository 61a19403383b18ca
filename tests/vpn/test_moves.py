"""Moving and rebuilding: one hub answers at any time, whatever is cancelled, killed or silent in between."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from portal.exceptions import Conflict, NotPossible
from portal.models import Membership, Organization
from tests.factories import BY, make_instance, settle
from tests.vpn.machines import Machine
from vpn.actions.instances.instance import delete_instance
from vpn.actions.instances.move import cancel_move, move_instance, rebuild_instance
from vpn.actions.instances.retirement import end_forwarding
from vpn.actions.peers.peer import create_client_peer
from vpn.actions.servers.drain import drain_server
from vpn.actions.servers.server import forget_server
from vpn.choices import Driver, InstanceState, OperationState
from vpn.jobs import move as job
from vpn.jobs import retirement
from vpn.jobs.knock import give_probe
from vpn.jobs.provision import destroy_instance
from vpn.jobs.reconcile import reconcile_all
from vpn.models import Instance, InstanceObservation, Move, Operation, Region, RetiredHub, Server, Tick
from vpn.presenters.needs import notices_of

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


class Servers:
    """The servers of the test by name, and what the portal knows of them."""

    def __init__(self) -> None:
        self.machines: dict[UUID, Machine] = {}
        self.rows: dict[str, Server] = {}

    def add(self, name: str, region: Region, address: str) -> Machine:
        """Add a server that is ready."""
        row = Server.objects.create(region=region, name=name, address=address)
        self.rows[name] = row
        self.machines[row.pk] = Machine(name)
        return self.machines[row.pk]

    def __getitem__(self, name: str) -> Machine:
        return self.machines[self.rows[name].pk]

    def answering(self, hub: str) -> list[str]:
        """The servers on which a hub runs."""
        return [machine.name for machine in self.machines.values() if hub in machine.hubs]


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch, instance: Instance) -> Servers:
    """The instance's server `home`, and another one in another region: `away`."""
    made = Servers()
    monkeypatch.setattr("vpn.jobs.servers.driver_at", lambda address: made.machines[address.id])
    home = instance.server
    assert home is not None
    made.rows["home"], made.machines[home.pk] = home, Machine("home")
    region = Region.objects.create(pk="ams", name="Amsterdam", driver=Driver.LOCAL)
    made.add("away", region, "203.0.113.2")
    made["home"].hubs[instance.hub] = {"epoch": instance.epoch, "generation": instance.desired_generation}
    return made


@pytest.fixture
def moving(instance: Instance, servers: Servers) -> Instance:
    """An instance that begins to move to Amsterdam."""
    give_probe(instance)
    instance.save()
    return move_instance(instance, Region.objects.get(pk="ams"), by=BY)


def go_on(instance: Instance) -> Operation:
    """Run the job until the operation has ended, as reconcile rings for it."""
    for _ in range(12):
        job.go_on_moving(str(instance.pk))
        operation = instance.operations.filter(kind__in=["move", "rebuild"]).first()
        assert operation is not None
        if operation.is_finished:
            instance.refresh_from_db()
            return operation
    raise AssertionError("it does not end")


def go_on_until(instance: Instance, reached: Callable[[], bool]) -> None:
    """Run the job, one step at a time, until this holds."""
    for _ in range(12):
        if reached():
            return
        job.go_on_moving(str(instance.pk))
    raise AssertionError("it does not get so far")


def look(**due: Any) -> None:
    """Look at all retired hubs now."""
    RetiredHub.objects.update(due_at=timezone.now() - timedelta(seconds=1), **due)
    for retired in RetiredHub.objects.all():
        retirement.look_at_retired(str(retired.pk))


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
    assert "cancelled" in operation.steps.get(state="failed").message
    assert moving.server == servers.rows["home"]
    with pytest.raises(NotPossible):
        cancel_move(moving, by=BY)


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
    real: Callable[[UUID, UUID], str] = job._STEPS[step]

    def killed(pk: UUID, token: UUID) -> str:
        if when == "after":
            real(pk, token)
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
    def killed(pk: UUID, token: UUID) -> str:
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


def test_a_silent_former_server_hands_over_once_it_answers(moving: Instance, servers: Servers) -> None:
    with servers["home"].silent():
        operation = go_on(moving)
        assert operation.state == OperationState.SUCCEEDED
        assert "Once This machine answers" in operation.steps.get(name="hand-over").message
        look()
        assert RetiredHub.objects.get().forwarding_since is None
        settle(moving)
        assert "The hub left This machine, which does not answer" in notices_of(moving)[0].message
    look()
    assert servers.answering(moving.hub) == ["away"]
    assert moving.hub in servers["home"].forwards


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


def test_an_instance_that_is_deleted_leaves_nothing(
    moving: Instance, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "_SLICE_SECONDS", 0.0)
    go_on_until(moving, lambda: moving.hub in servers["away"].hubs)
    delete_instance(moving, by=BY)
    destroy_instance(str(moving.pk))
    assert not Instance.objects.exists()
    look()
    assert servers.answering(moving.hub) == []
    assert not RetiredHub.objects.exists()


def test_deleting_ends_the_forwarding(moving: Instance, servers: Servers) -> None:
    go_on(moving)
    delete_instance(moving, by=BY)
    destroy_instance(str(moving.pk))
    look()
    assert not servers["home"].forwards
    assert not RetiredHub.objects.exists()


def test_servers_left_before_forward_to_the_newest_one(moving: Instance, servers: Servers) -> None:
    go_on(moving)
    servers.add("third", Region.objects.create(pk="par", name="Paris"), "203.0.113.4")
    move_instance(moving, Region.objects.get(pk="par"), by=BY)
    go_on(moving)
    look()
    assert {name: servers[name].forwards[moving.hub].to for name in ("home", "away")} == {
        "home": ("203.0.113.4",),
        "away": ("203.0.113.4",),
    }


def test_it_moves_back_once_the_forwarding_has_ended(moving: Instance, servers: Servers) -> None:
    go_on(moving)
    home = servers.rows["home"].region
    with pytest.raises(NotPossible, match="still forwards"):
        move_instance(moving, home, by=BY)
    end_forwarding(moving, by=BY)
    move_instance(moving, home, by=BY)
    assert go_on(moving).state == OperationState.SUCCEEDED
    look()
    assert servers.answering(moving.hub) == ["home"]
    assert servers["away"].forwards[moving.hub].to == servers.rows["home"].addresses


def test_the_forwarding_ends_when_it_is_not_used(moving: Instance, servers: Servers, admin: Membership) -> None:
    go_on(moving)
    servers["home"].packets = 5
    look()
    assert RetiredHub.objects.get().packets == 5
    long_ago = timezone.now() - retirement.QUIET_FOR - timedelta(minutes=1)
    peer = create_client_peer(moving, member=admin, device="laptop", by=BY)
    moving.peers.filter(pk=peer.pk).update(delivered_host=servers.rows["home"].addresses[0])
    look(used_at=long_ago)
    assert RetiredHub.objects.get().is_forwarding, "a profile still points there"
    moving.peers.all().delete()
    look(used_at=long_ago)
    look()
    assert not RetiredHub.objects.exists()
    assert not servers["home"].forwards
    moving.refresh_from_db()
    assert moving.earlier_addresses == []


def test_without_another_server_it_is_rebuilt_in_place(instance: Instance, servers: Servers) -> None:
    give_probe(instance)
    instance.save()
    rebuild_instance(instance, by=BY)
    before = instance.epoch
    assert go_on(instance).state == OperationState.SUCCEEDED
    assert servers.answering(instance.hub) == ["home"]
    assert servers["home"].tombstones[instance.hub] == before
    assert instance.epoch == before + 1
    assert instance.is_up_to_date
    assert not RetiredHub.objects.exists()


def test_it_is_rebuilt_on_another_server_of_its_region(instance: Instance, servers: Servers) -> None:
    give_probe(instance)
    instance.save()
    servers.add("near", instance.region, "203.0.113.5")
    rebuild_instance(instance, by=BY)
    assert go_on(instance).state == OperationState.SUCCEEDED
    assert servers.answering(instance.hub) == ["near"]


def test_a_lost_instance_is_rebuilt_elsewhere(instance: Instance, servers: Servers) -> None:
    give_probe(instance)
    instance.state = InstanceState.LOST
    instance.save()
    servers.add("near", instance.region, "203.0.113.5")
    with servers["home"].silent():
        rebuild_instance(instance, by=BY)
        assert go_on(instance).state == OperationState.SUCCEEDED
    assert instance.state == InstanceState.READY
    look()
    assert servers.answering(instance.hub) == ["near"]


def test_draining_moves_all_hubs_or_says_which_stay(
    instance: Instance, servers: Servers, organization: Organization
) -> None:
    failed = make_instance(organization, name="Never there", state=InstanceState.FAILED)
    give_probe(instance)
    instance.save()
    home = servers.rows["home"]
    assert [why for _, why in drain_server(home, by=BY).staying.values()] == [
        "This machine has no other server that is ready and has room. Choose another region, or ask the operator.",
        "An instance that is failed cannot be moved or rebuilt.",
    ]
    servers.add("near", instance.region, "203.0.113.5")
    drained = drain_server(home, by=BY)
    assert drained.moving == (instance,)
    assert list(drained.staying) == [failed.pk]
    home.refresh_from_db()
    assert home.cordoned
    go_on(instance)
    assert servers.answering(instance.hub) == ["near"]
    Region.objects.filter(pk=home.region_id).update(driver=Driver.SSH)
    with pytest.raises(NotPossible, match="carries 1 instance"):
        forget_server(home, by=BY)
    failed.delete()
    with pytest.raises(NotPossible, match="still forwards the ports of 1 hub"):
        forget_server(home, by=BY)


def test_the_command_waits_and_says_where_each_hub_runs(
    instance: Instance, servers: Servers, organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_probe(instance)
    instance.save()
    servers.add("near", instance.region, "203.0.113.5")
    make_instance(organization, name="Never there", state=InstanceState.FAILED)
    monkeypatch.setattr("vpn.management.commands.server.time.sleep", lambda seconds: go_on(instance))
    said = StringIO()
    with pytest.raises(CommandError, match="Never there stays: An instance that is failed cannot be moved"):
        call_command("server", "drain", "This machine", stdout=said)
    assert said.getvalue() == "Frankfurt runs on near\n"


def test_pages_say_what_happens(admin_browser: Client, moving: Instance, servers: Servers) -> None:
    base = f"/instances/{moving.pk}"
    page = admin_browser.get(f"{base}/progress/").content.decode()
    assert "Moving the hub" in page
    assert "Cancel and stay" in page
    assert "A new hub is being built" in admin_browser.get(f"{base}/").content.decode()
    admin_browser.post(f"{base}/cancel/")
    page = admin_browser.get(f"{base}/progress/").content.decode()
    assert "The move ended; the hub stays where it was" in page
    assert "It was cancelled" in page
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
    assert "forwards UDP and TCP ports" not in admin_browser.get(f"{base}/settings/").content.decode()


def test_an_observed_hub_of_before_does_not_count(moving: Instance, servers: Servers) -> None:
    InstanceObservation.objects.note([moving.pk], observed_at=timezone.now() - timedelta(days=1))
    go_on(moving)
    assert moving.seen.is_recent
