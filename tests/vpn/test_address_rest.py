"""A deleted peer's addresses rest for a day, unless the pool is full."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from portal.exceptions import Conflict
from portal.models import Membership, Organization
from tests.factories import BY, make_client_peer, make_instance, make_region, make_site, make_site_peer
from vpn.actions.instances.instance import create_instance
from vpn.actions.peers.peer import create_client_peer, delete_peer
from vpn.addressing.pools import last_peer_host
from vpn.jobs.tidy import tidy
from vpn.models import Instance, Peer, ReleasedHost


@pytest.fixture
def small(organization: Organization) -> Instance:
    """An instance with a /24, the smallest pool."""
    return create_instance(organization, name="Small", hostname="small", region=make_region(), pool_prefix=24, by=BY)


def add(instance: Instance, member: Membership, number: int = 0) -> Peer:
    return create_client_peer(instance, member=member, device=f"device {number}" if number else "", by=BY)


def fill(instance: Instance, member: Membership) -> None:
    """Take every address of the pool: most of them by rows alone, which is quicker."""
    last = last_peer_host(instance.network_v4)
    first = add(instance, member)
    rows = [
        Peer(instance=instance, type="client", member=member, host=host, public_key=f"{host:044}", changed_generation=1)
        for host in range(first.host + 1, last + 1)
    ]
    Peer.objects.bulk_create(rows)


def rests_since(instance: Instance, hours: int) -> None:
    instance.released_hosts.update(released_at=timezone.now() - timedelta(hours=hours))


def test_the_newest_peers_address_is_not_given_to_the_next_one(instance: Instance, member: Membership) -> None:
    first, newest = add(instance, member), add(instance, member)
    delete_peer(newest, by=BY)
    assert add(instance, member).host == newest.host + 1
    assert first.host + 1 == newest.host


def test_it_is_given_again_after_a_day(instance: Instance, member: Membership) -> None:
    peer = add(instance, member)
    delete_peer(peer, by=BY)
    rests_since(instance, 25)
    assert add(instance, member).host == peer.host
    assert not ReleasedHost.objects.exists()


def test_what_a_page_deletes_rests_too(admin_browser: Client, instance: Instance, site_peer: Peer) -> None:
    admin_browser.post(f"/peers/{site_peer.pk}/delete/")
    assert not Peer.objects.exists()
    assert make_site_peer(instance, make_site(instance.organization)).host != site_peer.host


def test_instances_are_apart(organization: Organization, instance: Instance, member: Membership) -> None:
    other = make_instance(organization, name="Other")
    peer = add(instance, member)
    delete_peer(peer, by=BY)
    assert add(other, member).host == peer.host


def test_a_full_pool_gives_what_has_rested_then_what_rests_longest(small: Instance, member: Membership) -> None:
    fill(small, member)
    with pytest.raises(Conflict, match="Widen the pool in the instance"):
        add(small, member)
    peers = {peer.host: peer for peer in small.peers.all()}
    for hours, host in ((25, 90), (3, 40), (5, 60), (1, 30)):
        delete_peer(peers[host], by=BY)
        ReleasedHost.objects.filter(host=host).update(released_at=timezone.now() - timedelta(hours=hours))
    assert [add(small, member).host for _ in range(4)] == [90, 60, 40, 30]
    with pytest.raises(Conflict, match="Widen the pool in the instance"):
        add(small, member)


def test_an_address_that_was_given_in_need_rests_anew(small: Instance, member: Membership) -> None:
    fill(small, member)
    peers = {peer.host: peer for peer in small.peers.all()}
    for host in (40, 60):
        delete_peer(peers[host], by=BY)
    again = add(small, member)
    assert again.host == 40
    delete_peer(again, by=BY)
    assert add(small, member).host == 60


def test_adding_a_peer_asks_as_much_with_many_that_rest(instance: Instance, member: Membership) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            make_client_peer(instance, member, device="")
        return len(seen)

    before = queries()
    ReleasedHost.objects.bulk_create(ReleasedHost(instance=instance, host=host) for host in range(100, 2100))
    assert queries() == before
    assert max(Peer.objects.values_list("host", flat=True)) == 2100


def test_what_has_rested_is_tidied_away(instance: Instance, member: Membership) -> None:
    for hours in (25, 1):
        peer = add(instance, member)
        delete_peer(peer, by=BY)
        ReleasedHost.objects.filter(host=peer.host).update(released_at=timezone.now() - timedelta(hours=hours))
    tidy()
    assert ReleasedHost.objects.count() == 1
