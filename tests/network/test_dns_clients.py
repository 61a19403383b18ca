"""Stock clients find names through the tunnel: wg-quick(8) and openvpn(8), each with openresolv."""

from __future__ import annotations

import pytest

from tests.lab.dns import ask, serve_dns
from tests.lab.hub import Hub
from tests.lab.lab import Lab
from tests.lab.nodes import OUTSIDE_V4, OUTSIDE_V6, Node
from tests.lab.waiting import wait_until

DOMAIN = "office.vpn.example.net"
# What Debian's openvpn comes with for openresolv.
WITH_RESOLVCONF = "script-security 2\nup /etc/openvpn/update-resolv-conf\ndown /etc/openvpn/update-resolv-conf\n"


@pytest.fixture
def asked(lab: Lab, hub: Hub) -> Hub:
    """A hub that is its peers' resolver."""
    serve_dns(lab, lab.outside, {"www.example.com": "93.184.215.14"})
    hub.dns = (hub.v4, hub.v6)
    hub.search_domains = (DOMAIN, "corp.example")
    hub.resolver = {
        "domain": DOMAIN,
        "public_addresses": [lab.host.v4, lab.host.v6],
        "upstreams": [OUTSIDE_V4, OUTSIDE_V6],
        "domains": [],
        "domain_servers": [],
        "records": [{"name": "wiki.corp.example", "type": "A", "value": "10.3.3.3"}],
    }
    return hub


def addresses(lab: Lab, node: Node, name: str, family: int = 4) -> set[str]:
    """Return what the node's own resolver finds."""
    lines = lab.run(node, ["getent", f"ahostsv{family}", name], check=False).stdout.splitlines()
    return {line.split()[0] for line in lines}


def check(lab: Lab, node: Node) -> None:
    """Look names up as any program does: whole ones, such as are searched, and those of the world beyond."""
    wait_until(lambda: addresses(lab, node, "printer.anna") == {"100.64.0.2"}, 5, "the name of a peer")
    assert addresses(lab, node, f"printer.anna.{DOMAIN}", 6) == {"fd12:3456:789a::2"}
    assert addresses(lab, node, "wiki.corp.example") == {"10.3.3.3"}
    assert addresses(lab, node, "www.example.com") == {"93.184.215.14"}
    assert addresses(lab, node, DOMAIN) == {lab.host.v4}
    assert f"printer.anna.{DOMAIN}" in lab.run(node, ["getent", "hosts", "100.64.0.2"]).stdout


@pytest.mark.parametrize("everything", [False, True])
def test_wg_quick(lab: Lab, asked: Hub, everything: bool) -> None:
    alice = lab.add_client("alice")
    printer, device = asked.add(), asked.add()
    printer.names = ("printer.anna",)
    asked.apply()
    profile = asked.profile(device, everything=everything)
    assert f"\nDNS = {asked.v4}, {asked.v6}, " in profile
    lab.wg_quick_up(alice, profile)
    check(lab, alice)
    assert addresses(lab, alice, "wiki") == {"10.3.3.3"}


@pytest.mark.parametrize("route_all", [False, True])
def test_openvpn(lab: Lab, asked: Hub, route_all: bool) -> None:
    alice = lab.add_client("alice")
    printer, device = asked.add(), asked.add_openvpn(route_all=route_all)
    printer.names = ("printer.anna",)
    asked.apply()
    lab.openvpn_up(alice, asked.openvpn_profile(device) + WITH_RESOLVCONF)
    # The script knows of one domain alone, which is the hub's.
    check(lab, alice)
    assert "dhcp-option DOMAIN-SEARCH corp.example" in lab.openvpn_log(alice).read_text()
    for server in (asked.v4, asked.v6):
        for options in ((), ("+tcp",)):
            found = ask(lab, alice, server, f"printer.anna.{DOMAIN}", "AAAA", *options)
            assert found.values == ("AAAA fd12:3456:789a::2",)


def test_a_router_keeps_the_resolver_that_it_has(lab: Lab, asked: Hub) -> None:
    berlin = lab.add_site("berlin")
    asked.connect_openvpn(berlin.router, subnets=(berlin.lan_v4, berlin.lan_v6))
    log = lab.openvpn_log(berlin.router).read_text()
    assert "PUSH_REPLY" in log
    assert "dhcp-option" not in log


@pytest.mark.parametrize("family", [4, 6])
def test_a_split_domains_server_may_be_behind_openvpn(lab: Lab, asked: Hub, family: int) -> None:
    alice, berlin = lab.add_client("alice"), lab.add_site("berlin")
    server = serve_dns(lab, berlin.lan, {"intranet.corp.example": "10.3.3.4"})
    assert asked.resolver is not None
    inside = berlin.lan.v4 if family == 4 else berlin.lan.v6
    asked.resolver = {**asked.resolver, "domains": ["corp.example"], "domain_servers": [inside]}
    asked.connect_openvpn(berlin.router, subnets=(berlin.lan_v4, berlin.lan_v6))
    asked.connect(alice)
    wait_until(lambda: ask(lab, alice, asked.v4, "intranet.corp.example").values == ("A 10.3.3.4",), 5, "an answer")
    assert server.asked_about("corp.example")
