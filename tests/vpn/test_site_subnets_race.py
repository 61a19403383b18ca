"""A site and its peers on two instances are changed at the same moment: nobody waits in a circle, all stay alike."""

from __future__ import annotations

import pytest

from portal.exceptions import Conflict
from tests.factories import BY, an_admin, make_instance, make_organization, make_site, make_site_peer
from tests.vpn.api.caller import Caller
from tests.vpn.test_owner_removed import ROUNDS, at_once
from vpn.actions.peers.peer import create_site_peer, update_peer
from vpn.actions.sites.site import update_site
from vpn.models import Peer, Site


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_everybody_changes_a_site_at_once() -> None:
    organization = make_organization()
    first, second, third = (make_instance(organization, name=name) for name in ("First", "Second", "Third"))
    api = Caller.of(an_admin(organization))

    def put(peer: Peer, subnets: list[str]) -> None:
        path = f"/instances/{peer.instance_id}/peers/{peer.pk}"
        answer = api.put(path, {"subnets": subnets}, If_Match=api.get(path)["ETag"])
        if answer.status_code != 200:
            assert answer.status_code in {409, 412}, answer.content
            raise Conflict("refused")

    for number in range(ROUNDS):
        site = make_site(organization, name=f"Site {number}", subnets=[f"10.{number}.0.0/24"])
        one, other = (make_site_peer(hub, site, [f"10.{number}.0.0/24"]) for hub in (first, second))
        outcomes = at_once(
            lambda site=site, number=number: update_site(
                site, name=f"New {number}", subnets=[f"10.{number}.1.0/24"], by=BY
            ),  # type: ignore[misc]
            lambda one=one, number=number: put(one, [f"10.{number}.2.0/24"]),  # type: ignore[misc]
            lambda other=other, number=number: update_peer(other, subnets=[f"10.{number}.3.0/24"], by=BY),  # type: ignore[misc]
            lambda site=site: create_site_peer(third, site=site, subnets=[], by=BY),  # type: ignore[misc]
        )
        assert any(outcomes)
        subnets = Site.objects.get(pk=site.pk).subnets
        assert [peer.subnets for peer in Peer.objects.filter(site=site)] == [subnets] * 3
