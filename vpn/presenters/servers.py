"""A server for staff: its steps and its state in words."""

from __future__ import annotations

from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from vpn.choices import NodeState, PreparationStepName, StepState
from vpn.models import CloudAccount, CloudNode, PreparationStep, Server, StrayNode
from vpn.presenters.findings import sentence_of
from vpn.wire.finding import FindingInvalidError, parse_finding

# What a finished step found; `%(value)s` is the value that the server reported.
_FOUND: Final[dict[str, Promise]] = {
    PreparationStepName.CONNECT: _("The server answers with the trusted host key, and accepts the portal's key."),
    PreparationStepName.RIGHTS: _("The agent runs as root."),
    PreparationStepName.PYTHON: _("Python is new enough."),
    PreparationStepName.SYSTEM: _("The server runs %(value)s."),
    PreparationStepName.NAMESPACES: _("Namespaces and tunnel interfaces can be created."),
    PreparationStepName.CLOCK: _("The clock differs by %(value)s s from the portal's."),
    PreparationStepName.DISK: _("%(value)s are free."),
    PreparationStepName.PORTS: _("%(value)s of the ports for hubs are free."),
    PreparationStepName.PACKAGES: _("All packages are installed."),
    PreparationStepName.AGENT: _("The agent %(value)s is installed."),
    PreparationStepName.WATCH: _("It runs under %(value)s."),
    PreparationStepName.ANSWER: _("The agent %(value)s answers over a session."),
}


def step_sentence(step: PreparationStep) -> str:
    """What a step found, or why it failed and what to do; "" if it has not finished."""
    if step.state == StepState.FAILED:
        return _sentence(step.refusal)
    if step.state == StepState.SUCCEEDED:
        return str(_FOUND[step.name]) % {"value": step.value}
    return ""


def why(server: Server) -> str:
    """Why a server is in its state, and what to do; "" if there is nothing to say."""
    return _sentence(server.state_reason) if server.state_reason else ""


def servers_health() -> list[dict[str, object]]:
    """Return each server's state, since when, and why, for staff."""
    return [
        {
            "name": server.name,
            "region": server.region_id,
            "state": server.shown_state,
            "since": server.state_since.isoformat() if server.state_since is not None else None,
            "reason": why(server),
        }
        for server in Server.objects.order_by("region", "name")
    ]


def test_sentence(account: CloudAccount) -> str:
    """What the last test of a cloud account's credentials found."""
    asked, tested = account.test_requested_at, account.tested_at
    if asked is not None and (tested is None or tested < asked):
        return str(_("A worker is testing them. Load the page again in a moment."))
    if tested is None:
        return str(_("They were not tested yet."))
    if account.test_finding is not None:
        return _sentence(account.test_finding)
    return str(_("The credentials work."))


def node_sentence(node: CloudNode) -> str:
    """Why the last call for a cloud's server failed, and what to do; what a removal waits for."""
    failed = _sentence(node.finding) if node.finding is not None else ""
    return f"{failed} {node.removal}".strip() if node.state == NodeState.REMOVING else failed


def stray_sentence(stray: StrayNode) -> str:
    """What becomes of something that is paid for and not known."""
    if stray.finding is not None:
        return _sentence(stray.finding)
    if stray.removal_asked_at is not None:
        return str(_("It is being removed."))
    return str(_("It has this portal's tag, but the portal does not know it: it costs money until it is removed."))


def _sentence(document: object) -> str:
    try:
        return sentence_of(parse_finding(document))
    except FindingInvalidError:
        return str(_("It failed without a reason. The log of the portal's worker says more."))
