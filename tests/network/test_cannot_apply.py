"""What cannot be applied leaves the hub that was there carrying traffic, and says what is in the way."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.lab.devices import Device, OpenVPNDevice
from tests.lab.hub import Agent, Hub
from tests.lab.lab import Lab
from tests.lab.nodes import Node, Site
from tests.lab.waiting import wait_until
from vpn.wire import codes
from vpn.wire.errors import DISK_FULL, NO_RIGHT, PACKAGE_MISSING, PORT_TAKEN, AgentError, parse_error
from vpn.wire.finding import Finding
from vpn.wire.report import COMPONENTS

NOTHING = dict.fromkeys(COMPONENTS, False)


@dataclass
class Scene:
    """A hub with a device of each protocol and a branch, all of them connected."""

    lab: Lab
    hub: Hub
    alice: Node
    bob: Node
    berlin: Site


@pytest.fixture(scope="module")
def scene(world: tuple[Lab, Hub]) -> Scene:
    lab, hub = world
    alice, bob, berlin = lab.add_client("alice"), lab.add_client("bob"), lab.add_site("berlin")
    hub.resolver = {
        "domain": "hub.example.net",
        "public_addresses": [],
        "upstreams": [lab.outside.v4],
        "domains": [],
        "domain_servers": [],
        "records": [],
    }
    hub.connect_site(berlin)
    hub.connect(alice)
    hub.connect_openvpn(bob)
    lab.wait_ping(bob, berlin.lan.v4)
    return Scene(lab, hub, alice, bob, berlin)


def agent_under(hub: Hub, *prefix: str) -> Callable[[], AgentError]:
    """Return a call that applies the hub's spec by an agent of its own that is started by `prefix`."""

    def apply() -> AgentError:
        done = subprocess.run(
            [*prefix, *hub.agent.argv("apply")],
            input=json.dumps({"spec": hub.document}),
            capture_output=True,
            text=True,
        )
        return parse_error(json.loads(done.stdout)["error"])

    return apply


def refusal(hub: Hub) -> AgentError:
    """Apply, and return what the agent has to say against it."""
    with pytest.raises(AgentError) as refused:
        hub.apply()
    return refused.value


Way = Callable[[Scene], AbstractContextManager[Callable[[], AgentError]]]


def taken(kind: str, port: int) -> Way:
    """Somebody else listens on a port."""

    @contextlib.contextmanager
    def way(scene: Scene) -> Iterator[Callable[[], AgentError]]:
        family = "SOCK_STREAM" if kind == "TCP" else "SOCK_DGRAM"
        listen = "s.listen(1);" if kind == "TCP" else ""
        program = (
            f"import socket,time; s=socket.socket(socket.AF_INET6, socket.{family}); s.bind(('::', {port}));"
            f"{listen} print('bound', flush=True); time.sleep(600)"
        )
        listener = scene.lab.start(scene.lab.host, ["python3", "-c", program], subprocess.PIPE)
        assert listener.stdout is not None
        assert listener.stdout.readline() == "bound\n"
        yield lambda: refusal(scene.hub)
        listener.kill()
        listener.wait()

    return way


def missing(program: str) -> Way:
    """A program is not installed, as far as the agent can see."""
    path = shutil.which(program)
    hide = 'mount --bind /dev/null "$0" && exec "$@"'
    return lambda scene: contextlib.nullcontext(
        agent_under(scene.hub, "unshare", "-m", "sh", "-c", hide, path or program)
    )


def without_the_right(scene: Scene) -> AbstractContextManager[Callable[[], AgentError]]:
    """Root, but not for the network."""
    bounded = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")
    return contextlib.nullcontext(agent_under(scene.hub, *bounded))


@contextlib.contextmanager
def a_full_disk(scene: Scene) -> Iterator[Callable[[], AgentError]]:
    """No room is left where the agent keeps its state."""
    filler = scene.lab.state / "filler"
    # A disk of its own, with what was on the other one.
    kept = scene.lab.directory / "kept"
    scene.hub.agent.close()
    # Neither sockets nor pipes can be copied.
    shutil.copytree(scene.lab.state, kept, ignore=shutil.ignore_patterns("*.sock", "*.asked"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(scene.lab.state)], check=True)
    try:
        shutil.copytree(kept, scene.lab.state, dirs_exist_ok=True)
        with filler.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
            while True:
                stream.write(b"\0" * 4096)
        yield lambda: refusal(scene.hub)
    finally:
        scene.hub.agent.close()
        subprocess.run(["umount", str(scene.lab.state)], check=True)


def another_port(hub: Hub) -> None:
    hub.port = 20500


def another_openvpn_port(hub: Hub) -> None:
    assert hub.authority is not None
    hub.authority.port = 20501


def another_policy(hub: Hub) -> None:
    hub.forwarding = "deny"


def another_domain(hub: Hub) -> None:
    assert hub.resolver is not None
    hub.resolver = {**hub.resolver, "domain": "other.example.net"}


def more_peers(hub: Hub) -> None:
    hub.add_many(50)


def listeners(hub: Hub) -> set[str]:
    """Return the processes that serve the hub."""
    found = hub.lab.run(hub.lab.host, ["pgrep", "-f", f"/{hub.hub}/|{hub.interface}"], check=False)
    return set(found.stdout.split())


