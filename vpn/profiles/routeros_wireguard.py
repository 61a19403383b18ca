"""WireGuard on RouterOS 7: a script that may be imported repeatedly, and one that removes what it created."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv4Network

from django.utils.translation import gettext as _

from vpn.constants import MAX_MTU, MIN_MTU
from vpn.profiles.router import (
    TEXT,
    Network,
    ProfileFile,
    RouterProfile,
    SiteRouter,
    Step,
    checked_key,
    checked_number,
    host_and_port,
    interface_addresses,
    networks,
)
from vpn.profiles.routeros_script import (
    Target,
    add_or_set,
    command,
    firewall,
    found,
    openvpn_removal,
    quoted,
    removal,
    remove,
    routes,
    script,
    target_of,
    word,
)
from vpn.profiles.wireguard import WireGuardProfile

NAMED_PEERS = (7, 17)


def wireguard(profile: WireGuardProfile, router: SiteRouter) -> RouterProfile:
    """The scripts for a router with RouterOS 7.

    Raises ValueError for a value that its place cannot hold, and for RouterOS 6, which has no WireGuard.
    """
    target = target_of(router, profile.name)
    if target.is_6:
        raise ValueError("RouterOS 6 has no WireGuard.")
    install = script(
        profile.name,
        ("What an OpenVPN script of this peer made", openvpn_removal(target)),
        ("The interface", [_interface(target, profile)]),
        ("The hub", [_peer(target, profile)]),
        ("The addresses", _addresses(target, profile)),
        ("Routes: RouterOS makes none from allowed addresses", _routes(target, profile, router)),
        ("The firewall", firewall(target, target.tag, router.aliases, router.access)),
    )
    return scripts(target, install, profile.name, own_key=profile.private_key is None)


def scripts(target: Target, install: str, name: str, *, own_key: bool = False) -> RouterProfile:
    """The two files, and the steps for them."""
    undo = script(f"Removes {name}", ("Everything of ours, and nothing else", removal(target)))
    file = f"{target.tag}.rsc"
    steps = [
        Step(_("Upload the script to the router: in WinBox or WebFig drag it into Files.")),
        Step(_("Import it in a terminal, now and whenever it changes."), commands=(f"/import file-name={file}",)),
        Step(_("Delete the file: it holds keys."), commands=(f"/file remove {file}",)),
    ]
    if own_key:
        steps.append(
            Step(
                _("The router made its own key. Enter its public key in the portal."),
                commands=(f"/interface wireguard print where name={target.tag}",),
            )
        )
    return RouterProfile(
        (
            ProfileFile(file, install, TEXT, _("Script for RouterOS")),
            ProfileFile(f"{target.tag}-remove.rsc", undo, TEXT, _("Script that removes it again")),
        ),
        tuple(steps),
    )


def _interface(target: Target, profile: WireGuardProfile) -> str:
    properties = {"name": quoted(target.tag), "mtu": checked_number(profile.mtu, MIN_MTU, MAX_MTU)}
    if profile.private_key is not None:
        properties["private_key"] = quoted(checked_key(profile.private_key))
    if profile.listen_port is not None:
        properties["listen_port"] = checked_number(profile.listen_port, 1, 65535)
    return add_or_set(
        "/interface wireguard",
        target.ours("interface"),
        **properties,
        disabled="no",
        comment=target.comment("interface"),
    )


def _peer(target: Target, profile: WireGuardProfile) -> str:
    host, port = host_and_port(profile.endpoint_host, profile.endpoint_port)
    allowed = networks(profile.allowed_ips)
    if not allowed:
        raise ValueError("At least one network was expected.")
    properties = {
        "interface": quoted(target.tag),
        "public_key": quoted(checked_key(profile.hub_public_key)),
        "preshared_key": quoted(checked_key(profile.preshared_key))
        if profile.preshared_key is not None
        else quoted(""),
        "endpoint_address": quoted(host),
        "endpoint_port": port,
        "allowed_address": ",".join(word(str(network)) for network in allowed),
        "persistent_keepalive": f"{checked_number(profile.keepalive, 0, 65535)}s",
    }
    if target.version >= NAMED_PEERS:
        properties["name"] = quoted(target.tag)
    return add_or_set(
        "/interface wireguard peers", target.ours("peer"), **properties, disabled="no", comment=target.comment("peer")
    )


def _addresses(target: Target, profile: WireGuardProfile) -> list[str]:
    lines = []
    for address in interface_addresses(profile.addresses):
        menu = "/ip address" if isinstance(address, IPv4Interface) else "/ipv6 address"
        more = {} if isinstance(address, IPv4Interface) else {"advertise": "no"}
        properties = {"address": word(str(address)), "interface": quoted(target.tag), **more}
        lines.append(add_or_set(menu, target.ours("address"), **properties, comment=target.comment("address")))
    return lines


def _routes(target: Target, profile: WireGuardProfile, router: SiteRouter) -> list[str]:
    defaults = [network for network in profile.allowed_ips if network.prefixlen == 0]
    specific = [network for network in profile.allowed_ips if network.prefixlen]
    return [*routes(target, specific, target.tag), *_default_routes(target, defaults, networks(router.subnets))]


def _default_routes(target: Target, defaults: list[Network], subnets: tuple[Network, ...]) -> list[str]:
    # A default route into the tunnel is in a table of its own, which only the site's networks use. The router's own
    # packets to the hub must still leave through its provider.
    table = "/routing table"
    lines = [remove("/routing rule", target.ours("rule"))]
    if not defaults:
        return [*lines, remove(table, target.ours("table"))]
    make = command(table, "add", "fib", name=quoted(target.tag), comment=target.comment("table"))
    lines.append(f":if ([:len {found(table, target.ours('table'))}] = 0) do={{ {make} }}")
    for network in defaults:
        menu = "/ip route" if isinstance(network, IPv4Network) else "/ipv6 route"
        lines.append(
            command(
                menu,
                "add",
                dst_address=str(network),
                gateway=quoted(target.tag),
                routing_table=quoted(target.tag),
                comment=target.comment("route"),
            )
        )
    families = {network.version for network in defaults}
    inside = [subnet for subnet in subnets if subnet.version in families]
    rule = {"action": "lookup", "comment": target.comment("rule")}
    lines += [command("/routing rule", "add", dst_address=str(net), table="main", **rule) for net in inside]
    lines += [command("/routing rule", "add", src_address=str(net), table=quoted(target.tag), **rule) for net in inside]
    return lines
