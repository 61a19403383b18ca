"""Small networks for the model test: what is drawn, and how it is built and asked."""

from __future__ import annotations

import dataclasses
import itertools
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from hypothesis import strategies as st

from tests.lab.devices import POOL_V4, POOL_V6, Device, OpenVPNDevice
from tests.lab.hub import Agent, Hub
from tests.lab.lab import Lab
from tests.lab.nodes import OUTSIDE_V4, OUTSIDE_V6, Node, Site
from tests.lab.probing import OPEN, Probers, Question
from vpn.reach.first_packet import Reach
from vpn.wire.documents import RuleDocument
from vpn.wire.rules import ROUTERS
from vpn.wire.spec import parse_spec

WEB, DATA, MAIL = 1080, 5432, 25
PORTS: Final = (WEB, DATA, MAIL)
ASKED: Final = (("tcp", WEB), ("tcp", DATA), ("tcp", MAIL), ("udp", WEB), ("udp", DATA), ("icmp", 0))

# Networks that sites advertise: one of each, wider ones around them, a narrow one inside, nothing.
SHARED_V4: Final = tuple(f"10.50.{number}.10" for number in range(3))
SHARED_V6: Final = tuple(f"fd50:{number}::10" for number in range(1, 4))
SHARED: Final = frozenset(SHARED_V4 + SHARED_V6)
SUBNETS: Final = (
    *(f"10.50.{number}.0/24" for number in range(3)),
    *(f"fd50:{number}::/64" for number in range(1, 4)),
    "10.50.0.0/16",
    "10.50.1.0/28",
    "fd50::/16",
    "fd50:2::10/128",
    "10.50.2.10/32",
)
USERS: Final = tuple(f"user:{uuid.UUID(int=number)}" for number in range(1, 4))
SITES: Final = tuple(f"site:{uuid.UUID(int=number)}" for number in range(11, 14))
GROUPS: Final = tuple(f"group:{uuid.UUID(int=number)}" for number in range(21, 23))
NETWORKS: Final = (
    *SUBNETS,
    *(f"{POOL_V4[number]}/32" for number in range(2, 8)),
    *(f"{POOL_V6[number]}/128" for number in range(2, 8)),
    str(POOL_V4),
    str(POOL_V6),
    f"{OUTSIDE_V4}/32",
    f"{OUTSIDE_V6}/128",
    "0.0.0.0/0",
    "::/0",
    "10.0.0.0/8",
)
RANGES: Final = ((WEB, WEB), (DATA, DATA), (1000, 2000), (MAIL, MAIL), (1, 65535), (2000, 65535))


@dataclass(frozen=True)
class Shape:
    """Who is there, and over what: `w` for WireGuard, `o` for OpenVPN, one letter for each client and each site; and
    what the sites over OpenVPN advertise, whose sessions end with each change of that."""

    clients: str
    sites: str
    subnets: tuple[tuple[str, ...], ...] = ((), (), ())


@dataclass(frozen=True)
class Example:
    """What is drawn for a shape: rules, policy, the clients' groups, the networks of the sites over WireGuard."""

    rules: tuple[RuleDocument, ...]
    policy: str
    groups: tuple[tuple[str, ...], ...]
    subnets: tuple[tuple[str, ...], ...]


_ends = st.one_of(
    st.sampled_from(("any", ROUTERS)),
    st.sampled_from(USERS),
    st.sampled_from(SITES),
    st.sampled_from(GROUPS),
    st.sampled_from(NETWORKS),
)


@st.composite
def _rules(draw: st.DrawFn) -> RuleDocument:
    protocol = draw(st.sampled_from(("any", "any", "tcp", "udp", "icmp", "icmpv6")))
    ports = draw(st.none() | st.sampled_from(RANGES)) if protocol in ("any", "tcp", "udp") else None
    return {
        "id": "",
        "action": draw(st.sampled_from(("accept", "accept", "drop", "reject"))),
        "protocol": protocol,
        "ports": None if ports is None else list(ports),
        "source": draw(_ends),
        "destination": draw(_ends),
    }


@st.composite
def examples(draw: st.DrawFn) -> Example:
    """Draw an example."""
    rules = draw(st.lists(_rules(), max_size=7))
    networks = draw(st.lists(st.sampled_from(SUBNETS), unique=True, max_size=7))
    owners = [draw(st.integers(0, 2)) for _ in networks]
    return Example(
        rules=tuple({**rule, "id": str(uuid.UUID(int=100 + number))} for number, rule in enumerate(rules)),
        policy=draw(st.sampled_from(("allow", "deny"))),
        groups=tuple(tuple(draw(st.lists(st.sampled_from(GROUPS), unique=True))) for _ in range(3)),
        subnets=tuple(
            tuple(network for network, owner in zip(networks, owners, strict=True) if owner == site)
            for site in range(3)
        ),
    )


