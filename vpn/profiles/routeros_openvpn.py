"""OpenVPN on RouterOS: certificates within the script, and an `ovpn-client` for the compatibility listener."""

from __future__ import annotations

from vpn.constants import MAX_MTU, MIN_MTU
from vpn.profiles.openvpn import OpenVPNProfile
from vpn.profiles.router import (
    Network,
    RouterProfile,
    SiteRouter,
    certificate,
    checked_number,
    private_key,
    remote_of,
)
from vpn.profiles.routeros_script import (
    OLDEST,
    OLDEST_6,
    Target,
    add_or_set,
    certificates_removal,
    command,
    firewall,
    found,
    quoted,
    remove,
    routes,
    script,
    target_of,
    wireguard_removal,
)
from vpn.profiles.routeros_wireguard import scripts

# RouterOS always sends a user and a password. The hub asks for certificates and ignores both, so they are no secrets.
USERNAME = "vpn"
PASSWORD = "vpn"  # noqa: S105
# The limit of `/file set contents` in RouterOS 6 (manual: 4,095 characters).
CONTENTS_LENGTH = 4095
# From this version on AES-GCM works reliably; before, AES-CBC is set. RouterOS does not negotiate ciphers.
RELIABLE_GCM = (7, 17)
# The services that may trust our certificates.
TRUST_STORES = (7, 21)


def openvpn(
    profile: OpenVPNProfile, router: SiteRouter, remote_networks: tuple[Network, ...] = (), *, major: int = 7
) -> RouterProfile:
    """The scripts for RouterOS 7 (or 6: `major`).

    `remote_networks` are the routes into the tunnel. RouterOS 6 does not accept pushed ones; 7 does, and needs none
    here. Raises ValueError for a value that its place cannot hold, and for a profile for another listener than the
    compatibility listener.
    """
    target = target_of(router, profile.name, OLDEST if major == 7 else OLDEST_6)
    if target.version[0] != major or major not in {6, 7}:
        raise ValueError("The version belongs to another RouterOS.")
    if not profile.compat:
        raise ValueError("RouterOS needs the compatibility listener.")
    old = [] if target.is_6 else wireguard_removal(target)
    fixed = remote_networks if target.is_6 else ()
    install = script(
        profile.name,
        ("What a WireGuard script of this peer made", old),
        ("The certificates", _certificates(target, profile)),
        ("The client", [_client(target, profile)]),
        ("Routes", routes(target, fixed, target.tag)),
        ("The firewall", firewall(target, target.tag, router.aliases, router.access)),
    )
    return scripts(target, install, profile.name)


def _certificates(target: Target, profile: OpenVPNProfile) -> list[str]:
    client = certificate(profile.certificate) + private_key(profile.private_key)
    clients = "/interface ovpn-client"
    return [
        # A certificate in use cannot be removed, so the client drops it first.
        command(clients, "set", found(clients, target.ours("interface")), disabled="yes", certificate="none"),
        *certificates_removal(target),
        *_import(target, "ca", certificate(profile.ca)),
        *_import(target, "client", client),
        _trust(target),
    ]


def _import(target: Target, part: str, contents: str) -> list[str]:
    """Write a file, import it, give the certificate its name, and remove the file."""
    if len(contents) > CONTENTS_LENGTH:
        raise ValueError("This is too long for a file that a script makes.")
    name = f"{target.tag}-{part}"
    if target.is_6:
        # RouterOS 6 creates files only from the output of a command, appends ".txt", and takes a moment.
        file = f"{name}.txt"
        write = [
            command("/file", "print", file=quoted(name)),
            ":delay 3s",
            command("/file", "set", found("/file", f"name={quoted(file)}"), contents=quoted(contents)),
        ]
    else:
        file = f"{name}.pem"
        write = [command("/file", "add", name=quoted(file), contents=quoted(contents))]
    # In every version an imported certificate gets its file's name and a number.
    return [
        *write,
        ":delay 2s",
        command("/certificate", "import", file_name=quoted(file), passphrase=quoted("")),
        remove("/file", f"name={quoted(file)}"),
        command("/certificate", "set", found("/certificate", f"name={quoted(file + '_0')}"), name=quoted(name)),
    ]


def _trust(target: Target) -> str:
    properties = {"trusted": "yes"}
    if target.version >= TRUST_STORES:
        properties["trust_store"] = "ovpn"
    these = found("/certificate", f"name={quoted(target.tag + '-ca')}")
    return command("/certificate", "set", these, **properties)


def _client(target: Target, profile: OpenVPNProfile) -> str:
    host, port, _ = remote_of(profile, "tcp")
    if target.is_6 and ":" in host:
        raise ValueError("RouterOS 6 reaches a hub over IPv4 only.")
    properties = {
        "name": quoted(target.tag),
        "connect_to": quoted(host),
        "port": port,
        "max_mtu": checked_number(profile.mtu, MIN_MTU, MAX_MTU),
        "mode": "ip",
        "user": quoted(USERNAME),
        "password": quoted(PASSWORD),
        "profile": "default",
        "certificate": quoted(f"{target.tag}-client"),
        "verify_server_certificate": "yes",
        "auth": "sha1",
        "cipher": _cipher(target),
        "add_default_route": "yes" if profile.route_all else "no",
    }
    if not target.is_6:
        properties |= {
            "protocol": "tcp",
            "tls_version": "only-1.2",
            "route_nopull": "no",
            "use_peer_dns": "yes" if profile.route_all else "no",
        }
    return add_or_set(
        "/interface ovpn-client",
        target.ours("interface"),
        **properties,
        disabled="no",
        comment=target.comment("interface"),
    )


def _cipher(target: Target) -> str:
    if target.is_6:
        return "aes256"
    return "aes256-gcm" if target.version >= RELIABLE_GCM else "aes256-cbc"
