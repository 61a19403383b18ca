"""Trials: a hub returns to its former settings by itself, unless the portal sends a spec without the trial in time.

The saved spec stays the one with the trial: its peers are the newest, in both settings. Only what is in force changes
when the time is over (`lifecycle.effective`). The portal learns it from the next report.
"""

from __future__ import annotations

from dataclasses import replace

from vpn.agent.lifecycle.host import Host
from vpn.agent.memory.deadlines import Deadline
from vpn.agent.memory.state import State
from vpn.agent.system import clock
from vpn.wire.spec import HubSpec
from vpn.wire.trial import TrialReport


def begin(state: State, saved: HubSpec | None, wanted: HubSpec) -> None:
    """Note when the trial of `wanted` ends, before it is applied. One that has begun goes on as it is.

    So it ends in time even if each apply is broken off and sent again: the firewall may have the new rules by then.
    """
    trial, deadlines = wanted.trial, state.deadlines(wanted.hub)
    if trial is None or (saved is not None and saved.trial is not None and saved.trial.id == trial.id):
        return
    begun = deadlines.load()
    if begun is None or begun.trial != trial.id:
        deadlines.save(Deadline(trial.id, clock.now().later(trial.seconds)))


def conclude(state: State, saved: HubSpec) -> None:
    """Forget a trial that the saved spec no longer has."""
    if saved.trial is None:
        state.deadlines(saved.hub).forget()


def in_force(state: State, spec: HubSpec) -> HubSpec:
    """Return the spec with its former settings if its trial is over."""
    return spec.returned if is_over(state, spec) else spec


def is_over(state: State, spec: HubSpec) -> bool:
    """Return True if the time of the spec's trial is over, or not known."""
    if spec.trial is None:
        return False
    deadline = state.deadlines(spec.hub).load()
    return deadline is None or deadline.trial != spec.trial.id or not deadline.left


def is_due(state: State, hub: str) -> bool:
    """Return True if the hub was not brought back to its former settings yet."""
    deadline = state.deadlines(hub).load()
    return deadline is not None and deadline.is_due


def note_returned(state: State, spec: HubSpec) -> None:
    """Note that the hub has the settings again that it had before a trial. Needs the hub's lock.

    After an apply that was broken off, the deadline may be that of a trial which the saved spec does not have.
    """
    deadlines = state.deadlines(spec.hub)
    deadline = deadlines.load()
    if deadline is None and spec.trial is not None:
        deadline = Deadline(spec.trial.id, None)
    if deadline is not None and deadline.is_due:
        deadlines.save(replace(deadline, has_returned=True))


def report(host: Host, hub: str) -> TrialReport | None:
    """Return what the portal should know of the hub's trial; None if its spec has none."""
    saved = host.state.load(hub)
    if saved is None or saved.spec.trial is None:
        return None
    trial, deadline = saved.spec.trial.id, host.state.deadlines(hub).load()
    if deadline is None or deadline.trial != trial:
        return TrialReport(trial, 0.0, has_returned=False)
    return TrialReport(trial, round(deadline.left, 3), deadline.has_returned)
