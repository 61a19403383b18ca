"""Linux: the files of a router bring tunnels up for real, in namespaces."""

from __future__ import annotations

import secrets
import sys
from datetime import UTC, datetime
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network, ip_address

import pytest

from tests.lab.lab import Lab
from tests.lab.nodes import Node, Site
from tests.lab.waiting import wait_until
from tests.vpn.profiles.linux_files import DEVICE, EVERYTHING, Sections, files, parse
from tests.vpn.profiles.router_samples import ROUTER, WIREGUARD
from vpn import keys, pki
from vpn.profiles import linux
from vpn.profiles.openvpn import OpenVPNProfile
from vpn.profiles.wireguard import WireGuardProfile


def world(lab: Lab, allowed: tuple[IPv4Network | IPv6Network, ...]) -> tuple[Node, Site, WireGuardProfile]:
    """A hub, a site, and the site's profile for it."""
    site, hub = lab.add_site("berlin"), lab.add_client("hub")
    key, hub_key, preshared = keys.generate_private_key(), keys.generate_private_key(), keys.generate_preshared_key()
    lab.wg_quick_up(
        hub,
        f"[Interface]\nPrivateKey = {hub_key}\nListenPort = 20000\nAddress = 100.64.0.1/20, fd12::1/64\n"
        f"[Peer]\nPublicKey = {keys.public_key(key)}\nPresharedKey = {preshared}\n"
        f"AllowedIPs = 100.64.0.2/32, fd12::2/128, {site.lan_v4}, {site.lan_v6}\n",
    )
    lab.add_address(hub, "192.0.2.77/32")
    profile = WireGuardProfile(
        "Fleet: Berlin",
        key,
        keys.public_key(key),
        (IPv4Interface("100.64.0.2/32"), IPv6Interface("fd12::2/128")),
        (),
        1420,
        keys.public_key(hub_key),
        preshared,
        hub.v4,
        20000,
        allowed,
    )
    return hub, site, profile


def reaches(lab: Lab, hub: Node, site: Site) -> None:
    lab.wait_ping(site.lan, "100.64.0.1")
    assert lab.ping(site.lan, "fd12::1", count=3)
    assert lab.ping(hub, site.lan.v4)
    assert lab.ping(hub, site.lan.v6)


POOL = (IPv4Network("100.64.0.0/20"), IPv6Network("fd12::/64"))


@pytest.mark.network
@pytest.mark.parametrize("allowed", [POOL, EVERYTHING])
def test_wg_quick(lab: Lab, allowed: tuple[IPv4Network | IPv6Network, ...]) -> None:
    hub, site, profile = world(lab, allowed)
    lab.wg_quick_up(site.router, files(profile)[f"{ROUTER.tag}.conf"], ROUTER.tag)
    reaches(lab, hub, site)
    assert lab.ping(site.lan, "192.0.2.77") == (allowed == EVERYTHING)


@pytest.mark.network
@pytest.mark.parametrize("allowed", [POOL, EVERYTHING])
def test_what_systemd_networkd_would_do(lab: Lab, allowed: tuple[IPv4Network | IPv6Network, ...]) -> None:
    hub, site, profile = world(lab, allowed)
    made = files(profile)
    networkd(lab, site.router, parse(made[f"{ROUTER.tag}.netdev"]), parse(made[f"{ROUTER.tag}.network"]))
    reaches(lab, hub, site)
    assert lab.ping(site.lan, "192.0.2.77") == (allowed == EVERYTHING)


def networkd(lab: Lab, node: Node, device: Sections, network: Sections) -> None:
    """Do by hand what the manual says that systemd-networkd does with the two files."""
    sections = dict(device)
    name, mtu = dict(sections["NetDev"])["Name"], dict(sections["NetDev"])["MTUBytes"]
    interface, peer = sections["WireGuard"], sections["WireGuardPeer"]
    spelled = {"FirewallMark": "FwMark"}
    lines = ["[Interface]", *(f"{spelled.get(key, key)} = {value}" for key, value in interface)]
    lines += ["[Peer]", *(f"{key} = {value}" for key, value in peer)]
    path = lab.directory / node.name / "networkd.conf"
    path.write_text("\n".join(lines) + "\n")
    lab.run(node, ["wireguard-go", name])
    lab.run(node, ["wg", "setconf", name, str(path)])
    lab.run(node, ["ip", "link", "set", name, "mtu", mtu, "up"])
    for section, entries in network:
        values = dict(entries)
        if section == "Network":
            for key, value in entries:
                assert key == "Address"
                lab.add_address(node, value, name)
        elif section == "Route":
            metric = ["metric", values["Metric"]] if "Metric" in values else []
            table = ["table", values.get("Table", "main"), *metric]
            lab.run(node, ["ip", "route", "add", values["Destination"], "dev", name, *table])
        elif section == "RoutingPolicyRule":
            inverted = ["not"] if values.get("InvertRule") == "yes" else []
            mark = ["fwmark", values["FirewallMark"]] if "FirewallMark" in values else []
            length = (
                ["suppress_prefixlength", values["SuppressPrefixLength"]] if "SuppressPrefixLength" in values else []
            )
            words = [*inverted, *mark, "table", values["Table"], *length, "priority", values["Priority"]]
            for family in ("-4", "-6"):
                lab.run(node, ["ip", family, "rule", "add", *words])


