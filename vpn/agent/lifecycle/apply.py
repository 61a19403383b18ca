"""One apply: lock, refuse what is old, compare with reality, change only what differs, save, report."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Final

from vpn.agent.dns import component as dns
from vpn.agent.firewall import component as firewall
from vpn.agent.firewall import host_limits, limits
from vpn.agent.lifecycle import effective, expiry, health, preflight, protocol_switch, salvage
from vpn.agent.lifecycle.host import Host
from vpn.agent.lifecycle.incremental import follow, given_up, is_small
from vpn.agent.memory.names import LINK_COUNT, Link, Names
from vpn.agent.memory.saved import Change, Saved
from vpn.agent.memory.state import Version
from vpn.agent.network import egress, namespace, routing, source
from vpn.agent.openvpn import component as openvpn
from vpn.agent.system import processes, users
from vpn.agent.system.lock import PATIENCE, host_lock, hub_lock
from vpn.agent.wireguard import component as wireguard
from vpn.wire.errors import BASE_MISMATCH, CONFLICT, DESTROYED, FAILED, STALE, AgentError
from vpn.wire.report import HubReport
from vpn.wire.server_side import NO_SERVER
from vpn.wire.spec import HubDelta, HubSpec

# The mark that says which families the host had a way out for when the hub's link was set up.
FAMILIES: Final = "families"


def apply(host: Host, spec: HubSpec) -> HubReport:
    """Make the hub be as `spec` says and return what that changed.

    Raises AgentError: `stale` for an older spec than the saved one, `conflict` for another one of the same generation,
    `destroyed` after a destroy in this epoch or a later one, and what the host has to say.
    """
    started = time.monotonic()
    wanted = Saved.of(spec)
    with hub_lock(host.state.directory, spec.hub):
        _refuse_destroyed(host, spec.hub, spec.epoch)
        saved = host.state.load(spec.hub)
        if saved is not None:
            _refuse_older(saved, spec.version, wanted.digest)
        try:
            changed = _replace(host, saved, wanted)
        except AgentError:
            if saved is not None:
                _withdraw(host, saved, spec)
            raise
        return _report(wanted, changed, started)


def _replace(host: Host, saved: Saved | None, wanted: Saved) -> dict[str, bool]:
    """Make the hub, which was as `saved`, be as `wanted`, and remember that."""
    spec = wanted.spec
    preflight.check(host.state, host.names(spec.hub), spec)
    is_new = saved is None or (saved.spec.version, saved.digest) != (spec.version, wanted.digest)
    if is_new:
        host.state.prepare(wanted)  # a disk that is full shows here
    with _unsettled(host, spec.hub):
        changed = reconcile(host, spec, saved.spec if saved else None)
        if saved is not None:
            kept = effective.of_spec(host.state, spec, time.time()).peers
            firewall.cut(host.names(spec.hub), given_up(saved.spec.peers, kept, kept))
        if is_new:
            host.state.save_prepared(wanted)
        host.state.exhume(spec.hub)
    return changed


def _withdraw(host: Host, saved: Saved, spec: HubSpec) -> None:
    """Take away what `spec`, which cannot be applied, has no more: peers, ways in, networks, certificates.

    Everybody else goes on as before. What fails here fails for the reason that is told already.
    """
    rest = salvage.rest_of(saved.spec, spec)
    if rest == saved.spec:
        return
    was, hub, now = saved.spec, spec.hub, time.time()
    with suppress(AgentError, OSError):
        host.state.unsettle(hub)
    with suppress(AgentError, OSError):
        kept = rest.peers
        change = Change({key: (peer, kept.get(key)) for key, peer in was.peers.items() if kept.get(key) != peer})
        change = effective.of_change(host.state, hub, change, now)
        host.state.save_server(hub, rest.server)
        reconcile_host(host)
        in_force = effective.of_spec(host.state, rest, now)
        follow(host, host.names(hub), in_force, change, is_ruled_anew=rest.server != was.server)
    with suppress(AgentError, OSError):
        host.state.save(Saved.of(rest))


def apply_delta(host: Host, delta: HubDelta) -> HubReport:
    """Change the hub by `delta` and return what that changed.

    Raises AgentError as `apply`, and `base-mismatch` when the whole spec is needed.
    """
    started = time.monotonic()
    with hub_lock(host.state.directory, delta.hub):
        _refuse_destroyed(host, delta.hub, delta.epoch)
        saved = host.state.load(delta.hub)
        if saved is None or not host.state.settled(delta.hub):
            raise AgentError(BASE_MISMATCH, "This server is not sure of the hub's state: send the whole spec.")
        _refuse_older(saved, delta.version, delta.digest)
        names = host.names(delta.hub)
        try:
            if delta.version == saved.spec.version:
                # Sent again. It may be wanted because something is wrong, so reality is compared.
                with _unsettled(host, delta.hub):
                    return _report(saved, reconcile(host, saved.spec), started)
            change, before = saved.change(delta), saved.spec
            saved.advance(delta, change)
            is_ruled_anew = (before.rules, before.forwarding) != (saved.spec.rules, saved.spec.forwarding)
            with _unsettled(host, delta.hub):
                now = time.time()
                change = effective.of_change(host.state, delta.hub, change, now)
                changed = _bring(host, names, saved.spec, change, now, is_ruled_anew=is_ruled_anew)
                host.state.save_delta(saved, delta)
        except BaseException:
            # What is in memory may be ahead of what is written.
            host.state.cache.pop(delta.hub, None)
            raise
        return _report(saved, changed, started)


def destroy(host: Host, hub: str, version: Version) -> HubReport:
    """Remove the hub with all that belongs to it and leave a tombstone; done twice is fine.

    Raises AgentError `stale` when the hub has a newer spec than `version` (epoch, generation).
    """
    started = time.monotonic()
    with hub_lock(host.state.directory, hub):
        saved = host.state.load(hub)
        if saved is not None and saved.spec.version > version:
            raise AgentError(STALE, "The hub has a newer configuration than the one that is to be destroyed.")
        host.state.bury(hub, max(version, host.state.tombstone(hub) or version))
        names = host.names(hub)
        there = {"namespace": namespace.exists(names.netns), "wireguard": wireguard.is_alive(names)}
        there["openvpn"] = openvpn.remove(names, host.state.openvpn(hub))
        there["dns"] = dns.remove(host.state.dns(hub))
        wireguard.remove(names)
        processes.end_users(users.known(host.state.directory, hub))
        egress.remove(names)
        namespace.remove(names)
        host.state.edit_links(lambda links: links.pop(hub, None))
        host.state.save_source(hub, None)
        host.state.save_server(hub, NO_SERVER)
        reconcile_host(host)
        host.state.forget_server(hub)
        host.state.forget(hub)
        users.forget(host.state.directory, hub)
        epoch, generation = version
        report = HubReport(hub, epoch, generation, "", alive=False, observed_at=time.time())
        report.changed.update(there)
        return _timed(report, started)


def restore(host: Host, hub: str, patience: float = PATIENCE) -> bool:
    """Make reality be what is saved of a hub, as after a crash or a reboot; return whether anything was missing.

    Raises BusyError where somebody else changes the hub for longer than `patience` seconds, as the others below.
    """
    with hub_lock(host.state.directory, hub, patience):
        saved = host.state.load(hub)
        if saved is None or host.state.tombstone(hub) is not None:
            return False
        # First what died: sessions over TCP come back within a second where a listener does.
        is_revived = _revive(host, saved.spec)
        return any(reconcile(host, saved.spec).values()) or is_revived


def _revive(host: Host, spec: HubSpec) -> bool:
    """Start daemons that died where all that they need is there; return whether there were any."""
    names = host.names(spec.hub)
    if not health.has_tunnel(names):
        return False
    with suppress(AgentError):  # whoever compares everything comes to it, too
        return any(_ensure_processes(host, names, effective.of_spec(host.state, spec, time.time())).values())
    return False


def supersede(host: Host, hub: str, patience: float = PATIENCE) -> set[str]:
    """End the old sessions of peers that are there over their new protocol; return which peers those are."""
    names = host.names(hub)
    arrived = protocol_switch.arrived(host.state, names)
    if not arrived:
        return set()
    with hub_lock(host.state.directory, hub, patience):
        saved = host.state.load(hub)
        if saved is None:
            return set()
        was_settled = host.state.settled(hub)
        # Marked before it is remembered that they are over: a crash in between must not leave them in.
        with _unsettled(host, hub):
            now = time.time()
            change = protocol_switch.shut(host.state, hub, saved.spec.peers, arrived)
            change = expiry.lasting_of(host.state, hub, change, now)
            _bring(host, names, saved.spec, change, now, is_known=was_settled)
        return set(change.peers)


def expire(host: Host, hub: str, patience: float = PATIENCE) -> set[str]:
    """End the peers whose time is over; return which those are."""
    if not expiry.is_due(host.state, hub):
        return set()
    with hub_lock(host.state.directory, hub, patience):
        saved = host.state.load(hub)
        if saved is None or host.state.tombstone(hub) is not None:
            return set()
        now = time.time()
        over = expiry.over(host.state, hub, saved.spec.peers, now)
        was_settled = host.state.settled(hub)
        with _unsettled(host, hub):
            change = Change({peer_id: (peer, None) for peer_id, peer in over.items()})
            change = effective.of_change(host.state, hub, change, now)
            _bring(host, host.names(hub), saved.spec, change, now, is_known=was_settled)
        expiry.settle(host.state, hub, saved.spec.peers, now)
        return set(over)


def reconcile(host: Host, spec: HubSpec, saved: HubSpec | None = None) -> dict[str, bool]:
    """Compare the hub with `spec`, change what differs, and return which components that was. Needs the hub's lock.

    `saved` is what the hub was to be before, where that is known.
    """
    now, wanted = time.time(), spec
    effective.expect(host.state, spec, now)
    spec = effective.of_spec(host.state, spec, now)
    names = host.names(spec.hub)
    marks = host.state.marks(spec.hub)
    before = dict(marks)
    changed: dict[str, bool] = {}
    if not namespace.exists(names.netns):
        # A namespace that lost its name lives on with its tunnels as long as a process is in it.
        dns.stop(host.state.dns(spec.hub))
        openvpn.leave(host.state.openvpn(spec.hub))
    changed["namespace"] = _ensure_namespace(host, names)
    link = _link(host, spec.hub)
    host.state.save_source(spec.hub, source.Source.of(spec).document())
    host.state.save_server(spec.hub, spec.server)
    changed["egress"] = reconcile_host(host)
    families = egress.families(host.place)
    changed["egress"] |= egress.ensure(names, link, families, marks, spec.server.reached)
    # The rules stand before the first packet can come.
    asking = dns.with_servers_of(spec, saved)
    changed["firewall"] = firewall.ensure(names, asking, marks)
    changed["firewall"] |= limits.ensure(names, spec, marks)
    marks[FAMILIES] = " ".join(families)
    changed["wireguard"] = wireguard.ensure(names, spec, host.state.endpoints(spec.hub))
    changed["routing"] = routing.ensure(names, spec, link)
    if changed["routing"] and firewall.minds_ways(spec):
        firewall.judge_again(names, spec, marks)
    # After the tunnels: a disk that is full must not keep anybody in.
    if marks != before:
        host.state.save_marks(spec.hub, marks)
    # Last: a port that is taken must not keep WireGuard's peers apart.
    changed |= _ensure_processes(host, names, spec)
    if asking is not spec:
        firewall.ensure(names, spec, marks)
        host.state.save_marks(spec.hub, marks)
    expiry.settle(host.state, spec.hub, wanted.peers, now)
    return changed


def _ensure_processes(host: Host, names: Names, spec: HubSpec) -> dict[str, bool]:
    """Make what listens on ports be there: all of it is tried before an AgentError is raised."""
    components = {"openvpn": (openvpn.ensure, host.state.openvpn), "dns": (dns.ensure, host.state.dns)}
    changed, refusals = {}, []
    for name, (ensure, directory) in components.items():
        try:
            changed[name] = ensure(names, spec, directory(spec.hub))
        except AgentError as refusal:
            refusals.append(refusal)
    if refusals:
        raise refusals[0]
    return changed


def reconcile_host(host: Host) -> bool:
    """Make the host forward and keep its side of all links shut; return whether it did not."""
    with host_lock(host.state.directory):
        marks = host.state.host_marks()
        before = dict(marks)
        changed = egress.ensure_host(host.place, marks, host.state.servers())
        sources = host.state.sources()
        changed |= source.ensure(host.place, sources.values(), marks)
        changed |= host_limits.ensure(host.place, sources, host.state.servers(), marks)
        if marks != before:
            host.state.save_host_marks(marks)
    return changed


def _ensure_namespace(host: Host, names: Names) -> bool:
    if namespace.exists(names.netns):
        return namespace.ensure(names)
    # Two that make the first namespace of a host disturb each other in older versions of ip-netns(8).
    with host_lock(host.state.directory):
        return namespace.ensure(names)


def _bring(
    host: Host,
    names: Names,
    spec: HubSpec,
    change: Change,
    now: float,
    *,
    is_known: bool = True,
    is_ruled_anew: bool = False,
) -> dict[str, bool]:
    """Bring the hub to `spec`, which `change` led to: by that alone where that is enough.

    `now` is the moment at which peers were left out of `change` for their time; `is_known` says that the hub is as it
    was saved, and `is_ruled_anew` that the rules are others, too.
    """
    if not is_known or not is_small(change) or not health.is_alive(host, names.hub):
        changed = reconcile(host, spec)
        firewall.cut(names, given_up(*change.sides(), spec.peers))
        return changed
    effective.expect(host.state, spec, now)
    return follow(host, names, effective.of_spec(host.state, spec, now), change, is_ruled_anew=is_ruled_anew)


def _link(host: Host, hub: str) -> Link:
    number = host.state.links().get(hub)
    if number is not None:
        return Link(number)

    def take(links: dict[str, int]) -> None:
        taken = set(links.values()) | egress.used_links(host.place)
        free = next((candidate for candidate in range(LINK_COUNT) if candidate not in taken), None)
        if free is None:
            raise AgentError(FAILED, "This server has no free link for one more hub.")
        links[hub] = free

    host.state.edit_links(take)
    return Link(host.state.links()[hub])


@contextmanager
def _unsettled(host: Host, hub: str) -> Iterator[None]:
    # The mark stays when this process ends in between: the next apply then compares everything.
    host.state.unsettle(hub)
    yield
    host.state.settle(hub)


def _refuse_destroyed(host: Host, hub: str, epoch: int) -> None:
    tombstone = host.state.tombstone(hub)
    if tombstone is not None and epoch <= tombstone[0]:
        raise AgentError(DESTROYED, "The hub was destroyed on this server and does not come back.")


def _refuse_older(saved: Saved, version: Version, digest: str) -> None:
    if version < saved.spec.version:
        raise AgentError(STALE, "The server has a newer configuration of this hub already.")
    if version == saved.spec.version and digest != saved.digest:
        raise AgentError(CONFLICT, "The server has another configuration of this hub with the same generation.")


def _report(saved: Saved, changed: dict[str, bool], started: float) -> HubReport:
    spec = saved.spec
    report = HubReport(spec.hub, spec.epoch, spec.generation, saved.digest, alive=True, observed_at=time.time())
    report.changed.update(changed)
    return _timed(report, started)


def _timed(report: HubReport, started: float) -> HubReport:
    return replace(report, duration_ms=round((time.monotonic() - started) * 1000, 3))
