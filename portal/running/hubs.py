"""Remove hubs through the agent: JSON lines to its `session`."""

from __future__ import annotations

import contextlib
import subprocess
from typing import Any

from portal.running.errors import CannotRunError
from portal.running.layout import Layout
from portal.running.options import Options
from vpn.wire.session import AgentSession, Pipes, SessionBroken, local_agent, pipes_of

# A hub with many thousands of peers takes seconds.
_ANSWER_SECONDS = 60.0


def take_hubs_away(options: Options) -> int:
    """Destroy every hub that the agent knows; return their number."""
    state = Layout(options.data).hub
    if not any(state.glob("*/spec.json")) and not (state / "forwarded.json").exists():
        return 0
    argv = [*local_agent(options.python, state, options.hub_host_netns), "session"]

    def open_pipes() -> Pipes:
        return pipes_of(subprocess.Popen(argv, cwd=options.clone, stdin=subprocess.PIPE, stdout=subprocess.PIPE))

    session = AgentSession(open_pipes, answer_seconds=_ANSWER_SECONDS)
    try:
        before: list[str] = _ask(session, {"command": "list"})["hubs"]
        left = _take_many_away(session, before)
        faults = [fault for hub in left if (fault := _take_away(session, hub))]
    finally:
        session.close()
    if faults:
        raise CannotRunError("\n".join(faults))
    return len(before)


def _take_many_away(session: AgentSession, hubs: list[str]) -> list[str]:
    """Destroy hubs together; return those that are left, to be tried one by one."""
    with contextlib.suppress(CannotRunError):
        # At least once: it also ends what this machine forwards for hubs that run elsewhere now.
        while _ask(session, {"command": "remove-hubs"})["removed"]:
            hubs = _ask(session, {"command": "list"})["hubs"]
        return hubs
    return list(_ask(session, {"command": "list"})["hubs"])


def _take_away(session: AgentSession, hub: str) -> str:
    """Destroy one hub; return the fault or "", so that one failure does not keep the others."""
    try:
        report = _ask(session, {"command": "status", "hub": hub, "peers": False})["report"]
        # Use its current version: the portal's next apply begins a new epoch, which creates the hub again.
        version = {"epoch": report["epoch"], "generation": report["generation"]}
        _ask(session, {"command": "destroy", "hub": hub, **version})
    except CannotRunError as error:
        return f"{hub}: {error}"
    return ""


def _ask(session: AgentSession, request: dict[str, Any]) -> dict[str, Any]:
    try:
        answer = session.ask(request)
    except SessionBroken as broken:
        raise CannotRunError(f"The agent did not remove the hubs: {broken}") from broken
    if "error" in answer:
        raise CannotRunError(f"The agent did not remove the hubs: {answer['error']['message']}")
    return answer
