"""One job at a time creates, moves or removes hubs on a remote server, so a silent one holds one worker at most."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from portal.models import Organization
from tests.factories import BY, make_region
from tests.vpn.ssh_servers import make_server
from vpn.actions.instances.instance import create_instance, delete_instance
from vpn.actions.instances.move import rebuild_instance
from vpn.actions.instances.retirement import remove_from
from vpn.actions.servers.region import add_region
from vpn.choices import InstanceState, ServerState, StepName
from vpn.jobs import at_work, lease, move, provision, retirement
from vpn.jobs.at_work import claim_servers
from vpn.models import Instance, Region, RetiredHub, Server

pytestmark = pytest.mark.django_db
Rung = list[tuple[str, ...]]


@pytest.fixture
def region() -> Region:
    """A region whose server is reached over SSH."""
    made = add_region("fra", "Frankfurt", by=BY)
    make_server(made)
    return made


@pytest.fixture
def during(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """What is done while a job talks to a server; the other steps do nothing."""
    acts: list[Callable[[], None]] = []

    def talk(pk: UUID, token: UUID) -> str:
        while acts:
            acts.pop()()
        return ""

    steps: dict[str, Any] = dict.fromkeys(provision._PROVISION_STEPS, lambda pk, token: "")
    monkeypatch.setattr(provision, "_PROVISION_STEPS", steps | {StepName.HUB: talk})
    return acts


def make(organization: Organization, region: Region, hostname: str) -> Instance:
    return create_instance(organization, name=f"Hub {hostname}", hostname=hostname, region=region, by=BY)


def states() -> dict[str, str]:
    return dict(Instance.objects.values_list("hostname", "state"))


def test_a_hub_waits_while_another_one_of_its_server_is_created_and_is_rung_for(
    organization: Organization, region: Region, during: list[Callable[[], None]], rung: Rung
) -> None:
    first, second = (make(organization, region, name) for name in ("hub1", "hub2"))

    def another_worker() -> None:
        provision.provision_instance(str(second.pk))
        assert states()["hub2"] == InstanceState.PENDING
        assert not any(str(second.pk) in call for call in rung), "no busy loop"

    during.append(another_worker)
    rung.clear()
    provision.provision_instance(str(first.pk))
    assert states() == {"hub1": InstanceState.READY, "hub2": InstanceState.PENDING}
    assert ("provision", "vpn.jobs.provision.provision_instance", str(second.pk)) in rung
    provision.provision_instance(str(second.pk))
    assert states()["hub2"] == InstanceState.READY


def test_hubs_of_other_servers_and_of_this_machine_are_created_meanwhile(
    organization: Organization, region: Region, during: list[Callable[[], None]]
) -> None:
    elsewhere = add_region("ams", "Amsterdam", by=BY)
    make_server(elsewhere, "ams1", number=8)
    here = make_region()
    first, other, *local = (
        make(organization, where, name)
        for where, name in ((region, "hub1"), (elsewhere, "hub2"), (here, "hub3"), (here, "hub4"))
    )

    def beside_local() -> None:
        provision.provision_instance(str(local[1].pk))

    def beside_first() -> None:
        provision.provision_instance(str(other.pk))
        during.append(beside_local)
        provision.provision_instance(str(local[0].pk))

    during.append(beside_first)
    provision.provision_instance(str(first.pk))
    assert set(states().values()) == {InstanceState.READY}


def test_nothing_else_is_done_on_a_server_at_work(
    organization: Organization, region: Region, instance: Instance, rung: Rung, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server.objects.get(name="fra1")
    deleted, rebuilt = (make(organization, region, name) for name in ("hub1", "hub2"))
    delete_instance(deleted, by=BY)
    Instance.objects.filter(pk=rebuilt.pk).update(state=InstanceState.READY)
    rebuilt.operations.update(state="succeeded")
    rebuild_instance(rebuilt, by=BY)
    remove_from(server, instance, instance.port_base, epoch=1, by=BY)
    due_at = RetiredHub.objects.get().due_at
    monkeypatch.setattr("vpn.jobs.servers.driver_at", lambda address: pytest.fail("it talks to the server"))
    assert claim_servers([server.pk], uuid4())
    provision.destroy_instance(str(deleted.pk))
    move.go_on_moving(str(rebuilt.pk))
    retirement.look_at_retired(str(RetiredHub.objects.get().pk))
    assert RetiredHub.objects.get().due_at == due_at, "it stays due"
    assert Instance.objects.unclaimed().count() == 3
    assert Instance.objects.get(pk=deleted.pk).retry_at is None


def test_the_claim_of_a_killed_worker_expires(region: Region) -> None:
    server = Server.objects.get(name="fra1")
    assert claim_servers([server.pk], uuid4())
    assert not claim_servers([server.pk], uuid4())
    Server.objects.update(work_expires_at=timezone.now() - timedelta(seconds=1))
    token = uuid4()
    assert claim_servers([server.pk], token)
    at_work.release_servers(token)
    assert claim_servers([server.pk], uuid4())


def test_two_servers_are_claimed_together_or_not_at_all(region: Region) -> None:
    first, second = Server.objects.get(name="fra1"), make_server(region, "fra2", number=8)
    assert claim_servers([second.pk], uuid4())
    assert not claim_servers([first.pk, second.pk], uuid4())
    assert claim_servers([first.pk], uuid4())


def test_a_server_that_became_ready_since_is_not_talked_to_before_it_is_claimed(
    organization: Organization, region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = make(organization, region, "hub1")
    Server.objects.filter(name="fra1").update(state=ServerState.UNREACHABLE)
    steps: dict[str, Any] = dict(provision._PROVISION_STEPS)

    def ready_again(pk: UUID, token: UUID) -> str:
        Server.objects.filter(name="fra1").update(state=ServerState.READY)
        return str(steps[StepName.SERVER](pk, token))

    monkeypatch.setitem(provision._PROVISION_STEPS, StepName.SERVER, ready_again)
    monkeypatch.setattr("vpn.jobs.servers.driver_at", lambda address: pytest.fail("it talks to the server"))
    provision.provision_instance(str(instance.pk))
    assert states() == {"hub1": InstanceState.PROVISIONING}, "the next job claims it"
    assert lease.claim(instance.pk) is not None
