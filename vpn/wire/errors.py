"""Errors that carry the next decision: what happened in an admin's words, and whether trying again can help."""

from __future__ import annotations

from typing import Final, TypedDict

STALE: Final = "stale"
CONFLICT: Final = "conflict"
DESTROYED: Final = "destroyed"
INVALID: Final = "invalid"
BASE_MISMATCH: Final = "base-mismatch"
UNKNOWN_HUB: Final = "unknown-hub"
PORT_TAKEN: Final = "port-taken"
PACKAGE_MISSING: Final = "package-missing"
NO_RIGHT: Final = "no-right"
DISK_FULL: Final = "disk-full"
FAILED: Final = "failed"

CODES: Final = frozenset(
    {
        STALE,
        CONFLICT,
        DESTROYED,
        INVALID,
        BASE_MISMATCH,
        UNKNOWN_HUB,
        PORT_TAKEN,
        PACKAGE_MISSING,
        NO_RIGHT,
        DISK_FULL,
        FAILED,
    }
)

# The same request will fail again until somebody changes something.
PERMANENT: Final = frozenset({STALE, CONFLICT, DESTROYED, INVALID, PACKAGE_MISSING, NO_RIGHT})


class ErrorDocument(TypedDict):
    """An error as it travels."""

    code: str
    message: str
    permanent: bool


class AgentError(Exception):
    """What the agent could not do.

    `code` is one of `CODES`, `message` a sentence that an admin can act on (never holding a key), `permanent` says that
    the same request will fail again.
    """

    def __init__(self, code: str, message: str, permanent: bool | None = None) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.permanent = code in PERMANENT if permanent is None else permanent

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    def document(self) -> ErrorDocument:
        """Return the error as JSON data."""
        return {"code": self.code, "message": self.message, "permanent": self.permanent}


def parse_error(document: object) -> AgentError:
    """Return the error that `document` describes; a document that makes no sense becomes a `failed`."""
    if not isinstance(document, dict):
        return AgentError(FAILED, "The agent answered with something that is not an error document.")
    code, message, permanent = document.get("code"), document.get("message"), document.get("permanent")
    if code not in CODES or not isinstance(message, str):
        return AgentError(FAILED, "The agent answered with an error that this portal does not know.")
    return AgentError(str(code), message[:500], permanent is True)
