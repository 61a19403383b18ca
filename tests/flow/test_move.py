"""A hub moves to a server in another region under traffic: stock clients keep their files and their connections."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.flow.story import add_client, fetch_profile, id_in
from tests.lab.bind import Bind
from tests.lab.conversation import Conversation, converse, serve_echo
from tests.lab.lab import Lab
from tests.lab.nodes import Node, Site
from tests.lab.server import LabServer
from tests.lab.underlay import silenced
from tests.lab.waiting import wait_until
from tests.running_portal import RunningPortal
from tests.visitor import Visitor

pytestmark = [pytest.mark.publishing_portal, pytest.mark.flow, pytest.mark.network]

WITHIN = 120.0
story: dict[str, str] = {}
connections: dict[str, Conversation] = {}


@pytest.fixture(scope="module")
def ams(lab: Lab) -> Iterator[LabServer]:
    """The server in the first region. Agents end processes by user, so each server has processes of its own."""
    with LabServer(lab, "amsterdam") as made:
        yield made


@pytest.fixture(scope="module")
def fra(lab: Lab) -> Iterator[LabServer]:
    """The server in the other region."""
    with LabServer(lab, "frankfurt") as made:
        yield made


@pytest.fixture(scope="module")
def admin(portal: RunningPortal) -> Visitor:
    """The admin's browser."""
    return portal.visitor()


@pytest.fixture(scope="module")
def berlin(lab: Lab) -> Site:
    """A branch."""
    return lab.add_site("berlin", lan_v4="10.61.0.0/24")


@pytest.fixture(scope="module")
def laptop(lab: Lab) -> Node:
    """A device with WireGuard that knows the hub by its name."""
    return lab.add_client("laptop")


@pytest.fixture(scope="module")
def tablet(lab: Lab) -> Node:
    """A device with WireGuard that knows the hub by its first address."""
    return lab.add_client("tablet")


@pytest.fixture(scope="module")
def phone(lab: Lab) -> Node:
    """A device with OpenVPN."""
    return lab.add_client("phone")


def prepare(portal: RunningPortal, one: tuple[str, str, LabServer]) -> None:
    """Add a region with a server, and prepare it."""
    code, name, server = one
    portal.manage("region", "add", code, name)
    addresses = ("--address", server.node.v4, "--address-v6", server.node.v6)
    added = json.loads(portal.manage("server", "add", code, f"{code}1", "--ssh", f"root@{server.node.v4}", *addresses))
    server.authorise(added["authorized_key"])
    portal.manage("server", "confirm", f"{code}1", "--host-key", added["host_key"])
    portal.manage("server", "prepare", f"{code}1")


def page(admin: Visitor, tab: str = "") -> str:
    """A page of the instance."""
    return admin.get(f"/instances/{story['instance']}/{tab}").text


def test_two_regions_have_a_server_each(portal: RunningPortal, ams: LabServer, fra: LabServer) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(prepare, (portal, portal), (("ams", "Amsterdam", ams), ("fra", "Frankfurt", fra))))


def test_a_hub_with_devices_and_a_site(
    lab: Lab, admin: Visitor, bind: Bind, ams: LabServer, berlin: Site, laptop: Node, tablet: Node, phone: Node
) -> None:
    values = {"name": "Hub move", "hostname": "moves", "region": "ams"}
    story["instance"], story["name"] = id_in(admin.submit("/instances/new/", values), "instances"), f"moves.{bind.zone}"
    wait_until(lambda: "Ready" in page(admin), WITHIN, "the instance to be ready", lambda: page(admin, "progress/"))
    site = {"site_name": "Berlin", "site_platform": "linux", "subnets": berlin.lan_v4, "protocol": "wireguard"}
    peer = id_in(admin.submit(f"/instances/{story['instance']}/peers/new-site/", site), "peers")
    lab.wg_quick_up(berlin.router, fetch_profile(admin, peer))
    profiles = {
        name: fetch_profile(
            admin, add_client(admin, story["instance"], device=name, route_all="false", protocol=protocol)
        )
        for name, protocol in (("laptop", "wireguard"), ("tablet", "wireguard"), ("phone", "openvpn"))
    }
    assert f"Endpoint = {story['name']}:" in profiles["laptop"]
    lab.wg_quick_up(laptop, profiles["laptop"])
    lab.wg_quick_up(tablet, profiles["tablet"].replace(story["name"], ams.node.v4))
    lab.openvpn_up(phone, profiles["phone"], seconds=60)
    serve_echo(lab, berlin.lan, berlin.lan.v4)
    for node in (laptop, tablet, phone):
        lab.wait_ping(node, berlin.lan.v4, 30)
        connections[node.name] = converse(lab, node, berlin.lan.v4)
        connections[node.name].goes_on(30)


def test_the_hub_sends_first_after_a_pause_of_the_router(lab: Lab, ams: LabServer, berlin: Site) -> None:
    """The server's connection tracking has forgotten the router, and takes the hub for the one that began."""
    flows = ["-f", "ipv6", "-p", "udp", "--orig-src", ams.node.v6, "--orig-dst", berlin.router.v6]
    with silenced(lab, berlin.router):
        ams.run(["conntrack", "-D", "-f", "ipv6", "-p", "udp", "--orig-src", berlin.router.v6])
        wait_until(lambda: ams.run(["conntrack", "-L", *flows]).stdout, 30, "the hub's own packets")
    for one in connections.values():
        one.goes_on(60)


