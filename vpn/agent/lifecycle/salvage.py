"""If a new spec cannot be applied, still enforce its removals."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace

from vpn.agent.lifecycle import effective, incremental
from vpn.agent.lifecycle.host import Host
from vpn.agent.lifecycle.host_parts import reconcile_host
from vpn.agent.memory.saved import Change, Saved
from vpn.wire.errors import AgentError
from vpn.wire.peers import EXIT_SITE, OpenVPNPeer, Peer, WireGuardPeer, openvpn_side, wireguard_side
from vpn.wire.server_side import ServerSide
from vpn.wire.spec import HubSpec, OpenVPN
from vpn.wire.trial import Trial


def enforce_removals(host: Host, saved: Saved, spec: HubSpec) -> None:
    """Remove what `spec` no longer contains: peers, connections, networks, valid certificates.

    All other peers stay connected. Errors are ignored here: the error of the apply has been raised already.
    """
    rest = reduced(saved.spec, spec)
    if rest == saved.spec:
        return
    was, hub, now = saved.spec, spec.hub, time.time()
    with suppress(AgentError, OSError):
        host.state.unsettle(hub)
    with suppress(AgentError, OSError):
        kept = rest.peers
        change = Change({key: (peer, kept.get(key)) for key, peer in was.peers.items() if kept.get(key) != peer})
        change = effective.of_change(host.state, hub, change, now)
        host.state.shared.save_server(hub, rest.server)
        reconcile_host(host)
        in_force = effective.of_spec(host.state, rest, now)
        incremental.apply_incrementally(host.hub(hub), in_force, change, rules_changed=rest.server != was.server)
    with suppress(AgentError, OSError):
        host.state.save(Saved.of(rest))


def reduced(saved: HubSpec, wanted: HubSpec) -> HubSpec:
    """Return `saved` without what `wanted` no longer contains: peers, connections, networks, valid certificates.

    Nothing new is added. The firewall rules stay: the portal sends changed rules as a delta of their own.
    """
    kept = {peer_id: reduced_peer(peer, wanted.peers.get(peer_id)) for peer_id, peer in saved.peers.items()}
    return replace(
        saved,
        peers={peer_id: peer for peer_id, peer in kept.items() if peer is not None},
        openvpn=_with_revocations(saved.openvpn, wanted.openvpn),
        server=_still_opened(saved.server, wanted),
        trial=None if saved.trial is None else _reduced_trial(saved.trial, wanted),
    )


def reduced_peer(peer: Peer, wanted: Peer | None) -> Peer | None:
    """Return a peer with only those connections and networks that are still wanted; None without any connection."""
    over_wireguard = _reduced_wireguard(wireguard_side(peer), wanted)
    over_openvpn = _reduced_openvpn(openvpn_side(peer), wanted)
    if over_wireguard is None or over_openvpn is None:
        rest: Peer | None = over_wireguard or over_openvpn
    elif isinstance(peer, WireGuardPeer):
        rest = replace(over_wireguard, former=over_openvpn)
    else:
        rest = replace(over_openvpn, former=over_wireguard)
    if rest is None or wanted is None:
        return None
    # Nothing of a device that leaves through a site may leave through the hub.
    exit_part = peer.exit if peer.exit == wanted.exit and (peer.exit != EXIT_SITE or over_wireguard) else ""
    return replace(rest, tags=wanted.tags, names=peer.names, expires_at=wanted.expires_at, exit=exit_part)


def _reduced_wireguard(side: WireGuardPeer | None, wanted: Peer | None) -> WireGuardPeer | None:
    new = wireguard_side(wanted)
    if side is None or wanted is None or new is None:
        return None
    if (side.public_key, side.preshared_key) != (new.public_key, new.preshared_key):
        return None
    allowed_ips, routes = (_still_wanted(networks, wanted) for networks in (side.allowed_ips, side.routes))
    bare = replace(side, tags=(), names=(), expires_at=None, former=None, exit="")
    return replace(bare, allowed_ips=allowed_ips, routes=routes)


def _reduced_openvpn(side: OpenVPNPeer | None, wanted: Peer | None) -> OpenVPNPeer | None:
    new = openvpn_side(wanted)
    # The revocation list decides which certificates are valid.
    if side is None or wanted is None or new is None or side.compat != new.compat:
        return None
    return replace(
        side, routes=_still_wanted(side.routes, wanted), tags=(), names=(), expires_at=None, former=None, exit=""
    )


def _still_opened(saved: ServerSide, wanted: HubSpec) -> ServerSide:
    port = saved.portal_port if saved.portal_port == wanted.server.portal_port else None
    return replace(saved, networks=_opened(saved.networks, wanted), portal_port=port)


def _reduced_trial(saved: Trial, wanted: HubSpec) -> Trial:
    return replace(saved, networks=_opened(saved.networks, wanted))


def _opened(networks: tuple[str, ...], wanted: HubSpec) -> tuple[str, ...]:
    """Return those of the opened networks that are still allowed. A change on trial closes none for good."""
    allowed = {*wanted.server.networks, *wanted.returned.server.networks}
    return tuple(network for network in networks if network in allowed)


def _still_wanted(networks: tuple[str, ...], wanted: Peer) -> tuple[str, ...]:
    return tuple(network for network in networks if network in wanted.networks)


def _with_revocations(saved: OpenVPN | None, wanted: OpenVPN | None) -> OpenVPN | None:
    """Return the saved OpenVPN settings with the newer revocation list, if the CA is the same."""
    if saved is None or wanted is None or saved.ca != wanted.ca:
        return saved
    return replace(saved, crl=wanted.crl)
