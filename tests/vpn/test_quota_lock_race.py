"""What counts under the organization's lock, by every way in at the same moment: nobody waits in a circle."""

from __future__ import annotations

import pytest

from portal.actions.group import change_group, create_group
from portal.exceptions import Conflict
from tests.factories import (
    BY,
    an_admin,
    make_client_peer,
    make_instance,
    make_member,
    make_organization,
    make_site,
    make_site_peer,
)
from tests.fixtures import signed_in
from tests.vpn.api.caller import Caller
from tests.vpn.test_owner_removed import ROUNDS, at_once
from vpn.actions.instances.instance import create_instance
from vpn.actions.peers.peer import create_client_peer, create_site_peer
from vpn.actions.sites.site import create_site
from vpn.models import Region


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_everything_that_is_counted_is_added_at_once() -> None:
    organization = make_organization()
    first, second = (make_instance(organization, name=name) for name in ("First", "Second"))
    admin, anna = an_admin(organization), make_member(organization)
    site = make_site(organization, subnets=["10.1.0.0/24"])
    peers = [make_site_peer(hub, site, ["10.1.0.0/24"]) for hub in (first, second)]
    make_client_peer(first, anna)
    group = create_group(organization, name="Sales", by=BY)
    api, browser = Caller.of(admin), signed_in(admin.user)

    def put(path: str, body: dict[str, object]) -> None:
        answer = api.put(path, body, If_Match=api.get(path)["ETag"])
        if answer.status_code != 200:
            assert answer.status_code in {409, 412}, answer.content
            raise Conflict("refused")

    def save_page(number: int) -> None:
        form = {"firewall-0-name": f"rule {number}", "firewall-0-source": f"group:{group.pk}"}
        assert browser.post(f"/instances/{second.pk}/firewall/", form).status_code in {200, 302}

    def connect(number: int) -> None:
        place = create_site(
            admin.organization, name=f"Site {number}", platform="linux", subnets=[f"10.9.{number}.0/24"], by=BY
        )
        create_site_peer(first, site=place, subnets=[], by=BY)

    def create(number: int) -> None:
        create_instance(
            admin.organization, name=f"Hub {number}", hostname=f"lockrace{number}", region=Region.objects.get(), by=BY
        )

    for number in range(ROUNDS):
        acts = (
            lambda number: put(f"/sites/{site.pk}", {"subnets": ["10.1.0.0/24", f"10.2.{number}.0/24"]}),
            lambda number: put(
                f"/instances/{first.pk}/peers/{peers[0].pk}", {"subnets": ["10.1.0.0/24", f"10.3.{number}.0/24"]}
            ),
            lambda number: put(f"/instances/{first.pk}", {"firewall": [{"name": str(number)}]}),
            save_page,
            connect,
            create,
            lambda number: create_client_peer(first, member=anna, device=f"device {number}", by=BY),
            lambda number: change_group(group, members=[anna.pk] if number % 2 else [], by=BY),
        )
        outcomes = at_once(*(lambda act=act, number=number: act(number) for act in acts))
        assert any(outcomes)
