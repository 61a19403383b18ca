"""A branch's network within the headquarters': the more specific route wins, and neither speaks for the other."""

from __future__ import annotations

import dataclasses

import pytest

from tests.lab.devices import Device, OpenVPNDevice
from tests.lab.hub import Hub
from tests.lab.lab import Lab
from tests.lab.nodes import Site
from tests.lab.traffic import PacketCounter
from tests.lab.waiting import wait_until

Peer = Device | OpenVPNDevice


def up(lab: Lab, hub: Hub, site: Site, device: Peer) -> str:
    if isinstance(device, Device):
        lab.wg_quick_up(site.router, hub.profile(device))
        interface = "wg0"
    else:
        lab.openvpn_up(site.router, hub.openvpn_profile(device))
        interface = "tun0"
    lab.wait_ping(site.router, hub.v4)
    return interface


def arrived(counter: PacketCounter) -> None:
    wait_until(lambda: counter.packets > 0, 5, "the packet that must arrive")


@pytest.mark.parametrize("kinds", ["wireguard", "openvpn", "mixed"])
def test_the_more_specific_route_wins_and_no_site_sends_from_the_others_addresses(
    lab: Lab, hub: Hub, kinds: str
) -> None:
    anna = lab.add_client("anna")
    main, branch = lab.add_site("main", "10.1.0.0/24"), lab.add_site("branch", "10.7.0.0/24")
    peers: tuple[Peer, Peer] = (
        hub.add(["10.0.0.0/8"]) if kinds == "wireguard" else hub.add_openvpn(["10.0.0.0/8"]),
        hub.add_openvpn(["10.7.0.0/16"]) if kinds == "openvpn" else hub.add(["10.7.0.0/16"]),
    )
    device = hub.add()
    hub.apply()
    interfaces = [up(lab, hub, site, peer) for site, peer in zip((main, branch), peers, strict=True)]
    lab.wg_quick_up(anna, hub.profile(device))
    lab.wait_ping(anna, hub.v4)
    lab.wait_ping(anna, main.lan.v4)
    lab.wait_ping(anna, branch.lan.v4)
    lab.wait_ping(branch.lan, main.lan.v4)
    for site, interface, own, forged in (
        (main, interfaces[0], "10.1.0.9", "10.7.0.9"),
        (branch, interfaces[1], "10.7.0.9", "10.1.0.9"),
    ):
        with (
            lab.count(anna, f"ip saddr {forged} udp dport 9") as tried,
            lab.count(anna, f"ip saddr {own} udp dport 9") as behind,
        ):
            lab.inject(site.router, forged, device.v4, interface)
            lab.inject(site.router, own, device.v4, interface)
            arrived(behind)
            assert tried.packets == 0, forged


def test_who_gives_up_a_wide_network_ends_no_flow_of_the_branch_within(lab: Lab, hub: Hub) -> None:
    anna = lab.add_client("anna")
    main, branch = lab.add_site("main", "10.1.0.0/24"), lab.add_site("branch", "10.7.0.0/24")
    wide = hub.connect(main.router, subnets=["10.0.0.0/8"])
    hub.connect(branch.router, subnets=["10.7.0.0/16"])
    hub.connect(anna)
    lab.wait_ping(anna, branch.lan.v4)
    lab.wait_ping(anna, main.lan.v4)
    listing = ["conntrack", "-L", "-p", "icmp"]
    before = lab.run(hub.node, listing).stdout
    assert f"dst={branch.lan.v4}" in before
    assert f"dst={main.lan.v4}" in before
    hub.send(hub.delta(upsert=[dataclasses.replace(wide, subnets=("10.1.1.0/24",))]))
    after = lab.run(hub.node, listing).stdout
    assert f"dst={branch.lan.v4}" in after
    assert f"dst={main.lan.v4}" not in after
