"""A server is lost: its hub is built anew on another one, under the same name, and it does not carry the old one on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.flow.story import add_client, fetch_profile, id_in
from tests.lab.bind import Bind
from tests.lab.lab import Lab
from tests.lab.nodes import Node
from tests.lab.server import LabServer
from tests.lab.waiting import wait_until
from tests.running_portal import RunningPortal
from tests.visitor import Visitor

pytestmark = [pytest.mark.publishing_portal, pytest.mark.flow, pytest.mark.network, pytest.mark.long]

# Checks, leases and jobs have intervals of seconds; the machine may be busy.
WITHIN = 180.0
LOST_AFTER = "20"
# The story is one: each test goes on where the one before it ended.
story: dict[str, str] = {}


@pytest.fixture(scope="module")
def servers(lab: Lab) -> Iterator[dict[str, LabServer]]:
    """Two servers."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(LabServer(lab, name)) for name in ("fra1", "fra2")}


@pytest.fixture(scope="module")
def admin(portal: RunningPortal) -> Iterator[Visitor]:
    """The admin's browser, which is staff's, too."""
    with portal.visitor() as visitor:
        yield visitor


@pytest.fixture(scope="module")
def laptop(lab: Lab) -> Node:
    """A device."""
    return lab.add_client("laptop")


def hubs_on(server: LabServer) -> str:
    """The namespaces of hubs on a server."""
    return server.run(["ip", "netns", "list"]).stdout.strip()


def server_states(portal: RunningPortal) -> dict[str, str]:
    """The states of the servers over SSH by name, as their list has them."""
    return {row["name"]: row["state"] for row in json.loads(portal.manage("server", "list", "--json"))}


def page(admin: Visitor) -> str:
    """The instance's page."""
    return str(admin.get(f"/instances/{story['instance']}/").text)


def test_a_region_has_two_servers_and_builds_lost_hubs_anew(
    portal: RunningPortal, servers: dict[str, LabServer]
) -> None:
    portal.manage("region", "add", "fra", "Frankfurt")
    portal.manage("region", "set", "fra", "--rebuild-lost", "yes", "--lost-after", LOST_AFTER)
    for name, server in servers.items():
        address = server.node.v4
        added = json.loads(
            portal.manage("server", "add", "fra", name, "--ssh", f"root@{address}", "--address", address)
        )
        portal.manage("server", "confirm", name, "--host-key", added["host_key"])
        server.authorise(added["authorized_key"])
        portal.manage("server", "prepare", name)
    portal.manage("server", "cordon", "fra2")


def test_a_client_reaches_its_hub(
    lab: Lab, portal: RunningPortal, admin: Visitor, servers: dict[str, LabServer], bind: Bind, laptop: Node
) -> None:
    values = {"name": "Hub lost", "hostname": "losthub", "region": "fra"}
    story["instance"] = id_in(admin.submit("/instances/new/", values), "instances")
    wait_until(lambda: "Ready" in page(admin), WITHIN, "the instance to be ready", portal.logs)
    story["name"] = f"losthub.{bind.zone}"
    wait_until(lambda: bind.answers_of(story["name"]) == {servers["fra1"].node.v4}, WITHIN, "the name", portal.logs)
    peer = add_client(admin, story["instance"], device="laptop", route_all="true")
    story["profile"] = fetch_profile(admin, peer)
    assert f"Endpoint = {story['name']}:" in story["profile"]
    lab.wg_quick_up(laptop, story["profile"])
    lab.wait_ping(laptop, lab.outside.v4, WITHIN)
    wait_until(lambda: hubs_on(servers["fra1"]), WITHIN, "the hub on its server")
    portal.manage("server", "uncordon", "fra2")


def test_a_server_that_the_portal_cannot_reach_is_lost_and_its_hub_is_built_anew(
    lab: Lab, portal: RunningPortal, admin: Visitor, servers: dict[str, LabServer], bind: Bind, laptop: Node
) -> None:
    # Its hub goes on at first: only the portal does not reach it.
    servers["fra1"].stop_ssh()
    wait_until(lambda: server_states(portal)["fra1"] == "lost", WITHIN, "the server to be lost", portal.logs)
    wait_until(lambda: hubs_on(servers["fra2"]), WITHIN, "the hub on the other server", portal.logs)
    assert not hubs_on(servers["fra1"]), "the old hub was down before the new one began"
    wait_until(lambda: bind.answers_of(story["name"]) == {servers["fra2"].node.v4}, WITHIN, "the name", portal.logs)
    wait_until(lambda: "Ready" in page(admin), WITHIN, "the instance to be ready again", portal.logs)
    lab.wg_quick_down(laptop)
    lab.wg_quick_up(laptop, story["profile"])
    lab.wait_ping(laptop, lab.outside.v4, WITHIN)


