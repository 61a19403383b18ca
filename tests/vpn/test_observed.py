"""What a hub reports becomes what pages show."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from portal.models import Membership, MembershipState, Organization, User
from tests.factories import BY, make_client_peer, make_instance, make_member
from vpn.actions.instances.settings import update_instance
from vpn.actions.peers.peer import create_client_peer, rotate_keys
from vpn.choices import Protocol
from vpn.models import Instance, Peer, Traffic
from vpn.observed import record_observation
from vpn.wire.report import HubReport, PeerReport, SessionReport

pytestmark = pytest.mark.both_databases


@pytest.fixture
def instance(organization: Organization) -> Instance:
    return make_instance(organization)


@pytest.fixture
def peer(instance: Instance, organization: Organization) -> Peer:
    return make_client_peer(instance, make_member(organization))


def observe(peer: Peer, *, handshake: float = 0.0, received: int = 0, sent: int = 0, endpoint: str = "") -> Peer:
    """Report one peer; `handshake` in seconds before now, 0 for none."""
    at = int((timezone.now() - timedelta(seconds=handshake)).timestamp()) if handshake else 0
    seen = {peer.public_key: PeerReport(endpoint or None, at, received, sent)}
    instance = Instance.objects.get(pk=peer.instance_id)
    record_observation(instance.pk, HubReport(instance.hub, 1, 1, "", alive=True, observed_at=0.0, peers=seen))
    return Peer.objects.select_related("instance", "member__user").get(pk=peer.pk)


def test_a_handshake_connects_and_tells_since_when_and_from_where(peer: Peer) -> None:
    seen = observe(peer, handshake=5, endpoint="203.0.113.7:4242")
    assert seen.is_connected
    assert Peer.objects.connected().filter(pk=peer.pk).exists()
    assert seen.connected_from == seen.last_handshake
    assert seen.endpoint == "203.0.113.7:4242"
    later = observe(peer, handshake=1, endpoint="203.0.113.8:1")
    assert later.connected_from == seen.connected_from, "the connection goes on"
    assert later.endpoint == "203.0.113.8:1", "a roaming device"


def test_an_old_handshake_is_no_connection(peer: Peer) -> None:
    seen = observe(peer, handshake=181)
    assert not seen.is_connected
    assert seen.connected_from is None
    assert seen.last_handshake is not None


@pytest.mark.parametrize(
    "how", ["its time is over", "its member is deactivated", "the account is off", "it is disabled"]
)
def test_who_is_shut_out_is_not_connected_however_fresh_the_handshake(peer: Peer, how: str) -> None:
    assert observe(peer, handshake=5).is_connected
    assert peer.member is not None
    rows = Peer.objects.filter(pk=peer.pk)
    if how == "its time is over":
        rows.update(expires_at=timezone.now())
    elif how == "its member is deactivated":
        Membership.objects.filter(pk=peer.member.pk).update(state=MembershipState.DEACTIVATED)
    elif how == "the account is off":
        User.objects.filter(pk=peer.member.user_id).update(is_active=False)
    else:
        rows.update(enabled=False)
    seen = Peer.objects.select_related("instance", "member__user").get(pk=peer.pk)
    assert not seen.is_connected
    assert not Peer.objects.connected().exists()
    counted: Any = Instance.objects.with_peer_counts().get()
    assert counted.connected_count == 0


def test_a_site_and_a_device_count_as_two_that_are_connected(peer: Peer, instance: Instance, site_peer: Peer) -> None:
    Instance.objects.update(observed_at=timezone.now())
    Peer.objects.update(last_handshake=timezone.now())
    counted: Any = Instance.objects.with_peer_counts().get()
    assert counted.connected_count == 2


def test_nothing_counts_as_connected_when_nobody_has_looked_for_a_while(peer: Peer) -> None:
    observe(peer, handshake=5)
    Instance.objects.update(observed_at=timezone.now() - timedelta(seconds=11))
    stale = Peer.objects.select_related("instance").get(pk=peer.pk)
    assert not stale.is_connected
    assert not Peer.objects.connected().exists()


def test_bytes_add_up_over_a_restart_of_the_hub(peer: Peer) -> None:
    observe(peer, handshake=9, received=1000, sent=500)
    observe(peer, handshake=8, received=1500, sent=700)
    seen = observe(peer, handshake=7, received=100, sent=50)
    assert (seen.received_bytes, seen.sent_bytes) == (1600, 750)
    traffic = Traffic.objects.get()
    assert (traffic.incoming_bytes, traffic.outgoing_bytes) == (1600, 750)


def test_a_time_in_the_future_is_not_believed(peer: Peer) -> None:
    assert observe(peer, handshake=-3600).last_handshake is None


def test_an_unknown_key_is_ignored(peer: Peer, instance: Instance) -> None:
    report = HubReport(
        instance.hub, 1, 1, "", alive=True, observed_at=0.0, peers={"A" * 43 + "=": PeerReport(None, 5, 5, 5)}
    )
    record_observation(instance.pk, report)
    assert not Traffic.objects.exists()


def test_many_peers_are_noted_in_a_constant_number_of_queries(instance: Instance, organization: Organization) -> None:
    member = make_member(organization)
    peers = [make_client_peer(instance, member, f"device {number}") for number in range(30)]
    now = int(timezone.now().timestamp())
    seen = {peer.public_key: PeerReport("203.0.113.7:1", now, 10, 10) for peer in peers}
    report = HubReport(instance.hub, 1, 1, "", alive=True, observed_at=0.0, peers=seen)
    with CaptureQueriesContext(connection) as queries:
        record_observation(instance.pk, report)
    statements = [query["sql"] for query in queries.captured_queries if not query["sql"].startswith("UPDATE vpn_peer")]
    assert len(statements) < 12
    assert Peer.objects.connected().count() == 30


def test_what_an_old_key_did_is_not_noted_on_a_peer_with_new_ones(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    seen_before = Peer.objects.get(pk=peer.pk)
    rotate_keys(peer, by=BY)
    monkeypatch.setattr("vpn.observed._known", lambda instance_id: [seen_before])
    assert observe(peer, handshake=1, received=100).last_handshake is None


def test_the_instance_is_locked_before_its_peers_as_actions_do_it(peer: Peer) -> None:
    with CaptureQueriesContext(connection) as queries:
        observe(peer, handshake=1)
    updated = [word.split()[0].strip('"') for query in queries for word in query["sql"].split("UPDATE ")[1:]]
    assert updated == ["vpn_instance", "vpn_peer"]


def count(instance: Instance, hits: dict[str, int]) -> list[int]:
    """Report hits; what the rules show then."""
    record_observation(instance.pk, HubReport(instance.hub, 1, 1, "", alive=True, observed_at=0.0, hits=hits))
    return list(instance.firewall_rules.values_list("hits", flat=True))


def test_hits_add_up_over_a_restart_of_the_hub(instance: Instance) -> None:
    update_instance(instance, firewall=[{"port": "1"}, {"port": "2"}], by=BY)
    first, second = (str(rule.pk) for rule in instance.firewall_rules.all())
    assert count(instance, {first: 5}) == [5, 0]
    assert count(instance, {first: 8, second: 2}) == [8, 2]
    assert count(instance, {first: 8, second: 2}) == [8, 2]
    assert count(instance, {first: 3, str(uuid4()): 9}) == [11, 2], "the counter began anew"
    assert count(instance, {}) == [11, 2]
    assert count(instance, {first: 4, second: 1}) == [12, 3]


def test_hits_of_another_instances_rule_are_ignored(instance: Instance, organization: Organization) -> None:
    other = make_instance(organization, name="Other")
    update_instance(other, firewall=[{}], by=BY)
    rule = other.firewall_rules.get()
    count(instance, {str(rule.pk): 5})
    rule.refresh_from_db()
    assert rule.hits == 0


def test_a_session_that_lacks_what_is_pushed_now_is_known_until_it_has_it(
    instance: Instance, organization: Organization
) -> None:
    peer = create_client_peer(
        instance, member=make_member(organization), device="phone", protocol=Protocol.OPENVPN, by=BY
    )

    def report(generation: int, *, outdated: bool | None) -> int | None:
        began = int(timezone.now().timestamp()) - 60
        session = None if outdated is None else SessionReport("203.0.113.7:1", began, 0, 0, "udp", outdated)
        sessions = {} if session is None else {str(peer.pk): session}
        seen = HubReport(instance.hub, 1, generation, "", alive=True, observed_at=0.0, sessions=sessions)
        record_observation(instance.pk, seen)
        return Peer.objects.get(pk=peer.pk).push_generation

    assert report(3, outdated=False) is None
    assert report(4, outdated=True) == 4
    assert report(5, outdated=True) == 4, "the first that it lacks"
    assert report(5, outdated=False) is None
    Peer.objects.filter(pk=peer.pk).update(push_generation=7)
    assert report(6, outdated=False) == 7, "a hub that does not have the change yet knows nothing of it"
    assert report(7, outdated=False) is None
    Peer.objects.filter(pk=peer.pk).update(push_generation=7)
    assert report(6, outdated=None) is None, "whoever connects learns of it"
