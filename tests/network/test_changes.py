"""Changes of a live hub: only what differs is changed, other peers are undisturbed, unfit specs are refused."""

from __future__ import annotations

import dataclasses
import time

import pytest

from tests.lab.devices import Device
from tests.lab.hub import Hub
from tests.lab.lab import Lab
from tests.lab.nodes import OUTSIDE_V4, OUTSIDE_V6
from tests.lab.waiting import wait_until
from vpn.wire.digests import digest
from vpn.wire.documents import BaseDocument, DeltaDocument
from vpn.wire.errors import AgentError
from vpn.wire.report import COMPONENTS

NOTHING = dict.fromkeys(COMPONENTS, False)


def refused(code: str, hub: Hub, delta: DeltaDocument | None = None) -> None:
    with pytest.raises(AgentError) as refusal:
        hub.apply() if delta is None else hub.send(delta)
    assert refusal.value.code == code


def test_the_same_spec_twice_changes_nothing(hub: Hub) -> None:
    hub.add(["10.9.0.0/24", "fd09::/64"])
    hub.add()
    assert hub.apply().changed == {**dict.fromkeys(COMPONENTS, True), "openvpn": False, "dns": False}
    report = hub.apply()
    assert report.changed == NOTHING
    assert report.digest == digest(hub.document)
    assert hub.agent.once("apply", spec=hub.document)["report"]["changed"] == NOTHING


def test_peers_come_and_go_without_a_lost_packet(lab: Lab, hub: Hub) -> None:
    hub.add_many(200)
    alice = lab.add_client("alice")
    berlin = lab.add_site("berlin")
    hub.connect_site(berlin)
    hub.connect(alice)
    lab.wait_ping(alice, berlin.lan.v4)
    ping = lab.start_ping(alice, berlin.lan.v4, 0.01)
    ping.wait_for_replies()
    for number in range(20):
        device = hub.add([f"10.77.{number}.0/24"])
        del hub.devices[device.peer_id]
        report = hub.send(hub.delta(upsert=[device]))
        assert report.changed == {**NOTHING, "wireguard": True, "routing": True}
        if number % 2:
            hub.send(hub.delta(remove=[device]))
    hub.add_many(50)
    assert hub.apply_next().changed == {**NOTHING, "wireguard": True}
    ping.wait_for_replies()
    result = ping.stop()
    assert result.lost == 0
    assert hub.apply().changed == NOTHING


def test_a_new_peer_shakes_hands_at_once(lab: Lab, hub: Hub) -> None:
    hub.add_many(1000)
    hub.apply()
    alice = lab.add_client("alice")
    device = hub.add()
    del hub.devices[device.peer_id]
    delta = hub.delta(upsert=[device])
    report = hub.send(delta)
    assert report.digest == digest(hub.document)
    lab.wg_quick_up(alice, hub.profile(device))
    lab.wait_ping(alice, hub.v4, 3)
    assert set(hub.status().peers or {}) == {device.public_key}


def test_rotated_keys_take_over_the_addresses(lab: Lab, hub: Hub) -> None:
    berlin, alice = lab.add_site("berlin"), lab.add_client("alice")
    site = hub.connect_site(berlin)
    hub.connect(alice)
    lab.wait_ping(alice, berlin.lan.v4)
    new = dataclasses.replace(site)
    new.rotate()
    hub.send(hub.delta(upsert=[new]))
    assert not lab.ping(alice, berlin.lan.v4, timeout=0.4), "the old key opens nothing any more"
    lab.wg_quick_down(berlin.router)
    lab.wg_quick_up(berlin.router, hub.profile(new))
    lab.wait_ping(berlin.router, hub.v4)
    assert lab.ping(alice, berlin.lan.v4)
    assert hub.apply().changed == NOTHING

    # The same by the whole spec.
    again = dataclasses.replace(new)
    again.rotate()
    hub.devices[again.peer_id] = again
    hub.apply_next()
    lab.wg_quick_down(berlin.router)
    lab.wg_quick_up(berlin.router, hub.profile(again))
    lab.wait_ping(berlin.router, hub.v4)
    assert lab.ping(alice, berlin.lan.v4)


def test_a_subnet_moves_from_one_site_to_another(lab: Lab, hub: Hub) -> None:
    first, second = hub.add(["10.50.0.0/24", "10.51.0.0/24"]), hub.add(["10.52.0.0/24"])
    hub.apply()
    swapped = [
        dataclasses.replace(first, subnets=("10.52.0.0/24",)),
        dataclasses.replace(second, subnets=("10.50.0.0/24", "10.51.0.0/24")),
    ]
    assert hub.send(hub.delta(upsert=swapped)).changed == {**NOTHING, "wireguard": True}
    assert hub.apply().changed == NOTHING
    hub.devices[first.peer_id], hub.devices[second.peer_id] = first, second
    assert hub.apply_next().changed == {**NOTHING, "wireguard": True}
    assert hub.apply().changed == NOTHING


