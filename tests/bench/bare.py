"""Bare servers to compare a hub with: no portal, no namespace of their own, no firewall."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.lab.authority import Authority
from tests.lab.devices import make_keys
from tests.lab.lab import Lab
from tests.lab.nodes import Node
from tests.lab.waiting import wait_until
from vpn.profiles.openvpn import OpenVPNProfile, render

INTERFACE = f"bare{os.getpid()}"
MTU = 1420
OPENVPN_PORT, WIREGUARD_PORT = 30001, 30000


@contextlib.contextmanager
def openvpn(lab: Lab, clients: Sequence[Node], tunnel: str) -> Iterator[str]:
    """A server with these clients connected; the last one's address.

    Same cipher, MTU and keepalive as our hub's, forwarding by the kernel: packets between clients leave openvpn and
    come back in, as they do with us.
    """
    authority = Authority(OPENVPN_PORT)
    directory = lab.directory / "bare"
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
    server = lab.start(
        lab.host, ["openvpn", "--config", _written(directory / "server.conf", "\n".join(lines)), "--auth", "SHA256"]
    )
    try:
        for number, node in enumerate(clients):
            lab.openvpn_up(node, _profile(lab, authority, f"client{number}"), tunnel)
            lab.wait_ping(node, "10.8.0.1")
        yield address(lab, clients[-1], tunnel)
    finally:
        for node in clients:
            with contextlib.suppress(KeyError):
                lab.openvpn_down(node, tunnel)
        server.terminate()
        server.wait(10)


@contextlib.contextmanager
def wireguard(lab: Lab, clients: Sequence[Node], tunnel: str) -> Iterator[str]:
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
            f"AllowedIPs = 10.9.0.0/24\nEndpoint = {lab.host.v4}:{WIREGUARD_PORT}\n"
        )
    try:
        lab.wg_quick_up(lab.host, server, INTERFACE)
        for node, profile in zip(clients, profiles, strict=True):
            lab.wg_quick_up(node, profile, tunnel)
            lab.wait_ping(node, "10.9.0.1")
        yield address(lab, clients[-1], tunnel)
    finally:
        with contextlib.suppress(AssertionError):
            lab.wg_quick_down(lab.host, INTERFACE)
        wait_until(lambda: not Path(f"/run/wireguard/{INTERFACE}.sock").exists(), what="the bare hub's end")


def address(lab: Lab, node: Node, device: str) -> str:
    """A node's IPv4 address on a tunnel."""
    return lab.run(node, ["ip", "-4", "-brief", "address", "show", "dev", device]).stdout.split()[2].partition("/")[0]


def _profile(lab: Lab, authority: Authority, name: str) -> str:
    """What a client of the bare server reads: as much as ours, for a server of another kind."""
    own = authority.issue(name)
    return render(
        OpenVPNProfile(
            name="bare",
            remotes=((lab.host.v4, OPENVPN_PORT, "udp"),),
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
