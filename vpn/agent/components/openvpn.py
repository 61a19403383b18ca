"""OpenVPN's listeners: processes in the host's namespace with tunnel interfaces in the hub's, on WireGuard's pool.

Who may come in is a file for each peer; its routes are set by a script when it connects, so that all listeners and
WireGuard share one pool. Packets between peers always pass the hub's firewall.
"""

from __future__ import annotations

import contextlib
import ipaddress
import time
from collections.abc import Collection, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Final

from vpn.agent import files, openvpn_config, openvpn_management, openvpn_process
from vpn.agent.errors import PORT_TAKEN, AgentError
from vpn.agent.names import COMPAT, LISTENERS, UDP, Names
from vpn.agent.openvpn_config import METRIC, PROTOCOL, Layout
from vpn.agent.openvpn_management import Session, Unheard
from vpn.agent.report import SessionReport
from vpn.agent.spec import HubSpec, OpenVPN, OpenVPNPeer

_READY_PATIENCE: Final = 5.0  # seconds


def ensure(names: Names, spec: HubSpec, directory: Path) -> bool:
    """Make the listeners be there as `spec` says, with the peers that it admits; return whether something was not."""
    if spec.openvpn is None:
        return remove(names, directory)
    layout = Layout(directory).checked()
    contents = openvpn_config.files(layout, names, spec, spec.openvpn, _is_dual_stack())
    changed = _ensure_files(layout, contents)
    # Who is shut out is refused from here on; sessions are ended below.
    differing = _ensure_peers(layout, spec)
    for listener in LISTENERS:
        if listener in openvpn_config.ports(spec.openvpn):
            changed |= _ensure_listener(names, spec, layout, listener)
        else:
            changed |= _remove_listener(layout, listener)
    sessions = _ensure_sessions(names, spec, spec.openvpn, layout, differing)
    return _ensure_routes(names, spec, sessions) or changed or bool(differing)


def change(
    names: Names, spec: HubSpec, directory: Path, before: Collection[OpenVPNPeer], after: Collection[OpenVPNPeer]
) -> bool:
    """Turn the peers `before` into those `after`, which are in `spec` already; return whether there were any."""
    if spec.openvpn is None or not (before or after):
        return False
    layout = Layout(directory)
    old, new = ({peer.common_name: peer for peer in peers} for peers in (before, after))
    shut_out = {name for name in old if name not in new or new[name].compat != old[name].compat}
    for name in shut_out:
        _forget(layout, name)
    for name, peer in new.items():
        files.ensure(layout.clients(peer.compat) / name, openvpn_config.client(spec, peer))
        files.ensure(layout.routes / name, openvpn_config.routes(peer))
    if old:
        _end(names, spec, spec.openvpn, layout, shut_out, old.keys() - shut_out)
        kept = {network for peer in new.values() for network in peer.networks}
        given_up = {network for peer in old.values() for network in peer.networks} - kept
        _delete_routes(names, spec.openvpn, given_up)
    return True


def tell(spec: HubSpec, directory: Path) -> bool:
    """Make what peers are told when they connect be what it should be; return whether it was not."""
    layout = Layout(directory)
    if spec.openvpn is None:
        return False
    changed = [files.ensure(layout.directory / name, content) for name, content in openvpn_config.pushed(spec).items()]
    return any(changed)


def reports(spec: HubSpec, directory: Path) -> dict[str, SessionReport]:
    """Return by peer who is connected. Of two sessions of one peer it is the newer one."""
    reports: dict[str, SessionReport] = {}
    for listener, sessions in _sessions(spec, Layout(directory)).items():
        for session in sessions:
            known = reports.get(session.common_name)
            if session.common_name in spec.peers and (known is None or known.connected_since < session.connected_since):
                reports[session.common_name] = SessionReport(
                    session.endpoint,
                    session.connected_since,
                    session.received_bytes,
                    session.sent_bytes,
                    listener,
                )
    return reports


def is_alive(directory: Path) -> bool:
    """Return whether all listeners that were set up run; also when there are none."""
    return all(openvpn_process.is_running(config) for config in directory.glob("*.conf"))


