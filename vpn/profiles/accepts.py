"""What a router's own firewall has to accept, so that it can be managed through the tunnel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from django.utils.translation import gettext as _

from vpn.profiles.router import SiteRouter, Step
from vpn.router_services import RouterAccess


class Accept(NamedTuple):
    """Accepted packets to the router: of one address family and one protocol, to some ports, from some networks."""

    version: int
    protocol: str
    ports: tuple[str, ...]
    networks: tuple[str, ...]


def accepts_of(access: RouterAccess) -> Iterator[Accept]:
    """What a router accepts, IPv4 first."""
    for version in access.versions:
        for protocol, ports in ports_of(access).items():
            yield Accept(version, protocol, ports, access.of_version(version))


def ports_of(access: RouterAccess) -> dict[str, tuple[str, ...]]:
    """The ports by protocol."""
    protocols = dict.fromkeys(port.protocol for port in access.ports)
    return {name: tuple(str(port.number) for port in access.ports if port.protocol == name) for name in protocols}


def accept_step(router: SiteRouter, interface: str, *commands: str) -> tuple[Step, ...]:
    """The step for a router whose firewall is its admin's own; none if nobody manages it through the tunnel."""
    access = router.access
    if not access:
        return ()
    ports = ", ".join(f"{protocol.upper()} {' '.join(numbers)}" for protocol, numbers in ports_of(access).items())
    return (
        Step(
            _(
                "Headquarters may manage this router through the tunnel. Where the router has a firewall, accept this "
                "to the router itself, and remove what an earlier version of this step accepted."
            ),
            (
                (_("Interface"), interface),
                (_("From"), ", ".join(str(network) for network in access.networks)),
                (_("Ports"), ports),
            ),
            commands,
        ),
    )
