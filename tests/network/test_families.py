"""Hubs on servers with IPv4, IPv6 or both, and devices whose own way there is of one family."""

from __future__ import annotations

import re
import sys

import pytest

from tests.lab.delivered import bring_up
from tests.lab.hub import Hub, Watch
from tests.lab.lab import Lab
from tests.lab.nodes import OUTSIDE_V4, OUTSIDE_V6, Node, Site
from tests.lab.underlay import add_behind, host_without
from tests.lab.waiting import wait_until

World = tuple[Lab, Hub]
# An error comes back, and no silence: what a timeout is to a browser that tries the other family next.
REFUSED = """
import errno, socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)
except OSError as error:
    print("refused" if error.errno in (errno.ECONNREFUSED, errno.ENETUNREACH) else error)
"""


def try_to_connect(lab: Lab, node: Node, address: str) -> str:
    return lab.run(node, [sys.executable, "-S", "-c", REFUSED, address, "80"]).stdout


@pytest.fixture(scope="module")
def branches(world: World) -> tuple[Site, Site]:
    """A branch of each protocol, whose routers have only IPv6 outside, and both families inside."""
    lab, hub = world
    rome = lab.add_site("rome", router=add_behind(lab, "rome-router", v4=False))
    oslo = lab.add_site("oslo", router=add_behind(lab, "oslo-router", v4=False))
    over_wireguard = hub.add((rome.lan_v4, rome.lan_v6))
    over_openvpn = hub.add_openvpn((oslo.lan_v4, oslo.lan_v6))
    hub.apply_next()
    bring_up(hub, rome.router, over_wireguard, [lab.host.v6])
    # As on a server with both addresses: the one that cannot be reached from here comes first.
    bring_up(hub, oslo.router, over_openvpn, [lab.host.v4, lab.host.v6])
    return rome, oslo


def test_branches_with_only_ipv6_outside_carry_both_families(world: World, branches: tuple[Site, Site]) -> None:
    lab = world[0]
    for here, there in (branches, branches[::-1]):
        for address in (there.lan.v4, there.lan.v6):
            lab.wait_ping(here.lan, address)


@pytest.mark.parametrize("protocol", ["wireguard", "udp", "tcp"])
def test_a_device_with_only_ipv6_outside_reaches_both_families(
    world: World, branches: tuple[Site, Site], protocol: str
) -> None:
    lab, hub = world
    node = add_behind(lab, f"phone-{protocol}", v4=False)
    device = hub.add() if protocol == "wireguard" else hub.add_openvpn()
    hub.apply_next()
    bring_up(hub, node, device, [lab.host.v6], transport=protocol)
    targets = {address for site in branches for address in (site.lan.v4, site.lan.v6)}
    wait_until(lambda: lab.answers(node, sorted(targets)) == targets, 10, "all of both branches")
    session = (hub.status().sessions or {}).get(device.peer_id)
    if session is not None:
        assert re.fullmatch(re.escape(f"[{node.v6}]:") + r"\d+", session.endpoint or "")
        assert session.listener == protocol


def test_the_report_says_which_families_lead_out(world: World) -> None:
    lab, hub = world
    hub.apply()
    assert hub.status().families == ["ipv4", "ipv6"]
    for family, left in ((6, ["ipv4"]), (4, ["ipv6"])):
        with host_without(lab, family):
            assert hub.status().families == left
    assert hub.status().families == ["ipv4", "ipv6"]


@pytest.mark.parametrize("family", [6, 4])
@pytest.mark.parametrize("protocol", ["wireguard", "openvpn"])
def test_a_family_without_a_way_out_is_refused_at_once(world: World, family: int, protocol: str) -> None:
    lab, hub = world
    node = add_behind(lab, f"all-{protocol}-{family}")
    device = hub.add() if protocol == "wireguard" else hub.add_openvpn(route_all=True)
    port = 8000 + family + 10 * (protocol == "openvpn")
    carried, missing = (OUTSIDE_V4, OUTSIDE_V6) if family == 6 else (OUTSIDE_V6, OUTSIDE_V4)
    with host_without(lab, family) as host:
        assert hub.apply_next().changed["egress"]
        bring_up(hub, node, device, [host.v4 or host.v6], everything=True)
        lab.serve_http(lab.outside, carried, port)
        assert lab.http_get(node, f"http://{f'[{carried}]' if ':' in carried else carried}:{port}/") == "hello"
        # Each one is answered, not the first few of a second.
        for _ in range(20):
            assert try_to_connect(lab, node, missing) == "refused\n"
        assert "nreachable" in lab.run(node, ["ping", "-n", "-c", "1", "-W", "3", missing], check=False).stdout
        assert not hub.apply().changed["egress"]
    assert hub.apply().changed["egress"]
    lab.wait_ping(node, missing)


def test_the_watch_follows_a_host_that_gets_or_loses_a_family(world: World) -> None:
    lab, hub = world
    node = add_behind(lab, "early")
    device = hub.add()
    with host_without(lab, 6):
        hub.apply_next()
        bring_up(hub, node, device, [lab.host.v4], everything=True)
        assert not lab.ping(node, OUTSIDE_V6)
    # What happened before the watch was there counts, too.
    with Watch(hub.agent):
        lab.wait_ping(node, OUTSIDE_V6, 15)
        with host_without(lab, 6):
            wait_until(lambda: try_to_connect(lab, node, OUTSIDE_V6) == "refused\n", 15, "the hub to know")
        assert lab.wait_ping(node, OUTSIDE_V6, 15)
    assert lab.ping(node, OUTSIDE_V4)