def no_package(name: str) -> Finding:
    return codes.SERVER_PACKAGE_MISSING.of(name)


CASES: dict[str, tuple[Callable[[Hub], None], Way, str, Finding]] = {
    "WireGuard's port": (another_port, taken("UDP", 20500), PORT_TAKEN, codes.WIREGUARD_PORT_TAKEN.of(20500)),
    "OpenVPN's UDP port": (
        another_openvpn_port, taken("UDP", 20501), PORT_TAKEN, codes.OPENVPN_PORT_TAKEN.of("20501/udp"),
    ),
    "OpenVPN's TCP port": (
        another_openvpn_port, taken("TCP", 20501), PORT_TAKEN, codes.OPENVPN_PORT_TAKEN.of("20501/tcp"),
    ),
    "no openvpn": (another_openvpn_port, missing("openvpn"), PACKAGE_MISSING, no_package("openvpn")),
    "no nft": (another_policy, missing("nft"), PACKAGE_MISSING, no_package("nftables")),
    "no wg": (more_peers, missing("wg"), PACKAGE_MISSING, no_package("wireguard-tools")),
    "no dnsmasq": (another_domain, missing("dnsmasq"), PACKAGE_MISSING, no_package("dnsmasq-base")),
    "no right": (another_policy, without_the_right, NO_RIGHT, codes.SERVER_RIGHT_MISSING.of("CAP_NET_ADMIN")),
    "a full disk": (more_peers, a_full_disk, DISK_FULL, codes.SERVER_DISK_FULL.of()),
}  # fmt: skip


def remembered(hub: Hub) -> dict[str, Any]:
    return {
        "port": hub.port,
        "forwarding": hub.forwarding,
        "resolver": hub.resolver,
        "devices": dict(hub.devices),
        "openvpn": hub.authority.port if hub.authority else 0,
    }


def put_back(hub: Hub, before: dict[str, Any]) -> None:
    hub.port, hub.forwarding, hub.devices = before["port"], before["forwarding"], before["devices"]
    hub.resolver = before["resolver"]
    assert hub.authority is not None
    hub.authority.port = before["openvpn"]
    hub.apply_next()


@pytest.mark.parametrize("what", CASES)
def test_traffic_flows_on_and_the_change_is_made_once_nothing_is_in_its_way(scene: Scene, what: str) -> None:
    change, way, code, finding = CASES[what]
    lab, hub = scene.lab, scene.hub
    before, digest, listening = remembered(hub), hub.status().digest, listeners(hub)
    lab.wait_ping(scene.alice, scene.berlin.lan.v4, 30)
    lab.wait_ping(scene.bob, scene.berlin.lan.v4, 30)
    pings = [lab.start_ping(node, scene.berlin.lan.v4) for node in (scene.alice, scene.bob)]
    try:
        with way(scene) as attempt:
            for ping in pings:
                ping.wait_for_replies()
            change(hub)
            hub.generation += 1
            for _ in range(2):
                error = attempt()
                assert error.code == code, error
                assert error.finding == finding
            for ping in pings:
                ping.wait_for_replies(10)
            assert [ping.stop().lost for ping in pings] == [0, 0]
            report = hub.status()
            assert report.alive
            assert listeners(hub) == listening
            assert (report.generation, report.digest) == (hub.generation - 1, digest), "it is what it was"
        hub.apply()
        assert hub.apply().changed == NOTHING
    finally:
        put_back(hub, before)


def test_who_leaves_is_shut_out_although_the_rest_cannot_be_applied(scene: Scene) -> None:
    lab, hub = scene.lab, scene.hub
    before = remembered(hub)
    alice = next(device for device in hub.devices.values() if isinstance(device, Device) and not device.subnets)
    bob = next(device for device in hub.devices.values() if isinstance(device, OpenVPNDevice))
    lab.wait_ping(scene.alice, hub.v4, 30)
    lab.wait_ping(scene.bob, hub.v4, 30)
    try:
        with taken("UDP", 20501)(scene) as attempt:
            another_openvpn_port(hub)
            hub.devices = {key: device for key, device in hub.devices.items() if device not in (alice, bob)}
            hub.generation += 1
            assert attempt().code == PORT_TAKEN
            wait_until(lambda: not lab.ping(scene.alice, hub.v4), 5, "the end of one who was taken out")
            wait_until(lambda: not lab.ping(scene.bob, hub.v4), 5, "the end of the other one")
            assert lab.ping(scene.berlin.lan, hub.v4, count=5), "who stays is let be"
        hub.apply()
        assert hub.apply().changed == NOTHING
    finally:
        put_back(hub, before)


def test_a_hub_that_could_not_be_made_leaves_nothing(lab: Lab, agent: Agent) -> None:
    hub = Hub(lab, agent)
    error = agent_under(hub, "unshare", "-m", "sh", "-c", 'mount --bind /dev/null "$0" && exec "$@"', "/usr/sbin/nft")()
    assert error.code == PACKAGE_MISSING
    assert lab.hubs() == set()
    assert hub.apply().alive
