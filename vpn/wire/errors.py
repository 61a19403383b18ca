"""Refusals of the agent: each has a code for the next step, whether a retry can help, and the reason as a finding."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from vpn.wire.finding import Finding, FindingInvalidError, parse_finding

STALE: Final = "stale"
CONFLICT: Final = "conflict"
DESTROYED: Final = "destroyed"
INVALID: Final = "invalid"
BASE_MISMATCH: Final = "base-mismatch"
UNKNOWN_HUB: Final = "unknown-hub"
LEASE_OVER: Final = "lease-over"
PORT_TAKEN: Final = "port-taken"
PACKAGE_MISSING: Final = "package-missing"
NO_RIGHT: Final = "no-right"
DISK_FULL: Final = "disk-full"
FAILED: Final = "failed"
# In answer to a delta that was sent ahead: the hub is being changed, and the peers that the delta removes are out.
BUSY: Final = "busy"

CODES: Final = frozenset(
    {
        STALE,
        CONFLICT,
        DESTROYED,
        INVALID,
        BASE_MISMATCH,
        UNKNOWN_HUB,
        LEASE_OVER,
        PORT_TAKEN,
        PACKAGE_MISSING,
        NO_RIGHT,
        DISK_FULL,
        FAILED,
        BUSY,
    }
)

# The portal resolves these by its next request, so they are not errors for an admin.
RESOLVED: Final = frozenset({STALE, CONFLICT, DESTROYED, BASE_MISMATCH, UNKNOWN_HUB, LEASE_OVER, BUSY})

# A retry of the same request fails until something changes.
PERMANENT: Final = frozenset({STALE, CONFLICT, DESTROYED, INVALID, PACKAGE_MISSING, NO_RIGHT})


_LONGEST_MESSAGE: Final = 500


class AgentError(Exception):
    """A request that the agent refused or could not complete.

    `code` is one of `CODES` and decides the next step; `permanent` means that a retry will fail. `finding` is the
    reason, which the portal puts into words. `message` is an English sentence for the agent's log, never with a key.
    The reply contains it only if there is no finding.
    """

    def __init__(
        self, code: str, message: str, finding: Finding | None = None, *, permanent: bool | None = None
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.finding = finding
        self.permanent = code in PERMANENT if permanent is None else permanent

    def __str__(self) -> str:
        return f"{self.code}: {self.message or self.finding}"

    def document(self) -> dict[str, Any]:
        """Return the error as JSON data."""
        document: dict[str, Any] = {"code": self.code, "permanent": self.permanent}
        if self.finding is None:
            return document | {"message": self.message}
        # A portal of the previous release requires a message.
        return document | {"finding": self.finding.document(), "message": str(self.finding)}


def parse_error(document: object) -> AgentError:
    """Return the error that `document` describes; an invalid document becomes the error `failed`."""
    if not isinstance(document, dict):
        return AgentError(FAILED, "The agent answered with something that is not an error document.")
    code, message, permanent = document.get("code"), document.get("message"), document.get("permanent") is True
    if isinstance(code, str) and code in CODES:
        with suppress(FindingInvalidError):
            return AgentError(code, "", parse_finding(document.get("finding")), permanent=permanent)
        # Agents of the previous release sent a sentence instead, which is shown unchanged.
        if isinstance(message, str):
            return AgentError(code, message[:_LONGEST_MESSAGE], permanent=permanent)
    return AgentError(FAILED, "The agent answered with an error that this portal does not know.")
