"""Exit through a site: a chosen client's packets reach the internet with the site's address, or not at all."""

from __future__ import annotations

import dataclasses
import ipaddress

import pytest

from tests.lab.devices import POOL_V4, POOL_V6, Device
from tests.lab.hub import Hub
from tests.lab.lab import Lab
from tests.lab.nodes import OUTSIDE_V4, OUTSIDE_V6, Node, Site
from tests.lab.waiting import wait_until
from vpn.choices import Platform
from vpn.profiles.exits import Exit, with_exit
from vpn.profiles.router import RouterProfile, SiteRouter

OUTSIDE = (OUTSIDE_V4, OUTSIDE_V6)


@dataclasses.dataclass
class World:
    """A client that chose the exit, one that did not, and the exit."""

    lab: Lab
    hub: Hub
    alice: Node
    bob: Node
    berlin: Site
    chosen: Device
    exit: Device

    def send(self, *devices: Device) -> None:
        self.hub.send(self.hub.delta(upsert=devices))

    def seen_from(self, client: Node) -> set[str]:
        """Ping the server outside over both families, and return the names of those whose address it saw."""
        nodes = {"site": self.berlin.router, "hub": self.lab.host}
        found = set()
        for name, node in nodes.items():
            for address, own, kind in ((OUTSIDE_V4, node.v4, "ip"), (OUTSIDE_V6, node.v6, "ip6")):
                with self.lab.count(self.lab.outside, f"{kind} saddr {own} {kind} daddr {address}") as counter:
                    self.lab.ping(client, address, timeout=0.5)
                    if counter.packets:
                        found.add(f"{name} {kind}")
        return found


def rules_of(site: Site) -> str:
    """Return what a Linux router loads as an exit."""
    subnets = (ipaddress.IPv4Network(site.lan_v4), ipaddress.IPv6Network(site.lan_v6))
    router = SiteRouter("Berlin", subnets, tag="wg0")
    return with_exit(Platform.LINUX, RouterProfile((), ()), router, Exit(POOL_V4, POOL_V6)).files[0].content


SITE = {"site ip", "site ip6"}
HUB = {"hub ip", "hub ip6"}


@pytest.fixture(scope="module")
def exits(world: tuple[Lab, Hub]) -> World:
    lab, hub = world
    alice, bob, berlin = lab.add_client("alice"), lab.add_client("bob"), lab.add_site("berlin")
    hub.forwarding = "deny"
    site = dataclasses.replace(hub.connect_site(berlin), exit="site")
    hub.connect(bob, everything=True)
    chosen = dataclasses.replace(hub.connect(alice, everything=True), exit="client")
    lab.run(berlin.router, ["nft", "-f", "-"], stdin=rules_of(berlin))
    made = World(lab, hub, alice, bob, berlin, chosen, site)
    made.send(site, chosen)
    return made


def test_the_outside_sees_the_sites_address_for_those_who_chose_it_alone(exits: World) -> None:
    for address in OUTSIDE:
        exits.lab.wait_ping(exits.alice, address, 60)
    assert exits.seen_from(exits.alice) == SITE
    assert exits.seen_from(exits.bob) == HUB


def test_machines_behind_the_exit_see_the_clients_own_address(exits: World) -> None:
    with exits.lab.count(exits.berlin.lan, f"ip saddr {exits.chosen.v4}") as counter:
        exits.hub.send(exits.hub.delta(forwarding="allow"))
        assert exits.lab.ping(exits.alice, exits.berlin.lan.v4, timeout=30)
        assert counter.packets
    exits.hub.send(exits.hub.delta(forwarding="deny"))


def test_a_hub_with_an_exit_is_as_it_should_be(exits: World) -> None:
    assert not any(exits.hub.apply().changed.values())


def test_nothing_on_the_internet_reaches_a_client_through_the_site_by_itself(exits: World) -> None:
    with exits.lab.count(exits.alice, f'iifname "wg0" ip saddr {OUTSIDE_V4} icmp type echo-request') as counter:
        for device in (exits.chosen, *exits.hub.devices.values()):
            exits.lab.run(exits.berlin.router, ["ip", "route", "replace", device.v4, "dev", "wg0"])
            exits.lab.run(exits.berlin.router, ["ip", "address", "add", OUTSIDE_V4, "dev", "lo"], check=False)
            exits.lab.ping(exits.berlin.router, device.v4, timeout=0.4, source=OUTSIDE_V4)
        assert counter.packets == 0
    exits.lab.run(exits.berlin.router, ["ip", "address", "delete", OUTSIDE_V4, "dev", "lo"])


def test_private_networks_are_not_sent_to_the_site(exits: World) -> None:
    with exits.lab.count(exits.berlin.router, 'iifname "wg0" ip daddr 10.99.0.0/16') as counter:
        exits.lab.ping(exits.alice, "10.99.0.1", timeout=0.4)
        assert counter.packets == 0


def test_a_large_page_comes_through_a_narrow_link_behind_the_site(exits: World) -> None:
    body = "x" * 40_000
    exits.lab.serve_http(exits.lab.outside, OUTSIDE_V4, 8080, body)
    wait_until(lambda: exits.lab.http_get(exits.alice, f"http://{OUTSIDE_V4}:8080/", 5) == body, 60, "the page")


@pytest.mark.parametrize(
    "damage", ["ip route flush table 201", "ip -6 route flush table 201", "ip rule delete priority 1000"]
)
def test_damage_to_the_way_out_is_reported_and_repaired_and_leaks_nothing(exits: World, damage: str) -> None:
    exits.lab.run(exits.hub.node, damage.split())
    assert not HUB & exits.seen_from(exits.alice)
    report = exits.hub.agent.once("status", hub=exits.hub.hub, peers=True)["report"]
    assert report["drift"]
    assert exits.hub.apply().changed["routing"]
    assert exits.seen_from(exits.alice) == SITE


def test_while_the_site_is_away_nothing_leaves_through_the_hub(exits: World) -> None:
    exits.lab.wg_quick_down(exits.berlin.router)
    assert exits.seen_from(exits.alice) == set()
    assert exits.seen_from(exits.bob) == HUB
    exits.hub.send(exits.hub.delta(remove=[exits.exit]))
    assert exits.seen_from(exits.alice) == set()
    refused = exits.lab.run(exits.alice, ["ping", "-c", "1", "-W", "5", OUTSIDE_V4], check=False).stdout
    assert "Unreachable" in refused
    assert not any(exits.hub.apply().changed.values())


def test_a_client_that_returns_to_the_hub_leaves_there_and_no_trace_stays(exits: World) -> None:
    exits.send(dataclasses.replace(exits.chosen, exit=""))
    wait_until(lambda: exits.seen_from(exits.alice) == HUB, 60, "the hub as the way out")
    for family in ("-4", "-6"):
        assert "201" not in exits.lab.run(exits.hub.node, ["ip", family, "rule"]).stdout
        assert not exits.lab.run(exits.hub.node, ["ip", family, "route", "show", "table", "201"], check=False).stdout
    assert not any(exits.hub.apply().changed.values())