@pytest.mark.network
def test_openvpn(lab: Lab) -> None:
    site, hub = lab.add_site("berlin"), lab.add_client("hub")
    profile = openvpn_server(lab, hub, site)
    path = lab.directory / site.router.name / "client.conf"
    path.write_text(linux.openvpn(profile, ROUTER).files[0].content)
    path.chmod(0o600)
    lab.start(site.router, ["openvpn", "--config", str(path)])
    lab.wait_ping(site.lan, "100.64.0.1", 20)
    assert lab.ping(hub, site.lan.v4)
    assert DEVICE in lab.run(site.router, ["ip", "-br", "link"]).stdout


def openvpn_server(lab: Lab, hub: Node, site: Site) -> OpenVPNProfile:
    """Start openvpn as a server on the hub; returns the site's profile for it."""
    now = datetime.now(UTC)
    authority = pki.create_authority("Fleet", now)
    server, client = pki.issue_server(authority, "hub", now), pki.issue_client(authority, "peer-1", now)
    server_key = pki.tls_crypt_v2_server_key()
    lan = IPv4Network(site.lan_v4)
    clients = lab.directory / hub.name / "ccd"
    clients.mkdir()
    (clients / "peer-1").write_text(
        f"ifconfig-push 100.64.0.2 255.255.240.0\niroute {lan.network_address} {lan.netmask}\n"
    )
    keyed = {"ca": authority.certificate, "cert": server.certificate, "key": server.private_key}
    keyed["tls-crypt-v2"] = server_key
    for name, text in keyed.items():
        (clients.parent / name).write_text(text)
    device = ("--dev", f"tun{secrets.token_hex(2)}", "--dev-type", "tun", "--disable-dco")
    network = ("--topology", "subnet", "--ifconfig", "100.64.0.1", "255.255.240.0", "--client-config-dir", str(clients))
    pushed = ("--push", "topology subnet", "--push", "route-gateway 100.64.0.1")
    route = ("--route", str(lan.network_address), str(lan.netmask), "100.64.0.2")
    tls = ("--mode", "server", "--tls-server", "--dh", "none", "--port", "20001")
    files_of_keys = (part for name in keyed for part in (f"--{name}", str(clients.parent / name)))
    lab.start(hub, ["openvpn", *device, *tls, *network, *pushed, *route, *files_of_keys])
    return OpenVPNProfile(
        'Fleet "Berlin" $?',
        ((str(ip_address(hub.v4)), 20001, "udp"),),
        authority.certificate,
        client.certificate,
        client.private_key,
        pki.tls_crypt_v2_client_key(server_key),
        "hub",
    )


# A router's advertisement of itself as the default route for half an hour (RFC 4861, section 4.2).
_ADVERTISE = """
import socket, struct, sys
with socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58) as door:
    door.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
    door.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, socket.if_nametoindex(sys.argv[1]))
    door.sendto(struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0), ("ff02::1", 0))
"""


def learnt(lab: Lab, node: Node) -> bool:
    """Whether a node has a default route from a router advertisement."""
    return "proto ra" in lab.run(node, ["ip", "-6", "route", "show", "default"]).stdout


@pytest.mark.network
@pytest.mark.parametrize("kept", [True, False])
def test_a_default_route_from_router_advertisements_outlives_forwarding(lab: Lab, kept: bool) -> None:
    """The commands as they are printed, on a directory in the place of /etc/sysctl.d."""
    router = lab.add_client("router")
    lab.run(router, ["sysctl", "-qw", "net.ipv6.conf.eth0.accept_ra=1"])
    lab.run(router, ["ip", "-6", "route", "delete", "default"])

    def advertised() -> bool:
        lab.run(lab.internet, [sys.executable, "-S", "-c", _ADVERTISE, "br0"])
        return learnt(lab, router)

    wait_until(advertised, 10, "the route")
    keep, forward = linux.wireguard(WIREGUARD, ROUTER).steps[:2]
    directory = lab.directory / router.name / "sysctl.d"
    directory.mkdir()
    (directory / f"90-{ROUTER.tag}.conf").write_text(files()[f"90-{ROUTER.tag}.conf"])
    script = "\n".join([*(keep.commands if kept else ()), *forward.commands])
    inside = 'mount --bind "$1" /etc/sysctl.d && exec sh -ec "$2"'
    for _ in range(2):  # twice, as when newer files replace them
        lab.run(router, ["unshare", "-m", "sh", "-c", inside, "sh", str(directory), script])
        assert lab.run(router, ["sysctl", "-n", "net.ipv6.conf.all.forwarding"]).stdout.strip() == "1"
        assert learnt(lab, router) == kept
        lab.run(lab.internet, [sys.executable, "-S", "-c", _ADVERTISE, "br0"])
    if kept:
        text = (directory / f"80-{ROUTER.tag}.conf").read_text()
        assert text.count("net/ipv6/conf/eth0/accept_ra = 2\n") == 1
