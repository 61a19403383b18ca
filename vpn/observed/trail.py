"""A profile that is used on two devices at once: the peer's address goes back and forth between the two.

Both devices have the same key, and each takes the other's place. One roaming device goes from an address to another and
stays; a NAT gives it new ports alone.
"""

from __future__ import annotations

import ipaddress
from datetime import datetime, timedelta
from typing import Final

# So long back changes of address count. Two OpenVPN devices take two to four minutes for each turn.
WINDOW: Final = timedelta(minutes=15)
# A, B, A is one return, and may be a device that tried another network.
_LEAST_RETURNS: Final = 3
_MOST: Final = 8


def network_of(endpoint: str) -> str:
    """The address of an endpoint; of IPv6 its /64, since a device changes its address there by itself. "" for none."""
    address = endpoint.rpartition(":")[0].strip("[]").partition("%")[0]
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    return str(parsed) if parsed.version == 4 else str(ipaddress.ip_network((parsed, 64), strict=False))


def followed(trail: str, before: str, after: str, now: datetime) -> str:
    """The trail after a change of endpoint: the last addresses, each with the time of its begin.

    `trail` is a text such as "1772539200 203.0.113.7,1772539260 198.51.100.9", "" without a change so far.
    """
    came_from, comes_from = network_of(before), network_of(after)
    if not came_from or came_from == comes_from:
        return trail
    steps = _steps(trail)
    if not steps or steps[-1][1] != came_from:
        steps = [(int(now.timestamp()), came_from)]
    steps.append((int(now.timestamp()), comes_from))
    # The step before the window began in it: its address was left there.
    oldest = (now - WINDOW).timestamp()
    while len(steps) > 1 and steps[1][0] < oldest:
        steps.pop(0)
    return ",".join(f"{at} {network}" for at, network in steps[-_MOST:])


def is_of_two(trail: str) -> bool:
    """Does a trail lead back so often that two devices have to be at work?"""
    networks = networks_on(trail)
    returns = [place for place, network in enumerate(networks) if network in networks[:place]]
    return len(returns) >= _LEAST_RETURNS


def networks_on(trail: str) -> list[str]:
    """The addresses of a trail, the oldest first."""
    return [network for _, network in _steps(trail)]


def _steps(trail: str) -> list[tuple[int, str]]:
    steps = (step.partition(" ") for step in trail.split(",") if step)
    return [(int(at), network) for at, _, network in steps]
