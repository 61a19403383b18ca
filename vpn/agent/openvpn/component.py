"""OpenVPN: listeners whose sockets are the host's and whose tunnel interfaces are the hub's, on WireGuard's pool.

Who may come in is a file for each peer; its routes are set when it connects (see openvpn_routes), so that all listeners
and WireGuard share one pool. Packets between peers always pass the hub's firewall.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from vpn.agent.memory.hub import Hub
from vpn.agent.memory.names import COMPAT, OPENVPN, TCP, Names
from vpn.agent.network import routing
from vpn.agent.network.netns_view import Inside
from vpn.agent.openvpn import config as openvpn_config
from vpn.agent.openvpn import listeners as openvpn_listeners
from vpn.agent.openvpn import peer_file, pushed_files
from vpn.agent.openvpn import process as openvpn_process
from vpn.agent.openvpn import push as openvpn_push
from vpn.agent.openvpn import routes as openvpn_routes
from vpn.agent.openvpn import sessions as openvpn_sessions
from vpn.agent.openvpn.layout import Layout
from vpn.agent.system import files
from vpn.wire import codes
from vpn.wire.finding import Finding
from vpn.wire.peers import OpenVPNPeer, Peer, by_openvpn
from vpn.wire.report import SessionReport
from vpn.wire.spec import HubSpec


def check(hub: Hub, spec: HubSpec) -> None:
    """Raise AgentError where the listeners of `spec` could not be had, before anything is changed."""
    if spec.openvpn is not None:
        layout = Layout(hub.openvpn).checked()
        contents = openvpn_config.contents(layout, hub.names, spec, spec.openvpn, _is_dual_stack())
        openvpn_listeners.check(hub.names, spec, layout, contents)


def ensure(hub: Hub, spec: HubSpec) -> bool:
    """Make the listeners be there as `spec` says, with the peers that it admits; return whether something was not."""
    if spec.openvpn is None:
        return remove(hub)
    names, layout = hub.names, Layout(hub.openvpn).checked()
    _ensure_directories(names, layout)
    # Files first: who is shut out is refused from here on, and the sessions are ended below.
    changed = _ensure_files(layout, openvpn_config.contents(layout, names, spec, spec.openvpn, _is_dual_stack()))
    differing = _ensure_peers(layout, spec)
    changed |= openvpn_listeners.ensure(names, spec, layout)
    changed |= openvpn_sessions.ensure(names, spec, layout, differing)
    return changed or bool(differing)


def change(hub: Hub, spec: HubSpec, before: Mapping[str, Peer], after: Mapping[str, Peer]) -> bool:
    """Turn the peers `before` into those `after`, which `spec` has already, and the revocation list into its own.

    Returns whether anything but what peers are pushed was another.
    """
    if routing.routes_of(before) != routing.routes_of(after):
        _tell(hub, spec)
    is_revoked = _revoke(hub, spec)
    old, new = (by_openvpn(peers) for peers in _differing(before, after))
    return _change_peers(hub, spec, old, new) or is_revoked


def reports(names: Names, spec: HubSpec, directory: Path) -> dict[str, SessionReport]:
    """Return by peer who is connected. Of two sessions of one peer it is the newer one."""
    found: dict[str, SessionReport] = {}
    layout = Layout(directory)
    pushed = None if openvpn_push.changed_at(layout) is None else openvpn_push.Pushed(names, layout)
    for listener, sessions in openvpn_sessions.observe(spec, layout).items():
        for session in sessions:
            known = found.get(session.common_name)
            if known is not None and known.connected_since >= session.connected_since:
                continue
            # A client that is being refused is listed, too, for a moment.
            if (layout.clients(listener == COMPAT) / session.common_name).exists():
                found[session.common_name] = SessionReport(
                    openvpn_sessions.endpoint(names, layout, listener, session),
                    session.connected_since,
                    session.received_bytes,
                    session.sent_bytes,
                    listener,
                    pushed is not None and pushed.is_outdated(listener, session),
                )
    return found


def drift(names: Names, spec: HubSpec, directory: Path, there: Inside) -> list[Finding]:
    """Return what was changed of what the listeners read, and of their interfaces."""
    if spec.openvpn is None:
        return []
    layout = Layout(directory)
    contents = openvpn_config.contents(layout, names, spec, spec.openvpn, _is_dual_stack())
    found = [
        codes.OPENVPN_FILE_CHANGED.of(name)
        for name, content in contents.items()
        if files.read_text(directory / name) != content
    ]
    for compat in (False, True):
        found += _drift_of_peers(layout.clients(compat), _wanted(spec, compat))
    return found + openvpn_sessions.drift(names, spec, there)


def is_alive(hub: Hub) -> bool:
    """Return whether all listeners that were set up run, and what sets their routes; also when there are none."""
    layout = Layout(hub.openvpn)
    listeners = [config.stem for config in layout.directory.glob("*.conf")]
    if listeners and openvpn_routes.written(layout) is None:
        return False
    return all(openvpn_process.written(layout, listener) is not None for listener in listeners)


def leave(hub: Hub) -> bool:
    """End what runs inside the hub's namespace; return whether there was anything."""
    return openvpn_routes.stop(Layout(hub.openvpn))


def remove(hub: Hub) -> bool:
    """Remove all listeners with what they read; return whether there was anything. What is gone already is fine."""
    if not hub.openvpn.exists():
        return False
    openvpn_listeners.remove(hub.names, Layout(hub.openvpn))
    files.remove_tree(hub.openvpn)
    return True


