"""OpenWrt: a `uci batch` that may be run repeatedly, and one that removes everything.

Sections have names of their own, so that the next run replaces them. A missing one prints "Entry not found" in the
terminal, which is harmless.

OpenVPN is a service of its own up to OpenWrt 25.12 (/etc/config/openvpn, openvpn.init). Later packages have a protocol
of netifd instead. When they are installed they turn each section of /etc/config/openvpn into an interface, unless an
interface has its name already.
"""

from __future__ import annotations

import hashlib

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from vpn.choices import Platform
from vpn.constants import MAX_MTU, MIN_MTU
from vpn.platforms.versions import version_of
from vpn.profiles import openvpn as ovpn
from vpn.profiles.accepts import ports_of
from vpn.profiles.openvpn import OpenVPNProfile
from vpn.profiles.router import (
    TEXT,
    ProfileFile,
    RouterProfile,
    SiteRouter,
    Step,
    checked_key,
    checked_number,
    device_of,
    host_and_port,
    interface_addresses,
    networks,
    plain_label,
    tag_of,
    with_device,
)
from vpn.profiles.wireguard import WireGuardProfile
from vpn.router_services import RouterAccess

# The longest name of a firewall zone, which is shorter than an interface's.
ZONE_LENGTH = 11
# The package manager from here on is apk.
APK = (25, 12)
# OpenVPN is a protocol of netifd from here on.
NETIFD_OPENVPN = (26,)
# The ends of the names of the rules for the router's management, by protocol.
_MANAGED = {"tcp": "_manage", "udp": "_manage_udp"}
_RESTART = "service network restart"

_START_UNKNOWN = gettext_noop(
    "Start it. OpenWrt newer than 25.12 has no such service: enter the site's version, and take the files again."
)


def quoted(text: str) -> str:
    """A value in uci's single quotes, in which only the quote has a meaning. Raises ValueError for several lines."""
    if not text.isprintable():
        raise ValueError("A value of uci is one line.")
    return "'" + text.replace("'", "'\\''") + "'"


def wireguard(profile: WireGuardProfile, router: SiteRouter) -> RouterProfile:
    """The batch for an OpenWrt router. Raises ValueError for a value that its place cannot hold."""
    device = device_of(router)
    host, port = host_and_port(profile.endpoint_host, profile.endpoint_port)
    interface = {"proto": "wireguard", "mtu": checked_number(profile.mtu, MIN_MTU, MAX_MTU)}
    if profile.private_key is not None:
        interface["private_key"] = checked_key(profile.private_key)
    if profile.listen_port is not None:
        interface["listen_port"] = checked_number(profile.listen_port, 1, 65535)
    hub = {
        "description": plain_label(profile.name) or "hub",
        "public_key": checked_key(profile.hub_public_key),
        "endpoint_host": host,
        "endpoint_port": port,
        "persistent_keepalive": checked_number(profile.keepalive, 0, 65535),
        # netifd sets the routes, and keeps the one to the hub outside the tunnel.
        "route_allowed_ips": "1",
    }
    if profile.preshared_key is not None:
        hub["preshared_key"] = checked_key(profile.preshared_key)
    addresses = {"addresses": [str(address) for address in interface_addresses(profile.addresses)]}
    allowed = {"allowed_ips": [str(network) for network in networks(profile.allowed_ips)]}
    lines = [
        *_gone(device),
        *_section("network", device, "interface", interface, addresses),
        *_section("network", f"{device}_hub", f"wireguard_{device}", hub, allowed),
        *_firewall(device, router.access),
    ]
    steps = [_install_step(router, "WireGuard", "wireguard-tools", "luci-proto-wireguard"), *_steps(router)]
    if profile.private_key is None:
        steps.append(_own_key_step(device))
    return RouterProfile(_files(router, profile.name, lines, "WireGuard"), tuple(steps))


def _own_key_step(device: str) -> Step:
    return Step(
        _("Give the interface its own key, and enter the public key in the portal."),
        commands=(
            f"uci set network.{device}.private_key=$(wg genkey)",
            "uci commit network && service network reload",
            f"uci get network.{device}.private_key | wg pubkey",
        ),
    )


def openvpn(profile: OpenVPNProfile, router: SiteRouter) -> RouterProfile:
    """The batch and the .ovpn file that it refers to. Raises ValueError for a value that its place cannot hold."""
    device, tag = device_of(router), tag_of(router)
    path = f"/etc/openvpn/{tag}.ovpn"
    by_netifd = version_of(Platform.OPENWRT, router.version) >= NETIFD_OPENVPN
    # netifd adds a default route through the tunnel, whatever the hub pushes, unless `defaultroute` is 0.
    own = {"config": path, "defaultroute": "1" if profile.route_all else "0"}
    lines = [*_gone(device), *_tunnel(device, own, by_netifd=by_netifd), *_firewall(device, router.access)]
    file = ProfileFile(
        f"{tag}.ovpn", with_device(ovpn.render(profile), device), ovpn.CONTENT_TYPE, _("Profile for OpenVPN")
    )
    if by_netifd:
        install, start = _install_step(router, "OpenVPN", "openvpn-openssl"), f"ifup {device}"
    else:
        install = Step(_("Install OpenVPN once."), commands=_install(router, "openvpn-openssl"))
        start = "service openvpn restart"
    steps = (
        install,
        Step(
            _("Copy %(tag)s.ovpn to %(path)s, and keep it over upgrades.") % {"tag": tag, "path": path},
            commands=(
                f"chmod 600 {path}",
                f"grep -qx {path} /etc/sysupgrade.conf || echo {path} >> /etc/sysupgrade.conf",
            ),
        ),
        *_steps(router),
        Step(_("Start it.") if router.version else _(_START_UNKNOWN), commands=(start,)),
    )
    restarts = ("OpenVPN",) if by_netifd else ()
    return RouterProfile((file, *_files(router, profile.name, lines, *restarts)), steps)


