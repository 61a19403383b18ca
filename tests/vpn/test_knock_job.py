"""What knocks by the clock, and devices that come, make of a listener's state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from portal.models import Membership, Organization
from tests.factories import make_client_peer, make_instance, make_site, make_site_peer, observe_hubs, reachable, settle
from vpn.actions.peers.certificates import ensure_certificates
from vpn.choices import InstanceState, Protocol
from vpn.drivers.base import Found, Knock
from vpn.jobs.knock import knock_all, knock_region
from vpn.models import Instance, ListenerProof, Peer, Server, Site, Tick
from vpn.needs import Code, needs_of
from vpn.observed import record_observations
from vpn.presenters.needs import notices_of
from vpn.wire.report import HubReport, PeerReport, SessionReport

pytestmark = pytest.mark.django_db

OPEN = Found("proven")
WALL = Found("unreachable", "firewall")
NAT = Found("unproven", "nat")
SILENT = Found("unreachable", "silent")


class Driver:
    """Finds what it is told to find."""

    def __init__(self) -> None:
        self.finds, self.over_ipv6, self.asked = OPEN, OPEN, list[Knock]()
        self.standpoint: object = self

    def knock(self, knocks: Sequence[Knock], timeout: float) -> list[dict[str, Found]]:
        """The same for every listener."""
        self.asked += knocks
        listeners = ("wireguard", "openvpn_udp", "openvpn_tcp")
        return [dict.fromkeys(listeners, self.over_ipv6 if ":" in one.address else self.finds) for one in knocks]


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    made = Driver()
    monkeypatch.setattr("vpn.jobs.knock.driver_for", lambda name: made)
    return made


@pytest.fixture
def instance(organization: Organization) -> Instance:
    made = make_instance(organization)
    made.probe_private_key = made.probe_preshared_key = "k" * 43 + "="
    made.save()
    return made


def knock(instance: Instance) -> dict[str, str | None]:
    """One tick of the clock, in which it is this instance's turn."""
    observe_hubs(instance, knocked_at=None)
    knock_region(instance.region_id)
    return reachable(instance)


def states(instance: Instance, *answers: Found, driver: Driver) -> list[str | None]:
    found = []
    for answer in answers:
        driver.finds = answer
        found.append(knock(instance)["wireguard"])
    return found


def report(**more: object) -> HubReport:
    return HubReport("h" * 10, 1, 1, "", alive=True, observed_at=timezone.now().timestamp(), **more)  # type: ignore[arg-type]


def shakes_hands(peer: Peer, endpoint: str = "198.51.100.9:4000", ago: int = 1) -> None:
    handshake = int(timezone.now().timestamp()) - ago
    seen = {peer.public_key: PeerReport(endpoint, handshake, 10, 10)}
    record_observations({peer.instance_id: report(peers=seen, sessions={})})


def test_a_firewall_that_is_loaded_later_shows_at_the_second_knock(instance: Instance, driver: Driver) -> None:
    assert states(instance, OPEN, WALL, WALL, OPEN, driver=driver) == ["proven", "proven", "unreachable", "proven"]


def test_a_knock_that_is_lost_once_changes_nothing(instance: Instance, driver: Driver) -> None:
    assert states(instance, OPEN, WALL, OPEN, WALL, driver=driver) == ["proven"] * 4


def test_a_failure_is_confirmed_soon(instance: Instance, driver: Driver) -> None:
    states(instance, OPEN, WALL, driver=driver)
    due = Instance.objects.get(pk=instance.pk).seen.knocked_at
    assert due is not None
    assert due < timezone.now() - timedelta(seconds=14)


def test_a_handshake_proves_a_hub_behind_a_router(instance: Instance, member: Membership, driver: Driver) -> None:
    peer = make_client_peer(instance, member)
    settle(instance)
    assert states(instance, NAT, driver=driver) == ["unproven"]
    shakes_hands(peer)
    assert reachable(instance) == {
        "wireguard": "proven",
        "openvpn_udp": "unproven",
        "openvpn_tcp": "unproven",
        "openvpn_compat": None,
    }
    assert states(instance, NAT, NAT, driver=driver) == ["proven", "proven"]


