"""Which server carries a new instance: one of its region, chosen in one place."""

from __future__ import annotations

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from portal.exceptions import InvalidInput
from portal.models import Organization
from tests.factories import BY, an_admin, make_region
from tests.vpn.api.caller import Caller, told
from vpn.actions.instances.instance import create_instance
from vpn.actions.instances.placement import server_in
from vpn.actions.servers.server import cordon_server
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


def test_this_machine_takes_no_new_hubs_while_it_is_cordoned(
    organization: Organization, admin_browser: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    region = make_region()
    server = region.servers.get()
    api = Caller.of(an_admin(organization))

    def shown() -> tuple[bool, bool, Server | None]:
        with django_assert_num_queries(1):
            reasons = [one.why_closed for one in Region.objects.with_room()]
        assert reasons == [region.why_closed]
        said = bool(reasons[0]) and reasons[0] in admin_browser.get("/instances/new/").content.decode()
        return said, told(api.get("/servers/regions"), 200)[0]["available"], server_in(region)

    cordon_server(server, by=BY)
    assert shown() == (True, False, None)
    with pytest.raises(InvalidInput, match="takes no new instances"):
        create_instance(organization, name="Hub", hostname="hub", region=region, by=BY)
    cordon_server(server, by=BY, cordoned=False)
    assert shown() == (False, True, server)
