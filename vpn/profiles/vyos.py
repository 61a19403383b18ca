"""VyOS: `set` commands to paste in configuration mode, and `delete` commands that take them back."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, ip_address

from vpn import pki
from vpn.choices import Platform
from vpn.constants import MAX_MTU, MIN_MTU
from vpn.platforms import version_of
from vpn.profiles.openvpn import OpenVPNProfile
from vpn.profiles.router import (
    TEXT,
    Network,
    ProfileFile,
    RouterProfile,
    SiteRouter,
    Step,
    body_of,
    certificate,
    checked_key,
    checked_number,
    host_and_port,
    interface_addresses,
    number_of,
    plain_label,
    private_key,
    remote_of,
    tag_of,
    tls_crypt_v2_key,
    without_default,
)
from vpn.profiles.wireguard import WireGuardProfile

# From here on a WireGuard peer may have a name instead of an address.
NAMED_HUB = (1, 5)
_VALUE = re.compile(r"[A-Za-z0-9 ._:/+=,-]+")


def line(*words: str, value: str | None = None) -> str:
    """`set` with a path and perhaps a value in single quotes. Raises ValueError for a value with a character that the
    shell or the configuration could take for something else."""
    if value is None:
        return " ".join(("set", *words))
    if not _VALUE.fullmatch(value):
        raise ValueError("VyOS cannot hold this value.")
    return " ".join(("set", *words, f"'{value}'"))


def wireguard(profile: WireGuardProfile, router: SiteRouter) -> RouterProfile:
    """The commands for a VyOS router. Raises ValueError for a value that its place cannot hold, for a hub known by
    name where the version takes addresses only, and without a private key, which VyOS needs at once."""
    if profile.private_key is None:
        raise ValueError("VyOS needs the private key.")
    name = f"wg{number_of(router)}"
    path = ("interfaces", "wireguard", name)
    peer = (*path, "peer", "hub")
    host, port = host_and_port(profile.endpoint_host, profile.endpoint_port)
    lines = [
        *(line(*path, "address", value=str(address)) for address in interface_addresses(profile.addresses)),
        line(*path, "description", value=plain_label(profile.name) or "hub"),
        line(*path, "mtu", value=checked_number(profile.mtu, MIN_MTU, MAX_MTU)),
        line(*path, "private-key", value=checked_key(profile.private_key)),
        line(*peer, "public-key", value=checked_key(profile.hub_public_key)),
        line(*peer, _host_option(host, router), value=host),
        line(*peer, "port", value=port),
    ]
    if profile.listen_port is not None:
        lines.append(line(*path, "port", value=checked_number(profile.listen_port, 1, 65535)))
    if profile.preshared_key is not None:
        lines.append(line(*peer, "preshared-key", value=checked_key(profile.preshared_key)))
    if profile.keepalive:
        lines.append(line(*peer, "persistent-keepalive", value=checked_number(profile.keepalive, 1, 65535)))
    lines += [line(*peer, "allowed-ips", value=str(network)) for network in profile.allowed_ips]
    routes = without_default(profile.allowed_ips)
    lines += [line(*_route(network), "interface", name) for network in routes]
    gone = [path, *(_route(network) for network in routes)]
    everything = len(routes) < len(profile.allowed_ips)
    return _profile(router, profile.name, lines, gone, everything=everything)


def openvpn(profile: OpenVPNProfile, router: SiteRouter) -> RouterProfile:
    """The commands for VyOS 1.4 and newer, and the key that they refer to. Raises ValueError for a value that its
    place cannot hold."""
    tag, name = tag_of(router), f"vtun{number_of(router)}"
    path = ("interfaces", "openvpn", name)
    authority, own = ("pki", "ca", tag), ("pki", "certificate", tag)
    host, port, transport = remote_of(profile, "udp", "tcp")
    if not pki.PEER_NAME.fullmatch(profile.server_name):
        raise ValueError("The hub's certificate has another kind of name.")
    key_path = f"/config/auth/{tag}.key"
    key = ProfileFile(f"{tag}.key", tls_crypt_v2_key(profile.tls_crypt_v2), TEXT, "Key of the control channel")
    options = (
        "--remote-cert-tls server",
        f"--verify-x509-name {profile.server_name} name",
        f"--tls-crypt-v2 {key_path}",
        "--tls-version-min 1.2",
        f"--tun-mtu {checked_number(profile.mtu, MIN_MTU, MAX_MTU)}",
    )
    lines = [
        line(*authority, "certificate", value=body_of(certificate(profile.ca))),
        line(*own, "certificate", value=body_of(certificate(profile.certificate))),
        line(*own, "private", "key", value=body_of(private_key(profile.private_key))),
        line(*path, "mode", value="client"),
        line(*path, "description", value=plain_label(profile.name) or "hub"),
        line(*path, "device-type", value="tun"),
        line(*path, "protocol", value="udp" if transport == "udp" else "tcp-active"),
        line(*path, "remote-host", value=host),
        line(*path, "remote-port", value=port),
        line(*path, "persistent-tunnel"),
        line(*path, "encryption", "data-ciphers", value="aes256gcm"),
        line(*path, "tls", "ca-certificate", value=tag),
        line(*path, "tls", "certificate", value=tag),
        *(line(*path, "openvpn-option", value=option) for option in options),
    ]
    before = Step(f"Copy {tag}.key to {key_path} first.", commands=(f"chmod 600 {key_path}",))
    return _profile(router, profile.name, lines, [path, authority, own], (key,), (before,))


def _host_option(host: str, router: SiteRouter) -> str:
    try:
        ip_address(host)
    except ValueError:
        version = version_of(Platform.VYOS, router.version)
        if version and version < NAMED_HUB:
            raise ValueError("VyOS before 1.5 reaches a WireGuard hub by address only.") from None
        return "host-name"
    return "address"


def _route(network: Network) -> tuple[str, ...]:
    kind = "route" if isinstance(network, IPv4Network) else "route6"
    return ("protocols", "static", kind, str(network))


def _profile(
    router: SiteRouter,
    name: str,
    lines: list[str],
    gone: list[tuple[str, ...]],
    files: tuple[ProfileFile, ...] = (),
    before: tuple[Step, ...] = (),
    *,
    everything: bool = False,
) -> RouterProfile:
    tag, label = tag_of(router), plain_label(name)
    # What is not there yet is "Nothing to delete", and no harm. Static routes are not deleted as a whole: another
    # program's next hop for the same network stays.
    interface = " ".join(("delete", *gone[0]))
    undo = [" ".join(("delete", *path)) for path in gone]
    steps = [
        *before,
        Step(
            f"Paste the contents of {tag}.vyos in a terminal, now and whenever they change. Where the router has a "
            "firewall of its own, let the interface's traffic through it.",
        ),
    ]
    if everything:
        steps.append(
            Step("The hub takes all traffic, but no default route is set: decide on the router what shall go there.")
        )
    return RouterProfile(
        (
            *files,
            ProfileFile(f"{tag}.vyos", _text(label, [interface, *lines]), TEXT, "Commands for VyOS"),
            ProfileFile(f"{tag}-remove.vyos", _text(f"Removes {label}", undo), TEXT, "Commands that remove it again"),
        ),
        tuple(steps),
    )


def _text(title: str, lines: list[str]) -> str:
    return "\n".join([f"# {title}", "configure", *lines, "commit", "save", "exit"]) + "\n"
