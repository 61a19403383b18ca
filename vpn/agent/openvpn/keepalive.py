"""Keepalive timers: how soon each end notices that the other is gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Keepalive:
    """Timers in seconds: the ping interval of both ends, and how long client and hub wait before they give up."""

    ping: int
    client_timeout: int
    hub_timeout: int

    def lines(self) -> list[str]:
        """Return the lines for a peer's file, which set both ends (openvpn(8), `ping` and `ping-restart`)."""
        return [
            f"ping {self.ping}",
            f"ping-restart {self.hub_timeout}",
            f'push "ping {self.ping}"',
            f'push "ping-restart {self.client_timeout}"',
        ]


# A router has mains power and many users behind it: it notices a dead hub within six seconds.
ROUTER: Final = Keepalive(ping=2, client_timeout=6, hub_timeout=30)
# Each ping wakes a phone's radio, so pings are rare, and one lost ping does not end the session. Over TCP, or after an
# orderly restart, a device notices at once anyway.
DEVICE: Final = Keepalive(ping=25, client_timeout=55, hub_timeout=60)
