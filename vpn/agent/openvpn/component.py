"""OpenVPN: listeners with sockets on the host and tunnel interfaces in the hub, in the same pool as WireGuard.

A file for each peer admits it (client-config-dir). Its routes are set when it connects (see `routes`), so all listeners
and WireGuard can share one pool. Packets between peers always pass the hub's firewall.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from vpn.agent.memory.hub import Hub
from vpn.agent.memory.names import COMPAT, OPENVPN, TCP, Names
from vpn.agent.network import routing
from vpn.agent.network.netns_view import NetnsView
from vpn.agent.openvpn import config as openvpn_config
from vpn.agent.openvpn import listeners as openvpn_listeners
from vpn.agent.openvpn import management as openvpn_management
from vpn.agent.openvpn import peer_file, pushed_files
from vpn.agent.openvpn import process as openvpn_process
from vpn.agent.openvpn import push as openvpn_push
from vpn.agent.openvpn import routes as openvpn_routes
from vpn.agent.openvpn import sessions as openvpn_sessions
from vpn.agent.openvpn.layout import Layout
from vpn.agent.openvpn.management import NoAnswer
from vpn.agent.system import files
from vpn.wire import codes
from vpn.wire.finding import Finding
from vpn.wire.peers import OpenVPNPeer, Peer, by_openvpn
from vpn.wire.report import SessionReport
from vpn.wire.spec import HubSpec


def check(hub: Hub, spec: HubSpec) -> None:
    """Raise AgentError if the listeners of `spec` could not start. Nothing is changed yet."""
    if spec.openvpn is not None:
        layout = Layout(hub.openvpn).checked()
        contents = openvpn_config.contents(layout, hub.names, spec, spec.openvpn, _is_dual_stack())
        openvpn_listeners.check(hub.names, spec, layout, contents)


def ensure(hub: Hub, spec: HubSpec) -> bool:
    """Make the listeners and their admitted peers match `spec`; return True if anything changed."""
    if spec.openvpn is None:
        return remove(hub)
    names, layout = hub.names, Layout(hub.openvpn).checked()
    _ensure_directories(names, layout)
    # Files first: a removed peer can no longer connect from here on. Its session ends below.
    changed = _ensure_files(layout, openvpn_config.contents(layout, names, spec, spec.openvpn, _is_dual_stack()))
    differing = _ensure_peers(layout, spec)
    changed |= openvpn_listeners.ensure(names, spec, layout, hub.is_new)
    if not hub.is_new:
        changed |= openvpn_sessions.ensure(names, spec, layout, differing)
    return changed or bool(differing)


def change(hub: Hub, spec: HubSpec, before: Mapping[str, Peer], after: Mapping[str, Peer]) -> bool:
    """Replace the peers `before` by those `after`, as in `spec`, and update the revocation list.

    Returns True if anything besides pushed options changed.
    """
    if routing.routes_of(before) != routing.routes_of(after):
        _update_pushed(hub, spec)
    is_revoked = _revoke(hub, spec)
    old, new = (by_openvpn(peers) for peers in _differing(before, after))
    return _change_peers(hub, spec, old, new) or is_revoked


def shut_out(hub: Hub, common_names: Collection[str]) -> None:
    """Admit these peers no more, and end their sessions at once. Raises NoAnswer if a listener does not answer."""
    layout = Layout(hub.openvpn)
    for name in common_names:
        for compat in (False, True):
            (layout.clients(compat) / name).unlink(missing_ok=True)
    silent: NoAnswer | None = None
    for config in layout.directory.glob("*.conf"):
        if (socket := layout.socket(config.stem)).exists():
            try:
                openvpn_management.end(socket, common_names)
            except NoAnswer as error:  # the others may answer
                silent = error
    if silent is not None:
        raise silent


def reports(names: Names, spec: HubSpec, directory: Path) -> dict[str, SessionReport]:
    """Return the session of each connected peer. Of two sessions of one peer, it is the newer one."""
    found: dict[str, SessionReport] = {}
    layout = Layout(directory)
    pushed = None if openvpn_push.changed_at(layout) is None else openvpn_push.Pushed(names, layout)
    for listener, sessions in openvpn_sessions.observe(spec, layout).items():
        for session in sessions:
            known = found.get(session.common_name)
            if known is not None and known.connected_since >= session.connected_since:
                continue
            # A client that is being rejected is listed for a moment, too.
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


def drift(names: Names, spec: HubSpec, directory: Path, there: NetnsView) -> list[Finding]:
    """Return how the listeners' files and interfaces differ from `spec`."""
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
    """Return True if all configured listeners and their route process run, or if none are configured."""
    layout = Layout(hub.openvpn)
    listeners = [config.stem for config in layout.directory.glob("*.conf")]
    if listeners and openvpn_routes.from_pid_file(layout) is None:
        return False
    return all(openvpn_process.from_pid_file(layout, listener) is not None for listener in listeners)


