"""Early removals: who has lost access leaves a hub at once, even while another process changes it for seconds.

An early removal ends only what carries a peer's packets: its WireGuard key, and its OpenVPN session with the file that
admits it. The rest (routes, firewall, names) follows with the version that removes the peer. Until that one is saved,
the removal is remembered: no older spec brings the peer back.

It needs no lock of the hub. Whoever holds that lock removes the peer again if it was just about to add it (`changing`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from vpn.agent import openvpn, wireguard
from vpn.agent.lifecycle.host import Host
from vpn.agent.memory.hub import Hub
from vpn.agent.system.lock import PATIENCE, hub_lock
from vpn.wire import codes
from vpn.wire.delta import HubDelta
from vpn.wire.errors import BASE_MISMATCH, AgentError
from vpn.wire.peers import by_wireguard
from vpn.wire.spec import HubSpec


@contextmanager
def changing(host: Host, hub: str, patience: float = PATIENCE) -> Iterator[None]:
    """Hold the hub's lock. Whatever happens inside, peers with an early removal are out afterwards.

    Raises BusyError if another process holds the lock for longer than `patience` seconds.
    """
    with hub_lock(host.state.directory, hub, patience):
        _enforce_pending(host.hub(hub))
        try:
            yield
        finally:
            _enforce_pending(host.hub(hub))


def remove_early(host: Host, delta: HubDelta, *, is_busy: bool) -> bool:
    """Remove the peers that `delta` removes, and remember them; return True if they stay out.

    `is_busy`: another process holds the hub's lock. If it applies this version or a later one, nothing is done, because
    a later one may admit a peer again.
    """
    hub, removals = host.hub(delta.hub), host.state.removals(delta.hub)
    with removals.lock():
        # In this order: what is under way becomes the saved version.
        under_way = removals.under_way() if is_busy else None
        saved = removals.saved()
        if saved is None or max(saved[0], under_way or saved[0]) >= delta.version:
            return False
        is_recorded = True
        try:
            removals.add(delta.remove, delta.version)
        except AgentError:  # a full disk must not keep a removed peer connected
            is_recorded = False
        return _end_access(hub, removals.keys_of(set(delta.remove)), delta.remove) and is_recorded


def remove_before_loading(host: Host, delta: HubDelta) -> None:
    """Remove the peers that `delta` removes before the hub's state is loaded, which may take seconds.

    Needs the hub's lock. Raises AgentError `base-mismatch` if the delta starts from another version.
    """
    saved = host.state.removals(delta.hub).saved()
    if saved is None or saved[0] >= delta.version:
        return  # it will be refused
    if saved[0] != (delta.epoch, delta.base_generation):
        message = "The hub is not in the state that the change starts from: send the whole spec."
        raise AgentError(BASE_MISMATCH, message, codes.HUB_OTHER_BASE.of())
    _end_access(host.hub(delta.hub), host.state.removals(delta.hub).keys_of(delta.remove), delta.remove)


def enforce(hub: Hub, version: tuple[int, int] = (0, 0)) -> None:
    """End the access of removed peers again that a spec of `version` may have brought back."""
    removals = hub.state.removals(hub.names.hub)
    if removed := removals.after(version):
        _end_access(hub, removals.keys_of(removed), removed)


def _enforce_pending(hub: Hub) -> None:
    """Do the same for whatever was applied. Needs the hub's lock."""
    removals = hub.state.removals(hub.names.hub)
    if not removals.pending():
        return
    if (saved := removals.saved()) is not None:
        # An agent that was killed may have saved a version without ending the removals of which that decides.
        with suppress(AgentError, OSError):
            removals.forget(saved[0])
        enforce(hub, saved[0])
    else:
        enforce(hub)


def without_removed(hub: Hub, spec: HubSpec) -> HubSpec:
    """Return a spec without the peers that a later version removes."""
    removed = hub.state.removals(spec.hub).after(spec.version)
    return (
        replace(spec, peers={key: peer for key, peer in spec.peers.items() if key not in removed}) if removed else spec
    )


def remove_first(hub: Hub, saved: HubSpec, wanted: HubSpec) -> None:
    """Remove the peers that are not in the `wanted` spec, before everything else is compared for seconds."""
    gone = {key: peer for key, peer in saved.peers.items() if key not in wanted.peers}
    if gone:
        # A new peer may have the key of a deleted one, and keeps its session.
        kept = {side.public_key for side in by_wireguard(wanted.peers.values())}
        _end_access(hub, {side.public_key for side in by_wireguard(gone.values())} - kept, gone)


def remove_expired(host: Host, hub: str, now: float) -> None:
    """Remove the peers that expired until `now` (Unix time) while another process changes the hub."""
    removals = host.state.removals(hub)
    with removals.lock():
        if over := removals.expired(host.state.due(hub), now):
            _end_access(host.hub(hub), removals.keys_of(over), over)


def _end_access(hub: Hub, public_keys: Collection[str], names: Collection[str]) -> bool:
    """End what carries the packets of peers; return True if nothing kept it from doing so."""
    is_done = True
    for act, which in ((wireguard.shut_out, public_keys), (openvpn.shut_out, names)):
        try:
            act(hub, which)
        except (AgentError, OSError):
            is_done = False  # a later request tries again
    return is_done
