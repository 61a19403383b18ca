"""The limits of peers and hubs are kept like the firewall: found changed, put right, and following the peers."""

from __future__ import annotations

import dataclasses
import resource
import subprocess
from collections.abc import Callable

import pytest

from tests.lab.devices import Device
from tests.lab.hub import Hub
from tests.lab.lab import Lab
from tests.lab.nodes import Node
from vpn.agent.firewall import limit_rules
from vpn.agent.system import nft
from vpn.agent.system.command import Netns
from vpn.wire import codes
from vpn.wire.finding import Code
from vpn.wire.report import COMPONENTS
from vpn.wire.spec import parse_spec

NOTHING = dict.fromkeys(COMPONENTS, False)


def listed(hub: Hub) -> str:
    return hub.lab.run(hub.node, ["nft", "-s", "list", "table", "inet", "hub_limits"]).stdout


def holds(hub: Hub) -> bool:
    """Whether all networks stand in the table with the number of their peer."""
    wanted = limit_rules.elements(parse_spec(hub.document))
    return all(element in listed(hub) for each in wanted.values() for element in each)


def test_they_follow_the_networks_of_peers(hub: Hub) -> None:
    wide, site = hub.add(["0.0.0.0/0", "::/0"]), hub.add(["10.8.0.0/24"])
    hub.apply()
    assert holds(hub)
    assert hub.apply().changed == NOTHING
    moved = dataclasses.replace(site, subnets=("10.9.0.0/24", "fd09::/64"))
    assert isinstance(moved, Device)
    hub.send(hub.delta(upsert=[moved]))
    assert holds(hub)
    assert "10.8.0.0/24" not in listed(hub)
    hub.send(hub.delta(remove=[moved, wide]))
    assert "elements" not in listed(hub)
    assert hub.apply().changed == NOTHING


@pytest.mark.parametrize(
    ("at_hub", "table", "change", "component", "found"),
    [
        (True, "hub_limits", "flush chain {0} forward", "firewall", codes.LIMITS_CHANGED),
        (True, "hub_limits", "delete table {0}", "firewall", codes.LIMITS_CHANGED),
        (True, "hub_limits", "flush map {0} behind_v4", "", codes.LIMITS_NETWORKS_CHANGED),
        (False, "vpnhub_limits", "flush chain {0} input", "egress", codes.LIMITS_HOST_CHANGED),
        (False, "vpnhub_limits", "flush set {0} udp_ports", "egress", None),
        (False, "vpnhub_limits", "delete table {0}", "egress", codes.LIMITS_HOST_CHANGED),
    ],
)
def test_what_others_change_is_found_and_put_right(
    lab: Lab, hub: Hub, at_hub: bool, table: str, change: str, component: str, found: Code | None
) -> None:
    hub.add(["10.8.0.0/24"])
    hub.apply()
    node: Node = hub.node if at_hub else lab.host

    def rules() -> str:
        return lab.run(node, ["nft", "-s", "list", "table", "inet", table]).stdout

    before = rules()
    lab.run(node, ["nft", *change.format(f"inet {table}").split()])
    assert found is None or found.of() in (hub.status().drift or ())
    report = hub.apply()
    assert rules() == before
    assert report.changed == {**NOTHING, **({component: True} if component else {})}


def test_ports_of_another_portals_hub_stay(lab: Lab, hub: Hub) -> None:
    hub.apply()
    foreign = '{ 31000 comment "another01" }'
    lab.run(lab.host, ["nft", "add", "element", "inet", "vpnhub_limits", "udp_ports", foreign])
    assert hub.apply().changed == NOTHING
    hub.destroy()
    left = lab.run(lab.host, ["nft", "-s", "list", "set", "inet", "vpnhub_limits", "udp_ports"]).stdout
    assert 'elements = { 31000 comment "another01" }' in left


def processor(work: Callable[[], object]) -> float:
    """Return the seconds of a processor that the programs took which `work` called."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_what_strangers_fill_is_not_read_by_the_agent(lab: Lab, hub: Hub) -> None:
    """A flood from made-up addresses must not keep a change waiting."""
    hub.apply()
    host = Netns(lab.host.netns)
    numbers = range(100_000)
    elements = ", ".join(f"45.{n >> 16}.{n >> 8 & 255}.{n & 255} . 4500 . {hub.port} timeout 10m" for n in numbers)
    lab.run(
        lab.host,
        ["nft", "-f", "-"],
        stdin=f"add element inet vpnhub_limits answered_v4 {{ {elements} }}\n",
        timeout=120,
    )
    whole = processor(lambda: lab.run(lab.host, ["nft", "list", "table", "inet", "vpnhub_limits"], timeout=120))
    assert ("inet", "vpnhub_limits") in nft.tables(host)
    assert processor(lambda: nft.tables(host)) < whole / 4
    assert processor(lambda: nft.list_without_elements(host, "vpnhub_limits")) < whole / 4
    assert hub.apply().changed == NOTHING


SERVER = """
import socket
listening = socket.create_server(("", 8080), backlog=1024)
print(flush=True)
while True:
    listening.accept()[0].close()
"""
CONNECTIONS = """
import socket, sys
from pathlib import Path

def retransmitted():
    lines = Path("/proc/net/netstat").read_text().splitlines()
    names, values = [line.split() for line in lines if line.startswith("TcpExt")]
    return int(dict(zip(names, values))["TCPSynRetrans"])

before = retransmitted()
for _ in range(500):
    with socket.create_connection((sys.argv[1], 8080), 60) as connection:
        connection.recv(1)
print(retransmitted() - before)
"""


def test_the_hosts_other_services_are_not_limited(lab: Lab, hub: Hub) -> None:
    """Such as the portal's pages: only packets to the hubs' ports are counted as attempts."""
    hub.add()
    hub.apply()
    server = lab.start(lab.host, ["python3", "-c", SERVER], stdout=subprocess.PIPE)
    assert server.stdout is not None
    server.stdout.readline()
    for node, address in ((lab.add_client("visitor"), lab.host.v4), (lab.host, "127.0.0.1")):
        done = lab.run(node, ["python3", "-c", CONNECTIONS, address], timeout=60)
        assert int(done.stdout) == 0, f"of 500 connections to {address}"


STRICT = """
table inet wall {
  chain redirected {
    type nat hook prerouting priority dstnat;
    udp dport 443 redirect to :20000
  }
  chain input {
    type filter hook input priority filter; policy drop;
    iifname "lo" accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
    ct state established,related accept
    ct state new udp dport 20000-32767 accept
  }
  chain output {
    type filter hook output priority filter; policy drop;
    oifname "lo" accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
    ct state established,related accept
  }
}
"""


def test_a_host_that_asks_for_states_and_redirects_a_port_is_served(lab: Lab, hub: Hub) -> None:
    """Tunnels are tracked by the host, as such hosts need it, whichever port a peer comes by."""
    first, second = hub.add(), hub.add()
    hub.apply()
    lab.run(lab.host, ["nft", "-f", "-"], stdin=STRICT)
    alice, bob = lab.add_client("alice"), lab.add_client("bob")
    lab.wg_quick_up(alice, hub.profile(first))
    lab.wg_quick_up(bob, hub.profile(second).replace(f":{hub.port}\n", ":443\n"))
    for node in (alice, bob):
        lab.wait_ping(node, hub.v4, 60)
