"""Management of routers from headquarters: their own services, and the networks from which a router accepts them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Final, NamedTuple
from uuid import UUID, uuid5

from django.db.models import TextChoices

from vpn.wire.documents import RuleDocument
from vpn.wire.rules import ANY, ROUTERS

# More are better put into a group; each is a rule of the hub for each service.
MOST_SOURCES: Final = 20
SOURCE_KINDS: Final = ("site", "group")
_RULES: Final = UUID("3f0e4c53-7f0b-4a0e-8a68-0d6c6a8f7d21")


class RouterService(TextChoices):
    """A service of a router by which it is managed."""

    SSH = "ssh", "SSH"
    WINBOX = "winbox", "WinBox"
    HTTPS = "https", "HTTPS"
    SNMP = "snmp", "SNMP"


class Port(NamedTuple):
    """A service's usual port."""

    protocol: str
    number: int


PORTS: Final = {
    RouterService.SSH: Port("tcp", 22),
    RouterService.WINBOX: Port("tcp", 8291),
    RouterService.HTTPS: Port("tcp", 443),
    RouterService.SNMP: Port("udp", 161),
}


@dataclass(frozen=True)
class RouterAccess:
    """What a router accepts through its tunnel: these services, from these networks."""

    services: tuple[RouterService, ...] = ()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.services and self.networks)

    @property
    def ports(self) -> tuple[Port, ...]:
        """The ports of the services."""
        return tuple(PORTS[service] for service in self.services)

    @property
    def versions(self) -> tuple[int, ...]:
        """The address families of the networks."""
        return tuple(sorted({network.version for network in self.networks}))

    def of_version(self, version: int) -> tuple[str, ...]:
        """The networks of one family."""
        return tuple(str(network) for network in self.networks if network.version == version)


NO_ACCESS: Final = RouterAccess()


def services_of(values: Collection[str]) -> tuple[RouterService, ...]:
    """The services in their usual order."""
    return tuple(service for service in RouterService if service.value in values)


def service_names(values: Collection[str]) -> str:
    """The services in words: "SSH, HTTPS"."""
    return ", ".join(service.label for service in services_of(values))


def management_rules(services: Collection[str], sources: Collection[str]) -> list[RuleDocument]:
    """The rules that let these sources alone reach these services at the tunnel addresses of all routers.

    The files of routers accept the whole pool where a group manages, so the hub drops what others send there.
    """
    ends = [*((source, "accept") for source in sources), (ANY, "drop")] if sources else []
    return [
        {
            "id": str(uuid5(_RULES, f"{source} {service.value}")),
            "action": action,
            "protocol": PORTS[service].protocol,
            "ports": [PORTS[service].number, PORTS[service].number],
            "source": source,
            "destination": ROUTERS,
        }
        for source, action in ends
        for service in services_of(services)
    ]