def remove(names: Names, directory: Path) -> bool:
    """Remove all listeners with what they read; return whether there was anything. What is gone already is fine."""
    layout = Layout(directory)
    stopped = [openvpn_process.stop(layout.config(listener)) for listener in LISTENERS]
    there = directory.exists()
    if there:
        files.remove_tree(directory)
    return any(stopped) or there


def _ensure_files(layout: Layout, contents: dict[str, str]) -> bool:
    for directory in (layout.directory, layout.clients(False), layout.clients(True), layout.routes):
        files.private_directory(directory)
    changed = [
        files.ensure(layout.directory / name, content, mode=0o700 if name in openvpn_config.SCRIPTS else 0o600)
        for name, content in contents.items()
    ]
    return any(changed)


def _ensure_peers(layout: Layout, spec: HubSpec) -> set[str]:
    """Make the files of peers be there, and no others; return whose were not."""
    peers = {peer_id: peer for peer_id, peer in spec.peers.items() if isinstance(peer, OpenVPNPeer)}
    differing: set[str] = set()
    for compat in (False, True):
        wanted = {
            peer_id: openvpn_config.client(spec, peer) for peer_id, peer in peers.items() if peer.compat == compat
        }
        differing |= _ensure_directory(layout.clients(compat), wanted)
    return differing | _ensure_directory(
        layout.routes, {peer_id: openvpn_config.routes(peer) for peer_id, peer in peers.items()}
    )


def _ensure_directory(directory: Path, wanted: dict[str, str]) -> set[str]:
    unwanted = {path.name for path in directory.iterdir()} - wanted.keys()
    for name in unwanted:
        (directory / name).unlink(missing_ok=True)
    return unwanted | {name for name, content in wanted.items() if files.ensure(directory / name, content)}


# Listeners.


def _ensure_listener(names: Names, spec: HubSpec, layout: Layout, listener: str) -> bool:
    config = layout.config(listener)
    digest = openvpn_config.digest(layout.directory, listener)
    there = openvpn_process.running(config)
    if len(there) == 1 and there[0].digest == digest and openvpn_process.is_running(config):
        device = names.openvpn(listener)
        if names.inside.try_run(["ip", "-o", "link", "show", "dev", device]).code == 0:
            return _ensure_addresses(names, spec, device)
    _restart(names, spec, layout, listener)
    return True


def _restart(names: Names, spec: HubSpec, layout: Layout, listener: str) -> None:
    config = layout.config(listener)
    openvpn_process.stop(config)
    port = openvpn_config.ports(spec.openvpn)[listener] if spec.openvpn is not None else 0
    if names.host.run(["ss", "-Hlun" if listener == UDP else "-Hltn", f"sport = :{port}"]).strip():
        kind = "UDP" if listener == UDP else "TCP"
        raise AgentError(
            PORT_TAKEN, f"{kind} port {port} of the server is taken by another program: free it or choose another port."
        )
    try:
        openvpn_process.start(names.host, config, openvpn_config.digest(layout.directory, listener))
        _await_listener(names, layout, listener)
    except BaseException:
        openvpn_process.stop(config)
        raise


def _await_listener(names: Names, layout: Layout, listener: str) -> None:
    deadline = time.monotonic() + _READY_PATIENCE
    while True:
        try:
            openvpn_management.sessions(layout.socket(listener))
        except Unheard:
            pass
        else:
            return
        if time.monotonic() > deadline:
            raise openvpn_process.failure(layout.config(listener))
        time.sleep(0.01)


def _ensure_addresses(names: Names, spec: HubSpec, device: str) -> bool:
    listed = names.inside.run(["ip", "-br", "address", "show", "dev", device]).split()
    there = {ipaddress.ip_interface(address).ip for address in listed[2:] if "/" in address}
    link = names.inside.run(["ip", "-o", "link", "show", "dev", device, "up"]).split()
    wanted = {ipaddress.ip_interface(address).ip for address in spec.addresses}
    if there == wanted and dict(pairwise(link)).get("mtu") == str(spec.mtu):
        return False
    lines = [f"address flush dev {device}"] if there - wanted else []
    lines += openvpn_config.address_lines(spec, device)
    names.inside.run(["ip", "-batch", "-"], "\n".join(lines) + "\n")
    return True


def _remove_listener(layout: Layout, listener: str) -> bool:
    config = layout.config(listener)
    stopped = openvpn_process.stop(config)
    there = config.exists()
    for path in (config, layout.socket(listener), layout.pid(listener), config.with_suffix(".log")):
        path.unlink(missing_ok=True)
    return stopped or there


