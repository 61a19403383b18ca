"""What all drivers share that reach an agent over a session: requests, reports, and errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from vpn import failures
from vpn.drivers.base import Unreachable
from vpn.wire.errors import AgentError, parse_error
from vpn.wire.finding import Finding
from vpn.wire.forwarding import Forwarding, Handover, parse_handover
from vpn.wire.lease import Moment, parse_moment
from vpn.wire.observing import Observing, parse_observed
from vpn.wire.report import HubReport, parse_report
from vpn.wire.report_values import ReportInvalidError, count
from vpn.wire.session import AgentSession, Pipes, SessionBroken

# A hub whose report takes longer has a program that hangs. With a second attempt, a job ends in its time.
_SLOWEST_REPORT: Final = 10.0  # seconds


class AgentDriver:
    """Keeps one agent session open per worker process. Subclasses open its pipes, and knock."""

    def __init__(self) -> None:
        self.session = AgentSession(self.open_pipes)
        self.lease: Moment | None = None
        self.clock: Moment | None = None

    def open_pipes(self) -> Pipes:
        """Start an agent's session. Raises OSError."""
        raise NotImplementedError

    def why_silent(self) -> Finding:
        """The reason for which the agent does not answer."""
        return failures.AGENT_SILENT.of()

    def check(self) -> None:
        """Raise an error unless the agent answers. On a busy machine, opening the session alone can take 10 s."""
        self._call({"command": "list"})

    def apply(self, document: dict[str, Any], *, delta: bool, ahead: bool = False) -> HubReport:
        """Send a HubSpec or a HubDelta and return the report."""
        if delta:
            return self._report({"command": "apply-delta", "delta": document, **({"ahead": True} if ahead else {})})
        lease = {"lease": self.lease.document()} if self.lease is not None else {}
        return self._report({"command": "apply", "spec": document, **lease})

    def status(self, hub: str, *, peers: bool) -> HubReport:
        """Return the hub's status report."""
        return self._report({"command": "status", "hub": hub, "peers": peers})

    def observe(self, hubs: Mapping[str, str], seconds: float) -> dict[str, HubReport | AgentError | Unreachable]:
        """Return by hub its report with its peers, or why there is none; one request for all."""
        # The last report may begin just before the time is over.
        answer = self._call(Observing(hubs, seconds, self.lease).document(), answer_seconds=seconds + _SLOWEST_REPORT)
        try:
            observed = parse_observed(answer.get("observed"), hubs)
        except ReportInvalidError as error:
            raise _invalid(error) from error
        return {hub: _invalid(one) if isinstance(one, ReportInvalidError) else one for hub, one in observed.items()}

    def destroy(self, hub: str, *, epoch: int, generation: int) -> None:
        """Remove the hub."""
        self._call({"command": "destroy", "hub": hub, "epoch": epoch, "generation": generation})

    def hand_over(self, forwarding: Forwarding) -> Handover:
        """End a hub and forward its ports; return what the present hub needs."""
        answer = self._call({"command": "hand-over", "forwarding": forwarding.document()})
        try:
            return parse_handover(answer.get("handover"))
        except ReportInvalidError as error:
            raise _invalid(error) from error

    def greet(self, hub: str, handover: Handover) -> None:
        """Let a hub call the clients of its predecessor."""
        self._call({"command": "greet", "hub": hub, "handover": handover.document()})

    def end_forwarding(self, hub: str) -> None:
        """Forward the hub's ports no more."""
        self._call({"command": "end-forwarding", "hub": hub})

    def forwarded_packets(self, hub: str) -> int:
        """Return how many packets were forwarded."""
        try:
            return count(self._call({"command": "forwarded-packets", "hub": hub}).get("packets"), "packets")
        except ReportInvalidError as error:
            raise _invalid(error) from error

    def close(self) -> None:
        """End the session; the next call starts another."""
        self.session.close()

    def is_open(self) -> bool:
        """Return True if the session is open, or being opened."""
        return self.session.is_open()

    def close_idle(self, seconds: float) -> None:
        """End the session if it was not used for so long."""
        self.session.close_idle(seconds)

    def _report(self, request: dict[str, Any]) -> HubReport:
        try:
            return parse_report(self._call(request).get("report"))
        except ReportInvalidError as error:
            raise _invalid(error) from error

    def _call(self, request: dict[str, Any], answer_seconds: float | None = None) -> dict[str, Any]:
        try:
            answer = self.session.ask(request, answer_seconds=answer_seconds)
        except SessionBroken as broken:
            raise Unreachable(self.why_silent(), str(broken)) from broken
        if "error" in answer:
            raise parse_error(answer["error"])
        self.clock = parse_moment(answer.get("clock")) or self.clock
        return answer


def _invalid(error: ReportInvalidError) -> Unreachable:
    return Unreachable(failures.REPORT_INVALID.of(), str(error))
