"""What a hub reports becomes what pages show."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from portal.models import Membership, MembershipState, Organization, User
from tests.factories import (
    BY,
    hits_of,
    make_client_peer,
    make_instance,
    make_member,
    observe_hits,
    observe_hubs,
    observe_peers,
)
from vpn.actions.instances.settings import update_instance
from vpn.actions.peers.keys import renew_peer, rotate_keys
from vpn.actions.peers.peer import create_client_peer, update_peer
from vpn.choices import Protocol
from vpn.jobs.tidy import tidy
from vpn.models import Instance, InstanceObservation, Peer, PeerObservation, RuleObservation, Traffic
from vpn.needs import peer_facts_of
from vpn.observed import record_observations
from vpn.observed.sighting import Sighting, known_peers, named_peers
from vpn.wire.report import HubReport, PeerReport, SessionReport

pytestmark = pytest.mark.both_databases


@pytest.fixture
def instance(organization: Organization) -> Instance:
    return make_instance(organization)


@pytest.fixture
def peer(instance: Instance, organization: Organization) -> Peer:
    return make_client_peer(instance, make_member(organization))


def observe(peer: Peer, *, handshake: float = 0.0, received: int = 0, sent: int = 0, endpoint: str = "") -> Peer:
    """Report one peer, and read it; `handshake` in seconds before now, 0 for none."""
    at = int((timezone.now() - timedelta(seconds=handshake)).timestamp()) if handshake else 0
    seen = {peer.public_key: PeerReport(endpoint or None, at, received, sent)}
    instance = Instance.objects.get(pk=peer.instance_id)
    record_observations({instance.pk: HubReport(instance.hub, 1, 1, "", alive=True, observed_at=0.0, peers=seen)})
    return Peer.objects.select_related("instance", "member__user").get(pk=peer.pk)


def online_of(instance: Instance) -> int:
    return peer_facts_of([instance])[instance.pk].online(instance)


def test_a_handshake_connects_and_tells_since_when_and_from_where(peer: Peer) -> None:
    seen = observe(peer, handshake=5, endpoint="203.0.113.7:4242")
    assert seen.is_connected
    assert Peer.objects.connected().filter(pk=peer.pk).exists()
    assert seen.seen.connected_from == seen.seen.last_handshake
    assert seen.seen.endpoint == "203.0.113.7:4242"
    later = observe(peer, handshake=1, endpoint="203.0.113.8:1")
    assert later.seen.connected_from == seen.seen.connected_from, "the connection goes on"
    assert later.seen.endpoint == "203.0.113.8:1", "a roaming device"


def test_an_old_handshake_is_no_connection(peer: Peer) -> None:
    seen = observe(peer, handshake=181)
    assert not seen.is_connected
    assert seen.seen.connected_from is None
    assert seen.seen.last_handshake is not None


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
    assert online_of(Instance.objects.get()) == 0


def test_a_site_and_a_device_count_as_two_that_are_connected(peer: Peer, instance: Instance, site_peer: Peer) -> None:
    observe_hubs(observed_at=timezone.now())
    observe_peers(last_handshake=timezone.now())
    assert online_of(Instance.objects.get()) == 2


def test_nothing_counts_as_connected_when_nobody_has_looked_for_a_while(peer: Peer) -> None:
    observe(peer, handshake=5)
    observe_hubs(observed_at=timezone.now() - timedelta(seconds=11))
    stale = Peer.objects.select_related("instance").get(pk=peer.pk)
    assert not stale.is_connected
    assert not Peer.objects.connected().exists()
    assert online_of(stale.instance) == 0


def test_bytes_add_up_over_a_restart_of_the_hub(peer: Peer) -> None:
    observe(peer, handshake=9, received=1000, sent=500)
    observe(peer, handshake=8, received=1500, sent=700)
    seen = observe(peer, handshake=7, received=100, sent=50)
    assert (seen.seen.received_bytes, seen.seen.sent_bytes) == (1600, 750)
    traffic = Traffic.objects.get()
    assert (traffic.incoming_bytes, traffic.outgoing_bytes) == (1600, 750)


def test_a_time_in_the_future_is_not_believed(peer: Peer) -> None:
    assert observe(peer, handshake=-3600).seen.last_handshake is None


def test_an_unknown_key_is_ignored(peer: Peer, instance: Instance) -> None:
    report = HubReport(
        instance.hub, 1, 1, "", alive=True, observed_at=0.0, peers={"A" * 43 + "=": PeerReport(None, 5, 5, 5)}
    )
    record_observations({instance.pk: report})
    assert not Traffic.objects.exists()


def test_many_peers_are_noted_in_a_constant_number_of_queries(instance: Instance, organization: Organization) -> None:
    member = make_member(organization)
    peers = [make_client_peer(instance, member, f"device {number}") for number in range(30)]
    now = int(timezone.now().timestamp())
    seen = {peer.public_key: PeerReport("203.0.113.7:1", now, 10, 10) for peer in peers}
    report = HubReport(instance.hub, 1, 1, "", alive=True, observed_at=0.0, peers=seen)
    with CaptureQueriesContext(connection) as queries:
        record_observations({instance.pk: report})
    statements = [query["sql"] for query in queries.captured_queries if not query["sql"].startswith("UPDATE vpn_peer")]
    assert len(statements) < 14
    assert Peer.objects.connected().count() == 30


def test_what_an_old_key_did_is_not_noted_on_a_peer_with_new_ones(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    observe(peer, handshake=9, received=50)
    read = [(pk, list(peers)) for pk, peers in known_peers([peer.instance_id])]
    rotate_keys(peer, by=BY)
    monkeypatch.setattr("vpn.observed.recording.known_peers", lambda instance_ids: read)
    late = observe(peer, handshake=1, received=100).seen
    assert (late.last_handshake, late.received_bytes) == (None, 100)
    assert not Peer.objects.connected().exists()


def test_new_keys_are_seen_anew_and_the_bytes_add_up(peer: Peer) -> None:
    observe(peer, handshake=9, received=50, endpoint="203.0.113.7:4242")
    fresh = rotate_keys(peer, by=BY)
    assert (fresh.seen.last_handshake, fresh.seen.endpoint, fresh.seen.received_bytes) == (None, "", 50)
    again = observe(fresh, handshake=1, received=10)
    assert again.is_connected
    assert again.seen.received_bytes == 60


def test_a_renewed_certificate_does_not_end_what_was_seen(instance: Instance, organization: Organization) -> None:
    phone = create_client_peer(
        instance, member=make_member(organization), device="phone", protocol=Protocol.OPENVPN, by=BY
    )
    observe_peers(phone, last_handshake=timezone.now(), connected_from=timezone.now())
    renew_peer(phone, by=BY)
    assert Peer.objects.get(pk=phone.pk).is_connected
    assert Peer.objects.connected().exists()


def test_who_is_disabled_and_enabled_again_is_not_connected_since_before(peer: Peer) -> None:
    observe(peer, handshake=100)
    update_peer(peer, enabled=False, by=BY)
    update_peer(peer, enabled=True, by=BY)
    assert Peer.objects.get(pk=peer.pk).seen.connected_from is None


def test_a_report_that_was_asked_for_earlier_does_not_undo_a_later_one(peer: Peer) -> None:
    asked_at = timezone.now()
    later = observe(peer, handshake=5, received=500)
    old = {peer.public_key: PeerReport("203.0.113.9:9", int(asked_at.timestamp()) - 100, 100, 0)}
    report = HubReport("h" * 10, 1, 1, "", alive=True, observed_at=0.0, peers=old)
    assert record_observations({peer.instance_id: report}, asked_at) == {}
    now = Peer.objects.get(pk=peer.pk).seen
    assert (now.received_bytes, now.endpoint) == (500, later.seen.endpoint)
    assert Traffic.objects.get().incoming_bytes == 500


def test_a_clock_that_was_set_back_stops_no_observation(peer: Peer) -> None:
    observe_hubs(observed_at=timezone.now() + timedelta(hours=1))
    assert observe(peer, handshake=5).seen.last_handshake is not None


def test_two_who_look_at_once_count_bytes_once(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    observe(peer, handshake=9, received=100)
    first = True

    def read_twice(instance_ids: Any) -> Any:
        nonlocal first
        read = [(pk, list(peers)) for pk, peers in known_peers(instance_ids)]
        if first:
            first = False
            observe(peer, handshake=5, received=150)
        return read

    monkeypatch.setattr("vpn.observed.recording.known_peers", read_twice)
    seen = observe(peer, handshake=4, received=160)
    assert seen.seen.received_bytes == Traffic.objects.get().incoming_bytes == 150
    assert observe(peer, handshake=1, received=170).seen.received_bytes == 170


def test_what_did_not_change_is_not_written(peer: Peer) -> None:
    for _ in range(2):
        observe(peer, handshake=300, received=100, endpoint="203.0.113.7:4242")
    seen = {peer.public_key: PeerReport("203.0.113.7:4242", int(_handshake_of(peer).timestamp()), 100, 0)}
    report = HubReport("h" * 10, 1, 1, "", alive=True, observed_at=0.0, peers=seen, families=["ipv4", "ipv6"])
    report = dataclasses.replace(report, upstreams={"9.9.9.9": True}, hits={})
    with CaptureQueriesContext(connection) as queries:
        record_observations({peer.instance_id: report})
    written = [query["sql"] for query in queries if query["sql"].startswith(("UPDATE", "INSERT"))]
    assert [sql.split('"')[1] for sql in written] == ["vpn_instanceobservation"]


def test_the_peers_that_did_nothing_cost_no_statement_and_are_not_read(
    instance: Instance, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    began = int(timezone.now().timestamp()) - 100
    assert peer.member is not None

    def counting(reports: dict[UUID, HubReport]) -> Iterator[tuple[UUID, Iterator[Sighting]]]:
        for instance_id, peers in named_peers(reports):
            found = list(peers)
            read.append(len(found))
            yield instance_id, iter(found)

    monkeypatch.setattr("vpn.observed.recording.named_peers", counting)

    def statements(moved: int) -> int:
        seen = {peer.public_key: PeerReport("203.0.113.7:4242", began + moved, moved, 0)}
        report = HubReport("h" * 10, 1, 1, "", alive=True, observed_at=0.0, peers=seen, sessions={})
        short = dataclasses.replace(report, stamp="1" * 16, since="0" * 16)
        InstanceObservation.objects.update(observed_at=None)
        with CaptureQueriesContext(connection) as queries:
            record_observations({instance.pk: short})
        return len(queries)

    statements(10)
    alone = statements(20)
    for number in range(30):
        make_client_peer(instance, peer.member, device=f"quiet {number}")
    assert statements(30) == alone
    assert read == [1, 1, 1]


def _handshake_of(peer: Peer) -> datetime:
    return PeerObservation.objects.get(pk=peer.pk).last_handshake or timezone.now()


def test_what_is_observed_waits_for_no_action_and_no_action_for_it(peer: Peer, instance: Instance) -> None:
    update_instance(instance, firewall=[{"port": "1"}], by=BY)
    with CaptureQueriesContext(connection) as queries:
        observe(peer, handshake=1, received=10)
    updated = [word.split()[0].strip('"') for query in queries for word in query["sql"].split("UPDATE ")[1:]]
    assert updated == ["vpn_instanceobservation", "vpn_traffic"]


def count(instance: Instance, hits: dict[str, int]) -> list[int]:
    """Report hits; what the rules show then."""
    record_observations({instance.pk: HubReport(instance.hub, 1, 1, "", alive=True, observed_at=0.0, hits=hits)})
    return hits_of(instance)


def test_hits_add_up_over_a_restart_of_the_hub(instance: Instance) -> None:
    update_instance(instance, firewall=[{"port": "1"}, {"port": "2"}], by=BY)
    first, second = (str(rule.pk) for rule in instance.firewall_rules.all())
    assert count(instance, {first: 5}) == [5, 0]
    assert count(instance, {first: 8, second: 2}) == [8, 2]
    assert count(instance, {first: 8, second: 2}) == [8, 2]
    assert count(instance, {first: 3, str(uuid4()): 9}) == [11, 2], "the counter began anew"
    assert count(instance, {}) == [11, 2]
    assert count(instance, {first: 4, second: 1}) == [12, 3]


def test_hits_wait_for_no_action_that_has_the_rules_and_no_action_for_them(instance: Instance) -> None:
    update_instance(instance, firewall=[{"port": "1"}], by=BY)
    rule = str(instance.firewall_rules.get().pk)
    with CaptureQueriesContext(connection) as queries:
        count(instance, {rule: 5})
        count(instance, {rule: 6})
    writes = [query["sql"] for query in queries if query["sql"].startswith(("UPDATE", "INSERT", "DELETE"))]
    assert {sql.split('"')[1] for sql in writes} == {"vpn_instanceobservation", "vpn_ruleobservation"}
    locks = [query["sql"] for query in queries if "FOR UPDATE" in query["sql"]]
    assert all('FROM "vpn_instanceobservation"' in sql for sql in locks)
    with CaptureQueriesContext(connection) as queries:
        update_instance(instance, firewall=[], by=BY)
        instance.delete()
    assert not [query["sql"] for query in queries if "vpn_ruleobservation" in query["sql"]]


def test_hits_of_another_instances_rule_are_ignored(instance: Instance, organization: Organization) -> None:
    other = make_instance(organization, name="Other")
    update_instance(other, firewall=[{}], by=BY)
    rule = other.firewall_rules.get()
    count(instance, {str(rule.pk): 5})
    assert hits_of(other) == [0]


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
        record_observations({instance.pk: seen})
        return Peer.objects.get(pk=peer.pk).seen.push_generation

    assert report(3, outdated=False) is None
    assert report(4, outdated=True) == 4
    assert report(5, outdated=True) == 4, "the first that it lacks"
    assert report(5, outdated=False) is None
    observe_peers(peer, push_generation=7)
    assert report(6, outdated=False) == 7, "a hub that does not have the change yet knows nothing of it"
    assert report(7, outdated=False) is None
    observe_peers(peer, push_generation=7)
    assert report(6, outdated=None) is None, "whoever connects learns of it"


def test_what_was_written_while_a_peer_was_deleted_is_removed_later(peer: Peer, instance: Instance) -> None:
    update_instance(instance, firewall=[{"port": "1"}, {"port": "2"}], by=BY)
    rules = list(instance.firewall_rules.all())
    observe_hits(rules, 7)
    update_instance(instance, firewall=[{"port": "1"}], by=BY)
    observe(peer, handshake=1)
    kept = PeerObservation.objects.get()
    gone = PeerObservation.objects.create(peer_id=uuid4(), public_key="A" * 44)
    InstanceObservation.objects.create(instance_id=gone.pk)
    tidy()
    assert [row.pk for row in PeerObservation.objects.all()] == [kept.pk]
    assert [row.pk for row in InstanceObservation.objects.all()] == [peer.instance_id]
    assert [row.pk for row in RuleObservation.objects.all()] == [rules[0].pk]


@pytest.fixture(params=[500, 0], ids=["read by name", "all read"])
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to read the peers of a short report."""
    monkeypatch.setattr("vpn.observed.sighting._FEW", request.param)