def test_a_removed_peer_is_cut_off(lab: Lab, hub: Hub) -> None:
    alice, bob = lab.add_client("alice"), lab.add_client("bob")
    device = hub.connect(alice)
    hub.connect(bob)
    ping = lab.start_ping(alice, hub.v4, 0.02)
    ping.wait_for_replies()
    hub.send(hub.delta(remove=[device]))
    removed = time.time()
    wait_until(lambda: not lab.ping(alice, hub.v4, timeout=0.2), 2, "the end of the removed peer")
    ping.stop()
    assert max(at for at, _ in ping.replies()) - removed < 2
    assert lab.ping(bob, hub.v4)


def test_a_reused_address_inherits_no_flow(lab: Lab, hub: Hub) -> None:
    alice, bob = lab.add_client("alice"), lab.add_client("bob")
    device = hub.connect(alice, everything=True)
    lab.serve_http(lab.outside, OUTSIDE_V4, 80)
    assert lab.http_get(alice, f"http://{OUTSIDE_V4}/") == "hello"
    assert lab.ping(alice, OUTSIDE_V6)
    for family, address in (("ipv4", device.v4), ("ipv6", device.v6)):
        assert address in lab.run(hub.node, ["conntrack", "-L", "-f", family]).stdout
    hub.send(hub.delta(remove=[device]))
    for family, address in (("ipv4", device.v4), ("ipv6", device.v6)):
        assert address not in lab.run(hub.node, ["conntrack", "-L", "-f", family]).stdout
    # The same by the whole spec, where another peer takes the address over.
    device = hub.connect(bob, everything=True)
    assert lab.ping(bob, OUTSIDE_V4)
    hub.add()
    del hub.devices[device.peer_id]
    hub.apply_next()
    assert device.v4 not in lab.run(hub.node, ["conntrack", "-L"]).stdout


def test_a_site_may_be_the_way_out_and_stop_being_it(lab: Lab, hub: Hub) -> None:
    alice, paris = lab.add_client("alice"), lab.add_site("paris")
    hub.connect(alice, everything=True)
    assert lab.ping(alice, OUTSIDE_V4)
    site = hub.connect(paris.router, subnets=("10.60.0.0/24",))
    broad = dataclasses.replace(site, subnets=("0.0.0.0/0",))
    assert hub.send(hub.delta(upsert=[broad])).changed["routing"]
    with lab.count(paris.router, f'iifname "wg0" ip daddr {OUTSIDE_V4}') as counter:
        lab.ping(alice, OUTSIDE_V4, timeout=0.4)
        assert counter.packets > 0
    assert hub.send(hub.delta(upsert=[site])).changed["routing"]
    assert lab.ping(alice, OUTSIDE_V4)
    assert hub.apply().changed == NOTHING


def test_a_broad_route_that_is_given_up_ends_nobody_elses_flows(lab: Lab, hub: Hub) -> None:
    alice, bob = lab.add_client("alice"), lab.add_client("bob")
    device = hub.connect(alice)
    other = hub.connect(bob)
    site = hub.add(("64.0.0.0/2", "fc00::/7"))
    hub.apply_next()
    assert lab.ping(alice, other.v4)
    assert lab.ping(alice, other.v6)
    hub.send(hub.delta(remove=[site]))
    for family, address in (("ipv4", device.v4), ("ipv6", device.v6)):
        assert address in lab.run(hub.node, ["conntrack", "-L", "-f", family]).stdout


@pytest.mark.parametrize(
    ("component", "where", "damage"),
    [
        ("routing", "hub", "ip route delete 10.50.0.0/24"),
        ("routing", "hub", "ip route delete default"),
        ("routing", "hub", "ip route add 10.66.0.0/24 dev {wg} proto static"),
        ("wireguard", "hub", "wg set {wg} peer {key} remove"),
        ("wireguard", "hub", "wg set {wg} peer {key} allowed-ips 10.50.0.0/24"),
        ("wireguard", "hub", "wg set {wg} private-key /dev/null"),
        ("wireguard", "hub", "wg set {wg} listen-port 29999"),
        ("wireguard", "hub", "ip link set {wg} down"),
        ("wireguard", "hub", "ip address flush dev {wg}"),
        ("wireguard", "hub", "ip link delete {wg}"),
        ("firewall", "hub", "nft flush ruleset"),
        ("firewall", "hub", "nft insert rule inet hub forward accept"),
        ("firewall", "hub", "sysctl -w net.netfilter.nf_conntrack_tcp_loose=1"),
        ("egress", "host", "nft delete table inet vpnhub"),
        ("egress", "host", "nft flush chain inet vpnhub input"),
        ("egress", "host", "ip link delete {vh}"),
        ("egress", "host", "sysctl -w net.ipv4.ip_forward=0"),
        ("namespace", "hub", "sysctl -w net.ipv4.ip_forward=0"),
        ("namespace", "hub", "ip link set lo down"),
    ],
)
def test_apply_again_repairs(drift: tuple[Lab, Hub, Device], component: str, where: str, damage: str) -> None:
    lab, hub, device = drift
    names = {"wg": hub.interface, "vh": f"vh-{hub.hub}", "key": device.public_key}
    lab.run(hub.node if where == "hub" else lab.host, damage.format(**names).split())
    assert hub.apply().changed[component]
    assert hub.apply().changed == NOTHING