def stop_inside(hub: Hub) -> bool:
    """Stop the route process, which runs inside the hub's namespace; return True if there was one."""
    return hub.openvpn.exists() and openvpn_routes.stop(Layout(hub.openvpn))


def remove(hub: Hub) -> bool:
    """Remove all listeners with their files; return True if there were any. Calling it twice is harmless."""
    if not hub.openvpn.exists():
        return False
    openvpn_listeners.remove(hub.names, Layout(hub.openvpn))
    files.remove_tree(hub.openvpn)
    return True


def _differing(old: Mapping[str, Peer], new: Mapping[str, Peer]) -> tuple[list[Peer], list[Peer]]:
    """Return the peers on both sides that differ in more than tags and names, which need no reconnect."""
    bare = [{key: replace(peer, tags=(), names=()) for key, peer in peers.items()} for peers in (old, new)]
    same = {key for key, peer in bare[0].items() if bare[1].get(key) == peer}
    before, after = ([peer for key, peer in peers.items() if key not in same] for peers in (old, new))
    return before, after


def _change_peers(hub: Hub, spec: HubSpec, before: Collection[OpenVPNPeer], after: Collection[OpenVPNPeer]) -> bool:
    """Replace the peers `before` by those `after`; return True if there were any."""
    if spec.openvpn is None or not (before or after):
        return False
    names, layout = hub.names, Layout(hub.openvpn)
    if not _has_room(layout, spec):
        return ensure(hub, spec)
    old, new = ({peer.common_name: peer for peer in peers} for peers in (before, after))
    removed = {name for name in old if name not in new or new[name].compat != old[name].compat}
    for name in removed:
        for compat in (False, True):
            (layout.clients(compat) / name).unlink(missing_ok=True)
    differing = {
        name
        for name, peer in new.items()
        if files.ensure(layout.clients(peer.compat) / name, peer_file.client(spec, peer), files.SHARED)
    }
    if old:
        openvpn_sessions.end(names, spec, layout, removed, differing & old.keys() - removed)
        kept = {network for peer in new.values() for network in peer.networks}
        lost = {network for peer in old.values() for network in peer.networks} - kept
        openvpn_sessions.forget_routes(names, spec, lost)
    return True


def _revoke(hub: Hub, spec: HubSpec) -> bool:
    """Update the revocation list and end the sessions with revoked certificates; return True if it changed."""
    layout = Layout(hub.openvpn)
    if spec.openvpn is None or not files.ensure(layout.directory / openvpn_config.CRL, spec.openvpn.crl, files.SHARED):
        return False
    openvpn_sessions.end_revoked(hub.names, spec, layout)
    return True


def _update_pushed(hub: Hub, spec: HubSpec) -> bool:
    """Update the files of pushed options; return True if they changed."""
    if spec.openvpn is None:
        return False
    pushed = pushed_files.pushed(spec).items()
    changed = [files.ensure(hub.openvpn / name, content, files.SHARED) for name, content in pushed]
    if any(changed):
        openvpn_push.note_change(Layout(hub.openvpn))
    return any(changed)


def _ensure_directories(names: Names, layout: Layout) -> None:
    """Create the directories. The listeners may read all of them and write into two."""
    user = names.user(OPENVPN)
    directories = (layout.directory, layout.clients(False), layout.clients(True))
    for directory in directories:
        files.private_directory(directory)
    if not all(files.is_shared(directory, user) for directory in directories):
        files.share(layout.directory, user)
    for directory in (layout.run, layout.shown):
        files.give(directory, user)


def _has_room(layout: Layout, spec: HubSpec) -> bool:
    """Return True if the listeners' max-clients fits the number of peers."""
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
    """Make the peers' files match `spec`; return the names of those that changed."""
    differing: set[str] = set()
    for compat in (False, True):
        differing |= _ensure_directory(layout.clients(compat), _wanted(spec, compat))
    return differing


def _wanted(spec: HubSpec, compat: bool) -> dict[str, str]:
    """Return the peers' files by name."""
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
