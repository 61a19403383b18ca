"""How hubs are reached: what every driver can do, and the errors it may raise."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from vpn.agent import errors
from vpn.agent.errors import AgentError
from vpn.agent.report import HubReport

__all__ = ["AgentError", "Driver", "HubReport", "Proof", "Unreachable", "errors"]


class Unreachable(Exception):
    """The server, or the agent on it, did not answer. Says so in words for an admin; trying again may help."""


@dataclass(frozen=True)
class Proof:
    """Everything that a proof of readiness needs: who asks, whom, and where. Keys stay out of `repr`.

    A hub that is a resolver has to know `name`, by one of `name_addresses`.
    """

    endpoint_host: str
    endpoint_port: int
    hub_public_key: str
    private_key: str = field(repr=False)
    preshared_key: str = field(repr=False)
    source_address: str
    hub_address: str
    timeout: float = 10.0
    name: str = ""
    name_addresses: tuple[str, ...] = ()


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

    def prove(self, proof: Proof) -> str:
        """Shake hands with the hub, ping through it, ask it for a name; returns "" or, in words, what went wrong."""
