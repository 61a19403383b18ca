"""The interface of drivers, which reach hubs on servers, and the errors that they may raise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from vpn.drivers.proof.reason import Reason
from vpn.wire import errors
from vpn.wire.errors import AgentError
from vpn.wire.finding import Finding
from vpn.wire.forwarding import Forwarding, Handover
from vpn.wire.lease import Moment
from vpn.wire.report import HubReport

__all__ = [
    "AgentError",
    "Driver",
    "Found",
    "HubReport",
    "Knock",
    "ServerAddress",
    "SshAddress",
    "Unreachable",
    "errors",
]


class Unreachable(Exception):
    """The server, or the agent on it, did not answer; trying again may help.

    `finding` (see `vpn.failures`) is for pages. `detail` is for logs alone.
    """

    def __init__(self, finding: Finding, detail: str = "") -> None:
        super().__init__(f"{finding}: {detail}" if detail else str(finding))
        self.finding = finding


@dataclass(frozen=True)
class SshAddress:
    """The account and the keys for one server. `host_key` is the type and the base64 value of the trusted key."""

    user: str
    host: str
    port: int
    host_key: str
    private_key: str = field(repr=False)

    @property
    def needs_sudo(self) -> bool:
        """Does the account need sudo for the agent?"""
        return self.user != "root"

    @property
    def place(self) -> str:
        """Host and port for a message."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class ServerAddress:
    """The fields of a server's row that a driver needs; `driver` is the name of its region's driver.

    `ssh` is how it is reached over SSH. With another `agent`, the installed version, a session starts anew.
    """

    id: UUID
    driver: str
    ssh: SshAddress | None = None
    agent: str = ""


@dataclass(frozen=True)
class Knock:
    """The addresses, ports and keys for a knock (a test of one hub's listeners). Keys stay out of `repr`.

    Over WireGuard, it makes a handshake and pings `hub_address` from `source_address`. If `name` is given, the hub must
    also resolve it to one of `name_addresses`. `client_key` is a tls-crypt-v2 key of OpenVPN. A port of None is not
    tested.
    """

    address: str
    wireguard_port: int
    hub_public_key: str
    private_key: str = field(repr=False)
    preshared_key: str = field(repr=False)
    source_address: str
    hub_address: str
    name: str = ""
    name_addresses: tuple[str, ...] = ()
    openvpn_port: int | None = None
    client_key: str = field(default="", repr=False)
    compat_port: int | None = None

    def wireguard(self) -> dict[str, Any]:
        """The arguments of `vpn.drivers.proof.handshake.prove`."""
        return {
            "endpoint_host": self.address,
            "endpoint_port": self.wireguard_port,
            "hub_public_key": self.hub_public_key,
            "private_key": self.private_key,
            "preshared_key": self.preshared_key,
            "source_address": self.source_address,
            "hub_address": self.hub_address,
            "name": self.name,
            "name_addresses": list(self.name_addresses),
        }


@dataclass(frozen=True)
class Found:
    """The result of a knock on one listener: its state, and the cause from `vpn.choices`.

    `reason` is the fault as a code with values, even if the listener was reached.
    """

    state: str
    cause: str = ""
    reason: Reason = field(default_factory=dict)


class Driver(Protocol):
    """Reaches the hubs of one server. Every call raises AgentError (the agent refused) or Unreachable.

    `lease` is the end of the lease that `apply` and `observe` give hubs; with None, observed hubs run without one.
    `clock` is what the server's clock showed in the agent's last answer that told it.
    """

    lease: Moment | None
    clock: Moment | None

    def check(self) -> None:
        """Raise an error unless the server answers."""

    def apply(self, document: dict[str, Any], *, delta: bool, ahead: bool = False) -> HubReport:
        """Send a HubSpec or a HubDelta and return the report.

        With `ahead`, a delta does not wait for a change of the hub that is under way: AgentError `busy` says that the
        peers that it removes are out. An agent of an older release waits.
        """

    def status(self, hub: str, *, peers: bool) -> HubReport:
        """Return the hub's status report."""

    def observe(self, hubs: Mapping[str, str], seconds: float) -> dict[str, HubReport | AgentError | Unreachable]:
        """Return by hub its report with its peers, or why there is none; one request for all.

        `hubs` has in order the hubs, each with the stamp of its last recorded report, or "" for a whole one. After
        `seconds` the server begins no further report: those hubs are left out.
        """

    def destroy(self, hub: str, *, epoch: int, generation: int) -> None:
        """Remove the hub. It is no error if there is none."""

    def hand_over(self, forwarding: Forwarding) -> Handover:
        """End a hub and forward its ports to where it runs now; return what the present hub needs."""

    def greet(self, hub: str, handover: Handover) -> None:
        """Let a hub call the clients of its predecessor, so that they need not wait until they miss it."""

    def end_forwarding(self, hub: str) -> None:
        """Forward the hub's ports no more. It is no error if none are."""

    def forwarded_packets(self, hub: str) -> int:
        """Return how many packets passed between clients and the present hub."""

    @property
    def standpoint(self) -> object:
        """From where it knocks. One call of `knock` may test hubs of all drivers with the same one."""

    def knock(self, knocks: Sequence[Knock], timeout: float) -> list[dict[str, Found]]:
        """Test listeners from outside the host if possible, like a device would; return the results by listener.

        Raises Unreachable alone.
        """

    def is_open(self) -> bool:
        """Return True if the connection to the server is open, or being opened. Any thread may call this."""

    def close(self) -> None:
        """Close the connection to the server; the next call opens another."""

    def close_idle(self, seconds: float) -> None:
        """Close what was not used for so long, which gives its memory back. Any thread may call this."""
