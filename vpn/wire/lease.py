"""Leases: a hub with one is taken down by its agent when the lease ends, unless the portal has renewed it.

A lease ends by the clock of the hub's server that counts since its start and that nobody sets (CLOCK_BOOTTIME of
clock_gettime(2)). The agent sends this clock with its answers, and the portal adds the duration to it. So a request
that arrives late extends nothing.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Final

from vpn.wire import codes
from vpn.wire.errors import INVALID, AgentError

_BOOT: Final = re.compile(r"[0-9a-z-]{1,40}")
_LATEST: Final = 2.0**40


@dataclass(frozen=True)
class Moment:
    """A time on a server: the id of its boot, and the seconds since then."""

    boot: str
    seconds: float

    def document(self) -> dict[str, Any]:
        """Return the time as JSON data."""
        return {"boot": self.boot, "seconds": self.seconds}

    def later(self, seconds: float) -> Moment:
        """Return the time so many seconds later."""
        return Moment(self.boot, self.seconds + seconds)


def parse_moment(document: object) -> Moment | None:
    """Return the time that `document` describes; None if it is not valid."""
    if not isinstance(document, dict):
        return None
    boot, seconds = document.get("boot"), document.get("seconds")
    if not isinstance(boot, str) or not _BOOT.fullmatch(boot):
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not math.isfinite(seconds):
        return None
    return Moment(boot, float(seconds)) if 0 <= seconds <= _LATEST else None


def parse_lease(document: object) -> Moment | None:
    """Return the end of the lease in a request; None if it has none. Raises AgentError `invalid`."""
    lease = parse_moment(document)
    if lease is None and document is not None:
        message = "The lease in the request is not valid."
        raise AgentError(INVALID, message, codes.AGENT_DOCUMENT_INVALID.of("request"))
    return lease