def test_staff_were_told(portal: RunningPortal, admin: Visitor) -> None:
    mails = admin.get("/admin/portal/mail/").text
    assert mails.count(">The server fra1 in Frankfurt is lost</a>") == 1
    healthz = admin.get("/healthz").text
    assert '"lost"' in healthz


def test_the_lost_server_comes_back_without_the_old_hub(
    lab: Lab, portal: RunningPortal, servers: dict[str, LabServer], laptop: Node
) -> None:
    servers["fra1"].start_ssh()
    wait_until(lambda: server_states(portal)["fra1"] == "ready", WITHIN, "the server to be ready", portal.logs)
    assert not hubs_on(servers["fra1"])
    lab.wait_ping(laptop, lab.outside.v4, WITHIN)
    logs = portal.logs()
    assert "Traceback" not in logs
    assert bool(hubs_on(servers["fra2"]))


def test_draining_the_other_server_brings_it_back_and_the_client_stays_connected(
    lab: Lab, portal: RunningPortal, admin: Visitor, servers: dict[str, LabServer], bind: Bind, laptop: Node
) -> None:
    # The server that was lost forwards since it is back, and a hub does not move to one that forwards to it.
    assert "still forwards" in portal.refused("server", "drain", "fra2")
    path = f"/instances/{story['instance']}/"
    admin.submit(f"{path}settings/", action=f"{path}forwarding/")
    wait_until(lambda: "End the forwarding" not in admin.get(f"{path}settings/").text, WITHIN, "its end", portal.logs)
    said = portal.manage("server", "drain", "fra2")
    assert "runs on fra1" in said
    assert bool(hubs_on(servers["fra1"]))
    # The client keeps the address that it resolved: the drained server forwards.
    lab.wait_ping(laptop, lab.outside.v4, WITHIN)
    wait_until(lambda: bind.answers_of(story["name"]) == {servers["fra1"].node.v4}, WITHIN, "the name", portal.logs)


def test_a_compromised_server_leaves_its_hub_with_new_keys_on_the_other_one(
    lab: Lab, portal: RunningPortal, admin: Visitor, servers: dict[str, LabServer], bind: Bind, laptop: Node
) -> None:
    peer = add_client(admin, story["instance"], device="phone", route_all="true", protocol="openvpn")
    story["phone"], story["phone profile"] = peer, fetch_profile(admin, peer)
    phone = lab.add_client("phone")
    lab.openvpn_up(phone, story["phone profile"], seconds=60)
    lab.openvpn_down(phone)
    lab.wg_quick_down(laptop)
    portal.manage("server", "uncordon", "fra2")
    assert "1 hubs of 1 organizations" in portal.manage("server", "compromised", "fra1", "--plan")
    portal.manage("server", "compromised", "fra1")
    wait_until(lambda: hubs_on(servers["fra2"]), WITHIN, "the hub on the other server", portal.logs)
    wait_until(lambda: bind.answers_of(story["name"]) == {servers["fra2"].node.v4}, WITHIN, "the name", portal.logs)
    wait_until(lambda: "Ready" in page(admin), WITHIN, "the instance to be ready again", portal.logs)
    # Its hub would go on until its lease ends.
    servers["fra1"].die()


def test_old_profiles_connect_nowhere_and_new_ones_do(
    lab: Lab, portal: RunningPortal, admin: Visitor, laptop: Node
) -> None:
    tablet, phone, other = (lab.add_client(name) for name in ("old-laptop", "old-phone", "new-phone"))
    lab.wg_quick_up(tablet, story["profile"])
    lab.openvpn_start(phone, story["phone profile"])
    pinging = lab.start_ping(tablet, lab.outside.v4)
    mine = admin.get("/my/").text
    assert mine.count("because its server was compromised") == 2
    laptop_peer = next(pk for pk in re.findall(r"/peers/([0-9a-f-]{36})/", mine) if pk != story["phone"])
    lab.wg_quick_up(laptop, fetch_profile(admin, laptop_peer))
    lab.wait_ping(laptop, lab.outside.v4, WITHIN)
    lab.openvpn_up(other, fetch_profile(admin, story["phone"]), seconds=60)
    lab.wait_ping(other, lab.outside.v4, WITHIN)
    assert lab.latest_handshake(tablet) == 0
    assert "Initialization Sequence Completed" not in lab.openvpn_log(phone).read_text()
    pinging.stop()
    lab.openvpn_down(phone, kill=True)
    assert "because its server was compromised" not in admin.get("/my/").text
    listed = admin.get("/admin/vpn/server/").text
    assert "Traceback" not in portal.logs()
    assert "compromised" in listed


def test_all_is_deleted(portal: RunningPortal, admin: Visitor, servers: dict[str, LabServer]) -> None:
    path = f"/instances/{story['instance']}/"
    admin.submit(f"{path}delete/", action=f"{path}delete/")
    wait_until(lambda: not hubs_on(servers["fra2"]), WITHIN, "the end of the hub", portal.logs)
