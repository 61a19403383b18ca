"""Who is connected over OpenVPN: ending sessions, and looking after the routes that the scripts set for them."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable
from contextlib import suppress
from itertools import pairwise

from vpn.agent.memory.names import COMPAT, Names
from vpn.agent.network.netns_view import Inside
from vpn.agent.network.routing import CONNECTED_METRIC, CONNECTED_PROTOCOL
from vpn.agent.openvpn import config as openvpn_config
from vpn.agent.openvpn import listeners as openvpn_listeners
from vpn.agent.openvpn import management as openvpn_management
from vpn.agent.openvpn.layout import Layout
from vpn.agent.openvpn.management import Session, Unheard
from vpn.agent.openvpn.revocation import revoked_serials
from vpn.agent.system import files
from vpn.wire import codes
from vpn.wire.finding import Finding
from vpn.wire.peers import by_openvpn, openvpn_side
from vpn.wire.spec import HubSpec

Sessions = dict[str, list[Session]]


def endpoint(names: Names, layout: Layout, listener: str, session: Session) -> str | None:
    """Return where a peer comes from. openvpn tells no port beside an IPv6 address: what the script saw is taken."""
    if session.endpoint is None or not session.endpoint.endswith("]"):
        return session.endpoint
    return f"{session.endpoint}:{_shown(layout, session.common_name, names.openvpn(listener))[1]}"


def observe(spec: HubSpec, layout: Layout) -> Sessions:
    """Return who is connected by listener; one that does not answer is left out."""
    found = {}
    for listener in openvpn_config.ports(spec.openvpn):
        with suppress(Unheard):
            found[listener] = openvpn_management.sessions(layout.socket(listener))
    return found


def ensure(names: Names, spec: HubSpec, layout: Layout, differing: Collection[str]) -> bool:
    """End the sessions of those that may not be there, and have those of `differing` peers begin anew.

    Returns whether a route was missing, or too many.
    """
    revoked = revoked_serials(spec.openvpn.crl) if spec.openvpn is not None else set()
    kept = {}
    for listener, sessions in observe(spec, layout).items():
        there = {session.common_name for session in sessions}
        welcome = {
            name
            for name in there
            if _is_welcome(spec, name, listener) and _shown(layout, name, names.openvpn(listener))[0] not in revoked
        }
        end(names, spec, layout, there - welcome, welcome & set(differing), [listener])
        kept[listener] = [session for session in sessions if session.common_name in welcome.difference(differing)]
    return _ensure_routes(names, spec, kept)


def end_revoked(names: Names, spec: HubSpec, layout: Layout) -> None:
    """End the sessions of those who showed a certificate that is revoked."""
    revoked = revoked_serials(spec.openvpn.crl) if spec.openvpn is not None else set()
    for listener in openvpn_config.ports(spec.openvpn):
        device = names.openvpn(listener)
        try:
            there = {session.common_name for session in openvpn_management.sessions(layout.socket(listener))}
        except Unheard:
            openvpn_listeners.restart(
                names, spec, layout, [listener]
            )  # it is not known who is connected: all begin anew
            continue
        shut_out = {name for name in there if _shown(layout, name, device)[0] in revoked}
        end(names, spec, layout, shut_out, (), [listener])


def end(
    names: Names,
    spec: HubSpec,
    layout: Layout,
    shut_out: Collection[str],
    differing: Collection[str],
    listeners: Iterable[str] | None = None,
) -> None:
    """End the sessions of peers that are `shut_out` at once, and have those of `differing` ones begin anew."""
    for listener in openvpn_config.ports(spec.openvpn) if listeners is None else listeners:
        try:
            if shut_out:
                openvpn_management.end(layout.socket(listener), shut_out)
            if differing:
                openvpn_management.restart(layout.socket(listener), differing)
        except Unheard:
            # It does not answer: a restart ends all sessions; peers that are still admitted come back.
            openvpn_listeners.restart(names, spec, layout, [listener])


def forget_routes(names: Names, spec: HubSpec, networks: Iterable[str]) -> None:
    """Take out the routes of networks that are no peer's any more; most are not there."""
    _run(
        names,
        [
            f"route delete {network} dev {names.openvpn(listener)} proto {CONNECTED_PROTOCOL} metric {CONNECTED_METRIC}"
            for network in networks
            for listener in openvpn_config.ports(spec.openvpn)
        ],
    )


def drift(names: Names, spec: HubSpec, there: Inside) -> list[Finding]:
    """Return which routes of sessions, and addresses of listeners, are no peer's."""
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


def _is_welcome(spec: HubSpec, name: str, listener: str) -> bool:
    peer = openvpn_side(spec.peers.get(name))
    return peer is not None and peer.compat == (listener == COMPAT)


def _shown(layout: Layout, name: str, device: str) -> tuple[int, int]:
    """Return the serial number of the certificate that a peer showed, and its port, as the script wrote them down."""
    words = (files.read_foreign(layout.shown / f"{name}.{device}") or "").split()
    serial, port = (int(word) if word.isdecimal() else 0 for word in (*words, "", "")[:2])
    return serial, port


def _ensure_routes(names: Names, spec: HubSpec, sessions: Sessions) -> bool:
    """Remove routes without a session and restore lost ones of sessions; return whether there were any.

    A peer may come or go meanwhile, so that routes of peers that are admitted are let be, wherever they lead.
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
