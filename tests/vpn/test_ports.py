"""No two hubs of a server have the same ports. On different servers they may, once no other number is left."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import IntegrityError, transaction
from django.db.migrations.exceptions import IrreversibleError

from portal.exceptions import Conflict
from portal.models import Organization
from tests.factories import BY, make_instance, make_organization, make_region
from tests.vpn.migrating import migrate
from vpn.actions.instances.instance import create_instance
from vpn.actions.instances.placement import place_instance
from vpn.models import Instance, Region, Server

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

FEW = [20000, 20002, 20004]


@pytest.fixture
def few_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for three hubs on a server."""
    monkeypatch.setattr("vpn.actions.instances.ports.FIRST_PORT", FEW[0])
    monkeypatch.setattr("vpn.actions.instances.ports.LAST_PORT", FEW[-1] + 1)


def region_with_server(name: str) -> Region:
    region = Region.objects.create(pk=name, name=name.title())
    Server.objects.create(region=region, name=name, address="203.0.113.9")
    return region


def create(organization: Organization, region: Region, number: int) -> Instance:
    hostname = f"{region.pk}{number}"
    return create_instance(organization, name=f"Hub {number}", hostname=hostname, region=region, by=BY)


@pytest.mark.usefixtures("few_ports")
def test_a_number_that_is_free_everywhere_is_preferred(organization: Organization) -> None:
    here, there = make_region(), region_with_server("there")
    made = [create(organization, region, number) for number, region in enumerate((here, there, here))]
    assert sorted(instance.port_base for instance in made) == FEW, "each of them may move to the other server"


@pytest.mark.usefixtures("few_ports")
def test_each_server_has_all_numbers(organization: Organization) -> None:
    Organization.objects.update(most_provisioning=100)
    here, there = make_region(), region_with_server("there")
    for region in (here, there):
        assert sorted(create(organization, region, number).port_base for number in range(3)) == FEW
    with pytest.raises(Conflict, match="Every port of this server is taken") as refusal:
        create(organization, here, 3)
    assert refusal.value.code == "ports-exhausted"


def test_the_database_refuses_the_same_number_on_one_server(organization: Organization) -> None:
    first, second = make_instance(organization), make_instance(organization, name="Second")
    with pytest.raises(IntegrityError), transaction.atomic():
        Instance.objects.filter(pk=second.pk).update(port_base=first.port_base)


@pytest.mark.parametrize("is_taken", [False, True])
def test_an_instance_that_is_placed_later_changes_its_port_only_where_that_is_taken(
    organization: Organization, *, is_taken: bool
) -> None:
    empty = Region.objects.create(pk="empty", name="Empty")
    waiting = create(organization, empty, 0)
    assert (waiting.server, place_instance(waiting.pk, by=BY).server) == (None, None)
    server = Server.objects.create(region=empty, name="New", address="203.0.113.9")
    neighbour = create(organization, empty, 1)
    if is_taken:
        Instance.objects.filter(pk=neighbour.pk).update(port_base=waiting.port_base)
    placed = place_instance(waiting.pk, by=BY)
    waiting.refresh_from_db()
    assert waiting.server == placed.server == server
    assert (waiting.port_base == placed.port_base != neighbour.port_base) or is_taken
    assert Instance.objects.filter(server=server).values("port_base").distinct().count() == 2


@pytest.fixture
def _present_tables() -> Iterator[None]:
    yield
    migrate()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_present_tables")
def test_the_way_back_is_refused_while_two_servers_share_a_number() -> None:
    organization = make_organization()
    first, second = make_instance(organization), create(organization, region_with_server("there"), 1)
    Instance.objects.filter(pk=second.pk).update(port_base=first.port_base)
    with pytest.raises(IrreversibleError, match="1 ports belong to instances on several servers"):
        migrate("0033_retention")
    Instance.objects.filter(pk=second.pk).update(port_base=first.port_base + 2)
    migrate("0033_retention")
    migrate()
    assert Instance.objects.get(pk=second.pk).port_base == first.port_base + 2
