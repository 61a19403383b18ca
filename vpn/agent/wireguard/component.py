"""The tunnel interface: made in the host's namespace, moved into the hub's, so that the encrypted socket stays outside.

Keys travel on standard input alone. A live interface is never given `setconf`, which would drop every session; sessions
survive all else that is done here. No endpoint is set in steady state, so that peers may roam.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice, pairwise
from typing import Final

from vpn.agent.memory.names import WIREGUARD, Names
from vpn.agent.network.netns_view import Inside
from vpn.agent.system import command, confine, files, inotify, processes
from vpn.agent.system.command import Place, Result
from vpn.agent.system.confine import Confinement
from vpn.agent.system.processes import Process
from vpn.agent.wireguard import uapi
from vpn.wire import codes
from vpn.wire.errors import FAILED, PORT_TAKEN, AgentError
from vpn.wire.finding import Finding
from vpn.wire.peers import by_wireguard, wireguard_side
from vpn.wire.report import PeerReport
from vpn.wire.spec import HubSpec, WireGuardPeer

Endpoints = Mapping[str, tuple[str, bool]]

# A session older than this is over (REJECT_AFTER_TIME is 180 s), so that its peer shakes hands anew by itself.
TALKING_WITHIN: Final = 240  # seconds

_SHOWN: Final = 8  # characters of a public key that tell it from others
NO_KEY: Final = "A" * 43 + "="  # WireGuard's way to say "no preshared key"
_STDIN: Final = "/dev/stdin"
_KEYS_PER_COMMAND: Final = 400
PROGRAM: Final = "wireguard-go"
_TUN: Final = "/dev/net/tun"
_BIND_PATIENCE: Final = 5.0  # seconds
_EXIT_PATIENCE: Final = 1.0  # seconds

# Asked once per agent: the kernel looks for its module each time.
_kernel_has_wireguard = [True]


@dataclass(frozen=True)
class RealPeer:
    """A peer as the interface has it."""

    preshared_key: str = field(repr=False)
    endpoint: str | None
    allowed_ips: frozenset[str]
    latest_handshake: int
    received_bytes: int
    sent_bytes: int
    keepalive: bool


@dataclass(frozen=True)
class Device:
    """The interface as it is, with its peers by public key."""

    private_key: str = field(repr=False)
    port: int
    peers: dict[str, RealPeer] = field(repr=False)


def check(names: Names, spec: HubSpec) -> None:
    """Raise AgentError where the interface could not be had with the port of `spec`, before anything is changed."""
    device = observe(names)
    if device is None and uapi.socket_path(names.wireguard).exists():
        return  # What a crash left, and perhaps its port, goes when the interface is made anew.
    if device is None or device.port != spec.port:
        _check_port(names, spec.port)


def ensure(names: Names, spec: HubSpec, endpoints: Endpoints) -> bool:
    """Make the tunnel interface be there with the hub's key, port, addresses and peers; return whether it was not.

    `endpoints` (by public key: where, and whether it was talking) is used when the interface must be made anew, so that
    the hub can call its peers back.
    """
    device = observe(names) if is_alive(names) else None
    if device is None or _is_deaf(names, device) or not _is_confined(names):
        # Where they are now counts for more than where they were when that was written down.
        _create(names, spec, {**endpoints, **_endpoints(device)})
        return True
    changed = _ensure_port(names, spec, device)
    changed |= _ensure_private_key(names, spec, device)
    changed |= _ensure_peers(names, spec, device)
    return _ensure_addresses(names, spec) or changed


def change(names: Names, removed: Iterable[str], upserted: Iterable[WireGuardPeer]) -> bool:
    """Put peers in as given, then take those with the public keys `removed` out; return whether there were any.

    In this order a network moves to a new key without being taken away in between.
    """
    upserted = list(upserted)
    if upserted:
        _wg(names, ["wg", "addconf", names.wireguard, _STDIN], "".join(map(_peer_section, upserted)))
    removed = list(removed)
    _for_keys(names, removed, "remove")
    return bool(upserted or removed)


def confinement(names: Names) -> Confinement:
    """Return how wireguard-go is confined: of files it sees its socket, which it is given open, and the tun device."""
    user = names.user(WIREGUARD)
    return Confinement(user, user, (confine.NET_ADMIN,), (uapi.socket_path(names.wireguard),), has_tun=True)


def written(names: Names) -> Process | None:
    """Return the process of the interface, when it lives; None where the kernel has it."""
    if not uapi.socket_path(names.wireguard).exists():
        return None
    text = (files.read_text(uapi.pid_path(names.wireguard)) or "").strip()
    if text.isdecimal():
        return processes.process(int(text), PROGRAM, {names.wireguard})
    # An older agent wrote nothing down.
    return next(iter(processes.running(PROGRAM, {names.wireguard})), None)


def calm(names: Names) -> None:
    """Stop calling peers back: a healed hub has heard from those that are there."""
    device = observe(names)
    if device is not None:
        _for_keys(names, [key for key, peer in device.peers.items() if peer.keepalive], "persistent-keepalive", "0")


def is_alive(names: Names) -> bool:
    """Return whether the tunnel interface works: its process answers, or the kernel has it."""
    answering = uapi.is_answering(names.wireguard)
    if answering is not None:
        return answering
    return names.inside.try_run(["ip", "-o", "link", "show", "dev", names.wireguard]).code == 0


def observe(names: Names) -> Device | None:
    """Return the interface as it is, None when it is not there or does not answer."""
    # The interface must be inside: a process whose interface was never moved answers, too.
    if names.inside.try_run(["ip", "-o", "link", "show", "dev", names.wireguard]).code != 0:
        return None
    result = names.inside.try_run(["wg", "show", names.wireguard, "dump"])
    if result.code != 0:
        return None
    lines = result.out.splitlines()
    header = lines[0].split("\t") if lines else []
    if len(header) != 4:
        return None
    peers = {}
    for line in lines[1:]:
        key, preshared_key, endpoint, allowed_ips, handshake, received, sent, keepalive = line.split("\t")
        peers[key] = RealPeer(
            preshared_key=NO_KEY if preshared_key == "(none)" else preshared_key,
            endpoint=None if endpoint == "(none)" else endpoint,
            allowed_ips=frozenset() if allowed_ips == "(none)" else frozenset(allowed_ips.split(",")),
            latest_handshake=int(handshake),
            received_bytes=int(received),
            sent_bytes=int(sent),
            keepalive=keepalive not in ("off", "0"),
        )
    return Device(header[0], int(header[2]), peers)


def reports(device: Device) -> dict[str, PeerReport]:
    """Return by public key those peers that were ever heard from."""
    return {
        key: PeerReport(peer.endpoint, peer.latest_handshake, peer.received_bytes, peer.sent_bytes)
        for key, peer in device.peers.items()
        if peer.latest_handshake or peer.received_bytes or peer.sent_bytes
    }


def drift(names: Names, spec: HubSpec, device: Device, there: Inside) -> list[Finding]:
    """Return what was changed of the interface and its peers. No key is named but public ones."""
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
        elif real.allowed_ips != set(peer.allowed_ips):
            found.append(codes.WIREGUARD_ALLOWED_IPS_CHANGED.of(peer_id))
        elif real.preshared_key != (peer.preshared_key or NO_KEY):
            found.append(codes.WIREGUARD_PRESHARED_KEY_CHANGED.of(peer_id))
    own = frozenset(spec.addresses)
    found += [codes.WIREGUARD_ADDRESS_ADDED.of(address) for address in there.added(names.wireguard, own)]
    gone = own - there.addresses.get(names.wireguard, frozenset())
    return found + [codes.WIREGUARD_ADDRESS_REMOVED.of(address) for address in sorted(gone)]


def remove(names: Names) -> None:
    """Remove the interface and its process; what is gone already is fine."""
    for place in (names.inside, names.host):
        place.try_run(["ip", "link", "delete", "dev", names.wireguard])
    deadline = time.monotonic() + _EXIT_PATIENCE
    while uapi.is_answering(names.wireguard) and time.monotonic() < deadline:
        time.sleep(0.005)
    if uapi.socket_path(names.wireguard).exists():
        for process in processes.running(PROGRAM, {names.wireguard}):
            os.kill(process.pid, signal.SIGKILL)
        uapi.socket_path(names.wireguard).unlink(missing_ok=True)
    uapi.pid_path(names.wireguard).unlink(missing_ok=True)


def _create(names: Names, spec: HubSpec, endpoints: Endpoints) -> None:
    if uapi.socket_path(names.wireguard).exists():
        remove(names)  # what a crash left half-way
    _check_port(names, spec.port)
    try:
        _start(names)
        names.host.run(["ip", "link", "set", "dev", names.wireguard, "netns", names.netns])
        _wg(names, ["wg", "setconf", names.wireguard, _STDIN], _configuration(spec, endpoints))
        _ensure_addresses(names, spec)
        _await_port(names, spec.port)
    except BaseException:
        remove(names)
        raise


def _start(names: Names) -> None:
    if _kernel_has_wireguard[0] and _start_in_kernel(names):
        return
    command.require(PROGRAM)
    confine.require()
    if not inotify.has_room():
        inotify.make_room(names.host)
    argv = confinement(names).argv(["setsid", "--fork", PROGRAM, names.wireguard])
    with uapi.listen(names.wireguard, names.user(WIREGUARD)) as listening:
        environment = {"WG_UAPI_FD": str(listening.fileno()), "WG_PROCESS_FOREGROUND": "1"}
        done = names.host.start_daemon(argv, descriptors=[listening.fileno()], environment=environment)
    # It has looked at its interface, which must stay until then, when it answers.
    if done.code != 0 or uapi.heard(names.wireguard) is None:
        raise AgentError(FAILED, _why_not_started())
    (process, *_) = processes.running(PROGRAM, {names.wireguard})
    files.replace(uapi.pid_path(names.wireguard), f"{process.pid}\n", durable=False)


def _endpoints(device: Device | None) -> Endpoints:
    recent = time.time() - TALKING_WITHIN
    peers = device.peers.items() if device else ()
    return {key: (peer.endpoint, peer.latest_handshake > recent) for key, peer in peers if peer.endpoint}


def _is_confined(names: Names) -> bool:
    if not uapi.socket_path(names.wireguard).exists():
        return True  # the kernel's
    process = written(names)
    return process is not None and confinement(names).holds(process.pid)


def _why_not_started() -> str:
    if not inotify.has_room():
        return inotify.refusal()
    try:
        os.close(os.open(_TUN, os.O_RDWR))
    except OSError as error:
        return (
            f"wireguard-go could not make a tunnel interface: the server needs {_TUN}, or WireGuard in its kernel "
            f"({os.strerror(error.errno or 0)})."
        )
    return "wireguard-go did not start, or did not answer. LOG_LEVEL=error wireguard-go -f test0 says why."


def _start_in_kernel(names: Names) -> bool:
    add = ["ip", "link", "add", "dev", names.wireguard, "type", "wireguard"]
    result = names.host.try_run(add)
    if "File exists" in result.err:
        remove(names)
        result = names.host.try_run(add)
    if "unknown device type" in result.err.lower() or "not supported" in result.err.lower():
        _kernel_has_wireguard[0] = False
        return False
    _explained(result, "ip")
    return True


def _check_port(names: Names, port: int) -> None:
    if _is_bound(names.host, port):
        raise AgentError(
            PORT_TAKEN, f"UDP port {port} of the server is taken by another program: free it or choose another port."
        )


def _await_port(names: Names, port: int) -> None:
    if not uapi.socket_path(names.wireguard).exists():
        return  # the kernel opens its socket at once, or refuses to set the interface up
    deadline = time.monotonic() + _BIND_PATIENCE
    while not _is_bound(names.host, port):
        if time.monotonic() > deadline:
            raise AgentError(FAILED, f"wireguard-go did not open UDP port {port}.")
        time.sleep(0.005)


def _is_bound(host: Place, port: int) -> bool:
    return bool(host.run(["ss", "-Hlun", f"sport = :{port}"]).strip())


def _is_deaf(names: Names, device: Device) -> bool:
    """Return whether wireguard-go runs without its socket, as a failed change of its port leaves it."""
    userspace = uapi.socket_path(names.wireguard).exists()
    return userspace and device.port != 0 and not _is_bound(names.host, device.port)


def _ensure_port(names: Names, spec: HubSpec, device: Device) -> bool:
    if device.port == spec.port:
        return False
    _check_port(names, spec.port)
    try:
        _wg(names, ["wg", "set", names.wireguard, "listen-port", str(spec.port)])
    except AgentError:
        # wireguard-go has closed its old socket by now: the hub goes on where it was.
        _wg(names, ["wg", "set", names.wireguard, "listen-port", str(device.port)])
        raise
    return True


def _ensure_private_key(names: Names, spec: HubSpec, device: Device) -> bool:
    if device.private_key == spec.private_key:
        return False
    _wg(names, ["wg", "set", names.wireguard, "private-key", _STDIN], spec.private_key + "\n")
    return True


def _ensure_peers(names: Names, spec: HubSpec, device: Device) -> bool:
    wanted = {peer.public_key: peer for peer in by_wireguard(spec.peers.values())}
    differing = [
        peer for key, peer in wanted.items() if key not in device.peers or not _is_same(device.peers[key], peer)
    ]
    return change(names, device.peers.keys() - wanted.keys(), differing)


def _is_same(real: RealPeer, peer: WireGuardPeer) -> bool:
    return (
        real.allowed_ips == set(peer.allowed_ips)
        and real.preshared_key == (peer.preshared_key or NO_KEY)
        and not real.keepalive
    )


def _ensure_addresses(names: Names, spec: HubSpec) -> bool:
    fields = names.inside.run(["ip", "-o", "link", "show", "dev", names.wireguard]).split()
    listed = names.inside.run(["ip", "-br", "address", "show", "dev", names.wireguard]).split()
    there = {address for address in listed[2:] if not address.startswith("fe80:")}
    # First what is new: an address whose pool is widened must not be away in between.
    lines = [
        f"address add {address} dev {names.wireguard}" + (" nodad" if ":" in address else "")
        for address in spec.addresses
        if address not in there
    ]
    lines += [f"address delete {address} dev {names.wireguard}" for address in there - set(spec.addresses)]
    words = dict(pairwise(fields))
    if words.get("mtu") != str(spec.mtu):
        lines.append(f"link set dev {names.wireguard} mtu {spec.mtu}")
    if not fields[2:] or "UP" not in fields[2].strip("<>").split(","):
        lines.append(f"link set dev {names.wireguard} addrgenmode none")
        lines.append(f"link set dev {names.wireguard} up")
    if lines:
        _explained(names.inside.try_run(["ip", "-batch", "-"], "\n".join(lines) + "\n"), "ip")
    return bool(lines)


def _configuration(spec: HubSpec, endpoints: Endpoints) -> str:
    lines = [f"[Interface]\nPrivateKey = {spec.private_key}\nListenPort = {spec.port}\n"]
    for peer in by_wireguard(spec.peers.values()):
        endpoint, talking = endpoints.get(peer.public_key, ("", False))
        lines.append(_peer_section(peer, endpoint, talking))
    return "".join(lines)


def _peer_section(peer: WireGuardPeer, endpoint: str = "", talking: bool = False) -> str:
    section = (
        f"[Peer]\nPublicKey = {peer.public_key}\nPresharedKey = {peer.preshared_key or NO_KEY}\n"
        f"AllowedIPs = {', '.join(peer.allowed_ips)}\nPersistentKeepalive = {1 if talking else 'off'}\n"
    )
    return section + (f"Endpoint = {endpoint}\n" if endpoint else "")


def _for_keys(names: Names, keys: Iterable[str], *action: str) -> None:
    remaining = iter(keys)
    while chunk := list(islice(remaining, _KEYS_PER_COMMAND)):
        _wg(names, ["wg", "set", names.wireguard, *(word for key in chunk for word in ("peer", key, *action))])


def _wg(names: Names, argv: list[str], stdin: str = "") -> None:
    _explained(names.inside.try_run(argv, stdin), "wg")


def _explained(result: Result, program: str) -> None:
    if result.code == 0:
        return
    if "address already in use" in result.err.lower():
        raise AgentError(PORT_TAKEN, "The hub's UDP port is taken by another program: free it or choose another port.")
    if program == "wg" and "unable to parse" in result.err.lower():
        # wg(8) quotes what it cannot parse, which may be a key.
        raise AgentError(FAILED, "wg refused the hub's configuration.")
    raise command.explain(program, result)
