"""Apply a spec or a delta: lock the hub, refuse outdated requests, change only what differs, save, report."""

from __future__ import annotations

import time
from typing import Final

from vpn.agent import firewall
from vpn.agent.lifecycle import effective, incremental, preflight, removals, reports, salvage, trials
from vpn.agent.lifecycle.handover import end_forwarding
from vpn.agent.lifecycle.host import Host
from vpn.agent.lifecycle.reconcile import reconcile
from vpn.agent.memory.saved import Saved
from vpn.agent.memory.shared import Version
from vpn.agent.system.lock import PATIENCE, BusyError
from vpn.wire import codes
from vpn.wire.delta import HubDelta
from vpn.wire.errors import BASE_MISMATCH, BUSY, CONFLICT, DESTROYED, LEASE_OVER, STALE, AgentError
from vpn.wire.report import HubReport
from vpn.wire.spec import HubSpec

# Seconds that a delta which is sent ahead waits for the hub's lock: another delta takes less.
_PATIENCE_AHEAD: Final = 0.3


def apply(host: Host, spec: HubSpec) -> HubReport:
    """Make the hub match `spec` and return which components changed.

    Raises AgentError: `stale` if the saved spec is newer, `conflict` if a different spec has the same generation,
    `destroyed` if the hub was destroyed in this epoch or a later one, `lease-over` if its lease is over, or an error of
    the host.
    """
    started = time.monotonic()
    wanted = Saved.of(spec)
    with removals.changing(host, spec.hub):
        _refuse_destroyed(host, spec.hub, spec.epoch)
        _refuse_over(host, spec.hub)
        if spec.hub in host.state.shared.forwarded():
            # The hub is back on this server.
            end_forwarding(host, spec.hub)
        saved = host.state.load(spec.hub)
        if saved is not None:
            _refuse_older(saved, spec.version, wanted.digest)
        try:
            changed = _replace(host, saved, wanted)
        except AgentError:
            if saved is not None:
                salvage.enforce_removals(host, saved, spec)
            raise
        return reports.of_change(wanted, changed, started)


def _replace(host: Host, saved: Saved | None, wanted: Saved) -> dict[str, bool]:
    """Change the hub from `saved` to `wanted`, and save `wanted`."""
    spec = wanted.spec
    preflight.check(host.hub(spec.hub), spec)
    is_new = saved is None or (saved.spec.version, saved.digest) != (spec.version, wanted.digest)
    if is_new:
        host.state.prepare(wanted)  # fails here if the disk is full
    trials.begin(host.state, saved.spec if saved is not None else None, spec)
    with host.state.unsettled(spec.hub, spec.version):
        if saved is not None:
            removals.remove_first(host.hub(spec.hub), saved.spec, spec)
        changed = reconcile(host, spec, saved.spec if saved else None)
        if saved is not None:
            kept = effective.of_spec(host.state, spec, time.time()).peers
            firewall.end_flows(host.names(spec.hub), incremental.lost_networks(saved.spec.peers, kept, kept))
            firewall.end_flows_outside(host.names(spec.hub), incremental.moved_clients(saved.spec.peers, kept))
        if is_new:
            host.state.save_prepared(wanted)
        trials.conclude(host.state, spec)
        host.state.shared.remove_tombstone(spec.hub)
    return changed


def apply_delta(host: Host, delta: HubDelta, *, ahead: bool = False) -> HubReport:
    """Change the hub by `delta` and return which components changed.

    Raises AgentError like `apply`, and `base-mismatch` if the whole spec is needed; the peers that `delta` removes are
    out by then. With `ahead`, it does not wait for a process that changes the hub: it removes these peers early, and
    raises `busy`.
    """
    try:
        with removals.changing(host, delta.hub, _PATIENCE_AHEAD if ahead else PATIENCE):
            try:
                return _apply_delta(host, delta)
            except AgentError as refusal:
                if refusal.code == BASE_MISMATCH:
                    removals.remove_early(host, delta, is_busy=False)
                raise
    except BusyError:
        if ahead and removals.remove_early(host, delta, is_busy=True):
            message = "Another agent is changing the hub. The removed peers are out."
            raise AgentError(BUSY, message, codes.SERVER_BUSY.of()) from None
        raise


def _apply_delta(host: Host, delta: HubDelta) -> HubReport:
    started = time.monotonic()
    _refuse_destroyed(host, delta.hub, delta.epoch)
    _refuse_over(host, delta.hub)
    if delta.remove and not host.state.is_loaded(delta.hub):
        removals.remove_before_loading(host, delta)
    saved = host.state.load(delta.hub)
    if saved is None or not host.state.settled(delta.hub):
        message = "This server is not sure of the hub's state: send the whole spec."
        raise AgentError(BASE_MISMATCH, message, codes.HUB_UNSETTLED.of())
    _refuse_older(saved, delta.version, delta.digest)
    try:
        if delta.version == saved.spec.version:
            # A delta that is sent again may be an attempt to repair the hub, so compare everything.
            with host.state.unsettled(delta.hub):
                return reports.of_change(saved, reconcile(host, saved.spec), started)
        change, before = saved.change(delta), saved.spec
        saved.advance(delta, change)
        rules_changed = (before.rules, before.forwarding) != (saved.spec.rules, saved.spec.forwarding)
        with host.state.unsettled(delta.hub, delta.version):
            now = time.time()
            change = effective.of_change(host.state, delta.hub, change, now)
            changed = incremental.apply_change(host, saved.spec, change, now, rules_changed=rules_changed)
            host.state.save_delta(saved, delta)
    except BaseException:
        # The cached spec may be newer than the files.
        host.state.cache.pop(delta.hub, None)
        raise
    return reports.of_change(saved, changed, started)


def _refuse_destroyed(host: Host, hub: str, epoch: int) -> None:
    tombstone = host.state.shared.tombstone(hub)
    if tombstone is not None and epoch <= tombstone[0]:
        message = "The hub was destroyed on this server and does not come back."
        raise AgentError(DESTROYED, message, codes.HUB_DESTROYED.of())


def _refuse_over(host: Host, hub: str) -> None:
    if host.state.leases.is_over(hub):
        message = "The hub's lease is over, and the portal has to renew it first."
        raise AgentError(LEASE_OVER, message, codes.HUB_LEASE_OVER.of())


def _refuse_older(saved: Saved, version: Version, digest: str) -> None:
    if version < saved.spec.version:
        message = "The server has a newer configuration of this hub already."
        raise AgentError(STALE, message, codes.HUB_NEWER.of())
    if version == saved.spec.version and digest != saved.digest:
        message = "The server has another configuration of this hub with the same generation."
        raise AgentError(CONFLICT, message, codes.HUB_DIFFERS.of())