def _differing(old: Mapping[str, Peer], new: Mapping[str, Peer]) -> tuple[list[Peer], list[Peer]]:
    """Return of both those peers that do not only have other tags and names: no session ends for those."""
    bare = [{key: replace(peer, tags=(), names=()) for key, peer in peers.items()} for peers in (old, new)]
    same = {key for key, peer in bare[0].items() if bare[1].get(key) == peer}
    before, after = ([peer for key, peer in peers.items() if key not in same] for peers in (old, new))
    return before, after


def _change_peers(hub: Hub, spec: HubSpec, before: Collection[OpenVPNPeer], after: Collection[OpenVPNPeer]) -> bool:
    """Turn the peers `before` into those `after`; return whether there were any."""
    if spec.openvpn is None or not (before or after):
        return False
    names, layout = hub.names, Layout(hub.openvpn)
    if not _has_room(layout, spec):
        return ensure(hub, spec)
    old, new = ({peer.common_name: peer for peer in peers} for peers in (before, after))
    shut_out = {name for name in old if name not in new or new[name].compat != old[name].compat}
    for name in shut_out:
        for compat in (False, True):
            (layout.clients(compat) / name).unlink(missing_ok=True)
    differing = {
        name
        for name, peer in new.items()
        if files.ensure(layout.clients(peer.compat) / name, peer_file.client(spec, peer), files.SHARED)
    }
    if old:
        openvpn_sessions.end(names, spec, layout, shut_out, differing & old.keys() - shut_out)
        kept = {network for peer in new.values() for network in peer.networks}
        given_up = {network for peer in old.values() for network in peer.networks} - kept
        openvpn_sessions.forget_routes(names, spec, given_up)
    return True


def _revoke(hub: Hub, spec: HubSpec) -> bool:
    """Make the revocation list be that of `spec` and end the sessions of the peers that it names.

    Returns whether it was another one.
    """
    layout = Layout(hub.openvpn)
    if spec.openvpn is None or not files.ensure(layout.directory / openvpn_config.CRL, spec.openvpn.crl, files.SHARED):
        return False
    openvpn_sessions.end_revoked(hub.names, spec, layout)
    return True


def _tell(hub: Hub, spec: HubSpec) -> bool:
    """Make what peers are pushed when they connect be what it should be; return whether it was not."""
    if spec.openvpn is None:
        return False
    pushed = pushed_files.pushed(spec).items()
    changed = [files.ensure(hub.openvpn / name, content, files.SHARED) for name, content in pushed]
    if any(changed):
        openvpn_push.note_change(Layout(hub.openvpn))
    return any(changed)


def _ensure_directories(names: Names, layout: Layout) -> None:
    """Make the directories be there: the listeners read all of it, and write into two of them alone."""
    user = names.user(OPENVPN)
    directories = (layout.directory, layout.clients(False), layout.clients(True))
    for directory in directories:
        files.private_directory(directory)
    if not all(files.is_shared(directory, user) for directory in directories):
        files.share(layout.directory, user)
    for directory in (layout.run, layout.shown):
        files.give(directory, user)


def _has_room(layout: Layout, spec: HubSpec) -> bool:
    """Return whether the listeners were told of as many clients as they should be."""
    text = files.read_text(layout.config(TCP))
    return text is None or f"max-clients {openvpn_config.most_clients(spec)}\n" in text


def _ensure_files(layout: Layout, contents: dict[str, str]) -> bool:
    changed = [
        name
        for name, content in contents.items()
        if files.ensure(
            layout.directory / name, content, files.PROGRAM if name in openvpn_config.SCRIPTS else files.SHARED
        )
    ]
    if not pushed_files.ROUTES_AND_DNS.isdisjoint(changed):
        openvpn_push.note_change(layout)
    return bool(changed)


def _ensure_peers(layout: Layout, spec: HubSpec) -> set[str]:
    """Make the files of peers be there, and no others; return whose were not."""
    differing: set[str] = set()
    for compat in (False, True):
        differing |= _ensure_directory(layout.clients(compat), _wanted(spec, compat))
    return differing


def _wanted(spec: HubSpec, compat: bool) -> dict[str, str]:
    """Return the files of peers by name."""
    return {
        peer.common_name: peer_file.client(spec, peer)
        for peer in by_openvpn(spec.peers.values())
        if peer.compat == compat
    }


def _drift_of_peers(directory: Path, wanted: dict[str, str]) -> list[Finding]:
    there = {path.name for path in directory.iterdir()} if directory.exists() else set()
    found = [codes.OPENVPN_CLIENT_ADDED.of(name) for name in there - wanted.keys()]
    for name, content in wanted.items():
        if name not in there:
            found.append(codes.OPENVPN_CLIENT_REMOVED.of(name))
        elif files.read_text(directory / name) != content:
            found.append(codes.OPENVPN_CLIENT_CHANGED.of(name))
    return found


def _ensure_directory(directory: Path, wanted: dict[str, str]) -> set[str]:
    unwanted = {path.name for path in directory.iterdir()} - wanted.keys()
    for name in unwanted:
        (directory / name).unlink(missing_ok=True)
    return unwanted | {
        name for name, content in wanted.items() if files.ensure(directory / name, content, files.SHARED)
    }


def _is_dual_stack() -> bool:
    return Path("/proc/net/if_inet6").exists()