@pytest.mark.usefixtures("few")
def test_a_short_report_leaves_who_is_not_in_it_as_it_was(instance: Instance, organization: Organization) -> None:
    member = make_member(organization)
    tunnels = [make_client_peer(instance, member, f"device {number}") for number in range(2)]
    phones = [
        create_client_peer(instance, member=member, device=f"phone {number}", protocol=Protocol.OPENVPN, by=BY)
        for number in range(3)
    ]
    at = int(timezone.now().timestamp()) - 5
    session = SessionReport("203.0.113.7:1", at, 10, 10, "udp")
    report = HubReport(
        instance.hub, 1, 1, "", alive=True, observed_at=0.0, stamp="1" * 16,
        peers={peer.public_key: PeerReport("203.0.113.7:1", at, 10, 10) for peer in tunnels},
        sessions={str(peer.pk): session for peer in phones},
    )  # fmt: skip
    record_observations({instance.pk: report})
    assert Peer.objects.connected().count() == 5
    short = dataclasses.replace(
        report, stamp="2" * 16, since="1" * 16, ended=[str(phones[2].pk)],
        peers={tunnels[0].public_key: PeerReport("203.0.113.7:1", at, 15, 10)},
        sessions={str(phones[0].pk): dataclasses.replace(session, received_bytes=17)},
    )  # fmt: skip
    record_observations({instance.pk: short})
    assert set(Peer.objects.connected()) == {*tunnels, *phones[:2]}
    received = dict(PeerObservation.objects.values_list("peer", "received_bytes"))
    assert received == {tunnels[0].pk: 15, tunnels[1].pk: 10, phones[0].pk: 17, phones[1].pk: 10, phones[2].pk: 10}
    assert Traffic.objects.get().incoming_bytes == 62


def test_short_reports_of_many_hubs_are_recorded_in_a_constant_number_of_statements(organization: Organization) -> None:
    member = make_member(organization)
    peers = [make_client_peer(make_instance(organization, name=f"Hub {n}"), member, "laptop") for n in range(8)]

    def statements(some: list[Peer], moved: int) -> int:
        at = int(timezone.now().timestamp()) - 60 + moved  # later each time: a new handshake proves a listener
        reports = {
            peer.instance_id: HubReport(
                "a" * 10, 1, 1, "", alive=True, observed_at=0.0, since="1" * 16,
                peers={peer.public_key: PeerReport("203.0.113.7:1", at, moved, moved)},
            )
            for peer in some
        }  # fmt: skip
        with CaptureQueriesContext(connection) as queries:
            record_observations(reports)
        # On SQLite one prepared statement updates all rows.
        return len([query for query in queries if not query["sql"].startswith('UPDATE "vpn_peerobservation"')])

    statements(peers, 1)
    assert statements(peers[:1], 2) == statements(peers, 3)
