"""Linux: files for wg-quick(8) or systemd-networkd, and for openvpn(8), with forwarding enabled."""

from __future__ import annotations

from dataclasses import replace

from django.utils.translation import gettext as _

from vpn.constants import MAX_MTU, MIN_MTU
from vpn.profiles import openvpn as ovpn
from vpn.profiles import wireguard as wg
from vpn.profiles.accepts import accept_step, accepts_of
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
    interface_addresses,
    metric_of,
    networks,
    plain_label,
    tag_of,
    with_device,
)
from vpn.profiles.wireguard import WireGuardProfile

# The routing table and firewall mark that keep the tunnel's own packets out of it, as wg-quick(8) does it.
MARK = 51820


def wireguard(profile: WireGuardProfile, router: SiteRouter) -> RouterProfile:
    """Files for wg-quick and for systemd-networkd. Raises ValueError for a value that its place cannot hold."""
    tag = tag_of(router)
    files = (
        ProfileFile(
            f"{tag}.conf", wg.render(replace(profile, metric=metric_of(tag))), wg.CONTENT_TYPE, _("For wg-quick")
        ),
        ProfileFile(f"{tag}.netdev", _netdev(profile, router), TEXT, _("For systemd-networkd: the device")),
        ProfileFile(f"{tag}.network", _network(profile, router), TEXT, _("For systemd-networkd: addresses and routes")),
        _forwarding(router),
    )
    steps = [*_forwarding_steps(router), *_wireguard_steps(router), *_accept_step(router)]
    if profile.private_key is None:
        steps.insert(
            2,
            Step(
                _("Add the private key to the .conf, or for systemd-networkd keep it in a file."),
                ((_key_path(tag), ""),),
            ),
        )
    return RouterProfile(files, tuple(steps))


def _wireguard_steps(router: SiteRouter) -> tuple[Step, ...]:
    tag = tag_of(router)
    before = Step(
        _("Did this site run over OpenVPN until now? End that first: two tunnels with one address stop each other."),
        commands=(f"systemctl disable --now openvpn-client@{tag}",),
    )
    quick = Step(
        _(
            "With wg-quick: copy %(tag)s.conf to /etc/wireguard, then start it, now and at every boot. A changed "
            "file is taken over in the same way."
        )
        % {"tag": tag},
        commands=_started(f"/etc/wireguard/{tag}.conf", f"wg-quick@{tag}"),
    )
    networkd = Step(
        _("Or with systemd-networkd: copy %(tag)s.netdev and %(tag)s.network to /etc/systemd/network.") % {"tag": tag},
        commands=(
            f"chown root:systemd-network /etc/systemd/network/{tag}.netdev",
            f"chmod 640 /etc/systemd/network/{tag}.netdev",
            "networkctl reload",
        ),
    )
    changed = Step(
        _("Was it set up with systemd-networkd before? A reload takes no change of the device over: make it anew."),
        commands=(f"networkctl delete {device_of(router)}", "systemctl restart systemd-networkd"),
    )
    shared = Step(
        _(
            "Is this router on two hubs with the same network, or is one of the networks its own LAN? Both work: "
            "routes of tunnels stand behind those of its own networks, and of two tunnels the one with the lower "
            "metric is taken."
        ),
        commands=("ip route show",),
    )
    return before, quick, networkd, changed, shared


def openvpn(profile: OpenVPNProfile, router: SiteRouter) -> RouterProfile:
    """The file for openvpn's own service. Raises ValueError for a value that its place cannot hold."""
    tag = tag_of(router)
    content = with_device(ovpn.render(profile), device_of(router))
    files = (ProfileFile(f"{tag}.conf", content, ovpn.CONTENT_TYPE, _("For openvpn")), _forwarding(router))
    before = Step(
        _(
            "Did this site run over WireGuard until now? End that first: two tunnels with one address stop each other. "
            "With wg-quick the first command does it, with systemd-networkd the others."
        ),
        commands=(
            f"systemctl disable --now wg-quick@{tag}",
            f"rm /etc/systemd/network/{tag}.netdev /etc/systemd/network/{tag}.network",
            f"networkctl delete {device_of(router)}",
        ),
    )
    start = Step(
        _(
            "Copy %(tag)s.conf to /etc/openvpn/client, then start it, now and at every boot. A changed file is "
            "taken over in the same way."
        )
        % {"tag": tag},
        commands=_started(f"/etc/openvpn/client/{tag}.conf", f"openvpn-client@{tag}"),
    )
    return RouterProfile(files, (*_forwarding_steps(router), before, start, *_accept_step(router)))


def _started(file: str, service: str) -> tuple[str, ...]:
    # `enable --now` does not restart a running service, which would keep its old configuration.
    return f"chmod 600 {file}", f"systemctl enable {service}", f"systemctl restart {service}"


def _forwarding(router: SiteRouter) -> ProfileFile:
    text = "net.ipv4.ip_forward = 1\nnet.ipv6.conf.all.forwarding = 1\n"
    return ProfileFile(f"90-{tag_of(router)}.conf", text, TEXT, _("For sysctl: a router forwards"), kind="sysctl")


