"""Linux: systemd's files read strictly, and all of them brought up for real in namespaces."""

from __future__ import annotations

import dataclasses
import os
import re
import secrets
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network, ip_address
from typing import Any

import pytest
from hypothesis import given

from tests.lab.lab import Lab
from tests.lab.nodes import Node, Site
from tests.lab.waiting import wait_until
from tests.vpn.profiles.router_samples import HUB_KEY, PRIVATE_KEY, ROUTER, WIREGUARD, hostile, network_lists, openvpn
from vpn import keys, pki
from vpn.profiles import linux
from vpn.profiles.openvpn import OpenVPNProfile
from vpn.profiles.router import RouterProfile, metric_of
from vpn.profiles.wireguard import WireGuardProfile

Sections = list[tuple[str, list[tuple[str, str]]]]

DEVICE = "vpn_1f2e3d4c"
EVERYTHING = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))

# systemd.netdev(5) and systemd.network(5): what may stand where, and how often a section may.
KNOWN = {
    "NetDev": ({"Name", "Kind", "MTUBytes"}, 1),
    "WireGuard": ({"PrivateKey", "PrivateKeyFile", "ListenPort", "FirewallMark"}, 1),
    "WireGuardPeer": ({"PublicKey", "PresharedKey", "AllowedIPs", "Endpoint", "PersistentKeepalive"}, 1),
    "Match": ({"Name"}, 1),
    "Network": ({"Address", "DNS"}, 1),
    "Route": ({"Destination", "Table", "Metric"}, 99),
    "RoutingPolicyRule": (
        {"Family", "FirewallMark", "InvertRule", "Table", "SuppressPrefixLength", "Priority"},
        2,
    ),
}
REPEATED = {"AllowedIPs", "Address", "DNS"}


def parse(text: str) -> Sections:
    """Read a file of systemd.syntax(7); anything unknown, repeated or joined to the next line is an error."""
    sections: Sections = []
    for line in text.splitlines():
        assert not line.endswith("\\")
        if not line or line.startswith("# "):
            continue
        if found := re.fullmatch(r"\[([A-Za-z]+)\]", line):
            sections.append((found[1], []))
            continue
        key, separator, value = line.partition("=")
        name, entries = sections[-1]
        assert separator
        assert value
        assert "%" not in value
        assert key in KNOWN[name][0], line
        assert key in REPEATED or key not in dict(entries), line
        entries.append((key, value))
    names = [name for name, _ in sections]
    assert all(names.count(name) <= KNOWN[name][1] for name in names)
    return sections


def files(profile: WireGuardProfile = WIREGUARD) -> dict[str, str]:
    return {file.filename: file.content for file in linux.wireguard(profile, ROUTER).files}


def test_the_files_of_wireguard() -> None:
    assert list(files()) == [
        f"{ROUTER.tag}.conf",
        f"{ROUTER.tag}.netdev",
        f"{ROUTER.tag}.network",
        f"90-{ROUTER.tag}.conf",
    ]
    device = dict(parse(files()[f"{ROUTER.tag}.netdev"]))
    assert dict(device["NetDev"]) == {"Name": DEVICE, "Kind": "wireguard", "MTUBytes": "1420"}
    assert dict(device["WireGuard"]) == {"PrivateKey": PRIVATE_KEY}
    peer = device["WireGuardPeer"]
    assert ("PublicKey", HUB_KEY) in peer
    assert ("Endpoint", "fra.vpn.example.net:20000") in peer
    assert [value for key, value in peer if key == "AllowedIPs"] == [str(network) for network in WIREGUARD.allowed_ips]
    network = parse(files()[f"{ROUTER.tag}.network"])
    assert network[0] == ("Match", [("Name", DEVICE)])
    assert network[1] == ("Network", [("Address", "100.64.0.2/32"), ("Address", "fd12:3456:789a::2/128")])
    assert [entries for name, entries in network if name == "Route"] == [
        [("Destination", str(network)), ("Metric", str(metric_of(ROUTER.tag)))] for network in WIREGUARD.allowed_ips
    ]
    quick = files()[f"{ROUTER.tag}.conf"]
    assert "\nTable = off\n" in quick
    for route in WIREGUARD.allowed_ips:
        line = f"PostUp = ip -{route.version} route add {route} dev %i metric {metric_of(ROUTER.tag)}\n"
        assert line in quick


