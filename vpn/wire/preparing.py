"""The preparation of a server: its steps in order, and the line that the server prints for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypedDict

from vpn.wire.finding import Finding, FindingDocument, FindingInvalidError, parse_finding

CONNECT: Final = "connect"
RIGHTS: Final = "rights"
PYTHON: Final = "python"
SYSTEM: Final = "system"
NAMESPACES: Final = "namespaces"
CLOCK: Final = "clock"
DISK: Final = "disk"
PORTS: Final = "ports"
PACKAGES: Final = "packages"
AGENT: Final = "agent"
WATCH: Final = "watch"
ANSWER: Final = "answer"
STEPS: Final = (CONNECT, RIGHTS, PYTHON, SYSTEM, NAMESPACES, CLOCK, DISK, PORTS, PACKAGES, AGENT, WATCH, ANSWER)

# The distribution's packages that hubs need; .ci/packages installs them on the portal's own machine, too.
HUB_PACKAGES: Final = (
    *("wireguard-tools", "wireguard-go", "openvpn", "nftables", "iproute2", "procps", "util-linux", "mount"),
    *("passwd", "conntrack", "dnsmasq-base", "netbase"),  # netbase: the names of protocols, for nft
)

DONE: Final = "done"
RUNNING: Final = "running"
FAILED: Final = "failed"
_STATES: Final = (DONE, RUNNING, FAILED)


class LineDocument(TypedDict):
    """A line in JSON."""

    step: str
    state: str
    value: str
    finding: FindingDocument | None


@dataclass(frozen=True)
class Line:
    """The result of a step. `value` is what was found, such as "debian-12"; `finding` is why the step failed."""

    step: str
    state: str
    value: str = ""
    finding: Finding | None = None

    def document(self) -> LineDocument:
        """Return the line as JSON data."""
        finding = self.finding.document() if self.finding is not None else None
        return {"step": self.step, "state": self.state, "value": self.value, "finding": finding}


def parse_line(document: Any) -> Line | None:
    """Return the line that `document` (untrusted JSON data) describes; None if it is malformed."""
    if not isinstance(document, dict) or document.get("step") not in STEPS or document.get("state") not in _STATES:
        return None
    finding = document.get("finding")
    try:
        why = parse_finding(finding) if finding is not None else None
        # A value has the characters of a subject: it is never prose.
        value = parse_finding({"component": "server", "code": "value", "subject": document.get("value")}).subject
    except FindingInvalidError:
        return None
    return Line(document["step"], document["state"], value, why)
