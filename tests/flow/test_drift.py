"""Somebody with root's rights changes a hub by hand: the portal undoes it, and everybody can read of it."""

from __future__ import annotations

import html

import pytest

from tests.flow.story import add_client, fetch_profile, id_in
from tests.lab.hub import wg_like_key
from tests.lab.lab import Lab
from tests.lab.nodes import Node
from tests.lab.waiting import wait_until
from tests.shared_portal import Tenant

pytestmark = [pytest.mark.flow, pytest.mark.network]

# The hub is asked every four seconds. What a look in between finds again waits for a pause of ten, and the machine may
# be busy.
UNDONE_WITHIN = 60.0


def hub_of(lab: Lab) -> Node:
    """The namespace of the laboratory's only hub."""
    [hub] = lab.hubs()
    return Node("host", f"hub-{hub}")


def test_a_peer_a_rule_and_a_route_are_gone_within_seconds(lab: Lab, tenant: Tenant) -> None:
    admin, laptop, stranger = tenant.visitor(), lab.add_client("laptop"), wg_like_key()
    created = admin.submit("/instances/new/", {"name": "Frankfurt hub", "hostname": "fra-drift", "region": "local"})
    instance = id_in(created, "instances")
    wait_until(lambda: "Ready" in admin.get(f"/instances/{instance}/").text, 60, "the instance to be ready")
    lab.wg_quick_up(laptop, fetch_profile(admin, add_client(admin, instance, device="laptop")))
    hub = hub_of(lab)
    tunnel = f"wg-{hub.netns.removeprefix('hub-')}"
    gateway = "100.64.0.1"
    lab.wait_ping(laptop, gateway, 20)
    ping = lab.start_ping(laptop, gateway)
    ping.wait_for_replies()

    lab.run(lab.host, ["wg", "set", tunnel, "peer", stranger, "allowed-ips", "100.64.9.9/32"])
    lab.run(hub, ["nft", "insert", "rule", "inet", "hub", "forward", "accept", "comment", '"somebody"'])
    lab.run(hub, ["ip", "route", "add", "10.9.0.0/16", "dev", tunnel])

    def is_undone() -> bool:
        peers = lab.run(lab.host, ["wg", "show", tunnel, "peers"]).stdout
        routes = lab.run(hub, ["ip", "route"]).stdout
        rules = lab.run(hub, ["nft", "list", "chain", "inet", "hub", "forward"]).stdout
        return stranger not in peers and "10.9.0.0/16" not in routes and "somebody" not in rules

    wait_until(is_undone, UNDONE_WITHIN, "the end of what somebody had added")

    def activity() -> str:
        return html.unescape(admin.get(f"/instances/{instance}/activity/").text)

    wait_until(
        lambda: f"unknown WireGuard peer was added: {stranger[:8]}…" in activity(),
        UNDONE_WITHIN,
        "the peer in the activity",
    )
    wait_until(lambda: "A route to 10.9.0.0/16 was added." in activity(), UNDONE_WITHIN, "the route in the activity")
    wait_until(lambda: "firewall" in activity(), UNDONE_WITHIN, "the rule in the activity")
    wait_until(lambda: "Running" not in activity(), UNDONE_WITHIN, "an instance at rest")
    assert ping.stop().lost == 0, "whoever is connected feels nothing of it"
