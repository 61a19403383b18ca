"""Which lost hubs are built anew by themselves, and when: once their lease has ended on the lost server."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone, translation

from portal.models import Organization
from tests.factories import BY, make_instance, observe_hubs, settle
from tests.vpn.ssh_servers import make_server
from vpn.actions.servers.region import add_region, set_loss_policy
from vpn.choices import InstanceState, OperationKind, OperationState, ServerState
from vpn.jobs.availability import ring_for_servers
from vpn.models import Instance, Move, Operation, Region, Server
from vpn.presenters.findings import failure_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def region() -> Region:
    """A region whose lost hubs are built anew."""
    made = add_region("fra", "Frankfurt", by=BY)
    set_loss_policy(made, rebuild_lost=True, lost_after=60, by=BY)
    return made


@pytest.fixture
def lost(region: Region) -> Server:
    """A lost server whose leases have just ended."""
    server = make_server(region, "fra1")
    now = timezone.now()
    Server.objects.filter(pk=server.pk).update(
        state=ServerState.LOST,
        lease_ends_at=now - timedelta(seconds=1),
    )
    return server


@pytest.fixture
def instance(organization: Organization, lost: Server) -> Instance:
    """An instance whose hub ran there."""
    made = settle(make_instance(organization))
    observe_hubs(made, observed_at=timezone.now() - timedelta(minutes=2), leased_on=lost.pk)
    Instance.objects.filter(pk=made.pk).update(server=lost, region=lost.region, state=InstanceState.LOST)
    return Instance.objects.get(pk=made.pk)


@pytest.fixture
def other(region: Region) -> Server:
    """Another server of the region."""
    return make_server(region, "fra2", number=8)


def target_of(instance: Instance) -> Server | None:
    """Where its hub is being built after a tick; None if it is not."""
    ring_for_servers()
    move = Move.objects.filter(instance=instance).first()
    return move.target if move is not None else None


def test_a_lost_hub_is_built_anew_on_another_server(instance: Instance, other: Server) -> None:
    assert target_of(instance) == other
    assert Operation.objects.filter(instance=instance, kind=OperationKind.REBUILD).count() == 1
    ring_for_servers()
    assert Operation.objects.filter(instance=instance, kind=OperationKind.REBUILD).count() == 1


def test_not_before_its_lease_has_ended(instance: Instance, other: Server, lost: Server) -> None:
    Server.objects.filter(pk=lost.pk).update(lease_ends_at=timezone.now() + timedelta(seconds=60))
    assert target_of(instance) is None


def test_not_without_a_lease(instance: Instance, other: Server, lost: Server) -> None:
    """It may run on there."""
    for no_lease_here in (None, other.pk):
        observe_hubs(instance, leased_on=no_lease_here)
        assert target_of(instance) is None


def test_not_without_the_policy(instance: Instance, other: Server, region: Region) -> None:
    set_loss_policy(region, rebuild_lost=False, lost_after=None, by=BY)
    assert target_of(instance) is None


def test_not_while_the_server_may_come_back(instance: Instance, other: Server, lost: Server) -> None:
    Server.objects.filter(pk=lost.pk).update(state=ServerState.UNREACHABLE)
    assert target_of(instance) is None


def test_without_room_the_page_says_so_and_it_is_tried_again(instance: Instance, region: Region) -> None:
    assert target_of(instance) is None
    instance.refresh_from_db()
    words = "Frankfurt has no other server that is ready and has room. Choose another region, or ask the operator."
    assert failure_of(instance) == words
    with translation.override("de"):
        assert failure_of(instance).startswith("Frankfurt hat keinen anderen Server, der bereit ist und Platz hat. ")
    assert instance.state == InstanceState.LOST
    other = make_server(region, "fra2", number=8)
    assert target_of(instance) is None, "not every few seconds"
    Instance.objects.filter(pk=instance.pk).update(retry_at=timezone.now() - timedelta(seconds=1))
    assert target_of(instance) == other


def test_a_rebuild_that_failed_is_tried_again_later(instance: Instance, other: Server) -> None:
    assert target_of(instance) == other
    Move.objects.all().delete()
    failed = Operation.objects.filter(instance=instance, kind=OperationKind.REBUILD)
    failed.update(state=OperationState.FAILED, finished_at=timezone.now())
    assert target_of(instance) is None
    failed.update(started_at=timezone.now() - timedelta(minutes=2))
    assert target_of(instance) == other
