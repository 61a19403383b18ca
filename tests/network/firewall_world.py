"""Two members and two sites, one of each over WireGuard and over OpenVPN, with probers on all their machines."""

from __future__ import annotations

import dataclasses
import uuid
from dataclasses import dataclass, field
from typing import Final

from tests.lab.devices import Device, OpenVPNDevice
from tests.lab.hub import Agent, Hub
from tests.lab.lab import Lab
from tests.lab.nodes import OUTSIDE_V4, OUTSIDE_V6, Node, Site
from tests.lab.probing import OPEN, Probers, Question
from vpn.wire.documents import RuleDocument
from vpn.wire.report import HubReport

WEB, DATA, MAIL = 1080, 5432, 25
PORTS: Final = (WEB, DATA, MAIL)

SITES: Final = {name: f"site:{uuid.UUID(int=number)}" for number, name in enumerate(("berlin", "paris"), 1)}
USERS: Final = {name: f"user:{uuid.UUID(int=number)}" for number, name in enumerate(("alice", "bob"), 11)}
STAFF, BOARD = f"group:{uuid.UUID(int=21)}", f"group:{uuid.UUID(int=22)}"


def rule(
    action: str = "accept",
    source: str = "any",
    destination: str = "any",
    protocol: str = "any",
    ports: tuple[int, int] | None = None,
) -> RuleDocument:
    """Return a rule with an id of its own."""
    return {
        "id": str(uuid.uuid4()),
        "action": action,
        "protocol": protocol,
        "ports": None if ports is None else list(ports),
        "source": source,
        "destination": destination,
    }


@dataclass
class World:
    """Alice and Berlin come over WireGuard, Bob and Paris over OpenVPN; the sites' LANs are asked and ask."""

    lab: Lab
    agent: Agent
    hub: Hub
    alice: Node
    bob: Node
    berlin: Site
    paris: Site
    probers: Probers
    devices: dict[str, Device | OpenVPNDevice] = field(default_factory=dict)

    def node(self, name: str) -> Node:
        """Return the machine that asks for a name."""
        nodes = {"alice": self.alice, "bob": self.bob, "berlin": self.berlin.lan, "paris": self.paris.lan}
        return nodes[name]

    def address(self, name: str, version: int) -> str:
        """Return the address at which a name is asked."""
        if name == "outside":
            return OUTSIDE_V4 if version == 4 else OUTSIDE_V6
        if name in SITES:
            lan = self.node(name)
            return lan.v4 if version == 4 else lan.v6
        device = self.devices[name]
        return device.v4 if version == 4 else device.v6

    def apply(self, *rules: RuleDocument, policy: str = "deny") -> HubReport:
        """Give the hub these rules, by a delta."""
        return self.hub.send(self.hub.delta(rules=rules, forwarding=policy))

    def tag(self, name: str, *tags: str) -> HubReport:
        """Give a peer these tags, by a delta."""
        self.devices[name] = dataclasses.replace(self.devices[name], tags=tags)
        return self.hub.send(self.hub.delta(upsert=[self.devices[name]]))

    def results(self, *asked: tuple[str, str, str, int], expected: bool = True) -> dict[str, str]:
        """Return by what was asked (`alice tcp bob 1080 v4`) what came of it, over both families."""
        questions, names = [], []
        for source, protocol, target, port in asked:
            for version in (4, 6):
                names.append(f"{source} {protocol} {target} {port} v{version}")
                address = self.address(target, version)
                questions.append(Question(self.node(source).name, protocol, address, port, expected))
        return dict(zip(names, self.probers.ask(questions), strict=True))

    def passes(self, *asked: tuple[str, str, str, int]) -> None:
        """Assert that all of it is answered."""
        found = self.results(*asked)
        assert set(found.values()) == {OPEN}, found

    def ends(self, *asked: tuple[str, str, str, int], as_: tuple[str, ...] = ("silent", "refused")) -> None:
        """Assert that none of it is answered."""
        found = self.results(*asked, expected=as_ == ("refused",))
        assert set(found.values()) <= set(as_), found


def web(source: str, target: str) -> tuple[str, str, str, int]:
    """Return what is asked for a web page of `target`."""
    return source, "tcp", target, WEB


def build(lab: Lab) -> World:
    """Build it and connect everybody."""
    agent = Agent(lab)
    hub = Hub(lab, agent)
    alice, bob, berlin, paris = (
        lab.add_client("alice"),
        lab.add_client("bob"),
        lab.add_site("berlin"),
        lab.add_site("paris"),
    )
    world = World(lab, agent, hub, alice, bob, berlin, paris, Probers(lab, PORTS))
    devices: dict[str, Device | OpenVPNDevice] = {
        "berlin": hub.add((berlin.lan_v4, berlin.lan_v6)),
        "paris": hub.add_openvpn((paris.lan_v4, paris.lan_v6)),
        "alice": hub.add(),
        "bob": hub.add_openvpn(route_all=True),
    }
    for name, device in devices.items():
        device.tags = (SITES.get(name) or USERS[name],)
    world.devices = devices
    hub.apply()
    for node, name in ((berlin.router, "berlin"), (alice, "alice")):
        device = devices[name]
        assert isinstance(device, Device)
        lab.wg_quick_up(node, hub.profile(device, everything=name == "alice"))
        lab.wait_ping(node, hub.v4)
    for node, name in ((paris.router, "paris"), (bob, "bob")):
        over_openvpn = devices[name]
        assert isinstance(over_openvpn, OpenVPNDevice)
        lab.openvpn_up(node, hub.openvpn_profile(over_openvpn))
        lab.wait_ping(node, hub.v4)
    world.probers.add(lab.outside, [OUTSIDE_V4, OUTSIDE_V6])
    for name in ("alice", "bob", "berlin", "paris"):
        world.probers.add(world.node(name), [world.address(name, 4), world.address(name, 6)])
    return world
