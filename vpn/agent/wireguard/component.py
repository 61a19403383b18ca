"""The tunnel interface: created in the host's namespace and moved into the hub's, so its UDP socket stays on the host.

Keys are passed on standard input only. A live interface never gets `setconf`, which would drop every session; all other
changes keep sessions. On a live interface the agent sets no endpoint, so that peers may roam.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import pairwise
from typing import Final

from vpn.agent.memory.hub import Hub
from vpn.agent.memory.names import Names
from vpn.agent.network.netns_view import NetnsView
from vpn.agent.wireguard import config, port, process, uapi, wg
from vpn.agent.wireguard.device import NO_KEY, Device, Endpoints, RealPeer, endpoints, is_inside, observe
from vpn.wire import codes
from vpn.wire.errors import AgentError
from vpn.wire.finding import Finding
from vpn.wire.peers import Peer, WireGuardPeer, by_wireguard, wireguard_side
from vpn.wire.spec import HubSpec

_SHOWN: Final = 8  # characters of a public key in a finding


def check(hub: Hub, spec: HubSpec) -> None:
    """Raise AgentError if the port of `spec` is taken. Nothing is changed yet."""
    names = hub.names
    device = observe(names)
    if device is None and uapi.socket_path(names.wireguard).exists():
        return  # Left by a crash, perhaps with the port: it is removed when the interface is created again.
    if device is None or device.port != spec.port:
        port.check(names, spec.port)


def ensure(hub: Hub, spec: HubSpec) -> bool:
    """Make the tunnel interface match `spec`: key, port, addresses and peers; return True if anything changed.

    If the interface must be created again, it gets the last endpoints of peers, so that the hub can start handshakes.
    """
    names = hub.names
    device = observe(names) if not hub.is_new and is_alive(hub) else None
    if device is None or port.is_lost(names, device) or not process.is_confined(names):
        # Current endpoints override saved ones.
        _create(names, spec, {**hub.state.endpoints(names.hub), **endpoints(device)})
        return True
    changed = _ensure_port(names, spec, device)
    changed |= _ensure_private_key(names, spec, device)
    changed |= _ensure_peers(names, spec, device)
    return _ensure_addresses(names, spec) or changed


def change(hub: Hub, spec: HubSpec, before: Mapping[str, Peer], after: Mapping[str, Peer]) -> bool:
    """Replace the peers `before` by those `after`, as in `spec`; return True if they differ."""
    old, new = by_wireguard(before.values()), by_wireguard(after.values())
    known = {peer.public_key: (peer.preshared_key, set(peer.carried)) for peer in old}
    upserted = [peer for peer in new if known.get(peer.public_key) != (peer.preshared_key, set(peer.carried))]
    return _put(hub.names, known.keys() - {peer.public_key for peer in new}, upserted)


def shut_out(hub: Hub, public_keys: Collection[str]) -> None:
    """Remove the peers with these keys, as far as the interface has them. Raises AgentError."""
    if public_keys and is_alive(hub):
        wg.for_keys(hub.names, public_keys, "remove")


def remove(hub: Hub) -> bool:
    """Remove the interface and its process; return True if it worked before. Calling it twice is harmless."""
    worked = is_alive(hub)
    process.remove(hub.names)
    return worked


def is_alive(hub: Hub) -> bool:
    """Return True if the tunnel interface works: wireguard-go answers, or the kernel has the interface."""
    names = hub.names
    answering = uapi.is_answering(names.wireguard)
    if answering is not None:
        return answering
    return is_inside(names)


def stop_keepalives(names: Names) -> None:
    """Turn off persistent keepalives, which start handshakes after a restore. Reachable peers have answered by now."""
    device = observe(names)
    if device is not None:
        wg.for_keys(names, [key for key, peer in device.peers.items() if peer.keepalive], "persistent-keepalive", "0")


def drift(names: Names, spec: HubSpec, device: Device, there: NetnsView) -> list[Finding]:
    """Return how the interface and its peers differ from `spec`. Findings contain only public keys."""
    found = []
    if (device.private_key, device.port) != (spec.private_key, spec.port):
        found.append(codes.WIREGUARD_SETTINGS_CHANGED.of())
    wanted = {
        side.public_key: (peer_id, side)
        for peer_id, peer in spec.peers.items()
        if (side := wireguard_side(peer)) is not None
    }
    found += [codes.WIREGUARD_PEER_ADDED.of(key[:_SHOWN]) for key in device.peers.keys() - wanted.keys()]
    for key, (peer_id, peer) in wanted.items():
        real = device.peers.get(key)
        if real is None:
            found.append(codes.WIREGUARD_PEER_REMOVED.of(peer_id))
        elif real.allowed_ips != set(peer.carried):
            found.append(codes.WIREGUARD_ALLOWED_IPS_CHANGED.of(peer_id))
        elif real.preshared_key != (peer.preshared_key or NO_KEY):
            found.append(codes.WIREGUARD_PRESHARED_KEY_CHANGED.of(peer_id))
    own = frozenset(spec.addresses)
    found += [codes.WIREGUARD_ADDRESS_ADDED.of(address) for address in there.added(names.wireguard, own)]
    gone = own - there.addresses.get(names.wireguard, frozenset())
    return found + [codes.WIREGUARD_ADDRESS_REMOVED.of(address) for address in sorted(gone)]


def _put(names: Names, removed: Iterable[str], upserted: Iterable[WireGuardPeer]) -> bool:
    """Add or update peers, then remove those with the public keys `removed`; return True if there were any.

    In this order, a network moves to a new key without a gap.
    """
    upserted = list(upserted)
    if upserted:
        wg.run(names, ["wg", "addconf", names.wireguard, wg.STDIN], "".join(map(config.peer_section, upserted)))
    removed = list(removed)
    wg.for_keys(names, removed, "remove")
    return bool(upserted or removed)


def _create(names: Names, spec: HubSpec, known: Endpoints) -> None:
    if uapi.socket_path(names.wireguard).exists():
        process.remove(names)  # left by a crash
    port.check(names, spec.port)
    try:
        process.start(names)
        names.host.run(["ip", "link", "set", "dev", names.wireguard, "netns", names.netns])
        wg.run(names, ["wg", "setconf", names.wireguard, wg.STDIN], config.configuration(spec, known))
        _set_addresses(names, _address_lines(names, spec) + _up_lines(names, spec))
        port.wait(names, spec.port)
    except BaseException:
        process.remove(names)
        raise


def _ensure_port(names: Names, spec: HubSpec, device: Device) -> bool:
    if device.port == spec.port:
        return False
    port.check(names, spec.port)
    try:
        wg.run(names, ["wg", "set", names.wireguard, "listen-port", str(spec.port)])
    except AgentError:
        # wireguard-go has closed its old socket already: return to the old port.
        wg.run(names, ["wg", "set", names.wireguard, "listen-port", str(device.port)])
        raise
    return True


def _ensure_private_key(names: Names, spec: HubSpec, device: Device) -> bool:
    if device.private_key == spec.private_key:
        return False
    wg.run(names, ["wg", "set", names.wireguard, "private-key", wg.STDIN], spec.private_key + "\n")
    return True


def _ensure_peers(names: Names, spec: HubSpec, device: Device) -> bool:
    wanted = {peer.public_key: peer for peer in by_wireguard(spec.peers.values())}
    differing = [
        peer for key, peer in wanted.items() if key not in device.peers or not _is_same(device.peers[key], peer)
    ]
    return _put(names, device.peers.keys() - wanted.keys(), differing)


def _is_same(real: RealPeer, peer: WireGuardPeer) -> bool:
    return (
        real.allowed_ips == set(peer.carried)
        and real.preshared_key == (peer.preshared_key or NO_KEY)
        and not real.keepalive
    )


def _ensure_addresses(names: Names, spec: HubSpec) -> bool:
    fields = names.inside.run(["ip", "-o", "link", "show", "dev", names.wireguard]).split()
    listed = names.inside.run(["ip", "-br", "address", "show", "dev", names.wireguard]).split()
    there = {address for address in listed[2:] if not address.startswith("fe80:")}
    # Add before deleting: an address whose prefix changes must not be missing in between.
    lines = _address_lines(names, spec, there)
    lines += [f"address delete {address} dev {names.wireguard}" for address in there - set(spec.addresses)]
    words = dict(pairwise(fields))
    if not fields[2:] or "UP" not in fields[2].strip("<>").split(","):
        lines += _up_lines(names, spec)
    elif words.get("mtu") != str(spec.mtu):
        lines.append(f"link set dev {names.wireguard} mtu {spec.mtu}")
    if lines:
        _set_addresses(names, lines)
    return bool(lines)


def _address_lines(names: Names, spec: HubSpec, there: Collection[str] = ()) -> list[str]:
    """Return the ip(8) commands that add the addresses that are not `there`."""
    return [
        f"address add {address} dev {names.wireguard}" + (" nodad" if ":" in address else "")
        for address in spec.addresses
        if address not in there
    ]


def _up_lines(names: Names, spec: HubSpec) -> list[str]:
    return [f"link set dev {names.wireguard} addrgenmode none mtu {spec.mtu}", f"link set dev {names.wireguard} up"]


def _set_addresses(names: Names, lines: list[str]) -> None:
    wg.require_success(names.inside.try_run(["ip", "-batch", "-"], "\n".join(lines) + "\n"), "ip")
