"""Bare servers to compare a hub with, on a machine of their own: no portal, no firewall, no connection tracking.

Each runs in a session of its own, like a hub's daemons and like a service of systemd: the scheduler shares the
processor among sessions (sched(7), autogroup), so a server in the session of its clients would get another share.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.lab.authority import Authority
from tests.lab.devices import make_keys
from tests.lab.lab import Lab
from tests.lab.nodes import Node
from vpn.profiles.openvpn import OpenVPNProfile, render

INTERFACE = "bare0"
MTU = 1420
OPENVPN_PORT, WIREGUARD_PORT = 30001, 30000


_OWN_SESSION = ("setsid", "--wait")


def machine(lab: Lab) -> Node:
    """Add a machine that forwards."""
    node = lab.add_client("bare")
    settings = ["net.ipv4.ip_forward=1", "net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.default.send_redirects=0"]
    lab.run(node, ["sysctl", "-qw", *settings])
    return node


@contextlib.contextmanager
def openvpn(lab: Lab, machine: Node, clients: Sequence[Node], tunnel: str) -> Iterator[str]:
    """A server with these clients connected; the last one's address.

    Same cipher, MTU and keepalive as our hub's, forwarding by the kernel: packets between clients leave openvpn and
    come back in, as they do with us.
    """
    authority = Authority(OPENVPN_PORT)
    directory = lab.directory / machine.name / "openvpn"
    directory.mkdir(0o700)
    files = {
        "ca": authority.authority.certificate,
        "cert": authority.server.certificate,
        "key": authority.server.private_key,
        "crl-verify": authority.crl,
        "tls-crypt-v2": authority.server_key,
    }
    lines = ["server 10.8.0.0 255.255.255.0", "topology subnet", "proto udp4", f"port {OPENVPN_PORT}", "dh none"]
    lines += ["dev tun", "disable-dco", "keepalive 2 10", f"tun-mtu {MTU}", "data-ciphers AES-256-GCM", "verb 1"]
    lines += [f"{name} {_written(directory / name, text)}" for name, text in files.items()]
    written = _written(directory / "server.conf", "\n".join(lines))
    server = lab.start(machine, [*_OWN_SESSION, "openvpn", "--config", written, "--auth", "SHA256"])
    try:
        for number, node in enumerate(clients):
            lab.openvpn_up(node, _profile(machine, authority, f"client{number}"), tunnel)
            lab.wait_ping(node, "10.8.0.1")
        yield address(lab, clients[-1], tunnel)
    finally:
        for node in clients:
            with contextlib.suppress(KeyError):
                lab.openvpn_down(node, tunnel)
        server.terminate()
        server.wait(10)


@contextlib.contextmanager
def wireguard(lab: Lab, machine: Node, clients: Sequence[Node], tunnel: str) -> Iterator[str]:
    """A wireguard-go hub with these clients connected; the last one's address."""
    server_key, server_public = make_keys()
    own = f"[Interface]\nMTU = {MTU}\n"
    server = f"{own}PrivateKey = {server_key}\nAddress = 10.9.0.1/24\nListenPort = {WIREGUARD_PORT}\n"
    profiles = []
    for number, _ in enumerate(clients, 2):
        key, public = make_keys()
        server += f"[Peer]\nPublicKey = {public}\nAllowedIPs = 10.9.0.{number}/32\n"
        profiles.append(
            f"{own}PrivateKey = {key}\nAddress = 10.9.0.{number}/32\n[Peer]\nPublicKey = {server_public}\n"
            f"AllowedIPs = 10.9.0.0/24\nEndpoint = {machine.v4}:{WIREGUARD_PORT}\n"
        )
    try:
        written = _written(lab.directory / machine.name / f"{INTERFACE}.conf", server)
        lab.run(machine, [*_OWN_SESSION, "wg-quick", "up", written])
        for node, profile in zip(clients, profiles, strict=True):
            lab.wg_quick_up(node, profile, tunnel)
            lab.wait_ping(node, "10.9.0.1")
        yield address(lab, clients[-1], tunnel)
    finally:
        with contextlib.suppress(AssertionError):
            lab.wg_quick_down(machine, INTERFACE)


def address(lab: Lab, node: Node, device: str) -> str:
    """A node's IPv4 address on a tunnel."""
    return lab.run(node, ["ip", "-4", "-brief", "address", "show", "dev", device]).stdout.split()[2].partition("/")[0]


def _profile(machine: Node, authority: Authority, name: str) -> str:
    """What a client of the bare server reads: as much as ours, for a server of another kind."""
    own = authority.issue(name)
    return render(
        OpenVPNProfile(
            name="bare",
            remotes=((machine.v4, OPENVPN_PORT, "udp"),),
            ca=authority.authority.certificate,
            certificate=own.certificate,
            private_key=own.private_key,
            tls_crypt_v2=authority.client_key,
            server_name="hub",
            mtu=MTU,
        )
    )


def _written(path: Path, text: str) -> str:
    path.touch(0o600)
    path.write_text(text)
    return str(path)
