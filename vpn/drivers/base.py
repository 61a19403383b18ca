"""How hubs are reached: what every driver can do, and the errors it may raise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from vpn.wire import errors
from vpn.wire.errors import AgentError
from vpn.wire.report import HubReport

__all__ = ["AgentError", "Driver", "Found", "HubReport", "Knock", "ServerAddress", "Unreachable", "errors"]


class Unreachable(Exception):
    """The server, or the agent on it, did not answer. Says so in words for an admin; trying again may help."""


@dataclass(frozen=True)
class ServerAddress:
    """What a driver needs to know of its server's row; `driver` is the one of its region, by name."""

    id: UUID
    driver: str


@dataclass(frozen=True)
class Knock:
    """The addresses, ports and keys that a knock on one hub's listeners needs. Keys stay out of `repr`.

    WireGuard's probe shakes hands and pings `hub_address` from `source_address`; where `name` is given, the hub has to
    know it, too, by one of `name_addresses`. `client_key` is a tls-crypt-v2 key of OpenVPN; a port that is None is not
    knocked on.
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
    """What a knock on one listener found: its state and the cause in the words of `vpn.choices`.

    `reason` says in words what was wrong, even where the listener was reached.
    """

    state: str
    cause: str = ""
    reason: str = ""


class Driver(Protocol):
    """Reaches the hubs of one server. Every call raises AgentError (the agent refused) or Unreachable."""

    def check(self) -> None:
        """Make sure that the server answers."""

    def apply(self, document: dict[str, Any], *, delta: bool) -> HubReport:
        """Hand over a HubSpec or a HubDelta."""

    def status(self, hub: str, *, peers: bool) -> HubReport:
        """Ask what the hub does."""

    def destroy(self, hub: str, *, epoch: int, generation: int) -> None:
        """Take the hub away; nothing to do is no error."""

    def knock(self, knocks: Sequence[Knock], timeout: float) -> list[dict[str, Found]]:
        """Knock on listeners from where devices are, as far as that is possible; for each what was found, by listener.

        Raises Unreachable alone.
        """

    def close(self) -> None:
        """End what is open to the server; the next call opens it anew."""
