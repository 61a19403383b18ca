"""VyOS: `set` commands to paste in configuration mode, and `delete` commands that remove them.

Paths are those of the interface definitions of vyos-1x: equuleus (1.3), sagitta (1.4) and current (1.5 and later).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv6Network, ip_address

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from vpn import pki
from vpn.choices import Platform
from vpn.constants import MAX_MTU, MIN_MTU
from vpn.platforms.versions import VYOS_NAMED_HUB, version_of
from vpn.profiles.accepts import accept_step
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

# Since this release a WireGuard peer may have a name instead of an address. Rolling releases of 1.5 were built before
# and after it, so they count as older.
_VALUE = re.compile(r"[A-Za-z0-9 ._:/+=,-]+")


@dataclass(frozen=True)
class _Syntax:
    """Paths that differ between versions.

    `key_by_name`: the private key is a file, named in the configuration.
    """

    title: str
    public_key: str
    routes: tuple[str, str]  # IPv4, IPv6
    next_hop: str
    key_by_name: bool = False


_EQUULEUS = _Syntax(
    gettext_noop("Commands for VyOS 1.3"),
    "pubkey",
    ("interface-route", "interface-route6"),
    "next-hop-interface",
    key_by_name=True,
)
_SAGITTA = _Syntax(gettext_noop("Commands for VyOS 1.4 and newer"), "public-key", ("route", "route6"), "interface")
_SINCE_SAGITTA = (1, 4)


def _syntax_of(router: SiteRouter) -> _Syntax:
    version = version_of(Platform.VYOS, router.version)
    return _EQUULEUS if version and version < _SINCE_SAGITTA else _SAGITTA


def line(*words: str, value: str | None = None) -> str:
    """`set` with a path and perhaps a value in single quotes.

    Raises ValueError for a value with a character that the shell or the configuration could interpret.
    """
    if value is None:
        return " ".join(("set", *words))
    if not _VALUE.fullmatch(value):
        raise ValueError("VyOS cannot hold this value.")
    return " ".join(("set", *words, f"'{value}'"))


def wireguard(profile: WireGuardProfile, router: SiteRouter) -> RouterProfile:
    """The commands for a VyOS router, and for VyOS 1.3 the key file.

    Raises ValueError for a value that its place cannot hold, for a hub with a name if the version needs an address, and
    without a private key, which VyOS needs at once.
    """
    if profile.private_key is None:
        raise ValueError("VyOS needs the private key.")
    tag, syntax, key = tag_of(router), _syntax_of(router), checked_key(profile.private_key)
    path = _tunnels(router)[0]
    peer = (*path, "peer", "hub")
    host, port = host_and_port(profile.endpoint_host, profile.endpoint_port)
    lines = [
        *(line(*path, "address", value=str(address)) for address in interface_addresses(profile.addresses)),
        line(*path, "description", value=plain_label(profile.name) or "hub"),
        line(*path, "mtu", value=checked_number(profile.mtu, MIN_MTU, MAX_MTU)),
        line(*path, "private-key", value=tag if syntax.key_by_name else key),
        line(*peer, syntax.public_key, value=checked_key(profile.hub_public_key)),
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
    lines += [line(*_route(syntax, network), syntax.next_hop, path[-1]) for network in routes]
    everything = len(routes) < len(profile.allowed_ips)
    if not syntax.key_by_name:
        return _profile(router, profile.name, lines, interface=path[-1], everything=everything)
    file = ProfileFile(f"{tag}.key", f"{key}\n", TEXT, _("Private key of the interface"))
    return _profile(router, profile.name, lines, (file,), (_key_step(tag),), interface=path[-1], everything=everything)


def _key_directory(tag: str) -> str:
    return f"/config/auth/wireguard/{tag}"


def _key_path(tag: str) -> str:
    return f"/config/auth/{tag}.key"


def _key_step(tag: str) -> Step:
    """VyOS 1.3 keeps the private keys of WireGuard as files, each in a directory of its own."""
    directory = _key_directory(tag)
    return Step(
        _("Copy %(tag)s.key to /tmp on the router first, and put it where VyOS 1.3 looks for keys.") % {"tag": tag},
        commands=(
            f"sudo install -d -m 750 -g vyattacfg {directory}",
            f"sudo install -m 640 -g vyattacfg /tmp/{tag}.key {directory}/private.key",
            f"rm /tmp/{tag}.key",
        ),
    )


def openvpn(profile: OpenVPNProfile, router: SiteRouter) -> RouterProfile:
    """The commands for VyOS 1.4 and newer, and the key file.

    Raises ValueError for a value that its place cannot hold, and for an older version.
    """
    if _syntax_of(router) is _EQUULEUS:
        raise ValueError("OpenVPN needs VyOS 1.4 or newer.")
    tag = tag_of(router)
    _interface, path, authority, own = _tunnels(router)
    host, port, transport = remote_of(profile, "udp", "tcp")
    if not pki.PEER_NAME.fullmatch(profile.server_name):
        raise ValueError("The hub's certificate has another kind of name.")
    key_path = _key_path(tag)
    key = ProfileFile(f"{tag}.key", tls_crypt_v2_key(profile.tls_crypt_v2), TEXT, _("Key of the control channel"))
    # The ciphers are left out: their option is called `ncp-ciphers` in 1.4 and `data-ciphers` later, and AES-256-GCM is
    # what the hub asks for and OpenVPN offers first.
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
        line(*path, "tls", "ca-certificate", value=tag),
        line(*path, "tls", "certificate", value=tag),
        *(line(*path, "openvpn-option", value=option) for option in options),
    ]
    before = Step(
        _("Copy %(tag)s.key to %(path)s first.") % {"tag": tag, "path": key_path}, commands=(f"chmod 600 {key_path}",)
    )
    return _profile(router, profile.name, lines, (key,), (before,), interface=path[-1])


def _host_option(host: str, router: SiteRouter) -> str:
    try:
        ip_address(host)
    except ValueError:
        version = version_of(Platform.VYOS, router.version)
        if version and version < VYOS_NAMED_HUB:
            raise ValueError("VyOS before 1.5 reaches a WireGuard hub by address only.") from None
        return "host-name"
    return "address"


def _route(syntax: _Syntax, network: Network) -> tuple[str, ...]:
    return ("protocols", "static", syntax.routes[isinstance(network, IPv6Network)], str(network))


def _tunnels(router: SiteRouter) -> tuple[tuple[str, ...], ...]:
    """The paths of all our objects but the routes: WireGuard's interface, then OpenVPN's with its certificates."""
    number, tag = number_of(router), tag_of(router)
    return (
        ("interfaces", "wireguard", f"wg{number}"),
        ("interfaces", "openvpn", f"vtun{number}"),
        ("pki", "ca", tag),
        ("pki", "certificate", tag),
    )


def _removal(router: SiteRouter) -> list[str]:
    """Delete all our objects, whichever protocol or networks an earlier file had.

    A missing one prints "Nothing to delete", which is harmless.
    """
    syntax, tunnels = _syntax_of(router), _tunnels(router)
    # VyOS 1.3 has no pki, and OpenVPN is not offered there.
    ours = tunnels[:1] if syntax is _EQUULEUS else tunnels
    routes = [text for kind in syntax.routes for text in _routes_removal(kind, syntax.next_hop, tunnels[0][-1])]
    return [*routes, *(" ".join(("delete", *path)) for path in ours)]


def _routes_removal(kind: str, next_hop: str, interface: str) -> list[str]:
    """Delete the routes into our interface.

    Another next hop for the same network stays. A route without a next hop is deleted as a whole, since VyOS 1.3
    refuses to commit one.
    """
    every = f"protocols static {kind}"
    return [
        f'for net in $(cli-shell-api listNodes {every} | tr -d "\'"); do',
        f"  if cli-shell-api exists {every} $net {next_hop} {interface}; then",
        f"    delete {every} $net {next_hop} {interface}",
        f'    [ -n "$(cli-shell-api listNodes {every} $net)" ] || delete {every} $net',
        "  fi",
        "done",
    ]


def _profile(
    router: SiteRouter,
    name: str,
    lines: list[str],
    files: tuple[ProfileFile, ...] = (),
    before: tuple[Step, ...] = (),
    *,
    interface: str,
    everything: bool = False,
) -> RouterProfile:
    tag, label, syntax, removal = tag_of(router), plain_label(name), _syntax_of(router), _removal(router)
    paste = _(
        "Paste the contents of %(tag)s.vyos in a terminal, now and whenever they change. They take the place of an "
        "earlier tunnel of this site, over whichever protocol. Where the router has a firewall of its own, let the "
        "interface's traffic through it."
    )
    if not router.version:
        paste = _(
            "Paste the contents of %(tag)s.vyos in a terminal, now and whenever they change. Without a version of the "
            "site, they are those of VyOS 1.4 and newer. They take the place of an earlier tunnel of this site, over "
            "whichever protocol. Where the router has a firewall of its own, let the interface's traffic through it."
        )
    steps = [*before, Step(paste % {"tag": tag}), *accept_step(router, interface)]
    if everything:
        steps.append(
            Step(_("The hub takes all traffic, but no default route is set: decide on the router what shall go there."))
        )
    return RouterProfile(
        (
            ProfileFile(f"{tag}.vyos", _text(label, [*removal, *lines]), TEXT, _(syntax.title)),
            *files,
            ProfileFile(
                f"{tag}-remove.vyos",
                _text(f"Removes {label}", removal, f"sudo rm -rf {_key_directory(tag)} {_key_path(tag)}"),
                TEXT,
                _("Commands that remove it again"),
            ),
        ),
        tuple(steps),
    )


def _text(title: str, lines: list[str], *after: str) -> str:
    return "\n".join([f"# {title}", "configure", *lines, "commit", "save", "exit", *after]) + "\n"