def _tunnel(device: str, own: dict[str, str], *, by_netifd: bool) -> list[str]:
    if by_netifd:
        return _section("network", device, "interface", {"proto": "openvpn", **own})
    return [
        *_section("openvpn", _service(device), "openvpn", {"enabled": "1", **own}),
        *_section("network", device, "interface", {"proto": "none", "device": device}),
    ]


def _service(device: str) -> str:
    """The section of the OpenVPN service.

    Its name differs from the interface's: otherwise later packages would not convert it.
    """
    return f"{device}_ov"


def _install_step(router: SiteRouter, what: str, *packages: str) -> Step:
    return Step(
        _(
            "Install %(what)s once. The network has to restart for it, which interrupts connections for some "
            "seconds: a reload does not load a new protocol."
        )
        % {"what": what},
        commands=(*_install(router, *packages), _RESTART),
    )


def _install(router: SiteRouter, *packages: str) -> tuple[str, ...]:
    if version_of(Platform.OPENWRT, router.version) >= APK:
        return ("apk update", f"apk add {' '.join(packages)}")
    return ("opkg update", f"opkg install {' '.join(packages)}")


def _steps(router: SiteRouter) -> tuple[Step, ...]:
    tag = tag_of(router)
    return (
        Step(
            _(
                "Copy %(tag)s.uci to /tmp on the router and run it, now and whenever it changes. Lines that say "
                "“Entry not found” are about what did not exist before. The LAN's firewall zone is expected to be "
                "called lan."
            )
            % {"tag": tag},
            commands=(
                f"uci batch < /tmp/{tag}.uci",
                f"rm /tmp/{tag}.uci",
                # Stops an OpenVPN tunnel without a section, before another interface takes its name.
                "[ ! -e /etc/init.d/openvpn ] || service openvpn reload",
                "service network reload",
                "service firewall reload",
            ),
        ),
    )


def _files(router: SiteRouter, name: str, lines: list[str], *restarts: str) -> tuple[ProfileFile, ...]:
    """The two batches. `restarts` names what needs a restart of the network after its first installation."""
    tag, label = tag_of(router), plain_label(name)
    undo = [*_gone(device_of(router)), *_commits()]
    notes = [f"# After the first install of {what}: {_RESTART} (a reload does not load it)" for what in restarts]
    return (
        ProfileFile(f"{tag}.uci", _text(label, [*notes, *lines, *_commits()]), TEXT, _("Commands for uci batch")),
        ProfileFile(f"{tag}-remove.uci", _text(f"Removes {label}", undo), TEXT, _("Commands that remove it again")),
    )


def _text(title: str, lines: list[str]) -> str:
    return "\n".join([f"# {title}", *lines]) + "\n"


def _commits() -> list[str]:
    return [f"commit {package}" for package in ("network", "firewall", "openvpn")]


def _section(
    package: str, name: str, kind: str, options: dict[str, str], lists: dict[str, list[str]] | None = None
) -> list[str]:
    lines = [f"set {package}.{name}={quoted(kind)}"]
    lines += [f"set {package}.{name}.{option}={quoted(value)}" for option, value in options.items()]
    for option, values in (lists or {}).items():
        lines += [f"add_list {package}.{name}.{option}={quoted(value)}" for value in values]
    return lines


def _gone(device: str) -> list[str]:
    # In earlier files the service had the interface's name, and later packages convert it to an interface.
    service = _service(device)
    network = [f"network.{device}", f"network.{device}_hub", f"network.{service}"]
    firewall = [f"firewall.{device}{part}" for part in ("", "_in", "_out", "_ping", *_MANAGED.values())]
    return [f"delete {name}" for name in (*network, *firewall, f"openvpn.{device}", f"openvpn.{service}")]


def zone_of(device: str) -> str:
    """The firewall zone of a tunnel."""
    return "vpn_" + hashlib.sha256(device.encode()).hexdigest()[: ZONE_LENGTH - 4]


def _firewall(device: str, access: RouterAccess) -> list[str]:
    # The hub decides which packets come through the tunnel; the router itself answers pings, and whoever may manage it.
    zone = zone_of(device)
    policy = {"name": zone, "input": "REJECT", "output": "ACCEPT", "forward": "ACCEPT", "masq": "0", "mtu_fix": "1"}
    ping = {"name": f"Ping from {zone}", "src": zone, "proto": "icmp", "family": "any", "target": "ACCEPT"}
    return [
        *_section("firewall", device, "zone", policy, {"network": [device]}),
        *_section("firewall", f"{device}_in", "forwarding", {"src": zone, "dest": "lan"}),
        *_section("firewall", f"{device}_out", "forwarding", {"src": "lan", "dest": zone}),
        *_section("firewall", f"{device}_ping", "rule", ping),
        *(line for one in ports_of(access).items() if access for line in _managed(device, zone, access, *one)),
    ]


def _managed(device: str, zone: str, access: RouterAccess, protocol: str, ports: tuple[str, ...]) -> list[str]:
    """The rule by which the router is managed over one protocol."""
    rule = {"name": f"Management from {zone}, {protocol}", "src": zone, "proto": protocol, "family": "any"}
    rule |= {"dest_port": " ".join(ports), "target": "ACCEPT"}
    sources = {"src_ip": [str(network) for network in access.networks]}
    return _section("firewall", f"{device}{_MANAGED[protocol]}", "rule", rule, sources)
