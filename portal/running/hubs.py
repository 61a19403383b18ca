"""Asking the agent to take hubs away, through its own door: JSON lines to `session`."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from portal.running.errors import CannotRunError
from portal.running.layout import Layout
from portal.running.options import Options


def take_hubs_away(options: Options) -> int:
    """Destroy every hub that the agent knows; returns how many there were."""
    state = Layout(options.data).hub
    if not any(state.glob("*/spec.json")):
        return 0
    command = [options.python, "-m", "vpn.agent", "--state", str(state)]
    if options.hub_host_netns:
        command += ["--host-netns", options.hub_host_netns]
    with subprocess.Popen(
        [*command, "session"], cwd=options.clone, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as session:
        hubs: list[str] = _ask(session, {"command": "list"})["hubs"]
        faults = [fault for hub in hubs if (fault := _take_away(session, hub))]
    if faults:
        raise CannotRunError("\n".join(faults))
    return len(hubs)


def _take_away(session: subprocess.Popen[str], hub: str) -> str:
    """Destroy one hub; returns why not, so that one that cannot be read does not keep the others."""
    try:
        report = _ask(session, {"command": "status", "hub": hub, "peers": False})["report"]
        # As it is: the portal's next apply begins a new epoch, and so brings the hub back.
        version = {"epoch": report["epoch"], "generation": report["generation"]}
        _ask(session, {"command": "destroy", "hub": hub, **version})
    except CannotRunError as error:
        return f"{hub}: {error}"
    return ""


def _ask(session: subprocess.Popen[str], request: dict[str, Any]) -> dict[str, Any]:
    if session.stdin is None or session.stdout is None:
        raise CannotRunError("The agent could not be asked.")
    session.stdin.write(json.dumps({"id": 1, **request}) + "\n")
    session.stdin.flush()
    answer: dict[str, Any] = json.loads(session.stdout.readline() or "{}")
    if not answer or "error" in answer:
        message = answer.get("error", {}).get("message", "it ended without an answer")
        raise CannotRunError(f"The agent did not take the hubs away: {message}")
    return answer
