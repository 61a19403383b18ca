"""Driver for hubs on the worker's own machine: the agent runs as a long-lived subprocess."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from django.conf import settings

from vpn import failures
from vpn.drivers.base import Found, Knock, Unreachable
from vpn.drivers.knocking import knock_on
from vpn.drivers.outside import Host, NoPlace, Posts
from vpn.wire import agent_socket
from vpn.wire.errors import AgentError, parse_error
from vpn.wire.observing import Observing, parse_observed
from vpn.wire.report import HubReport, parse_report
from vpn.wire.report_values import ReportInvalidError
from vpn.wire.session import AgentSession, Pipes, SessionBroken, local_agent, pipes_of

# A hub whose report takes longer has a program that hangs. With a second attempt, a job ends in its time.
_SLOWEST_REPORT: Final = 10.0  # seconds


class LocalDriver:
    """Keeps one agent session open per worker process."""

    def __init__(self) -> None:
        self.session = AgentSession(_open_agent)
        self._posts: Posts | None = None

    def check(self) -> None:
        """Raise an error unless the agent answers."""
        self._call({"command": "list"})

    def apply(self, document: dict[str, Any], *, delta: bool) -> HubReport:
        """Send a HubSpec or a HubDelta and return the report."""
        if delta:
            return self._report({"command": "apply-delta", "delta": document})
        return self._report({"command": "apply", "spec": document})

    def status(self, hub: str, *, peers: bool) -> HubReport:
        """Return the hub's status report."""
        return self._report({"command": "status", "hub": hub, "peers": peers})

    def observe(self, hubs: Mapping[str, str], seconds: float) -> dict[str, HubReport | AgentError | Unreachable]:
        """Return by hub its report with its peers, or why there is none; one request for all."""
        # The last report may begin just before the time is over.
        answer = self._call(Observing(hubs, seconds).document(), answer_seconds=seconds + _SLOWEST_REPORT)
        try:
            observed = parse_observed(answer.get("observed"), hubs)
        except ReportInvalidError as error:
            raise _invalid(error) from error
        return {hub: _invalid(one) if isinstance(one, ReportInvalidError) else one for hub, one in observed.items()}

    def destroy(self, hub: str, *, epoch: int, generation: int) -> None:
        """Remove the hub."""
        self._call({"command": "destroy", "hub": hub, "epoch": epoch, "generation": generation})

    def knock(self, knocks: Sequence[Knock], timeout: float) -> list[dict[str, Found]]:
        """Test listeners from outside this machine, or outside the namespace that is set as the host."""
        try:
            return knock_on(self._posts_of(settings.HUB_HOST_NETNS or ""), knocks, timeout)
        except (NoPlace, OSError, ValueError) as error:
            raise Unreachable(failures.KNOCK_IMPOSSIBLE.of(type(error).__name__), str(error)) from error

    def _posts_of(self, netns: str) -> Posts:
        if self._posts is None or self._posts.host.netns != netns:
            self._posts = Posts(Host(netns))
        return self._posts

    def _report(self, request: dict[str, Any]) -> HubReport:
        try:
            return parse_report(self._call(request).get("report"))
        except ReportInvalidError as error:
            raise _invalid(error) from error

    def _call(self, request: dict[str, Any], answer_seconds: float | None = None) -> dict[str, Any]:
        try:
            answer = self.session.ask(request, answer_seconds=answer_seconds)
        except SessionBroken as broken:
            raise Unreachable(failures.AGENT_SILENT.of(), str(broken)) from broken
        if "error" in answer:
            raise parse_error(answer["error"])
        return answer

    def close(self) -> None:
        """End the session and the test processes; the next call starts others."""
        if self._posts is not None:
            self._posts.close()
        self.session.close()

    def close_idle(self, seconds: float) -> None:
        """End the session and the test processes if they were not used for so long."""
        if self._posts is not None:
            self._posts.close_idle(seconds)
        self.session.close_idle(seconds)


def _invalid(error: ReportInvalidError) -> Unreachable:
    return Unreachable(failures.REPORT_INVALID.of(), str(error))


def _open_agent() -> Pipes:
    """A session with the agent that watches over this machine's hubs, or with one of our own if none runs."""
    with suppress(OSError):
        return agent_socket.connect(settings.HUB_STATE_DIR)
    argv = [*agent_command(), "session"]
    return pipes_of(
        subprocess.Popen(  # noqa: S603 - an argument list of our own
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=settings.BASE_DIR
        )
    )


def agent_command() -> list[str]:
    """The argument list that starts this machine's agent, without its command."""
    return local_agent(sys.executable, settings.HUB_STATE_DIR, settings.HUB_HOST_NETNS or "")
