"""Everything that locks several rows happens at the same moment: nobody waits in a circle.

Who saves an instance twice in a transaction looks for the keys of its organization and its server when it commits.
"""

from __future__ import annotations

import pytest

from portal.actions.member import change_member
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
from tests.vpn.api.caller import Caller
from tests.vpn.test_owner_removed import ROUNDS, at_once
from vpn.actions.instances.server import allow_networks
from vpn.actions.instances.settings import update_instance
from vpn.actions.profiles.profile import issue_link
from vpn.actions.sites.site import update_site
from vpn.models import Instance, Peer, Site

NARROW = {"First": "100.64.4.0/24", "Second": "100.96.4.0/24"}
WIDE = {"First": "100.64.4.0/23", "Second": "100.96.4.0/23"}


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_sites_pools_people_and_networks_change_at_once() -> None:
    organization = make_organization()
    first, second = make_instance(organization, name="First"), make_instance(organization, name="Second")
    anna, api = make_member(organization, name="Anna"), Caller.of(an_admin(organization))
    site = make_site(organization, subnets=["10.1.0.0/24"])
    for hub in (first, second):
        make_site_peer(hub, site, ["10.1.0.0/24"])
        make_client_peer(hub, anna)
        Instance.objects.filter(pk=hub.pk).update(pushed_routes=["10.1.0.0/24"])
    assert first.server is not None

    def save_site(number: int) -> None:
        update_site(Site.objects.get(), name=f"Site {number}", subnets=[f"10.1.{number}.0/24"], by=BY)

    def widen() -> None:
        update_instance(Instance.objects.get(pk=first.pk), pool=WIDE[first.name], by=BY)

    def put_pool() -> None:
        path = f"/instances/{second.pk}"
        answer = api.put(path, {"pool": WIDE[second.name]}, If_Match=api.get(path)["ETag"])
        if answer.status_code != 200:
            assert answer.status_code in {409, 412}, answer.content
            raise Conflict("refused")

    def rename(number: int) -> None:
        change_member(anna, name=f"Anna {number}", by=BY)
        issue_link(Peer.objects.filter(member=anna).order_by("pk")[number % 2], sender=anna, by=BY)

    for number in range(ROUNDS * 2):
        for hub in (first, second):
            Instance.objects.filter(pk=hub.pk).update(pool_v4=NARROW[hub.name], pool_origin="")
        outcomes = at_once(
            lambda number=number: save_site(number),  # type: ignore[misc]
            widen,
            put_pool,
            lambda number=number: rename(number),  # type: ignore[misc]
            lambda number=number: allow_networks(first.server, [f"172.31.{number}.0/24"], by=BY),  # type: ignore[misc]
        )
        assert any(outcomes)
