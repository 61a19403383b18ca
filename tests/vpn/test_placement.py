"""Which server carries a new instance: one of its region, chosen in one place."""

from __future__ import annotations

from portal.models import Organization
from tests.factories import BY, an_admin, make_region
from vpn.actions.instances.instance import create_instance
from vpn.actions.instances.placement import server_in
from vpn.models import Region, Server


def test_a_new_instance_is_placed_on_a_server_of_its_region(organization: Organization) -> None:
    elsewhere = Region.objects.create(pk="elsewhere", name="Elsewhere")
    other = Server.objects.create(region=elsewhere, name="Another", address="203.0.113.9")
    local = make_region()
    admin = an_admin(organization)
    for region, hostname in ((local, "fra"), (elsewhere, "els")):
        instance = create_instance(admin.organization, name="Hub", hostname=hostname, region=region, by=BY)
        assert instance.server == server_in(region)
    assert instance.server == other


def test_a_region_without_a_server_places_none(organization: Organization) -> None:
    empty = Region.objects.create(pk="empty", name="Empty")
    assert server_in(empty) is None
    assert create_instance(organization, name="Hub", hostname="emp", region=empty, by=BY).server is None
