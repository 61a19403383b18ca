"""OpenVPN sessions: list them, end them, and repair the routes that the scripts set for them."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable
from contextlib import suppress
from itertools import pairwise

from vpn.agent.memory.names import COMPAT, Names
from vpn.agent.network.netns_view import NetnsView
from vpn.agent.network.routing import CONNECTED_METRIC, CONNECTED_PROTOCOL
from vpn.agent.openvpn import config as openvpn_config
from vpn.agent.openvpn import listeners as openvpn_listeners
from vpn.agent.openvpn import management as openvpn_management
from vpn.agent.openvpn.layout import Layout
from vpn.agent.openvpn.management import NoAnswer, Session
from vpn.agent.openvpn.revocation import revoked_serials
from vpn.agent.system import files
from vpn.wire import codes
from vpn.wire.finding import Finding
from vpn.wire.peers import by_openvpn, openvpn_side
from vpn.wire.spec import HubSpec

Sessions = dict[str, list[Session]]


def endpoint(names: Names, layout: Layout, listener: str, session: Session) -> str | None:
    """Return a peer's endpoint. openvpn reports no port for IPv6, so it comes from the script's record."""
    if session.endpoint is None or not session.endpoint.endswith("]"):
        return session.endpoint
    return f"{session.endpoint}:{_shown(layout, session.common_name, names.openvpn(listener))[1]}"


def observe(spec: HubSpec, layout: Layout) -> Sessions:
    """Return the sessions by listener; a listener that does not answer is left out."""
    found = {}
    for listener in openvpn_config.ports(spec.openvpn):
        with suppress(NoAnswer):
            found[listener] = openvpn_management.sessions(layout.socket(listener))
    return found


def ensure(names: Names, spec: HubSpec, layout: Layout, differing: Collection[str]) -> bool:
    """End the sessions of peers that are not admitted, and let the `differing` peers reconnect.

    Returns True if a route was missing or unexpected.
    """
    revoked = revoked_serials(spec.openvpn.crl) if spec.openvpn is not None else set()
    kept = {}
    for listener, sessions in observe(spec, layout).items():
        there = {session.common_name for session in sessions}
        admitted = {
            name
            for name in there
            if _is_admitted(spec, name, listener) and _shown(layout, name, names.openvpn(listener))[0] not in revoked
        }
        end(names, spec, layout, there - admitted, admitted & set(differing), [listener])
        kept[listener] = [session for session in sessions if session.common_name in admitted.difference(differing)]
    return _ensure_routes(names, spec, kept)


def end_revoked(names: Names, spec: HubSpec, layout: Layout) -> None:
    """End the sessions with a revoked certificate."""
    revoked = revoked_serials(spec.openvpn.crl) if spec.openvpn is not None else set()
    for listener in openvpn_config.ports(spec.openvpn):
        device = names.openvpn(listener)
        try:
            there = {session.common_name for session in openvpn_management.sessions(layout.socket(listener))}
        except NoAnswer:
            # The sessions are unknown, so end all of them.
            openvpn_listeners.restart(names, spec, layout, [listener])
            continue
        removed = {name for name in there if _shown(layout, name, device)[0] in revoked}
        end(names, spec, layout, removed, (), [listener])


def end(
    names: Names,
    spec: HubSpec,
    layout: Layout,
    removed: Collection[str],
    differing: Collection[str],
    listeners: Iterable[str] | None = None,
) -> None:
    """End the sessions of `removed` peers at once, and let the `differing` peers reconnect."""
    for listener in openvpn_config.ports(spec.openvpn) if listeners is None else listeners:
        try:
            if removed:
                openvpn_management.end(layout.socket(listener), removed)
            if differing:
                openvpn_management.restart(layout.socket(listener), differing)
        except NoAnswer:
            # The listener does not answer: restart it. Admitted peers reconnect.
            openvpn_listeners.restart(names, spec, layout, [listener])


def forget_routes(names: Names, spec: HubSpec, networks: Iterable[str]) -> None:
    """Delete the routes of networks that no peer has any more. Most of them do not exist."""
    _run(
        names,
        [
            f"route delete {network} dev {names.openvpn(listener)} proto {CONNECTED_PROTOCOL} metric {CONNECTED_METRIC}"
            for network in networks
            for listener in openvpn_config.ports(spec.openvpn)
        ],
    )


def drift(names: Names, spec: HubSpec, there: NetnsView) -> list[Finding]:
    """Return foreign routes with the sessions' protocol number, and foreign addresses of listeners."""
    own = {network for peer in by_openvpn(spec.peers.values()) for network in peer.networks}
    found = [
        codes.OPENVPN_ROUTE_ADDED.of(route.network)
        for route in there.routes
        if route.protocol == str(CONNECTED_PROTOCOL) and route.device in names.tunnels and route.network not in own
    ]
    addresses = {ipaddress.ip_interface(address).ip for address in spec.addresses}
    alone = frozenset(f"{address}/{address.max_prefixlen}" for address in addresses)
    for listener in openvpn_config.ports(spec.openvpn):
        added = there.added(names.openvpn(listener), alone)
        found += [codes.OPENVPN_ADDRESS_ADDED.of(address) for address in added]
    return found


def _is_admitted(spec: HubSpec, name: str, listener: str) -> bool:
    peer = openvpn_side(spec.peers.get(name))
    return peer is not None and peer.compat == (listener == COMPAT)


def _shown(layout: Layout, name: str, device: str) -> tuple[int, int]:
    """Return the serial number of a peer's certificate and its port, from the script's record."""
    words = (files.read_foreign(layout.shown / f"{name}.{device}") or "").split()
    serial, port = (int(word) if word.isdecimal() else 0 for word in (*words, "", "")[:2])
    return serial, port


def _ensure_routes(names: Names, spec: HubSpec, sessions: Sessions) -> bool:
    """Delete foreign routes and restore missing ones of sessions; return True if there were any.

    Peers may connect or disconnect meanwhile, so routes of admitted peers are never deleted here.
    """
    peers = {peer.common_name: peer for peer in by_openvpn(spec.peers.values())}
    own = {network for peer in peers.values() for network in peer.networks}
    there = _observe_routes(names)
    known = {network for network, _ in there}
    lines = [
        f"route delete {network} dev {device} proto {CONNECTED_PROTOCOL}"
        for network, device in there
        if network not in own
    ]
    lines += [
        f"route replace {network} dev {names.openvpn(listener)} proto {CONNECTED_PROTOCOL} metric {CONNECTED_METRIC}"
        for listener, connected in sessions.items()
        for session in connected
        for network in peers[session.common_name].networks
        if network not in known
    ]
    _run(names, lines)
    return bool(lines)


def _run(names: Names, lines: list[str]) -> None:
    if lines:
        names.inside.try_run(["ip", "-force", "-batch", "-"], "\n".join(lines) + "\n")


def _observe_routes(names: Names) -> list[tuple[str, str]]:
    found = []
    for family, default in (("4", "0.0.0.0/0"), ("6", "::/0")):
        listing = names.inside.run(["ip", f"-{family}", "route", "show", "proto", str(CONNECTED_PROTOCOL)])
        for fields in map(str.split, listing.splitlines()):
            network = default if fields[0] == "default" else str(ipaddress.ip_network(fields[0]))
            found.append((network, dict(pairwise(fields)).get("dev", "")))
    return found