def test_a_default_route_does_not_take_the_tunnel_along() -> None:
    made = files(dataclasses.replace(WIREGUARD, allowed_ips=EVERYTHING))
    assert dict(dict(parse(made[f"{ROUTER.tag}.netdev"]))["WireGuard"])["FirewallMark"] == "51820"
    network = parse(made[f"{ROUTER.tag}.network"])
    assert {dict(entries)["Table"] for name, entries in network if name == "Route"} == {"51820"}
    rules = [dict(entries) for name, entries in network if name == "RoutingPolicyRule"]
    assert rules[0]["SuppressPrefixLength"] == "0"
    assert (rules[1]["FirewallMark"], rules[1]["InvertRule"]) == ("51820", "yes")
    assert int(rules[0]["Priority"]) < int(rules[1]["Priority"]) < 32766  # which looks into the main table


def test_a_key_that_stayed_on_the_router_has_a_place() -> None:
    made = linux.wireguard(dataclasses.replace(WIREGUARD, private_key=None), ROUTER)
    device = dict(parse(made.files[1].content))
    assert dict(device["WireGuard"]) == {"PrivateKeyFile": f"/etc/systemd/network/{ROUTER.tag}.key"}
    assert any("private key" in step.text for step in made.steps)


@given(hostile, network_lists)
def test_no_name_changes_more_than_the_comment(name: str, allowed: Any) -> None:
    profile = dataclasses.replace(WIREGUARD, allowed_ips=allowed)
    plain, strange = files(profile), files(dataclasses.replace(profile, name=name))
    for file in (f"{ROUTER.tag}.netdev", f"{ROUTER.tag}.network"):
        assert parse(plain[file]) == parse(strange[file])


@pytest.mark.parametrize(
    "changes",
    [
        {"private_key": PRIVATE_KEY + "\n[Network]"},
        {"hub_public_key": "x"},
        {"endpoint_host": "evil\n"},
        {"mtu": "1420\n"},
        {"addresses": ("100.64.0.2/32\n",)},
        {"allowed_ips": ("0.0.0.0/0\n",)},
    ],
)
def test_a_value_that_does_not_belong_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        linux.wireguard(dataclasses.replace(WIREGUARD, **changes), ROUTER)
    assert PRIVATE_KEY not in str(refused.value)


def test_the_file_of_openvpn_names_its_tunnel() -> None:
    made = linux.openvpn(openvpn(compat=False), ROUTER)
    assert made.files[0].content.count(f"\ndev {DEVICE}\ndev-type tun\n") == 1
    assert "\ndev tun\n" not in made.files[0].content


def commands(made: RouterProfile) -> list[str]:
    return [command for step in made.steps for command in step.commands]


def test_a_changed_file_is_taken_over() -> None:
    """`enable --now` leaves what runs alone, and a reload of systemd-networkd leaves a device as it is."""
    over_wireguard = commands(linux.wireguard(WIREGUARD, ROUTER))
    over_openvpn = commands(linux.openvpn(openvpn(compat=False), ROUTER))
    assert f"systemctl restart wg-quick@{ROUTER.tag}" in over_wireguard
    assert f"systemctl restart openvpn-client@{ROUTER.tag}" in over_openvpn
    assert not any("enable --now" in command for command in over_wireguard + over_openvpn)
    deleted = over_wireguard.index(f"networkctl delete {DEVICE}")
    assert over_wireguard[deleted + 1] == "systemctl restart systemd-networkd"


