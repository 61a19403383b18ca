"""What tunnels reach of the hub's own server and behind it: opened networks, the portal, and nothing else."""

from __future__ import annotations

import pytest

from tests.lab.hub import Agent, Hub
from tests.lab.lab import Lab
from tests.lab.nodes import Node
from tests.network.firewall_world import rule
from vpn.wire.documents import ServerDocument
from vpn.wire.errors import AgentError
from vpn.wire.report import COMPONENTS

PORTAL, SSH = 8443, 2222


def opening(*networks: str, portal_port: int | None = None, addresses: tuple[str, ...] = ()) -> ServerDocument:
    return {"addresses": list(addresses), "networks": list(networks), "portal_port": portal_port}


def networks_of(node: Node) -> tuple[str, str]:
    return f"{node.v4.rpartition('.')[0]}.0/24", f"{node.v6.rpartition('::')[0]}::/64"


def test_an_opened_network_behind_the_server_is_reached_masqueraded_and_no_other(lab: Lab, agent: Agent) -> None:
    hub, other = Hub(lab, agent), Hub(lab, agent, port=20001)
    anna, ben = lab.add_client("anna"), lab.add_client("ben")
    vpc, office = lab.add_behind(lab.host, "vpc"), lab.add_behind(lab.host, "office")
    device = hub.connect(anna, everything=True)
    other.connect(ben, everything=True)
    assert not lab.answers(anna, [vpc.v4, vpc.v6, office.v4, office.v6], 1)
    hub.server = opening(*networks_of(vpc))
    report = hub.apply_next()
    assert report.changed["egress"]
    assert report.changed["routing"]
    gateway = f"{vpc.v4.rpartition('.')[0]}.1"
    with lab.count(vpc, f"ip saddr {gateway} icmp type echo-request") as masqueraded:
        lab.wait_ping(anna, vpc.v4)
        lab.wait_ping(anna, vpc.v6)
        assert masqueraded.packets > 0
    assert not lab.answers(anna, [office.v4, office.v6, gateway, "10.77.0.1", "169.254.169.254"], 1)
    # Another hub on the server has no part in it, and who is behind the server opens no way to a device.
    assert not lab.answers(ben, [vpc.v4, vpc.v6], 1)
    lab.run(vpc, ["ip", "route", "replace", f"{device.v4}/32", "via", gateway])
    assert not lab.ping(vpc, device.v4)
    assert hub.apply().changed == dict.fromkeys(COMPONENTS, False)
    assert hub.status().drift == []
    hub.server = opening()
    hub.apply_next()
    assert not lab.answers(anna, [vpc.v4, vpc.v6], 1)


def test_policy_and_rules_hold_for_an_opened_network_and_count_what_passes(lab: Lab, hub: Hub) -> None:
    anna, vpc = lab.add_client("anna"), lab.add_behind(lab.host, "vpc")
    hub.connect(anna, everything=True)
    hub.server, hub.forwarding = opening(*networks_of(vpc)), "deny"
    hub.apply_next()
    assert not lab.answers(anna, [vpc.v4, vpc.v6], 1)
    to_v4, to_v6 = (rule("accept", destination=network) for network in networks_of(vpc))
    to_nowhere = rule("accept", destination="172.31.5.0/24")
    hub.rules = (to_v4, to_v6, to_nowhere)
    hub.apply_next()
    assert lab.answers(anna, [vpc.v4, vpc.v6]) == {vpc.v4, vpc.v6}
    assert not lab.ping(anna, "172.31.5.1", count=2)
    hits = hub.status().hits or {}
    assert hits[to_v4["id"]] > 0
    assert hits[to_v6["id"]] > 0
    assert hits[to_nowhere["id"]] == 0
    hub.rules, hub.forwarding = (rule("drop", destination=networks_of(vpc)[0]),), "allow"
    hub.apply_next()
    assert lab.answers(anna, [vpc.v4, vpc.v6], 1) == {vpc.v6}


def test_an_opened_network_is_reached_beside_a_site_that_has_everything(lab: Lab, hub: Hub) -> None:
    anna, vpc, berlin = lab.add_client("anna"), lab.add_behind(lab.host, "vpc"), lab.add_site("berlin")
    hub.server = opening(*networks_of(vpc))
    hub.connect(berlin.router, subnets=["0.0.0.0/0", "::/0"])
    hub.connect(anna, everything=True)
    lab.wait_ping(anna, vpc.v4)
    lab.wait_ping(anna, vpc.v6)


@pytest.mark.parametrize(
    "network", ["169.254.169.254/32", "100.100.0.0/16", "fd00:ec2::254/128", "0.0.0.0/0", "198.18.0.0/24"]
)
def test_a_metadata_address_is_never_opened(hub: Hub, network: str) -> None:
    hub.server = opening(network)
    with pytest.raises(AgentError) as refusal:
        hub.apply()
    assert refusal.value.code == "invalid"


def test_the_portal_on_the_server_is_reached_with_all_traffic_over_both_protocols(lab: Lab, hub: Hub) -> None:
    # Not on the server's own link, which no tunnel takes.
    anna, ben = lab.add_behind(lab.internet, "anna"), lab.add_behind(lab.internet, "ben")
    hosts = (lab.host.v4, lab.host.v6)
    for address in hosts:
        lab.serve_http(lab.host, address, PORTAL, "the portal")
        lab.serve_http(lab.host, address, SSH, "a shell")
    hub.connect(anna, everything=True)
    hub.connect_openvpn(ben, route_all=True)
    urls = [f"http://{host}:{PORTAL}/" for host in (lab.host.v4, f"[{lab.host.v6}]")]
    assert [lab.http_get(anna, url) for url in urls] == [None, None]
    hub.server = opening(portal_port=PORTAL, addresses=hosts)
    hub.apply_next()
    for node in (anna, ben):
        lab.wait_ping(node, hub.v4)
        assert [lab.http_get(node, url) for url in urls] == ["the portal"] * 2
    link = lab.run(hub.node, ["ip", "-4", "route", "show", "default"]).stdout.split()[2]
    assert hub.apply().changed == dict.fromkeys(COMPONENTS, False)
    assert hub.status().drift == []
    # So it is where a site is the way to everything, or has a network that holds the address.
    far = lab.add_site("far")
    hub.connect(far.router, subnets=["0.0.0.0/0", "::/0", "203.0.113.0/24"])
    lab.wait_ping(anna, hub.v4)
    assert [lab.http_get(anna, url) for url in urls] == ["the portal"] * 2
    # Of the host itself a tunnel reaches nothing else: not its shell, nor its side of the link.
    assert not any(lab.can_connect(anna, address, SSH) for address in hosts)
    assert not lab.answers(anna, hosts, 1)
    assert not any(lab.can_connect(anna, link, port) for port in (PORTAL, SSH))
    hub.destroy()
    listing = lab.run(lab.host, ["nft", "list", "table", "inet", "vpnhub"]).stdout
    assert f"vh-{hub.hub}" not in listing
