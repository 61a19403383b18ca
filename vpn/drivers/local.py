"""Driver for hubs on the worker's own machine: the agent runs as a long-lived subprocess."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

from django.conf import settings

from vpn import failures
from vpn.drivers.agent import AgentDriver
from vpn.drivers.base import Found, Knock, Unreachable
from vpn.drivers.knocking import knock_on
from vpn.drivers.outside import Host, NoPlace, Posts
from vpn.wire import agent_socket
from vpn.wire.session import Pipes, local_agent, pipes_of


class LocalDriver(AgentDriver):
    """Reaches this machine's agent."""

    def __init__(self) -> None:
        super().__init__()
        self._posts: Posts | None = None

    def open_pipes(self) -> Pipes:
        """A session with the agent that watches over this machine's hubs, or with one of our own if none runs."""
        with suppress(OSError):
            return agent_socket.connect(settings.HUB_STATE_DIR)
        argv = [*agent_command(), "session"]
        return pipes_of(
            subprocess.Popen(  # noqa: S603 - an argument list of our own
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=settings.BASE_DIR
            )
        )

    @property
    def standpoint(self) -> object:
        """This machine, with a place outside of it."""
        return self

    def knock(self, knocks: Sequence[Knock], timeout: float) -> list[dict[str, Found]]:
        """Test listeners from outside this machine, or outside the namespace that is set as the host."""
        try:
            return knock_on(self._posts_of(settings.HUB_HOST_NETNS or ""), knocks, timeout)
        except (NoPlace, OSError, ValueError) as error:
            raise Unreachable(failures.KNOCK_IMPOSSIBLE.of(type(error).__name__), str(error)) from error

    def close(self) -> None:
        """End the session and the test processes; the next call starts others."""
        if self._posts is not None:
            self._posts.close()
        super().close()

    def _posts_of(self, netns: str) -> Posts:
        if self._posts is None or self._posts.host.netns != netns:
            self._posts = Posts(Host(netns))
        return self._posts

    def close_idle(self, seconds: float) -> None:
        """End the session and the test processes if they were not used for so long."""
        if self._posts is not None:
            self._posts.close_idle(seconds)
        super().close_idle(seconds)


def agent_command() -> list[str]:
    """The argument list that starts this machine's agent, without its command."""
    return local_agent(sys.executable, settings.HUB_STATE_DIR, settings.HUB_HOST_NETNS or "")