def test_the_tunnel_of_the_other_protocol_is_ended_first() -> None:
    over_wireguard = commands(linux.wireguard(WIREGUARD, ROUTER))
    over_openvpn = commands(linux.openvpn(openvpn(compat=False), ROUTER))
    ended = over_wireguard.index(f"systemctl disable --now openvpn-client@{ROUTER.tag}")
    assert ended < over_wireguard.index(f"systemctl restart wg-quick@{ROUTER.tag}")
    started = over_openvpn.index(f"systemctl restart openvpn-client@{ROUTER.tag}")
    assert over_openvpn.index(f"systemctl disable --now wg-quick@{ROUTER.tag}") < started
    assert over_openvpn.index(f"networkctl delete {DEVICE}") < started


# For real.


@pytest.fixture
def lab() -> Iterator[Lab]:
    if os.geteuid() != 0:
        pytest.skip("making network namespaces needs root")
    with Lab() as laboratory:
        yield laboratory


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
    now = datetime.now(UTC)
    authority = pki.create_authority("Fleet", now)
    server, client = pki.issue_server(authority, "hub", now), pki.issue_client(authority, "peer-1", now)
    server_key = pki.tls_crypt_v2_server_key()
    directory = lab.directory / hub.name
    lan = IPv4Network(site.lan_v4)
    (directory / "ccd").mkdir()
    (directory / "ccd" / "peer-1").write_text(
        f"ifconfig-push 100.64.0.2 255.255.240.0\niroute {lan.network_address} {lan.netmask}\n"
    )
    options = {"ca": authority.certificate, "cert": server.certificate, "key": server.private_key}
    for name, text in (options | {"tls-crypt-v2": server_key}).items():
        (directory / name).write_text(text)
    lab.start(
        hub,
        [
            *(
                "openvpn",
                "--dev",
                f"tun{secrets.token_hex(2)}",
                "--dev-type",
                "tun",
                "--mode",
                "server",
                "--tls-server",
            ),
            *("--topology", "subnet", "--dh", "none", "--port", "20001", "--disable-dco"),
            *("--ifconfig", "100.64.0.1", "255.255.240.0", "--client-config-dir", str(directory / "ccd")),
            *("--push", "topology subnet", "--push", "route-gateway 100.64.0.1"),
            *("--route", str(lan.network_address), str(lan.netmask), "100.64.0.2"),
            *(part for name in (*options, "tls-crypt-v2") for part in (f"--{name}", str(directory / name))),
        ],
    )
    profile = OpenVPNProfile(
        'Fleet "Berlin" $?',
        ((str(ip_address(hub.v4)), 20001, "udp"),),
        authority.certificate,
        client.certificate,
        client.private_key,
        pki.tls_crypt_v2_client_key(server_key),
        "hub",
    )
    path = lab.directory / site.router.name / "client.conf"
    path.write_text(linux.openvpn(profile, ROUTER).files[0].content)
    path.chmod(0o600)
    lab.start(site.router, ["openvpn", "--config", str(path)])
    lab.wait_ping(site.lan, "100.64.0.1", 20)
    assert lab.ping(hub, site.lan.v4)
    assert DEVICE in lab.run(site.router, ["ip", "-br", "link"]).stdout


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
    for _ in range(2):  # twice, as whoever gets newer files does
        lab.run(router, ["unshare", "-m", "sh", "-c", inside, "sh", str(directory), script])
        assert lab.run(router, ["sysctl", "-n", "net.ipv6.conf.all.forwarding"]).stdout.strip() == "1"
        assert learnt(lab, router) == kept
        lab.run(lab.internet, [sys.executable, "-S", "-c", _ADVERTISE, "br0"])
    if kept:
        text = (directory / f"80-{ROUTER.tag}.conf").read_text()
        assert text.count("net/ipv6/conf/eth0/accept_ra = 2\n") == 1