def _forwarding_steps(router: SiteRouter) -> tuple[Step, Step]:
    """Enable forwarding, and first make interfaces keep accepting router advertisements.

    A router that forwards ignores them, and at once loses a default route that it learnt from them, unless accept_ra is
    2 (Documentation/networking/ip-sysctl). If it is 0, another program or none processes them.
    """
    tag = tag_of(router)
    kept, file = f"/etc/sysctl.d/80-{tag}.conf", f"90-{tag}.conf"
    listening = "grep -lx 1 /proc/sys/net/ipv6/conf/*/accept_ra | sed 's|^/proc/sys/||; s|$| = 2|'"
    keep = Step(
        _(
            "A router that forwards IPv6 forgets a default route that it learnt from router advertisements. Have it "
            "keep that route, before anything else."
        ),
        commands=(f"{listening} >>{kept}", f"sysctl -p {kept}"),
    )
    forward = Step(
        _("Copy %(file)s to /etc/sysctl.d. Where the router has a firewall, let the tunnel's traffic through it.")
        % {"file": file},
        commands=(f"sysctl -p /etc/sysctl.d/{file}",),
    )
    return keep, forward


def _accept_step(router: SiteRouter) -> tuple[Step, ...]:
    """The accepts for a firewall whose table and chain have their usual names."""
    device = device_of(router)
    commands = (
        f'nft insert rule inet filter input iifname "{device}" {"ip" if each.version == 4 else "ip6"} saddr '
        f"{{ {', '.join(each.networks)} }} {each.protocol} dport {{ {', '.join(each.ports)} }} accept"
        for each in accepts_of(router.access)
    )
    return accept_step(router, device, *commands)


def _key_path(tag: str) -> str:
    return f"/etc/systemd/network/{tag}.key"


def _section(name: str, *entries: tuple[str, str]) -> str:
    """A section of systemd.syntax(7). Values come from numbers, addresses, keys and names of our own: none ends in a
    backslash, which would join lines, or holds a percent sign, which would begin a specifier."""
    if any("%" in value or "\\" in value or not value.isprintable() for _, value in entries):
        raise ValueError("systemd would read something else.")
    return "\n".join((f"[{name}]", *(f"{key}={value}" for key, value in entries)))


def _takes_everything(profile: WireGuardProfile) -> bool:
    return any(not network.prefixlen for network in profile.allowed_ips)


def _netdev(profile: WireGuardProfile, router: SiteRouter) -> str:
    tag = tag_of(router)
    mtu = checked_number(profile.mtu, MIN_MTU, MAX_MTU)
    if profile.private_key is None:
        interface = [("PrivateKeyFile", _key_path(tag))]
    else:
        interface = [("PrivateKey", checked_key(profile.private_key))]
    if profile.listen_port is not None:
        interface.append(("ListenPort", checked_number(profile.listen_port, 1, 65535)))
    if _takes_everything(profile):
        interface.append(("FirewallMark", str(MARK)))
    hub = [("PublicKey", checked_key(profile.hub_public_key))]
    if profile.preshared_key is not None:
        hub.append(("PresharedKey", checked_key(profile.preshared_key)))
    hub += [("AllowedIPs", str(network)) for network in networks(profile.allowed_ips)]
    hub.append(("Endpoint", wg.endpoint(profile.endpoint_host, profile.endpoint_port)))
    if profile.keepalive:
        hub.append(("PersistentKeepalive", checked_number(profile.keepalive, 1, 65535)))
    return _file(
        profile,
        _section("NetDev", ("Name", device_of(router)), ("Kind", "wireguard"), ("MTUBytes", mtu)),
        _section("WireGuard", *interface),
        _section("WireGuardPeer", *hub),
    )


def _network(profile: WireGuardProfile, router: SiteRouter) -> str:
    everything = _takes_everything(profile)
    addresses = [("Address", str(address)) for address in interface_addresses(profile.addresses)]
    table = [("Table", str(MARK))] if everything else [("Metric", str(metric_of(tag_of(router))))]
    sections = [
        _section("Match", ("Name", device_of(router))),
        _section("Network", *addresses, *(("DNS", str(server)) for server in profile.dns)),
        *(_section("Route", ("Destination", str(net)), *table) for net in networks(profile.allowed_ips)),
    ]
    if everything:
        # All packets but the tunnel's own, and but those that match a more specific route of the main table.
        own = (("Family", "both"), ("FirewallMark", str(MARK)), ("InvertRule", "yes"), ("Table", str(MARK)))
        local = (("Family", "both"), ("Table", "main"), ("SuppressPrefixLength", "0"))
        sections += [
            _section("RoutingPolicyRule", *local, ("Priority", "32000")),
            _section("RoutingPolicyRule", *own, ("Priority", "32001")),
        ]
    return _file(profile, *sections)


def _file(profile: WireGuardProfile, *sections: str) -> str:
    return f"# {plain_label(profile.name)}\n" + "\n\n".join(sections) + "\n"
