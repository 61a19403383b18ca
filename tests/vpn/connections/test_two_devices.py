"""A profile that is used on two devices at once: by its address going back and forth."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from portal.models import JournalEntry, Membership
from tests.factories import BY, observe_peers
from tests.vpn.connections.reporting import NOON, Clock
from vpn.actions.peers.keys import rotate_keys
from vpn.actions.peers.two_devices import note_two_devices
from vpn.models import Peer, PeerObservation
from vpn.observed import record_observations
from vpn.observed.trail import followed, is_of_two, network_of, networks_on
from vpn.wire.report import HubReport, PeerReport

HERE, THERE, ELSEWHERE = "203.0.113.7", "198.51.100.9", "192.0.2.1"


def trail_of(*steps: tuple[float, str]) -> str:
    """The trail of a device that is seen at these endpoints, in seconds after noon."""
    trail, before = "", ""
    for seconds, endpoint in steps:
        trail = followed(trail, before, endpoint, NOON + timedelta(seconds=seconds))
        before = endpoint
    return trail


def every(seconds: float, *addresses: str) -> str:
    """The trail of a device that is seen at these addresses, one after the other, with a new port each time."""
    return trail_of(*((number * seconds, f"{address}:{number + 1}") for number, address in enumerate(addresses)))


@pytest.mark.parametrize(
    ("trail", "expected"),
    [
        (every(10, HERE, THERE, HERE, THERE, HERE), True),
        (every(180, HERE, THERE, HERE, THERE, HERE), True),
        (every(60, HERE, THERE, ELSEWHERE, HERE, THERE, ELSEWHERE), True),
        (every(10, HERE, THERE, HERE), False),
        (every(10, HERE, THERE), False),
        (every(10, HERE, THERE, ELSEWHERE, "192.0.2.2", "192.0.2.3", "192.0.2.4"), False),
        (every(1, *[HERE] * 10), False),
        (every(1200, HERE, THERE, HERE, THERE, HERE, THERE), False),
        ("", False),
    ],
    ids=[
        "in turns", "OpenVPN in turns", "three devices", "there and back", "roaming", "on a journey", "new ports",
        "home and office", "never seen",
    ],
)  # fmt: skip
def test_what_looks_like_two_devices(trail: str, expected: bool) -> None:
    assert is_of_two(trail) is expected


def test_addresses_in_one_ipv6_network_are_one_device() -> None:
    addresses = [f"[2001:db8:1:2::{number}]:51820" for number in range(1, 9)]
    assert trail_of(*((number * 10.0, one) for number, one in enumerate(addresses))) == ""
    other = "[2001:db8:9:9::1]:51820"
    assert is_of_two(trail_of(*((number * 10.0, one) for number, one in enumerate([addresses[0], other] * 3))))
    assert network_of("[fe80::1%eth0]:5") == "fe80::/64"
    assert network_of("") == network_of("nonsense") == ""


def test_a_trail_has_few_steps_and_fits_its_column() -> None:
    ends = [f"[2001:db8:{number:x}ffe:ffff::1]:51820" for number in range(100)]
    trail = trail_of(*((number * 5.0, one) for number, one in enumerate(ends)))
    assert len(networks_on(trail)) == 8
    assert len(trail) <= (PeerObservation._meta.get_field("trail").max_length or 0)


def _in_turns(clock: Clock, peer: Peer, start: float, count: int = 5) -> None:
    for number in range(count):
        clock.seen(peer, start + number * 20, endpoint=f"{(HERE, THERE)[number % 2]}:{number + 1}")


@pytest.mark.both_databases
def test_it_is_found_once_and_again_after_a_day_without(clock: Clock, client_peer: Peer) -> None:
    found = PeerObservation.objects.filter(peer=client_peer)
    _in_turns(clock, client_peer, 0, count=4)
    assert found.get().twofold_at is None
    _in_turns(clock, client_peer, 80, count=5)
    first = found.get().twofold_from
    assert first == NOON + timedelta(seconds=80)
    _in_turns(clock, client_peer, 3600)
    assert found.get().twofold_from == first, "it goes on"
    _in_turns(clock, client_peer, 100_000)
    assert found.get().twofold_from == NOON + timedelta(seconds=100_080)


def test_openvpn_devices_that_take_turns(clock: Clock, phone: Peer) -> None:
    for number in range(5):
        began = number * 120
        clock.session(phone, began + 5, began=began, endpoint=f"{(HERE, THERE)[number % 2]}:{number + 1}")
        clock.session(phone, began + 60, began=None if number % 2 else began, endpoint=f"{(HERE, THERE)[number % 2]}:9")
    assert PeerObservation.objects.get(peer=phone).twofold_at is not None


def test_new_keys_end_it(clock: Clock, client_peer: Peer) -> None:
    _in_turns(clock, client_peer, 0)
    renewed = rotate_keys(client_peer, by=BY)
    assert not renewed.seen.is_twofold
    clock.seen(renewed, 200, endpoint=f"{THERE}:1")
    assert (PeerObservation.objects.get().trail, PeerObservation.objects.get().twofold_at) == ("", None)


def test_who_stays_where_it_is_costs_nothing(clock: Clock, client_peer: Peer) -> None:
    clock.seen(client_peer, 0, received=5)
    with CaptureQueriesContext(connection) as queries:
        clock.seen(client_peer, 4, handshake=0, received=5)
    assert not [query for query in queries if 'UPDATE "vpn_peerobservation"' in query["sql"]]


def test_the_job_hears_of_it_once(client_peer: Peer) -> None:
    told = []
    for number in range(8):
        at = int(timezone.now().timestamp())
        seen = {client_peer.public_key: PeerReport(f"{(HERE, THERE)[number % 2]}:1", at, 1, 1)}
        report = HubReport(client_peer.instance.hub, 1, 1, "", alive=True, observed_at=0.0, peers=seen)
        told.append(record_observations({client_peer.instance_id: report})[client_peer.instance_id].twofold)
    assert told == [{}] * 4 + [{client_peer.pk: [THERE, HERE]}] + [{}] * 3
    note_two_devices(told[4], by=BY)
    line = JournalEntry.objects.get(code="peer.used_on_two_devices")
    assert (line.object_id, line.details) == (str(client_peer.pk), {"addresses": [THERE, HERE]})


# The page -------------------------------------------------------------------------------------------------------------


def text_of(browser: Client, peer: Peer) -> str:
    page = browser.get(f"/peers/{peer.pk}/").content.decode()
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def used_twice(peer: Peer, *, ago: timedelta) -> None:
    now = timezone.now()
    trail = every(10, HERE, THERE, HERE, THERE, HERE)
    observe_peers(peer, trail=trail, twofold_from=now - timedelta(days=3), twofold_at=now - ago)


def test_the_page_says_so_and_offers_a_second_profile(
    admin_browser: Client, member_browser: Client, client_peer: Peer, member: Membership
) -> None:
    assert "Two devices seem" not in text_of(admin_browser, client_peer)
    used_twice(client_peer, ago=timedelta(minutes=5))
    told = text_of(admin_browser, client_peer)
    assert "Two devices seem to use this profile" in told
    assert f"between {THERE}, {HERE} , last 5 min" in told
    page = admin_browser.get(f"/peers/{client_peer.pk}/").content.decode()
    offer = re.search(r'href="([^"]+)">Make a second profile', page)
    assert offer
    assert f'value="{member.pk}" selected' in admin_browser.get(offer[1]).content.decode()
    own = text_of(member_browser, client_peer)
    assert "Ask an admin for a second profile" in own
    assert "Make a second profile" not in own


def test_it_is_not_said_any_more_after_a_day(admin_browser: Client, client_peer: Peer) -> None:
    used_twice(client_peer, ago=timedelta(hours=25))
    assert "Two devices seem" not in text_of(admin_browser, client_peer)


def test_a_router_gets_no_offer(admin_browser: Client, site_peer: Peer) -> None:
    used_twice(site_peer, ago=timedelta(minutes=5))
    told = text_of(admin_browser, site_peer)
    assert "Two routers seem to use this profile" in told
    assert "second profile" not in told