def test_the_page_says_what_will_happen(admin: Visitor, lab: Lab) -> None:
    shown = page(admin, "move/")
    assert "Frankfurt" in shown
    assert "No profile has to be issued again" in shown
    assert page(admin, "settings/").count("Move to another region") == 1


def test_it_moves_under_traffic(admin: Visitor, portal: RunningPortal, ams: LabServer) -> None:
    path = f"/instances/{story['instance']}/move/"
    assert admin.submit(path, {"region": "fra"}).url.endswith("/progress/")

    def is_over() -> bool:
        return "hx-trigger" not in page(admin, "progress/")

    wait_until(is_over, WITHIN, "the end of the move", portal.logs)
    shown = page(admin, "progress/")
    assert "The hub runs on fra1" in shown, f"{shown}\n{portal.logs()}"
    assert "forwards UDP and TCP ports" in shown
    # On a busy machine, some may be back a little later.
    assert re.search(r"[123] of 3 WireGuard clients were back after at most [0-9.]+ s\.", shown), shown
    print(re.findall(r"[^.>]+ back after at most [0-9.]+ s", shown))
    assert "hub-" not in ams.run(["ip", "netns", "list"]).stdout, "nothing of the hub is left on the former server"


@pytest.mark.parametrize("device", ["laptop", "tablet", "phone"])
def test_a_connection_goes_on(
    device: str,
    lab: Lab,
    admin: Visitor,
    portal: RunningPortal,
    ams: LabServer,
    fra: LabServer,
    laptop: Node,
    berlin: Site,
) -> None:
    def explain() -> str:
        """What is known of each stretch of the way."""
        (hub,) = [line.split()[0] for line in fra.run(["ip", "netns", "list"]).stdout.splitlines() if "hub-" in line]
        seen = [lab.run(node, ["wg", "show", "all"]).stdout for node in (laptop, berlin.router)]
        seen += [
            fra.run(["ip", "netns", "exec", hub, *argv], check=False).stdout
            for argv in (["wg", "show", "all"], ["conntrack", "-L"])
        ]
        tracked = [["conntrack", "-L", "-f", family] for family in ("ipv4", "ipv6")]
        seen += [
            server.run(argv, check=False).stdout
            for server in (ams, fra)
            for argv in (*tracked, ["nft", "list", "table", "inet", "vpnhub_forward"])
        ]
        said = re.findall(r"[^.>]+ back after[^<]+", page(admin, "progress/"))
        return "\n".join([portal.logs()[-4000:], *said, *seen])

    connections[device].goes_on(60, explain)
    story[device] = f"{connections[device].longest_gap():.1f}"
    print(f"{device}: longest gap {story[device]} s")


def test_the_name_leads_to_the_new_server(admin: Visitor, bind: Bind, fra: LabServer) -> None:
    wait_until(lambda: bind.answers_of(story["name"], "A") == {fra.node.v4}, 60, "the new A record")
    wait_until(lambda: bind.answers_of(story["name"], "AAAA") == {fra.node.v6}, 60, "the new AAAA record")
    assert "Frankfurt" in page(admin)


def test_the_pages_say_that_the_former_server_forwards(admin: Visitor) -> None:
    shown = page(admin, "settings/")
    assert "forwards UDP and TCP ports" in shown
    assert "End the forwarding" in shown
    assert "does not connect" not in page(admin), "profiles with the former address stay valid"


def forwards(server: LabServer) -> bool:
    """Does a server forward a hub's ports?"""
    return server.run(["nft", "list", "table", "inet", "vpnhub_forward"], check=False).returncode == 0


def test_a_lost_table_is_loaded_again(lab: Lab, ams: LabServer, tablet: Node, berlin: Site) -> None:
    ams.run(["nft", "delete", "table", "inet", "vpnhub_forward"])
    wait_until(lambda: forwards(ams), 60, "the table of forwarded ports")
    lab.wait_ping(tablet, berlin.lan.v4, 60)


def test_draining_says_which_hub_has_no_place_to_go(portal: RunningPortal) -> None:
    refusal = portal.refused("server", "drain", "fra1")
    assert "Hub move stays: Frankfurt has no other server that is ready and has room." in refusal
    assert '"cordoned"' in portal.manage("server", "list", "--json")


def test_nothing_is_left_once_it_is_deleted(
    admin: Visitor, ams: LabServer, fra: LabServer, portal: RunningPortal
) -> None:
    path = f"/instances/{story['instance']}/delete/"
    admin.submit(path, action=path)
    wait_until(lambda: not forwards(ams), 60, "the end of the forwarding", portal.logs)
    wait_until(lambda: "hub-" not in fra.run(["ip", "netns", "list"]).stdout, 60, "the end of the hub", portal.logs)
    assert "Traceback" not in portal.logs()
