"""Requests as JSON: a single one, or a session with one request a line for a worker that stays connected."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from typing import IO, Any, TypeVar

from vpn.agent.lifecycle import trials
from vpn.agent.lifecycle.apply import apply, apply_delta
from vpn.agent.lifecycle.destroy import destroy
from vpn.agent.lifecycle.destroy_all import destroy_some
from vpn.agent.lifecycle.handover import end_forwarding, greet, hand_over, packets
from vpn.agent.lifecycle.host import Host
from vpn.agent.lifecycle.status import status, statuses
from vpn.agent.system import clock, files
from vpn.wire import codes, observing
from vpn.wire.delta import parse_delta
from vpn.wire.errors import FAILED, INVALID, RESOLVED, AgentError
from vpn.wire.forwarding import parse_forwarding, parse_greeting
from vpn.wire.identity import SCHEMA, parse_hub, parse_version
from vpn.wire.lease import Moment, parse_lease
from vpn.wire.report import HubReport
from vpn.wire.rules import FEATURE as ROUTER_TAG
from vpn.wire.spec import parse_spec
from vpn.wire.trial import FEATURE
from vpn.wire.version import agent_version

# Read at the start: the files may later be replaced by those of another version.
_VERSION = agent_version()
_FEATURES = (FEATURE, ROUTER_TAG)
Result = TypeVar("Result")


def answer(host: Host, request: object) -> dict[str, Any]:
    """Return the answer to one request: its `id` with a `report`, with `hubs`, or with an `error`."""
    reply: dict[str, Any] = {}
    if isinstance(request, dict) and "id" in request:
        reply["id"] = request["id"]
    done = _tried(lambda: _perform(host, request))
    return {**reply, **({"error": done.document()} if isinstance(done, AgentError) else done)}


def _tried(act: Callable[[], Result]) -> Result | AgentError:
    """Return the result of `act`, or its failure as a refusal, which is logged."""
    try:
        return act()
    except AgentError as error:
        refusal = error
    except OSError as error:
        refusal = files.failure(error)
    except Exception as error:  # noqa: BLE001
        # The text of the error may contain a key, so only its type leaves the agent.
        kind = type(error).__name__
        refusal = AgentError(FAILED, f"The agent has a bug ({kind}): report it.", codes.AGENT_FAULT.of(kind))
    _say(refusal)
    return refusal


def session(host: Host, requests: IO[str], replies: IO[str]) -> None:
    """Answer each line of `requests` with a line in `replies`, until the input ends."""
    for line in requests:
        if not line.strip():
            continue
        replies.write(json.dumps(answer(host, _parse(line)), separators=(",", ":")) + "\n")
        replies.flush()


def once(host: Host, requests: IO[str], replies: IO[str], expected: str) -> bool:
    """Answer the single request in `requests`, which must be an `expected` command; return True on success."""
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
    """Log a refusal to standard error, because the reply has only a code. Refusals that the portal resolves are not."""
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
        return {"hubs": host.state.hubs(), "clock": clock.now().document()}
    if command == "remove-hubs":
        return {"removed": destroy_some(host)}
    if command == observing.COMMAND:
        asked = observing.parse_observing(request)
        _lease(host, asked.hubs, asked.lease)
        reports = {hub: _tried(report) for hub, report in statuses(host, asked.hubs, asked.seconds)}
        observed = observing.observed_document({hub: _signed(host, one) for hub, one in reports.items()})
        return {"observed": observed, "clock": clock.now().document()}
    if isinstance(command, str) and command in _HANDING_OVER:
        return _HANDING_OVER[command](host, request)
    report = _signed(host, _change_or_read(host, command, request))
    return {"report": report.document()}


def _lease(host: Host, hubs: Collection[str], end: Moment | None) -> None:
    """Give hubs a lease, or let them run without one."""
    if end is None:
        host.state.leases.end(hubs)
    else:
        host.state.leases.grant(hubs, end)


def _hand_over(host: Host, request: dict[str, Any]) -> dict[str, Any]:
    return {"handover": hand_over(host, parse_forwarding(request.get("forwarding"))).document()}


def _greet(host: Host, request: dict[str, Any]) -> dict[str, Any]:
    return {"greeted": greet(host, *parse_greeting(request))}


def _end_forwarding(host: Host, request: dict[str, Any]) -> dict[str, Any]:
    end_forwarding(host, parse_hub(request.get("hub")))
    return {}


def _packets(host: Host, request: dict[str, Any]) -> dict[str, Any]:
    return {"packets": packets(host, parse_hub(request.get("hub")))}


_HANDING_OVER: dict[str, Callable[[Host, dict[str, Any]], dict[str, Any]]] = {
    "hand-over": _hand_over,
    "greet": _greet,
    "end-forwarding": _end_forwarding,
    "forwarded-packets": _packets,
}


def _signed(host: Host, report: Result) -> Result:
    """Return a report with the agent's version and the hub's trial; anything else as it is."""
    if not isinstance(report, HubReport):
        return report
    trial = trials.report(host, report.hub)
    return replace(report, agent=_VERSION, schema=SCHEMA, features=_FEATURES, trial=trial)


def _change_or_read(host: Host, command: object, request: dict[str, Any]) -> HubReport:
    if command == "apply":
        spec, end = parse_spec(request.get("spec")), parse_lease(request.get("lease"))
        if end is not None:
            host.state.leases.grant([spec.hub], end)
        return apply(host, spec)
    if command == "apply-delta":
        return apply_delta(host, parse_delta(request.get("delta")), ahead=request.get("ahead") is True)
    if command == "status":
        return status(host, parse_hub(request.get("hub")), request.get("peers", True) is True)
    if command == "destroy":
        version = parse_version(request.get("epoch"), request.get("generation"))
        return destroy(host, parse_hub(request.get("hub")), version)
    message = "This agent does not know the command in the request."
    raise AgentError(INVALID, message, codes.AGENT_COMMAND_UNKNOWN.of())