def test_a_session_proves_the_listener_that_it_uses(instance: Instance, member: Membership, driver: Driver) -> None:
    peer = make_client_peer(instance, member)
    Peer.objects.filter(pk=peer.pk).update(protocol=Protocol.OPENVPN)
    settle(instance)
    states(instance, NAT, driver=driver)
    session = SessionReport("198.51.100.9:4000", int(timezone.now().timestamp()), 10, 10, "tcp")
    record_observations({instance.pk: report(peers={}, sessions={str(peer.pk): session})})
    assert (reachable(instance)["openvpn_tcp"], reachable(instance)["openvpn_udp"]) == ("proven", "unproven")


def test_a_connection_that_is_merely_kept_proves_nothing_against_a_firewall(
    instance: Instance, member: Membership, driver: Driver
) -> None:
    peer = make_client_peer(instance, member)
    settle(instance)
    states(instance, OPEN, driver=driver)
    shakes_hands(peer, ago=60)
    assert states(instance, WALL, WALL, driver=driver) == ["proven", "unreachable"]
    shakes_hands(peer, ago=1)
    assert reachable(instance)["wireguard"] == "unreachable"


def test_a_device_that_comes_is_believed_more_than_the_knock(
    instance: Instance, member: Membership, driver: Driver
) -> None:
    peer = make_client_peer(instance, member)
    settle(instance)
    states(instance, WALL, driver=driver)
    shakes_hands(peer, endpoint="198.51.100.77:999")
    assert reachable(instance)["wireguard"] == "proven"
    assert states(instance, WALL, WALL, driver=driver) == ["proven", "proven"]


def test_only_listeners_that_run_are_told(instance: Instance, driver: Driver) -> None:
    ListenerProof.objects.create(instance=instance, listener="openvpn_compat", state="proven")
    assert knock(instance)["openvpn_compat"] is None
    assert [one.compat_port for one in driver.asked] == [None]


def test_a_hub_of_an_earlier_version_gets_a_probe(organization: Organization, driver: Driver) -> None:
    old = make_instance(organization)
    knock(old)
    old.refresh_from_db()
    assert old.probe_private_key_sealed
    assert not old.is_up_to_date
    knock(old)
    assert driver.asked


def test_all_hubs_share_one_call_and_take_turns(
    organization: Organization, driver: Driver, django_assert_max_num_queries: Callable[..., object]
) -> None:
    for number in range(3):
        made = make_instance(organization, name=f"Hub {number}")
        made.probe_private_key = made.probe_preshared_key = "k" * 43 + "="
        made.save()
    knock_region(made.region_id)
    assert len(driver.asked) == 3
    knock_region(made.region_id)
    assert len(driver.asked) == 3


def test_each_region_with_a_due_hub_is_rung_for(
    instance: Instance, driver: Driver, rung: list[tuple[str, ...]]
) -> None:
    knock_all()
    assert rung == [("knock", "vpn.jobs.knock.knock_region", instance.region_id)]
    knock_region("another")
    assert not driver.asked
    knock_region(instance.region_id)
    assert len(driver.asked) == 1
    Tick.objects.all().delete()
    rung.clear()
    knock_all()
    assert not rung


