"""Reports and acts become rows of the connection journal: begins, ends with their reasons, bytes, addresses."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from ipaddress import ip_address
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from portal.actions.member import change_member, remove_member
from portal.models import Membership
from tests.factories import BY, make_client_peer, make_site_peer, observe_hubs, observe_peers, settle
from tests.vpn.connections.reporting import NOON, Clock, after_noon, bytes_of, spans
from vpn.actions.instances.instance import delete_instance, forget_instance
from vpn.actions.peers.admission import expire_peers
from vpn.actions.peers.keys import renew_peer, rotate_keys
from vpn.actions.peers.peer import delete_peer, update_peer
from vpn.actions.servers.loss import lose
from vpn.actions.sites.site import update_site
from vpn.choices import EndReason
from vpn.connections.ending import end_left_over, end_moved
from vpn.connections.reading import Filters, documents_of, find
from vpn.models import Connection, Instance, InstanceObservation, Peer, PeerObservation, Site
from vpn.observed import recording
from vpn.observed.connections import address_of, begin_left_out
from vpn.validators import parse_network
from vpn.wire.report import PeerReport

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
Committing = Callable[..., Any]


def test_a_connection_begins_with_a_handshake_and_ends_180_seconds_after_the_last(
    clock: Clock, client_peer: Peer
) -> None:
    clock.seen(client_peer, 5, handshake=0, received=100, sent=50)
    clock.seen(client_peer, 125, handshake=120, received=300, sent=90)
    assert spans(client_peer) == [(0, None, "")]
    clock.seen(client_peer, 360, handshake=120, received=310, sent=90)
    assert spans(client_peer) == [(0, 300, "left")]
    assert bytes_of(client_peer) == [(310, 90)]
    clock.seen(client_peer, 1000, received=400, sent=100)
    assert spans(client_peer) == [(0, 300, "left"), (1000, None, "")]


def test_who_comes_back_before_the_end_was_seen_has_two_connections(clock: Clock, client_peer: Peer) -> None:
    clock.seen(client_peer, 0, received=100)
    observe_hubs(observed_at=clock.at(290))
    clock.seen(client_peer, 300, received=150)
    assert spans(client_peer) == [(0, 180, "left"), (300, None, "")]
    assert bytes_of(client_peer)[0] == (100, 0), "what came since belongs to the next one"


def test_a_row_tells_who_it_was_and_from_where(clock: Clock, client_peer: Peer, member: Membership) -> None:
    clock.seen(client_peer, 0, endpoint="203.0.113.7:4242")
    row = Connection.objects.get()
    instance = client_peer.instance
    assert (row.organization_id, row.instance_id, row.instance_name) == (
        instance.organization_id, instance.pk, instance.name,
    )  # fmt: skip
    assert (row.peer_id, row.peer_name) == (client_peer.pk, client_peer.label)
    assert (row.person_id, row.person, row.site_id) == (member.pk, member.user.email, None)
    assert (row.address_v4, row.address_v6) == tuple(map(str, client_peer.addresses))
    assert (row.protocol, row.listener, row.endpoint) == ("wireguard", "", "203.0.113.7:4242")


def test_a_new_address_is_noted_and_a_new_port_is_not(clock: Clock, client_peer: Peer) -> None:
    for seconds, endpoint in (
        (0, "203.0.113.7:1"),
        (10, "203.0.113.7:2"),
        (20, "[2001:db8::1]:3"),
        (30, "198.51.100.9:4"),
    ):
        clock.seen(client_peer, seconds, endpoint=endpoint)
    row = Connection.objects.get()
    assert (row.endpoint, row.last_endpoint, row.endpoint_changes) == ("203.0.113.7:1", "198.51.100.9:4", 2)


@pytest.mark.parametrize(
    ("endpoint", "address"), [("203.0.113.7:1", "203.0.113.7"), ("[2001:db8::1]:51820", "2001:db8::1"), ("", "")]
)
def test_the_address_of_an_endpoint(endpoint: str, address: str) -> None:
    assert address_of(endpoint) == address


def test_an_openvpn_session_is_a_connection(clock: Clock, phone: Peer) -> None:
    clock.session(phone, 60, began=50, received=100, listener="tcp")
    clock.session(phone, 70, began=50, received=250)
    assert spans(phone) == [(50, None, "")]
    assert Connection.objects.get().listener == "tcp"
    clock.session(phone, 80, began=None)
    assert spans(phone) == [(50, 80, "left")]
    assert bytes_of(phone) == [(250, 0)]


def test_a_new_session_ends_the_one_before(clock: Clock, phone: Peer) -> None:
    clock.session(phone, 10, began=5, received=1000)
    clock.session(phone, 40, began=30, received=20)
    clock.session(phone, 50, began=None)
    assert spans(phone) == [(5, 30, "replaced"), (30, 50, "left")]
    assert bytes_of(phone) == [(1000, 0), (20, 0)]


def test_a_daemon_that_restarts_makes_no_negative_bytes(clock: Clock, client_peer: Peer) -> None:
    clock.seen(client_peer, 0, received=5000, sent=500)
    clock.seen(client_peer, 60, received=40, sent=30)
    clock.seen(client_peer, 300, handshake=60, received=40, sent=30)
    assert spans(client_peer) == [(0, 240, "left")]
    assert bytes_of(client_peer) == [(5040, 530)]


def test_the_journal_says_where_the_portal_did_not_observe(clock: Clock, client_peer: Peer) -> None:
    clock.seen(client_peer, 0)
    clock.seen(client_peer, 1000)
    assert spans(client_peer) == [(0, 180, "unseen"), (1000, None, "")]
    clock.seen(client_peer, 2000, handshake=1100)
    assert spans(client_peer)[1:] == [(1000, 1280, "left")], "no handshake can be missing"


def test_a_time_in_the_future_begins_no_connection(clock: Clock, phone: Peer, client_peer: Peer) -> None:
    clock.session(phone, 0, began=3600)
    clock.seen(client_peer, 1, handshake=3600)
    assert not Connection.objects.exists()


def test_a_begin_in_the_future_gets_its_row_then(phone: Peer) -> None:
    now = timezone.now()
    observe_peers(phone, connected_from=now + timedelta(hours=1), last_handshake=now)
    begin_left_out()
    assert not Connection.objects.exists()
    observe_peers(phone, connected_from=now - timedelta(seconds=1), last_handshake=now)
    begin_left_out()
    assert Connection.objects.count() == 1


# Nothing is written where nothing changed -----------------------------------------------------------------------------


def _statements(clock: Clock, peers: list[Peer], seconds: float, *, handshake: float, received: int) -> list[str]:
    clock.at(seconds)
    at = int((NOON + timedelta(seconds=handshake)).timestamp())
    seen = {peer.public_key: PeerReport("203.0.113.7:1", at, received, 0) for peer in peers}
    with CaptureQueriesContext(connection) as queries:
        clock.report({peers[0].instance_id: seen})
    return [query["sql"] for query in queries if not query["sql"].startswith('UPDATE "vpn_peerobservation"')]


def test_bytes_and_handshakes_alone_write_nothing_into_the_journal(clock: Clock, client_peer: Peer) -> None:
    clock.seen(client_peer, 0, received=10, endpoint="203.0.113.7:1")
    statements = _statements(clock, [client_peer], 120, handshake=120, received=999)
    assert not [sql for sql in statements if "vpn_connection" in sql]


def test_begins_and_ends_of_many_peers_take_a_constant_number_of_statements(
    clock: Clock, instance: Instance, member: Membership, site: Site
) -> None:
    peers = [make_client_peer(instance, member, f"device {number}") for number in range(20)]
    peers.append(make_site_peer(instance, site, ["10.1.0.0/24", "10.2.0.0/24"]))
    one = len(_statements(clock, peers[:1], 0, handshake=0, received=1))
    many = len(_statements(clock, peers[1:], 2, handshake=1, received=1))
    assert many - one <= 2, "the subnets of sites are read and inserted"
    ends = [sql for sql in _statements(clock, peers, 400, handshake=1, received=1) if "vpn_connection" in sql]
    # On SQLite, each run of a prepared statement counts.
    assert len({sql.partition("WHERE")[0].partition("SET")[0] for sql in ends}) == 1
    assert Connection.objects.filter(reason="left").count() == len(peers)


def test_a_report_that_is_recorded_again_adds_no_row(clock: Clock, client_peer: Peer) -> None:
    clock.seen(client_peer, 0)
    PeerObservation.objects.all().delete()
    clock.seen(client_peer, 10, handshake=0)
    assert spans(client_peer) == [(0, None, "")]


@pytest.mark.parametrize("is_of_site", [False, True])
def test_subnets_that_a_connected_site_gets_are_added_to_its_connection(
    clock: Clock, site_peer: Peer, django_capture_on_commit_callbacks: Committing, *, is_of_site: bool
) -> None:
    clock.seen(site_peer, 0)
    former = list(site_peer.subnets)
    with django_capture_on_commit_callbacks(execute=True):
        if is_of_site:
            update_site(Site.objects.get(peers=site_peer), subnets=["10.77.0.0/24"], by=BY)
        else:
            update_peer(site_peer, subnets=["10.77.0.0/24"], by=BY)
    [told] = documents_of([Connection.objects.get()])
    assert told["subnets"] == [*former, "10.77.0.0/24"]
    for address in (str(parse_network(former[0])[1]), "10.77.0.9"):
        filters = Filters(address=ip_address(address))
        assert len(find(site_peer.instance.organization_id, filters, limit=9).rows) == 1


# Acts of the portal ---------------------------------------------------------------------------------------------------


@pytest.fixture
def connected(clock: Clock, client_peer: Peer, phone: Peer) -> Peer:
    """A device that connected at noon, with 100 bytes, and another that goes on."""
    clock.session(phone, 0, began=-10)
    clock.seen(client_peer, 1, handshake=0, received=100, sent=7)
    clock.at(60)
    return client_peer


def _end_of(peer: Peer) -> tuple[float | None, float | None, str]:
    [(_, at, reason)] = spans(peer)
    [(received, _)] = bytes_of(peer)
    return at, received, reason


def test_who_is_disabled(connected: Peer, phone: Peer, django_capture_on_commit_callbacks: Committing) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        update_peer(connected, enabled=False, by=BY)
    assert _end_of(connected) == (60, 100, "revoked")
    assert Connection.objects.get(ended_at=None).peer_id == phone.pk


def test_who_is_deleted_stays_in_the_journal(connected: Peer, django_capture_on_commit_callbacks: Committing) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        delete_peer(connected, by=BY)
    row = Connection.objects.get(reason="removed")
    assert (row.peer_name, after_noon(row.ended_at), row.received_to) == (connected.label, 60, 100)


def test_whose_keys_are_renewed(
    clock: Clock, connected: Peer, phone: Peer, django_capture_on_commit_callbacks: Committing
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        renewed = rotate_keys(connected, by=BY)
        renew_peer(phone, by=BY)
    assert _end_of(connected) == (60, 100, "renewed")
    clock.seen(renewed, 70, received=5)
    assert spans(connected) == [(0, 60, "renewed"), (70, None, "")]
    assert spans(phone) == [(-10, None, "")], "a renewed certificate ends nothing"


def test_whose_time_is_over(clock: Clock, connected: Peer, django_capture_on_commit_callbacks: Committing) -> None:
    settle(connected.instance)
    Peer.objects.filter(pk=connected.pk).update(expires_at=NOON + timedelta(seconds=50))
    with django_capture_on_commit_callbacks(execute=True):
        expire_peers(by=BY)
    assert _end_of(connected) == (50, 100, "expired")


def test_whose_member_is_deactivated(
    connected: Peer, phone: Peer, member: Membership, django_capture_on_commit_callbacks: Committing
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        change_member(member, active=False, by=BY)
    assert _end_of(connected) == (60, 100, "revoked")
    assert spans(phone) == [(-10, 60, "revoked")]


def test_who_is_admitted_again_at_once_has_a_new_connection(
    clock: Clock, connected: Peer, member: Membership, django_capture_on_commit_callbacks: Committing
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        change_member(member, active=False, by=BY)
    clock.at(70)
    change_member(member, active=True, by=BY)
    clock.seen(connected, 75, handshake=0, received=100)
    clock.seen(connected, 85, handshake=80, received=120)
    assert spans(connected) == [(0, 60, "revoked"), (80, None, "")]


def test_a_session_that_goes_on_after_its_peer_was_refused_for_a_moment_is_open_again(
    clock: Clock, connected: Peer, phone: Peer, member: Membership, django_capture_on_commit_callbacks: Committing
) -> None:
    """The hub got both changes at once, so it never ended the session."""
    with django_capture_on_commit_callbacks(execute=True):
        change_member(member, active=False, by=BY)
    assert spans(phone) == [(-10, 60, "revoked")]
    change_member(member, active=True, by=BY)
    clock.session(phone, 62, began=-10)
    assert spans(phone) == [(-10, None, "")]


def test_whose_server_is_lost_is_not_connected_until_it_comes_back(
    clock: Clock, connected: Peer, phone: Peer, django_capture_on_commit_callbacks: Committing
) -> None:
    server = connected.instance.server
    assert server is not None
    with django_capture_on_commit_callbacks(execute=True):
        lose(server, by=BY)
    assert spans(connected) == [(0, 60, "lost")]
    assert spans(phone) == [(-10, 60, "lost")]
    clock.seen(connected, 400)
    clock.session(phone, 401, began=-10)
    assert spans(connected) == [(0, 60, "lost"), (400, None, "")]
    assert spans(phone) == [(-10, None, "")]


def test_a_report_that_is_compared_during_an_act_does_not_undo_it(
    clock: Clock, connected: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure = recording._ensure_traffic

    def moved_meanwhile(*args: Any) -> None:
        ensure(*args)
        end_moved(connected.instance_id)

    with monkeypatch.context() as patched:
        patched.setattr(recording, "_ensure_traffic", moved_meanwhile)
        clock.seen(connected, 62, handshake=0, received=200)
    clock.seen(connected, 80, received=300)
    assert spans(connected) == [(0, 62, "moved"), (80, None, "")]


def test_whose_member_is_removed(
    connected: Peer, phone: Peer, member: Membership, django_capture_on_commit_callbacks: Committing
) -> None:
    address = member.user.email
    with django_capture_on_commit_callbacks(execute=True):
        remove_member(member, by=BY)
    assert set(Connection.objects.values_list("reason", "person")) == {("removed", address)}


def test_whose_hub_moved_connects_anew(clock: Clock, connected: Peer, phone: Peer) -> None:
    end_moved(connected.instance_id)
    assert _end_of(connected) == (60, 100, "moved")
    # The former server may still tell of them.
    clock.session(phone, 62, began=-10)
    clock.seen(connected, 63, handshake=0)
    assert [spans(peer) for peer in (connected, phone)] == [[(0, 60, "moved")], [(-10, 60, "moved")]]
    clock.seen(connected, 70)
    clock.session(phone, 71, began=70)
    assert spans(connected)[1:] == spans(phone)[1:] == [(70, None, "")]


@pytest.mark.parametrize("end", [delete_instance, forget_instance])
def test_whose_instance_is_deleted(
    connected: Peer, end: Callable[..., Any], django_capture_on_commit_callbacks: Committing
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        end(connected.instance, by=BY)
    assert _end_of(connected) == (60, 100, "deleted")


def test_an_act_and_a_report_end_a_connection_once(
    clock: Clock, connected: Peer, django_capture_on_commit_callbacks: Committing
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        update_peer(connected, enabled=False, by=BY)
    clock.seen(connected, 62, handshake=0, received=120)
    clock.seen(connected, 400, handshake=0, received=120)
    assert _end_of(connected) == (60, 100, "revoked")


def test_who_may_not_connect_gets_no_row_from_a_late_report(clock: Clock, client_peer: Peer) -> None:
    Peer.objects.filter(pk=client_peer.pk).update(enabled=False)
    clock.seen(client_peer, 0)
    assert not Connection.objects.exists()


def test_what_nobody_ended_is_ended_later(clock: Clock, connected: Peer, phone: Peer) -> None:
    """A process died after the commit; a hub was rebuilt, and a peer never came back to it."""
    Peer.objects.filter(pk=phone.pk).delete()
    InstanceObservation.objects.update(observed_at=clock.at(1000))
    assert not end_left_over()
    assert spans(connected) == [(0, 180, "left")]
    assert spans(phone) == [(-10, 1000, "removed")]


def test_who_is_idle_while_the_hub_is_not_observed_stays_open(clock: Clock, connected: Peer) -> None:
    clock.at(1000)
    end_left_over()
    assert spans(connected) == [(0, None, "")]


def test_who_was_connected_before_rows_were_written_gets_one(
    client_peer: Peer, phone: Peer, site_peer: Peer, instance: Instance
) -> None:
    now = timezone.now()
    observe_peers(client_peer, connected_from=NOON, last_handshake=now, received_bytes=70)
    observe_peers(phone, connected_from=NOON, last_handshake=now - timedelta(minutes=5))
    observe_peers(site_peer, last_handshake=now)
    for _ in range(2):
        assert not begin_left_out()
    row = Connection.objects.get()
    assert (row.peer_id, row.began_at, row.received_from) == (client_peer.pk, NOON, 70)


def test_the_reason_of_each_end_has_words() -> None:
    assert all(reason.label for reason in EndReason)


def test_an_end_is_never_before_the_begin(clock: Clock, phone: Peer) -> None:
    """The server's clock is ahead."""
    clock.session(phone, 0, began=20)
    clock.session(phone, 5, began=None)
    assert spans(phone) == [(20, 20, "left")]
