"""How soon both ends notice that the other one is gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Pace:
    """After how many seconds of silence each end says something, the client connects anew, the hub forgets it."""

    ping: int
    restart: int
    forgotten: int

    def lines(self) -> list[str]:
        """Return what a peer's own file says of it, for both ends (openvpn(8), `ping` and `ping-restart`)."""
        return [
            f"ping {self.ping}",
            f"ping-restart {self.forgotten}",
            f'push "ping {self.ping}"',
            f'push "ping-restart {self.restart}"',
        ]


# A router has mains power, and many people behind it: it notices within six seconds that the hub was killed.
OFTEN: Final = Pace(ping=2, restart=6, forgotten=30)
# Each packet wakes a phone's radio. One that is lost must not end the session. Over TCP, and at a restart in good
# order, a device hears of it at once all the same.
SELDOM: Final = Pace(ping=25, restart=55, forgotten=60)