def test_a_hub_that_stays_proven_writes_nothing(
    instance: Instance, driver: Driver, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    states(instance, OPEN, driver=driver)
    with CaptureQueriesContext(connection) as queries:
        knock(instance)
    written = [query["sql"] for query in queries if "listenerproof" in query["sql"] and "SELECT" not in query["sql"]]
    assert written == []
    locks = [query["sql"] for query in queries if "FOR UPDATE" in query["sql"]]
    assert not any("vpn_instanceobservation" not in sql for sql in locks), "only rows that no action locks"


def test_keys_that_cannot_be_opened_keep_no_other_hub_from_its_turn(
    instance: Instance, organization: Organization, driver: Driver
) -> None:
    broken = make_instance(organization, name="Broken")
    Instance.objects.filter(pk=broken.pk).update(probe_private_key_sealed="1:nonsense")
    knock(instance)
    assert len(driver.asked) == 1


def test_an_address_that_is_not_the_first_has_a_need_of_its_own(instance: Instance, driver: Driver) -> None:
    Server.objects.update(address_v6="2001:db8::1")
    driver.over_ipv6 = WALL
    assert states(instance, OPEN, OPEN, driver=driver) == ["proven", "proven"]
    (need,) = notices_of(Instance.objects.select_related("server").get(pk=instance.pk))
    assert need.code == Code.ADDRESS_UNREACHABLE
    assert "2001:db8::1" in need.title
    assert not need.chip, "most devices take the other address"
    driver.over_ipv6 = OPEN
    states(instance, OPEN, driver=driver)
    assert needs_of(Instance.objects.select_related("server").get(pk=instance.pk)) == []


def test_one_firewall_before_both_addresses_is_one_notice(instance: Instance, driver: Driver) -> None:
    Server.objects.update(address_v6="2001:db8::1")
    driver.over_ipv6 = WALL
    states(instance, WALL, WALL, driver=driver)
    (need,) = notices_of(Instance.objects.select_related("server").get(pk=instance.pk))
    assert need.code == Code.HUB_UNREACHABLE
    assert "at 203.0.113.1 and 2001:db8::1" in need.message
    assert need.message.count(str(instance.wireguard_port)) == 1
    driver.over_ipv6 = SILENT
    states(instance, WALL, WALL, driver=driver)
    codes = [need.code for need in needs_of(Instance.objects.select_related("server").get(pk=instance.pk))]
    assert codes == [Code.HUB_UNREACHABLE, Code.ADDRESS_UNREACHABLE], "each has another cause"


def test_a_device_over_ipv6_proves_nothing_of_ipv4(instance: Instance, member: Membership, driver: Driver) -> None:
    Server.objects.update(address_v6="2001:db8::1")
    driver.over_ipv6 = WALL
    peer = make_client_peer(instance, member)
    settle(instance)
    assert states(instance, WALL, driver=driver) == ["unreachable"]
    shakes_hands(peer, endpoint="[2001:db8::9]:4000")
    assert reachable(instance)["wireguard"] == "unreachable"
    proofs = ListenerProof.objects.filter(instance=instance, listener="wireguard")
    assert dict(proofs.values_list("address", "state")) == {"203.0.113.1": "unreachable", "2001:db8::1": "proven"}


def test_what_was_known_of_another_address_goes(instance: Instance, driver: Driver) -> None:
    states(instance, OPEN, driver=driver)
    Server.objects.update(address="198.51.100.7")
    states(instance, OPEN, driver=driver)
    assert set(ListenerProof.objects.values_list("address", flat=True)) == {"198.51.100.7"}


def test_which_address_comes_first_may_change(instance: Instance, driver: Driver) -> None:
    Server.objects.update(address=None, address_v6="2001:db8::1")
    driver.over_ipv6 = NAT
    assert states(instance, OPEN, driver=driver) == ["unproven"]
    Server.objects.update(address="203.0.113.1")
    driver.over_ipv6 = OPEN
    assert states(instance, WALL, driver=driver) == ["unreachable"]
    assert states(instance, OPEN, OPEN, driver=driver) == ["proven", "proven"]


def test_nothing_is_said_of_a_hub_that_is_lost(instance: Instance, driver: Driver) -> None:
    states(instance, OPEN, driver=driver)
    Instance.objects.filter(pk=instance.pk).update(state=InstanceState.LOST)
    assert set(reachable(instance).values()) == {None}


def test_the_compatibility_listener_is_knocked_on_while_a_router_needs_it(instance: Instance, driver: Driver) -> None:
    ensure_certificates(instance)
    instance.save()
    site = make_site(instance.organization, name="Berlin")
    Site.objects.filter(pk=site.pk).update(platform="routeros7")
    peer = make_site_peer(instance, site)
    Peer.objects.filter(pk=peer.pk).update(protocol=Protocol.OPENVPN)
    knock(instance)
    settle(instance)
    knock(instance)
    ports = [one.compat_port for one in driver.asked]
    assert ports == [None, instance.compat_port], "not before the hub has confirmed it"
    assert driver.asked[-1].client_key.startswith("-----BEGIN OpenVPN tls-crypt-v2 client key-----")
    assert "BEGIN" not in repr(driver.asked[-1])