@pytest.fixture(scope="module")
def drift(world: tuple[Lab, Hub]) -> tuple[Lab, Hub, Device]:
    lab, hub = world
    device = hub.add(["10.50.0.0/24", "fd50::/64"])
    hub.apply_next()
    return lab, hub, device


def test_older_and_conflicting_specs_are_refused(hub: Hub) -> None:
    hub.add()
    hub.generation = 5
    hub.apply()
    hub.generation = 4
    refused("stale", hub)
    hub.generation, hub.mtu = 5, 1400
    refused("conflict", hub)
    hub.epoch, hub.generation = 2, 1
    assert hub.apply().epoch == 2
    hub.epoch, hub.generation = 1, 99
    refused("stale", hub)


def test_deltas_that_do_not_fit_are_refused(hub: Hub) -> None:
    device = hub.add()
    refused("base-mismatch", hub, {**hub.delta(upsert=[]), "hub": hub.hub})
    hub.apply()
    other = dataclasses.replace(device, subnets=("10.1.0.0/24",))
    good = hub.delta(upsert=[other])
    base: BaseDocument = {"generation": good["base"]["generation"], "digest": "0" * 64}
    refused("base-mismatch", hub, {**good, "base": base})
    base = {"generation": good["base"]["generation"] + 1, "digest": good["base"]["digest"]}
    refused("base-mismatch", hub, {**good, "base": base})
    refused("base-mismatch", hub, {**good, "digest": "0" * 64})
    assert hub.send(good).changed == {**NOTHING, "wireguard": True, "routing": True}
    # Sent twice is fine, another one of the same generation is not.
    assert hub.send(good).changed == NOTHING
    refused("conflict", hub, {**good, "digest": "0" * 64})
    refused("stale", hub, {**good, "generation": 1})
    # A key that another peer has.
    twin = dataclasses.replace(hub.add(), public_key=device.public_key)
    del hub.devices[twin.peer_id]
    refused("invalid", hub, hub.delta(upsert=[twin]))
    del hub.devices[twin.peer_id]
    hub.generation -= 1
    assert hub.apply().changed == NOTHING


def test_an_interrupted_change_asks_for_the_whole_spec(hub: Hub) -> None:
    hub.apply()
    (hub.lab.state / hub.hub / "unsettled").touch()
    assert hub.status().digest == ""
    refused("base-mismatch", hub, hub.delta(upsert=[hub.add()]))
    assert hub.apply().changed["wireguard"]
    assert hub.status().digest == digest(hub.document)


def test_a_taken_port_leaves_the_hub_as_it_was(lab: Lab, hub: Hub) -> None:
    alice = lab.add_client("alice")
    hub.connect(alice)
    blocker = Hub(lab, hub.agent, port=20001)
    blocker.apply()
    ping = lab.start_ping(alice, hub.v4, 0.02)
    ping.wait_for_replies()
    hub.port = 20001
    hub.generation += 1
    refused("port-taken", hub)
    ping.wait_for_replies()
    assert ping.stop().lost == 0
    assert hub.status().generation == hub.generation - 1
    blocker.destroy()
    hub.apply()
    lab.run(alice, ["wg", "set", "wg0", "peer", hub.public_key, "endpoint", f"{lab.host.v4}:20001"])
    lab.wait_ping(alice, hub.v4)


def test_a_new_hub_on_a_taken_port_leaves_no_tunnel_behind(lab: Lab, hub: Hub) -> None:
    Hub(lab, hub.agent).apply()
    refused("port-taken", hub)
    with pytest.raises(AgentError, match="unknown-hub"):
        hub.status()
    hub.port = 20001
    assert hub.apply().alive


def test_a_destroyed_hub_leaves_nothing_and_stays_away(lab: Lab, hub: Hub) -> None:
    neighbour = Hub(lab, hub.agent, port=20001)
    neighbour.apply()
    hub.add(["10.9.0.0/24"])
    hub.generation = 7
    hub.apply()
    hub.generation = 6
    with pytest.raises(AgentError, match="stale"):
        hub.destroy()
    hub.generation = 8
    assert not hub.destroy().alive
    assert lab.hubs() == {neighbour.hub}
    assert not (lab.state / hub.hub).exists()
    assert hub.hub not in lab.run(lab.host, ["ip", "netns"]).stdout
    assert hub.hub not in (lab.state / "links.json").read_text()
    assert hub.agent.ask(command="list")["hubs"] == [neighbour.hub]
    hub.destroy()
    hub.generation = 99
    refused("destroyed", hub)
    hub.epoch = 2
    assert hub.apply().alive
    assert neighbour.apply().changed == NOTHING
