"""Requests as JSON: one that is answered, or a session of lines for a worker that stays."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from dataclasses import replace
from typing import IO, Any

from vpn.agent.lifecycle.apply import apply, apply_delta
from vpn.agent.lifecycle.destroy import destroy
from vpn.agent.lifecycle.host import Host
from vpn.agent.lifecycle.status import status
from vpn.agent.system import files
from vpn.wire import codes
from vpn.wire.delta import parse_delta
from vpn.wire.errors import FAILED, INVALID, RESOLVED, AgentError
from vpn.wire.identity import SCHEMA, parse_hub, parse_version
from vpn.wire.report import HubReport
from vpn.wire.spec import parse_spec
from vpn.wire.version import agent_version

# Of the code that runs: files that are replaced later are another agent's.
_VERSION = agent_version()


def answer(host: Host, request: object) -> dict[str, Any]:
    """Return the answer to one request: its `id` with a `report`, with `hubs`, or with an `error`."""
    reply: dict[str, Any] = {}
    if isinstance(request, dict) and "id" in request:
        reply["id"] = request["id"]
    try:
        return {**reply, **_perform(host, request)}
    except AgentError as error:
        refusal = error
    except OSError as error:
        refusal = files.failure(error)
    except Exception as error:  # noqa: BLE001
        # Its text may quote what was being handled, a key even: only its kind leaves the agent.
        kind = type(error).__name__
        refusal = AgentError(FAILED, f"The agent has a fault ({kind}): report it.", codes.AGENT_FAULT.of(kind))
    _say(refusal)
    return {**reply, "error": refusal.document()}


def session(host: Host, requests: IO[str], replies: IO[str]) -> None:
    """Answer each line of `requests` with a line in `replies`, until there are no more."""
    for line in requests:
        if not line.strip():
            continue
        replies.write(json.dumps(answer(host, _parse(line)), separators=(",", ":")) + "\n")
        replies.flush()


def once(host: Host, requests: IO[str], replies: IO[str], expected: str) -> bool:
    """Answer the one request in `requests`, which must be an `expected` one; return whether that went well."""
    request = _parse(requests.read())
    if isinstance(request, dict):
        request.setdefault("command", expected)
        if str(request["command"]).partition("-")[0] != expected:
            request = {"command": None}
    reply = answer(host, request)
    replies.write(json.dumps(reply, separators=(",", ":")) + "\n")
    replies.flush()
    return "error" not in reply


def _say(refusal: AgentError) -> None:
    """Write a refusal's sentence to standard error, since a code travels; not where the portal resolves it."""
    if refusal.code not in RESOLVED:
        with suppress(OSError, ValueError):
            print(refusal, file=sys.stderr, flush=True)


def _parse(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _perform(host: Host, request: object) -> dict[str, Any]:
    if not isinstance(request, dict):
        raise AgentError(INVALID, "The request is not a JSON object.", codes.AGENT_REQUEST_INVALID.of())
    command = request.get("command")
    if command == "list":
        return {"hubs": host.state.hubs()}
    report = replace(_change_or_look(host, command, request), agent=_VERSION, schema=SCHEMA)
    return {"report": report.document()}


def _change_or_look(host: Host, command: object, request: dict[str, Any]) -> HubReport:
    if command == "apply":
        return apply(host, parse_spec(request.get("spec")))
    if command == "apply-delta":
        return apply_delta(host, parse_delta(request.get("delta")))
    if command == "status":
        return status(host, parse_hub(request.get("hub")), request.get("peers", True) is True)
    if command == "destroy":
        version = parse_version(request.get("epoch"), request.get("generation"))
        return destroy(host, parse_hub(request.get("hub")), version)
    message = "The request has a command that this agent does not know."
    raise AgentError(INVALID, message, codes.AGENT_COMMAND_UNKNOWN.of())
