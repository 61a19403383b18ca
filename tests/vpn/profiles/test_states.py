"""What is worked out for many profiles of an instance at once is what each has by itself."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from portal.models import Membership, Organization
from tests.factories import BY, make_client_peer, make_instance, make_site, make_site_peer, settle
from tests.revising import unrevised
from vpn.actions.instances.settings import update_instance
from vpn.actions.peers.peer import create_site_peer
from vpn.choices import ProfileState
from vpn.models import Instance, Peer
from vpn.profiles.state import current_digest, profile_states

pytestmark = pytest.mark.django_db


@pytest.fixture
def instance(organization: Organization, member: Membership) -> Instance:
    """Sites with networks within each other's, one with the hub's own address within, over both protocols."""
    made = make_instance(organization)
    branches = (["10.1.0.0/16", "fd10:1::/64"], ["10.2.0.0/24", "10.2.1.0/24"], ["203.0.113.0/24"])
    for number, subnets in enumerate(branches):
        make_site_peer(made, make_site(organization, name=f"Branch {number}"), subnets)
    update_instance(made, pushed_routes=["10.1.9.0/24"], by=BY)
    inner = make_site(organization, name="Inner")
    create_site_peer(made, site=inner, subnets=["10.1.7.0/24"], confirm_broad_routes=True, by=BY)
    for platform in ("routeros6", "linux"):
        router = make_site(organization, name=f"Branch with {platform}")
        router.platform = platform
        router.save()
        create_site_peer(made, site=router, subnets=[f"10.{40 + len(platform)}.0.0/24"], protocol="openvpn", by=BY)
    make_client_peer(made, member)
    return settle(made)


def test_each_digest_is_that_of_the_profile_by_itself(instance: Instance) -> None:
    peers = list(Peer.objects.filter(instance=instance).select_related("site", "member__user"))
    for peer in peers:
        peer.instance = instance
        peer.delivered_digest = current_digest(peer)
    assert set(profile_states(instance, peers).values()) == {ProfileState.CURRENT}
    assert len({peer.delivered_digest for peer in peers}) == len(peers)


def test_a_network_of_a_site_outdates_the_others_and_not_its_own(instance: Instance) -> None:
    peers = list(Peer.objects.filter(instance=instance).select_related("site", "member__user"))
    for peer in peers:
        peer.instance = instance
        Peer.objects.filter(pk=peer.pk).update(delivered_digest=current_digest(peer))
    inner = next(peer for peer in peers if peer.label == "Inner")
    with unrevised():
        Peer.objects.filter(pk=inner.pk).update(subnets=["10.1.7.0/24", "10.77.0.0/24"])
    rows = Peer.objects.filter(instance=instance).select_related("site", "member__user")
    states = {peer.label: profile_states(instance, rows)[peer.pk] for peer in rows}
    assert states.pop("Inner") == ProfileState.CURRENT
    follows_by_itself = states.pop("Branch with linux")
    assert follows_by_itself == ProfileState.CURRENT
    assert set(states.values()) == {ProfileState.OUTDATED}


def test_the_states_take_one_query(instance: Instance) -> None:
    rows = list(Peer.objects.filter(instance=instance).select_related("site", "member__user"))
    with CaptureQueriesContext(connection) as captured:
        profile_states(instance, rows)
    assert len(captured) == 1