@dataclass
class Model:
    """A shape, connected: `change` makes it an example, `disagreements` asks everybody everything."""

    lab: Lab
    shape: Shape
    hub: Hub
    probers: Probers
    clients: list[Node] = field(default_factory=list)
    sites: list[Site] = field(default_factory=list)
    shared: list[Node] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    lans: dict[str, tuple[str, ...]] = field(default_factory=dict)
    probes: int = 0

    def change(self, example: Example) -> None:
        """Give the hub what was drawn."""
        named = {end for rule in example.rules for end in (rule["source"], rule["destination"])}
        taken = {network for each in self.shape.subnets for network in each}
        for number, peer_id in enumerate(self.ids):
            device = self.hub.devices[peer_id]
            if number < len(self.clients):
                tags = (USERS[number], *example.groups[number])
                self.hub.devices[peer_id] = dataclasses.replace(device, tags=_only(tags, named))
                continue
            site = number - len(self.clients)
            subnets = (*self.lans[peer_id], *self.shape.subnets[site])
            if isinstance(device, Device):
                subnets += tuple(network for network in example.subnets[site] if network not in taken)
            self.hub.devices[peer_id] = dataclasses.replace(
                device, subnets=subnets, tags=_only((ROUTERS, SITES[site]), named)
            )
        self.hub.rules, self.hub.forwarding = example.rules, example.policy
        self.hub.apply_next()

    def disagreements(self) -> list[str]:
        """Return where packets do something else than the plan says."""
        reach = Reach(parse_spec(self.hub.document))
        questions = list(self._questions(reach))
        self.probes += len(questions)
        results = self.probers.ask(questions, seconds=8)
        return [
            f"{question}: {result}"
            for question, result in zip(questions, results, strict=True)
            if question.expected != (result == OPEN)
        ]

    def _questions(self, reach: Reach) -> Iterator[Question]:
        places = list(self._places())
        for node, source, owner in places:
            if node == "outside":
                continue
            honest = reach.owner(source) == owner
            for _, destination, _ in places:
                # Nobody asks himself through the hub.
                is_own = reach.owner(destination) == owner or (source in SHARED and destination in SHARED)
                if (":" in source) != (":" in destination) or is_own:
                    continue
                for protocol, port in ASKED:
                    kind = "icmpv6" if protocol == "icmp" and ":" in source else protocol
                    passes = honest and reach.passes(source, destination, kind, port or None)
                    yield Question(node, protocol, destination, port, passes, source)

    def _places(self) -> Iterator[tuple[str, str, str]]:
        """Yield machine, address and peer: what is asked, and from where."""
        for number, peer_id in enumerate(self.ids):
            device = self.hub.devices[peer_id]
            if number < len(self.clients):
                for address in (device.v4, device.v6):
                    yield self.clients[number].name, address, peer_id
            else:
                site = number - len(self.clients)
                lan, shared = self.sites[site].lan, self.shared[site]
                for address in (lan.v4, lan.v6):
                    yield lan.name, address, peer_id
                for address in (device.v4, device.v6):
                    yield self.sites[site].router.name, address, peer_id
                for address in (SHARED_V4[site], SHARED_V6[site]):
                    yield shared.name, address, peer_id
        for address in (OUTSIDE_V4, OUTSIDE_V6):
            yield "outside", address, ""


def _only(tags: tuple[str, ...], named: set[str]) -> tuple[str, ...]:
    return tuple(tag for tag in tags if tag in named)


def connect(lab: Lab, agent: Agent, shape: Shape) -> Model:
    """Build a shape and connect everybody."""
    model = Model(lab, shape, Hub(lab, agent), Probers(lab, PORTS))
    hub = model.hub
    for number, protocol in enumerate(shape.clients):
        model.clients.append(lab.add_client(f"client{number}"))
        device = hub.add() if protocol == "w" else hub.add_openvpn(route_all=True)
        model.ids.append(device.peer_id)
    for number, protocol in enumerate(shape.sites):
        site = lab.add_site(f"site{number}")
        model.sites.append(site)
        lan = (site.lan_v4, site.lan_v6)
        subnets = (*lan, *shape.subnets[number])
        router = hub.add(subnets) if protocol == "w" else hub.add_openvpn(subnets, route_all=True)
        model.ids.append(router.peer_id)
        model.lans[router.peer_id] = lan
        model.shared.append(_add_shared(lab, site))
    hub.apply()
    nodes = [*model.clients, *(site.router for site in model.sites)]
    for node, peer_id in zip(nodes, model.ids, strict=True):
        device = hub.devices[peer_id]
        if isinstance(device, OpenVPNDevice):
            lab.openvpn_up(node, hub.openvpn_profile(device))
        else:
            lab.wg_quick_up(node, hub.profile(device, everything=True))
        lab.wait_ping(node, hub.v4)
    for site in model.sites:
        # Before wg-quick's own, which are there by now.
        for family, tunnel in itertools.product(("-4", "-6"), ("wg0", "tun0")):
            lab.run(site.router, ["ip", family, "rule", "add", "pref", "50", "iif", tunnel, "lookup", "77"])
    model.probers.add(lab.outside, [OUTSIDE_V4, OUTSIDE_V6])
    for client, peer_id in zip(model.clients, model.ids, strict=False):
        model.probers.add(client, [hub.devices[peer_id].v4, hub.devices[peer_id].v6])
    for site, peer_id in zip(model.sites, model.ids[len(model.clients) :], strict=True):
        model.probers.add(site.router, [hub.devices[peer_id].v4, hub.devices[peer_id].v6])
    for site, shared in zip(model.sites, model.shared, strict=True):
        model.probers.add(site.lan, [site.lan.v4, site.lan.v6])
        model.probers.add(shared, [*SHARED_V4, *SHARED_V6])
    return model


def _add_shared(lab: Lab, site: Site) -> Node:
    """Add a host that has all of the shared addresses, so that whichever site is said to have one has it.

    Its router sends it only what comes out of the tunnel: what its own LAN has for such an address goes to the hub.
    """
    node = lab.add_behind(site.router, f"{site.router.name}-shared")
    for address in (*SHARED_V4, *SHARED_V6):
        lab.add_address(node, f"{address}/{128 if ':' in address else 32}")
        family = "-6" if ":" in address else "-4"
        way = ["via", node.v6 if ":" in address else node.v4, "table", "77"]
        lab.run(site.router, ["ip", family, "route", "add", address, *way])
    return node
