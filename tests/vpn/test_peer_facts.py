"""What is counted of a hub's peers is counted once for each observation, and never says what was true before it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from portal.models import Membership, Organization
from tests.factories import (
    BY,
    make_client_peer,
    make_instance,
    make_member,
    make_site,
    make_site_peer,
    observe_hubs,
    observe_peers,
    settle,
)
from vpn.actions.peers.peer import delete_peer
from vpn.actions.profiles.profile import deliver_profile
from vpn.choices import Protocol
from vpn.models import Instance, Peer
from vpn.needs import PeerFacts, peer_facts_of

pytestmark = pytest.mark.both_databases


@pytest.fixture
def instance(organization: Organization) -> Instance:
    return make_instance(organization)


@pytest.fixture
def peers(instance: Instance, organization: Organization) -> list[Peer]:
    anna = make_member(organization)
    devices = [make_client_peer(instance, anna, f"laptop {number}") for number in range(3)]
    sites = [make_site_peer(instance, make_site(organization, name=f"Branch {number}")) for number in range(5)]
    settle(instance)
    observe_hubs(instance, observed_at=timezone.now())
    observe_peers(last_handshake=timezone.now())
    return [*devices, *sites]


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every hub counts as large."""
    monkeypatch.setattr("vpn.needs.peer_facts._LARGE", 1)


def facts_of(instance: Instance) -> tuple[PeerFacts, int, int]:
    """The facts as a reader gets them now, how many peers are online, and how many queries that took."""
    seen = Instance.objects.select_related("server", "observation").get(pk=instance.pk)
    with CaptureQueriesContext(connection) as captured:
        facts = peer_facts_of([seen])[seen.pk]
    return facts, facts.online(seen), len(captured)


def looked_at(instance: Instance) -> None:
    observe_hubs(instance, observed_at=timezone.now())


def test_the_counts_are_those_of_the_rows(instance: Instance, peers: list[Peer]) -> None:
    first, second, third, berlin, paris, rome, oslo, bern = peers
    for peer in (first, second, berlin):
        deliver_profile(peer, by=BY)
    now = timezone.now()
    Peer.objects.filter(pk__in=[second.pk, oslo.pk]).update(enabled=False)
    Peer.objects.filter(pk=third.pk).update(expires_at=now)
    Peer.objects.filter(pk=rome.pk).update(protocol=Protocol.OPENVPN)
    observe_peers(berlin, last_handshake=now - timedelta(hours=3))
    observe_peers(paris, last_handshake=now - timedelta(hours=4))
    observe_peers(rome, last_handshake=now - timedelta(hours=2))
    observe_peers(oslo, last_handshake=now - timedelta(hours=5))
    observe_peers(bern, public_key="of an earlier key", last_handshake=now - timedelta(hours=6))
    facts, online, _ = facts_of(instance)
    rows = Peer.objects.select_related("instance__observation", "member__user", "observation")
    assert online == sum(peer.is_connected for peer in rows) == 1
    assert (facts.total, facts.sites, facts.delivered) == (8, 5, 2)
    assert [(name, facts.silent) for name, _ in facts.silent_sites] == [
        ("Branch 1", 3),
        ("Branch 0", 3),
        ("Branch 2", 3),
    ]
    assert facts.silent_since == now - timedelta(hours=4)
    assert first.instance.server is not None
    assert facts.hosts == {first.instance.server.addresses[0]: 2}


def test_the_sites_that_are_away_longest_are_named_and_all_are_counted(instance: Instance, peers: list[Peer]) -> None:
    for hours, peer in enumerate(peers[3:], 1):
        observe_peers(peer, last_handshake=timezone.now() - timedelta(hours=hours))
    facts, _, _ = facts_of(instance)
    assert [name for name, _ in facts.silent_sites] == ["Branch 4", "Branch 3", "Branch 2"]
    assert facts.silent == 5


def test_peers_of_a_small_hub_are_counted_for_each_reader(instance: Instance, peers: list[Peer]) -> None:
    assert facts_of(instance)[1] == 8
    observe_peers(peers[0], last_handshake=timezone.now() - timedelta(hours=1))
    assert facts_of(instance)[1] == 7


@pytest.mark.usefixtures("large")
def test_readers_of_one_observation_count_once(instance: Instance, peers: list[Peer]) -> None:
    observe_peers(peers[4], last_handshake=timezone.now() - timedelta(hours=1))
    counted = facts_of(instance)
    assert counted[1:] == (7, 2)
    known = facts_of(instance)
    assert known[1:] == (7, 0)
    assert known[0].silent_since == counted[0].silent_since


@pytest.mark.usefixtures("large")
def test_the_next_observation_is_counted_anew(instance: Instance, peers: list[Peer]) -> None:
    assert facts_of(instance)[1] == 8
    observe_peers(peers[0], last_handshake=timezone.now() - timedelta(hours=1))
    looked_at(instance)
    assert facts_of(instance)[1] == 7


@pytest.mark.usefixtures("large")
def test_a_change_is_counted_at_once(instance: Instance, peers: list[Peer]) -> None:
    assert facts_of(instance)[0].total == 8
    delete_peer(peers[0], by=BY)
    assert (facts_of(instance)[0].total, facts_of(instance)[1]) == (7, 7)


@pytest.mark.usefixtures("large")
def test_none_is_online_once_the_hub_stops_reporting(
    instance: Instance, peers: list[Peer], admin_browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "8 of 8 online" in admin_browser.get(f"/instances/{instance.pk}/").content.decode()
    later = timezone.now() + timedelta(seconds=11)
    monkeypatch.setattr("django.utils.timezone.now", lambda: later)
    assert "0 of 8 online" in admin_browser.get(f"/instances/{instance.pk}/").content.decode()


@pytest.mark.usefixtures("large")
def test_the_list_and_the_page_of_an_instance_say_the_same(
    instance: Instance, peers: list[Peer], admin: Membership, admin_browser: Client
) -> None:
    make_instance(admin.organization, name="Another hub")
    assert "8 of 8" in admin_browser.get("/").content.decode()
    assert "8 of 8 online" in admin_browser.get(f"/instances/{instance.pk}/").content.decode()


@pytest.mark.usefixtures("large")
def test_without_a_cache_each_reader_counts(
    instance: Instance, peers: list[Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(*_: Any, **__: Any) -> dict[str, Any]:
        return {}

    monkeypatch.setattr(cache, "get_many", nothing)
    assert facts_of(instance)[1:] == (8, 1)
    assert facts_of(instance)[1:] == (8, 1)
