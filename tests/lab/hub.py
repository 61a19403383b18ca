"""A hub in the laboratory, driven through the agent's own way in, and profiles for its peers."""

from __future__ import annotations

import base64
import ipaddress
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.lab.authority import Authority
from tests.lab.delivered import delivered
from tests.lab.devices import POOL_V4, POOL_V6, Device, OpenVPNDevice, make_keys, wg
from tests.lab.lab import Lab
from tests.lab.nodes import Node, Site
from tests.lab.waiting import wait_until
from vpn import pki
from vpn.constants import DEFAULT_MTU
from vpn.wire.digests import digest
from vpn.wire.documents import (
    BaseDocument,
    DeltaDocument,
    ResolverDocument,
    RuleDocument,
    ServerDocument,
    SpecDocument,
    TrialDocument,
)
from vpn.wire.errors import parse_error
from vpn.wire.report import HubReport, parse_report
from vpn.wire.session import AgentSession, Pipes, local_agent, pipes_of

ROOT: Final = Path(__file__).resolve().parents[2]


# A machine whose cores are all busy may take its time.
_ANSWER_SECONDS = 120.0


class Agent:
    """An agent's session. `ask` returns an answer as it is, `report` a report, or raises the agent's error."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.process: subprocess.Popen[bytes] | None = None
        # One that ends is not started again: its end is a fault to be seen.
        self.session = AgentSession(self._start, answer_seconds=_ANSWER_SECONDS, attempts=1)

    def argv(self, command: str) -> list[str]:
        """Return how the agent is called."""
        return [*local_agent(sys.executable, self.lab.state, self.lab.host.netns), command]

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send one request through the session and return its answer."""
        return self.session.ask(request)

    def _start(self) -> Pipes:
        self.process = subprocess.Popen(
            self.argv("session"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, start_new_session=True
        )
        return pipes_of(self.process)

    def report(self, **request: Any) -> HubReport:
        """Send one request and return its report, or raise the AgentError that came instead."""
        answer = self.ask(**request)
        if "error" in answer:
            raise parse_error(answer["error"])
        return parse_report(answer["report"])

    def once(self, command: str, **request: Any) -> dict[str, Any]:
        """Send one request to an agent of its own, that ends with the answer."""
        done = subprocess.run(
            self.argv(command), input=json.dumps(request), capture_output=True, text=True, cwd=ROOT, timeout=60
        )
        answer = json.loads(done.stdout)
        assert isinstance(answer, dict)
        assert done.returncode == (1 if "error" in answer else 0)
        return answer

    def kill_group(self) -> None:
        """Kill the session's process, and whatever it started that did not leave its process group."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def close(self) -> None:
        """End the session."""
        self.session.close()


class Watch:
    """`watch` as a process, for a `with` block: inside, it watches."""

    stderr: int | None = None

    def __init__(self, agent: Agent) -> None:
        self.argv = agent.argv("watch")

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(self.argv, cwd=ROOT, start_new_session=True, stderr=self.stderr)
        # Python's start would count as time that the watch took, which on a busy machine is seconds.
        wait_until(self._has_begun, 60, "the watch")
        return self

    def _has_begun(self) -> bool:
        """Whether it catches SIGTERM, as the agent does from then on (SigCgt in proc(5))."""
        caught = re.findall(r"(?m)^SigCgt:\s*(\w+)$", Path(f"/proc/{self.process.pid}/status").read_text())
        return bool(int(caught[0], 16) >> (signal.SIGTERM - 1) & 1)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.terminate()
        self.process.wait(60)


@dataclass
class Hub:
    """A hub: its desired state, changed here, and the calls that carry it to the agent."""

    lab: Lab
    agent: Agent
    port: int = 20000
    hub: str = field(default_factory=lambda: "t" + secrets.token_hex(5)[:9])
    generation: int = 1
    epoch: int = 1
    mtu: int = DEFAULT_MTU
    forwarding: str = "allow"
    pool_v4: ipaddress.IPv4Network = POOL_V4
    authority: Authority | None = None
    dns: tuple[str, ...] = ()
    search_domains: tuple[str, ...] = ()
    rules: tuple[RuleDocument, ...] = ()
    resolver: ResolverDocument | None = None
    server: ServerDocument | None = None
    trial: TrialDocument | None = None
    devices: dict[str, Device | OpenVPNDevice] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.private_key, self.public_key = make_keys()
        self.v4, self.v6 = str(self.pool_v4[1]), str(POOL_V6[1])
        self._next = 2

    @property
    def document(self) -> SpecDocument:
        """The HubSpec."""
        document: SpecDocument = {
            "schema": 1,
            "hub": self.hub,
            "epoch": self.epoch,
            "generation": self.generation,
            "addresses": [f"{self.v4}/{self.pool_v4.prefixlen}", f"{self.v6}/{POOL_V6.prefixlen}"],
            "wireguard": {"port": self.port, "private_key": self.private_key, "mtu": self.mtu},
            "peers": {device.peer_id: device.document() for device in self.devices.values()},
            "forwarding": self.forwarding,
        }
        if self.authority is not None:
            document["openvpn"] = self.authority.document()
        if self.dns:
            document["dns"] = list(self.dns)
        if self.search_domains:
            document["search_domains"] = list(self.search_domains)
        if self.rules:
            document["rules"] = list(self.rules)
        if self.resolver is not None:
            document["resolver"] = self.resolver
        if self.server is not None:
            document["server"] = self.server
        if self.trial is not None:
            document["trial"] = self.trial
        return document

    @property
    def node(self) -> Node:
        """The hub's namespace, to look into."""
        return Node("host", f"hub-{self.hub}", self.v4, self.v6)

    @property
    def interface(self) -> str:
        """The hub's tunnel interface."""
        return f"wg-{self.hub}"

    def add(self, subnets: Iterable[str] = ()) -> Device:
        """Add a peer to the desired state."""
        private_key, public_key = make_keys()
        number, self._next = self._next, self._next + 1
        v4, v6 = str(self.pool_v4[number]), str(POOL_V6[number])
        device = Device(str(uuid.uuid4()), private_key, public_key, wg("genpsk"), v4, v6, tuple(subnets))
        self.devices[device.peer_id] = device
        return device

    def add_openvpn(
        self, subnets: Iterable[str] = (), *, route_all: bool = False, compat: bool = False
    ) -> OpenVPNDevice:
        """Add a peer over OpenVPN to the desired state, which gets the listeners for it."""
        if self.authority is None:
            self.authority = Authority(self.port + 1)
        if compat:
            self.authority.compat_port = self.port
        number, self._next = self._next, self._next + 1
        peer_id = str(uuid.uuid4())
        v4, v6 = str(self.pool_v4[number]), str(POOL_V6[number])
        device = OpenVPNDevice(
            peer_id, self.authority.issue(peer_id), v4, v6, tuple(subnets), route_all=route_all, compat=compat
        )
        self.devices[peer_id] = device
        return device

    def over_wireguard(self, device: OpenVPNDevice) -> Device:
        """Return a peer as it is when it changes to WireGuard."""
        private_key, public_key = make_keys()
        return Device(
            device.peer_id, private_key, public_key, wg("genpsk"), device.v4, device.v6, device.subnets, former=device
        )

    def over_openvpn(self, device: Device) -> OpenVPNDevice:
        """Return a peer as it is when it changes to OpenVPN."""
        assert self.authority is not None
        credential = self.authority.issue(device.peer_id)
        return OpenVPNDevice(device.peer_id, credential, device.v4, device.v6, device.subnets, former=device)

    def add_many(self, count: int) -> None:
        """Add peers that nobody uses, with made-up keys."""
        for _ in range(count):
            number, self._next = self._next, self._next + 1
            keys = [wg_like_key() for _ in range(3)]
            device = Device(
                str(uuid.uuid4()), keys[0], keys[1], keys[2], str(self.pool_v4[number]), str(POOL_V6[number])
            )
            self.devices[device.peer_id] = device

    def apply(self) -> HubReport:
        """Send the whole spec."""
        return self.agent.report(command="apply", spec=self.document)

    def apply_next(self) -> HubReport:
        """Send the whole spec as a new generation."""
        self.generation += 1
        return self.apply()

    def delta(
        self,
        upsert: Iterable[Device | OpenVPNDevice] = (),
        remove: Iterable[Device | OpenVPNDevice] = (),
        revoked: pki.Credential | None = None,
        rules: tuple[RuleDocument, ...] | None = None,
        forwarding: str = "",
    ) -> DeltaDocument:
        """Return the delta to a new generation of the desired state, which it changes, from the current one."""
        before = self.document
        base: BaseDocument = {"generation": self.generation, "digest": digest(before)}
        for device in upsert:
            self.devices[device.peer_id] = device
        removed = [device.peer_id for device in remove]
        for peer_id in removed:
            del self.devices[peer_id]
        self.generation += 1
        after = self.document
        changed = {key: peer for key, peer in after["peers"].items() if before["peers"].get(key) != peer}
        delta: DeltaDocument = {
            "schema": 1,
            "hub": self.hub,
            "epoch": self.epoch,
            "generation": self.generation,
            "base": base,
            "digest": "",
            "upsert": changed,
            "remove": removed,
        }
        if revoked is not None and self.authority is not None:
            self.authority.revoke(revoked)
            delta["crl"] = self.authority.crl
        if rules is not None:
            self.rules, delta["rules"] = rules, list(rules)
        if forwarding:
            self.forwarding = delta["forwarding"] = forwarding
        delta["digest"] = digest(self.document)
        return delta

    def send(self, delta: DeltaDocument) -> HubReport:
        """Send a delta."""
        return self.agent.report(command="apply-delta", delta=delta)

    def status(self) -> HubReport:
        """Ask what is true now."""
        return self.agent.report(command="status", hub=self.hub, peers=True)

    def destroy(self) -> HubReport:
        """Have the hub destroyed."""
        return self.agent.report(command="destroy", hub=self.hub, epoch=self.epoch, generation=self.generation)

    def profile(self, device: Device, *, everything: bool = False, keepalive: int = 0) -> str:
        """Return the delivered file: split tunnel unless `everything` is to go through the hub.

        A device with `keepalive` (seconds) is sooner heard from than one that is as delivered.
        """
        text = delivered(self, device, everything=everything)
        return (
            re.sub(r"(?m)^PersistentKeepalive = .*$", f"PersistentKeepalive = {keepalive}", text) if keepalive else text
        )

    def connect(self, node: Node, *, subnets: Iterable[str] = (), everything: bool = False) -> Device:
        """Add a peer, apply, bring its profile up on `node`, and wait until the hub answers."""
        device = self.add(subnets)
        self.apply_next()
        self.lab.wg_quick_up(node, self.profile(device, everything=everything))
        self.lab.wait_ping(node, self.v4)
        return device

    def openvpn_profile(self, device: OpenVPNDevice, *, host: str = "") -> str:
        """Return the delivered file."""
        text = delivered(self, device, [host] if host else ())
        # RouterOS always sends a user and a password, which nobody asks for.
        return f"{text}<auth-user-pass>\nrouter\nunused\n</auth-user-pass>\n" if device.compat else text

    def connect_openvpn(
        self,
        node: Node,
        *,
        subnets: Iterable[str] = (),
        transport: str = "",
        route_all: bool = False,
        compat: bool = False,
    ) -> OpenVPNDevice:
        """Add a peer over OpenVPN, apply, bring its profile up on `node`, and wait until the hub answers."""
        device = self.add_openvpn(subnets, route_all=route_all, compat=compat)
        self.apply_next()
        self.lab.openvpn_up(node, self.openvpn_profile(device), transport=transport)
        self.lab.wait_ping(node, self.v4)
        return device

    def connect_site(self, site: Site, *subnets: str) -> Device:
        """Connect a site's router, which advertises its LAN unless told otherwise."""
        return self.connect(site.router, subnets=subnets or (site.lan_v4, site.lan_v6))


def wg_like_key() -> str:
    """Return 32 random bytes as a key, without starting a program."""
    return base64.b64encode(secrets.token_bytes(32)).decode()