def _is_dual_stack() -> bool:
    return Path("/proc/net/if_inet6").exists()


# Sessions, and the routes that the scripts set for them.


def _sessions(spec: HubSpec, layout: Layout) -> dict[str, list[Session]]:
    """Return who is connected by listener; one that does not answer is left out."""
    found = {}
    for listener in openvpn_config.ports(spec.openvpn) if spec.openvpn is not None else ():
        with contextlib.suppress(Unheard):
            found[listener] = openvpn_management.sessions(layout.socket(listener))
    return found


def _ensure_sessions(
    names: Names, spec: HubSpec, openvpn: OpenVPN, layout: Layout, differing: set[str]
) -> dict[str, list[Session]]:
    """End the sessions of those that may not be there, have those that differ begin anew, and return the others."""
    kept = {}
    for listener, sessions in _sessions(spec, layout).items():
        there = {session.common_name for session in sessions}
        welcome = {name for name in there if _is_welcome(spec, name, listener)}
        _end(names, spec, openvpn, layout, there - welcome, welcome & differing, [listener])
        kept[listener] = [session for session in sessions if session.common_name in welcome - differing]
    return kept


def _is_welcome(spec: HubSpec, name: str, listener: str) -> bool:
    peer = spec.peers.get(name)
    return isinstance(peer, OpenVPNPeer) and peer.compat == (listener == COMPAT)


def _end(
    names: Names,
    spec: HubSpec,
    openvpn: OpenVPN,
    layout: Layout,
    shut_out: Collection[str],
    differing: Collection[str],
    listeners: Collection[str] = LISTENERS,
) -> None:
    for listener in listeners:
        if listener not in openvpn_config.ports(openvpn):
            continue
        try:
            if shut_out:
                openvpn_management.end(layout.socket(listener), shut_out)
            if differing:
                openvpn_management.restart(layout.socket(listener), differing)
        except Unheard:
            # It does not listen: whoever must go goes with all the others, who may come back.
            _restart(names, spec, layout, listener)


def _forget(layout: Layout, name: str) -> None:
    for directory in (layout.clients(False), layout.clients(True), layout.routes):
        (directory / name).unlink(missing_ok=True)


def _delete_routes(names: Names, openvpn: OpenVPN, networks: Iterable[str]) -> None:
    lines = [
        f"route delete {network} dev {names.openvpn(listener)} proto {PROTOCOL} metric {METRIC}"
        for network in networks
        for listener in openvpn_config.ports(openvpn)
    ]
    if lines:
        # Most are not there.
        names.inside.try_run(["ip", "-force", "-batch", "-"], "\n".join(lines) + "\n")


def _ensure_routes(names: Names, spec: HubSpec, sessions: dict[str, list[Session]]) -> bool:
    """Take routes out that are nobody's and put those of sessions in that were lost; return whether there were any.

    A peer may come or go meanwhile, so that routes of peers that are admitted are let be, wherever they lead.
    """
    peers = {name: peer for name, peer in spec.peers.items() if isinstance(peer, OpenVPNPeer)}
    own = {network for peer in peers.values() for network in peer.networks}
    there = _observe_routes(names)
    lines = [f"route delete {network} dev {device} proto {PROTOCOL}" for network, device in there if network not in own]
    known = {network for network, _ in there}
    lines += [
        f"route replace {network} dev {names.openvpn(listener)} proto {PROTOCOL} metric {METRIC}"
        for listener, connected in sessions.items()
        for session in connected
        for network in peers[session.common_name].networks
        if network not in known
    ]
    if lines:
        names.inside.try_run(["ip", "-force", "-batch", "-"], "\n".join(lines) + "\n")
    return bool(lines)


def _observe_routes(names: Names) -> list[tuple[str, str]]:
    found = []
    for family, default in (("4", "0.0.0.0/0"), ("6", "::/0")):
        listing = names.inside.run(["ip", f"-{family}", "route", "show", "proto", str(PROTOCOL)])
        for fields in map(str.split, listing.splitlines()):
            network = default if fields[0] == "default" else str(ipaddress.ip_network(fields[0]))
            found.append((network, dict(pairwise(fields)).get("dev", "")))
    return found
