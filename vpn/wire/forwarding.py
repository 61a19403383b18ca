"""Handing a hub over to another server: what the former server forwards, and what it tells about its clients."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Final, TypeAlias

from vpn.wire import parsing, report_values
from vpn.wire.identity import HUB, MAXIMUM_COUNTER, SCHEMA, check_schema, parse_hub
from vpn.wire.parsing import UUID, WIREGUARD_KEY, Faults
from vpn.wire.report_values import ReportInvalidError

MOST_CLIENTS: Final = 1000
MOST_FLOWS: Final = 10_000
_MOST_SESSIONS: Final = 65_536
_FIELDS: Final = frozenset({"schema", "hub", "epoch", "generation", "addresses", "to", "ports"})
_PROTOCOLS: Final = ("udp", "tcp")
_MOST_PORTS: Final = 16
_HIGHEST: Final = 65535
_ENDPOINT: Final = re.compile(r"([0-9.]{7,15}|\[[0-9a-f:.]{2,45}\]):([0-9]{1,5})")

# A TCP connection between peers: source, destination, and their ports.
Flow: TypeAlias = tuple[str, str, int, int]
# The protocol, the port on the former server, and the port on the present one.
Port: TypeAlias = tuple[str, int, int]


@dataclass(frozen=True)
class Forwarding:
    """What a server forwards of a hub that it had until `version`, and to which addresses.

    `addresses` are the server's own public ones.
    """

    hub: str
    epoch: int
    generation: int
    addresses: tuple[str, ...]
    to: tuple[str, ...]
    ports: tuple[Port, ...]

    @property
    def version(self) -> tuple[int, int]:
        """The epoch and the generation up to which the hub ends on the server."""
        return self.epoch, self.generation

    def document(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {
            "schema": SCHEMA,
            "hub": self.hub,
            "epoch": self.epoch,
            "generation": self.generation,
            "addresses": list(self.addresses),
            "to": list(self.to),
            "ports": [list(port) for port in self.ports],
        }


def ports_of(base: int, to_base: int) -> tuple[Port, ...]:
    """The ports of a hub: both numbers over both protocols."""
    return tuple((name, base + number, to_base + number) for name in _PROTOCOLS for number in (0, 1))


def parse_forwarding(document: object) -> Forwarding:
    """Return the forwarding that `document` describes. Raises AgentError `invalid` with all faults."""
    faults = Faults()
    data = parsing.fields_of(document, "forwarding", _FIELDS, faults)
    if not data:
        faults.raise_if_any("request")
    check_schema(data, faults)
    forwarding = Forwarding(
        hub=parsing.text(data.get("hub"), "hub", HUB, faults),
        epoch=parsing.number(data.get("epoch"), "epoch", 1, MAXIMUM_COUNTER, faults),
        generation=parsing.number(data.get("generation"), "generation", 1, MAXIMUM_COUNTER, faults),
        addresses=parsing.hosts(data.get("addresses"), "addresses", faults),
        to=parsing.hosts(data.get("to"), "to", faults),
        ports=_ports(data.get("ports"), faults),
    )
    for addresses in (forwarding.addresses, forwarding.to):
        if not addresses or len({":" in address for address in addresses}) != len(addresses):
            faults.append("addresses are one or two, of different families")
    faults.raise_if_any("request")
    return forwarding


def _ports(value: object, faults: Faults) -> tuple[Port, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= _MOST_PORTS:
        faults.append("ports is not a short list")
        return ()
    found = []
    for one in value:
        if not isinstance(one, list) or len(one) != 3:
            faults.append("a port is not a protocol and two numbers")
            continue
        protocol = parsing.choice(one[0], "protocol", _PROTOCOLS, faults)
        numbers = [parsing.number(number, "port", 1, _HIGHEST, faults) for number in one[1:]]
        found.append((protocol, numbers[0], numbers[1]))
    return tuple(found)


@dataclass(frozen=True)
class Handover:
    """What the present hub needs to go on at once.

    `endpoints` are by public key where the present hub reaches the WireGuard peers that were connected: ports of the
    former server, which forwards them. `sessions` are the ids of the peers that were connected over OpenVPN. `flows`
    are the TCP connections between peers. `seconds` ago WireGuard ended; `openvpn_seconds` ago OpenVPN began to.
    """

    endpoints: Mapping[str, str] = field(default_factory=dict)
    sessions: tuple[str, ...] = ()
    flows: tuple[Flow, ...] = ()
    seconds: float = 0.0
    openvpn_seconds: float = 0.0

    def document(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {
            "endpoints": dict(self.endpoints),
            "sessions": list(self.sessions),
            "flows": [list(flow) for flow in self.flows],
            "seconds": self.seconds,
            "openvpn_seconds": self.openvpn_seconds,
        }


def parse_handover(document: object) -> Handover:
    """Return the handover that `document` (untrusted JSON data) describes. Raises ReportInvalidError."""
    if not isinstance(document, dict):
        raise ReportInvalidError("a handover is an object")
    endpoints, flows = document.get("endpoints"), document.get("flows")
    if not isinstance(endpoints, dict) or len(endpoints) > MOST_CLIENTS:
        raise ReportInvalidError("endpoints are an object of limited size")
    if not isinstance(flows, list) or len(flows) > MOST_FLOWS:
        raise ReportInvalidError("flows are a list of limited size")
    for key, endpoint in endpoints.items():
        if not isinstance(key, str) or not WIREGUARD_KEY.fullmatch(key) or parse_endpoint(endpoint) is None:
            raise ReportInvalidError("endpoints are by public key an address and a port")
    sessions = document.get("sessions")
    if not isinstance(sessions, list) or len(sessions) > _MOST_SESSIONS:
        raise ReportInvalidError("sessions are a list of limited size")
    if not all(isinstance(one, str) and UUID.fullmatch(one) for one in sessions):
        raise ReportInvalidError("sessions are ids of peers")
    seconds = [report_values.seconds(document.get(name), name) for name in ("seconds", "openvpn_seconds")]
    return Handover(dict(endpoints), tuple(sessions), tuple(map(_flow, flows)), *seconds)


def parse_endpoint(value: object) -> tuple[str, int] | None:
    """Return the address and the port of an endpoint; None if it is malformed."""
    found = _ENDPOINT.fullmatch(value) if isinstance(value, str) else None
    if found is None or not 0 < int(found[2]) <= _HIGHEST:
        return None
    try:
        return str(ip_address(found[1].strip("[]"))), int(found[2])
    except ValueError:
        return None


def endpoint_at(address: str, port: int) -> str:
    """Return an address and a port as an endpoint."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _flow(value: object) -> Flow:
    if not isinstance(value, list) or len(value) != 4:
        raise ReportInvalidError("a flow is two addresses and two ports")
    try:
        source, destination = (str(ip_address(one)) if isinstance(one, str) else "" for one in value[:2])
    except ValueError:
        raise ReportInvalidError("a flow is between two addresses") from None
    ports = [report_values.count(port, "a flow's port") for port in value[2:]]
    if not source or not destination or (":" in source) != (":" in destination) or max(ports) > _HIGHEST:
        raise ReportInvalidError("a flow is between two addresses of one family")
    return source, destination, ports[0], ports[1]


def parse_greeting(request: Mapping[str, Any]) -> tuple[str, Handover]:
    """Return the hub and the handover of the request `greet`. Raises AgentError `invalid`."""
    faults = Faults()
    try:
        return parse_hub(request.get("hub")), parse_handover(request.get("handover"))
    except ReportInvalidError as error:
        faults.append(str(error))
    faults.raise_if_any("request")
    raise AssertionError
