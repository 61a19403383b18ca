"""Two sites with the same LAN, each reached at its alias, which its router translates one to one."""

from __future__ import annotations

import shlex
import subprocess
import sys
from functools import partial
from ipaddress import ip_network
from typing import Final
from uuid import UUID

from tests.lab.delivered import peer_row
from tests.lab.devices import Device, OpenVPNDevice
from tests.lab.hub import Agent, Hub
from tests.lab.lab import Lab
from tests.lab.nodes import Node
from tests.lab.waiting import wait_until
from vpn.profiles.names import tag_of_peer
from vpn.profiles.router import ProfileFile
from vpn.profiles.site_files import router_profile
from vpn.profiles.tunnel_routes import SiteSubnets

LAN: Final = "192.168.88.0/24"
BERLIN, PARIS = "10.224.0.0/24", "10.224.1.0/24"
AT_BERLIN, AT_PARIS = "10.224.0.10", "10.224.1.10"
# Answers each datagram with the address from which it came.
MIRROR = """
import socket
door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
door.bind(("0.0.0.0", 9009))
print("ready", flush=True)
while True:
    _, whom = door.recvfrom(64)
    door.sendto(whom[0].encode(), whom)
"""
# Prints the answer to a datagram, or the name of the error that came back.
ASK = """
import socket, sys
door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
door.settimeout(2)
door.connect((sys.argv[1], int(sys.argv[2])))
for attempt in range(30):
    try:
        door.send(b"who")
        print(door.recv(64).decode())
        break
    except TimeoutError:
        continue
    except OSError as error:
        print(type(error).__name__)
        break
"""


def files_of(hub: Hub, device: Device | OpenVPNDevice) -> tuple[str, dict[str, ProfileFile]]:
    """The tag and the files of a Linux site, as the portal makes them."""
    row = peer_row(hub, device)
    assert row.site is not None
    row.site.alias = [f"{LAN}={device.subnets[0]}"]
    sites = SiteSubnets(
        (UUID(key), tuple(map(ip_network, other.subnets))) for key, other in hub.devices.items() if other.subnets
    )
    made = router_profile(row, sites=sites)
    assert made is not None
    return tag_of_peer(row), {file.format: file for file in made.files}


def translate(lab: Lab, router: Node, unit: ProfileFile) -> None:
    """Run what systemd would run, twice: a changed unit is started again."""
    [line] = [line for line in unit.content.splitlines() if line.startswith("ExecStart=")]
    for _ in range(2):
        lab.run(router, shlex.split(line.removeprefix("ExecStart=")))


def ask(lab: Lab, node: Node, address: str, port: int = 9009) -> str:
    return lab.run(node, [sys.executable, "-S", "-c", ASK, address, str(port)], timeout=90).stdout.strip()


def answers(lab: Lab, node: Node, url: str, body: str) -> bool:
    return lab.http_get(node, url) == body


def mirror(lab: Lab, node: Node) -> None:
    process = lab.start(node, [sys.executable, "-S", "-u", "-c", MIRROR], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"


def test_two_sites_with_one_lan_reach_each_other_and_a_client_both(lab: Lab, agent: Agent) -> None:
    hub = Hub(lab, agent)
    berlin, paris = (lab.add_site(name, LAN) for name in ("berlin", "paris"))
    over_wireguard, over_openvpn = hub.add([BERLIN]), hub.add_openvpn([PARIS])
    anna = lab.add_client("anna")
    client = hub.connect(anna)
    for site in (berlin, paris):
        # Whatever leaves these routers' LANs is masqueraded, as on most.
        lab.run(site.router, ["nft", "add table ip theirs"])
        chain = "{ type nat hook postrouting priority srcnat; }"
        lab.run(
            site.router, ["nft", f"add chain ip theirs out {chain}; add rule ip theirs out oifname != lan0 masquerade"]
        )
    tag, files = files_of(hub, over_wireguard)
    lab.wg_quick_up(berlin.router, files["conf"].content, tag)
    translate(lab, berlin.router, files["alias"])
    tag, files = files_of(hub, over_openvpn)
    lab.openvpn_up(paris.router, files["conf"].content, tag.replace("-", "_"), seconds=60)
    translate(lab, paris.router, files["alias"])

    for node, address in ((anna, AT_BERLIN), (anna, AT_PARIS), (berlin.lan, AT_PARIS), (paris.lan, AT_BERLIN)):
        lab.wait_ping(node, address, seconds=60)
    lab.wait_ping(berlin.lan, client.v4, seconds=60)
    for node in (berlin.lan, paris.lan, anna):
        mirror(lab, node)
    # UDP: everybody sees the other one's alias, and the answer comes from where it was asked.
    assert ask(lab, anna, AT_BERLIN) == ask(lab, anna, AT_PARIS) == client.v4
    assert ask(lab, berlin.lan, AT_PARIS) == AT_BERLIN
    assert ask(lab, paris.lan, AT_BERLIN) == AT_PARIS
    assert (ask(lab, berlin.lan, client.v4), ask(lab, paris.lan, client.v4)) == (AT_BERLIN, AT_PARIS)
    # An ICMP error is translated with the packet inside of it: else the socket would not hear of it.
    for node, address in ((anna, AT_BERLIN), (berlin.lan, AT_PARIS), (paris.lan, AT_BERLIN)):
        assert ask(lab, node, address, 9010) == "ConnectionRefusedError"
    # TCP.
    lab.serve_http(berlin.lan, berlin.lan.v4, body="berlin")
    lab.serve_http(paris.lan, paris.lan.v4, body="paris")
    for node, address, name in (
        (anna, AT_BERLIN, "berlin"),
        (anna, AT_PARIS, "paris"),
        (berlin.lan, AT_PARIS, "paris"),
        (paris.lan, AT_BERLIN, "berlin"),
    ):
        url = f"http://{address}/"
        wait_until(partial(answers, lab, node, url, name), 60, f"{node.name} to {address}")
    # The real addresses lead nowhere but within their own LAN.
    assert not lab.ping(anna, berlin.lan.v4, timeout=0.5)
