"""The scripts, run by the tests' router and brought up in namespaces, reach a hub that is the tests' own."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network

import pytest

from tests.lab.lab import Lab
from tests.lab.nodes import Node, Site
from tests.routeros.bridge import bring_up
from tests.routeros.router import Router
from vpn import keys, pki
from vpn.addressing.aliases import parse_alias
from vpn.profiles.openvpn import OpenVPNProfile
from vpn.profiles.router import SiteRouter
from vpn.profiles.routeros_openvpn import openvpn
from vpn.profiles.routeros_wireguard import wireguard
from vpn.profiles.wireguard import WireGuardProfile

pytestmark = pytest.mark.network

TAG = "vpn-1f2e3d4c"
POOL: tuple[IPv4Network | IPv6Network, ...] = (IPv4Network("100.64.0.0/20"), IPv6Network("fd12::/64"))

# A router that lets nothing through but what was asked for from inside, in both families.
THEIRS = """
/ip firewall filter add chain=input action=accept connection-state=established
/ip firewall filter add chain=input action=drop in-interface="ether1"
/ip firewall filter add chain=forward action=drop comment="drop all"
/ipv6 firewall filter add chain=forward action=drop comment="drop all"
"""
# The same, decided in a chain of the admin's own.
JUMPS = """
/ip firewall filter add chain=ours action=drop
/ipv6 firewall filter add chain=ours action=drop
""" + THEIRS.replace("chain=forward action=drop", "chain=forward action=jump jump-target=ours")
_DROP = "/ip firewall filter add chain=forward action=drop"
TARPIT = THEIRS.replace(_DROP, _DROP.replace("drop", "tarpit"))
THEIRS_6 = "\n".join(line for line in THEIRS.splitlines() if "/ipv6" not in line)


def hub_with_wireguard(lab: Lab, site: Site, profile: WireGuardProfile, private_key: str) -> Node:
    hub = lab.add_client("hub")
    text = f"""[Interface]
PrivateKey = {private_key}
ListenPort = 20000
Address = 100.64.0.1/20, fd12::1/64
[Peer]
PublicKey = {profile.public_key}
PresharedKey = {profile.preshared_key}
AllowedIPs = 100.64.0.2/32, fd12::2/128, {site.lan_v4}, {site.lan_v6}
"""
    lab.wg_quick_up(hub, text)
    return hub


def profile_for(lab: Lab, hub_key: str, host: str) -> WireGuardProfile:
    key = keys.generate_private_key()
    return WireGuardProfile(
        name='Fleet "Berlin" $?',
        private_key=key,
        public_key=keys.public_key(key),
        addresses=(IPv4Interface("100.64.0.2/32"), IPv6Interface("fd12::2/128")),
        dns=(),
        mtu=1420,
        hub_public_key=keys.public_key(hub_key),
        preshared_key=keys.generate_preshared_key(),
        endpoint_host=host,
        endpoint_port=20000,
        allowed_ips=POOL,
    )


@pytest.mark.parametrize(
    ("version", "twice", "theirs"),
    [
        ("7.12", False, THEIRS),
        ("7.17", True, THEIRS),
        ("7.19.6", False, JUMPS),
        ("7.21.1", False, TARPIT),
    ],
)
def test_wireguard_from_lan_to_hub_and_back(lab: Lab, version: str, twice: bool, theirs: str) -> None:
    site = lab.add_site("berlin")
    hub_key = keys.generate_private_key()
    profile = profile_for(lab, hub_key, "203.0.113.12")
    hub = hub_with_wireguard(lab, site, profile, hub_key)
    profile = dataclasses.replace(profile, endpoint_host=hub.v4)
    router = Router(tuple(int(part) for part in version.split(".")))
    router.run(theirs)
    script = wireguard(profile, site_router(site, version)).files[0].content
    for _ in range(1 + twice):
        router.run(script)
    bring_up(lab, site.router, router)
    lab.wait_ping(site.lan, "100.64.0.1")
    lab.wait_ping(site.lan, "fd12::1")
    lab.wait_ping(hub, site.lan.v4)
    lab.wait_ping(hub, site.lan.v6)
    assert lab.ping(hub, "100.64.0.2")
    assert not lab.ping(hub, site.router.v4, timeout=0.5)


def test_a_lan_with_an_alias_is_reached_at_it_alone(lab: Lab) -> None:
    site = lab.add_site("berlin", "192.168.88.0/24")
    hub_key = keys.generate_private_key()
    profile = profile_for(lab, hub_key, "203.0.113.12")
    seen_by_hub = dataclasses.replace(site, lan_v4="10.224.0.0/24")
    hub = hub_with_wireguard(lab, seen_by_hub, profile, hub_key)
    profile = dataclasses.replace(profile, endpoint_host=hub.v4)
    router = Router((7, 17))
    router.run(THEIRS)
    router.run('/ip firewall nat add chain=srcnat action=masquerade out-interface="ether1"')
    aliases = (parse_alias("192.168.88.0/24=10.224.0.0/24"),)
    with_alias = dataclasses.replace(site_router(site, "7.17"), aliases=aliases)
    for _ in range(2):
        router.run(wireguard(profile, with_alias).files[0].content)
    bring_up(lab, site.router, router)
    lab.wait_ping(hub, "10.224.0.10", 60)
    with lab.count(hub, "ip saddr 10.224.0.10 icmp type echo-request") as echoes:
        lab.wait_ping(site.lan, "100.64.0.1", 60)
        assert echoes.packets
    # Without the alias the script takes the translation away, and the removal leaves nothing.
    router.run(wireguard(profile, site_router(site, "7.17")).files[0].content)
    assert "netmap" not in {row["action"] for row in router.rows("/ip firewall nat")}
    router.run(wireguard(profile, with_alias).files[0].content)
    router.run(wireguard(profile, with_alias).files[1].content)
    assert [row["action"] for row in router.rows("/ip firewall nat")] == ["masquerade"]


def test_without_our_accepts_the_same_firewall_stops_it(lab: Lab) -> None:
    site = lab.add_site("berlin")
    hub_key = keys.generate_private_key()
    profile = profile_for(lab, hub_key, "203.0.113.12")
    hub = hub_with_wireguard(lab, site, profile, hub_key)
    profile = dataclasses.replace(profile, endpoint_host=hub.v4)
    router = Router((7, 17))
    router.run(THEIRS)
    router.run(wireguard(profile, site_router(site, "7.17")).files[0].content)
    router.run(f'/ip firewall filter remove [/ip firewall filter find where comment~"^{TAG} accept"]')
    bring_up(lab, site.router, router)
    lab.wait_ping(hub, site.lan.v6)  # the tunnel is there
    assert not lab.ping(hub, site.lan.v4, timeout=0.5)


def test_a_default_route_takes_the_lan_along_and_not_the_tunnel(lab: Lab) -> None:
    site = lab.add_site("berlin")
    hub_key = keys.generate_private_key()
    profile = profile_for(lab, hub_key, "203.0.113.12")
    hub = hub_with_wireguard(lab, site, profile, hub_key)
    profile = dataclasses.replace(
        profile, endpoint_host=hub.v4, allowed_ips=(*POOL, IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
    )
    lab.add_address(hub, "192.0.2.77/32")
    router = Router((7, 17))
    router.run(THEIRS)
    router.run(wireguard(profile, site_router(site, "7.17")).files[0].content)
    bring_up(lab, site.router, router)
    lab.wait_ping(site.lan, "192.0.2.77")  # which only the tunnel leads to
    assert lab.ping(site.lan, "100.64.0.1")
    assert not lab.ping(site.router, "192.0.2.77", timeout=0.5)


@pytest.mark.parametrize("version", ["6.49.17", "7.12", "7.17", "7.19.6", "7.21.1"])
def test_openvpn_from_lan_to_hub_and_back(lab: Lab, version: str) -> None:
    site, hub = lab.add_site("berlin"), lab.add_client("hub")
    now = datetime.now(UTC)
    authority = pki.create_authority("Fleet", now)
    server = pki.issue_server(authority, "hub", now, hosts=[hub.v4])
    client = pki.issue_client(authority, "peer-1", now)
    start_server(lab, hub, site, authority.certificate, server)
    profile = OpenVPNProfile(
        'Fleet "Berlin" $?',
        ((hub.v4, 20000, "tcp"),),
        authority.certificate,
        client.certificate,
        client.private_key,
        None,
        "hub",
        compat=True,
    )
    numbers = tuple(int(part) for part in version.split("."))
    router = Router(numbers)
    router.run(THEIRS if numbers >= (7,) else THEIRS_6)
    script = openvpn(profile, site_router(site, version), POOL, major=numbers[0]).files[0].content
    for _ in range(2):
        router.run(script)
    routes = router.menus["/ip route"]
    written, routes[:] = list(routes), []  # they wait for the interface, as they do on a router
    bring_up(lab, site.router, router)
    lab.wait_ping(site.router, "100.64.0.1", 20)
    routes[:] = written
    for row in written:
        lab.run(site.router, ["ip", "route", "replace", row["dst-address"], "dev", row["gateway"]])
    lab.wait_ping(site.lan, "100.64.0.1")
    assert lab.ping(hub, site.lan.v4)


def site_router(site: Site, version: str) -> SiteRouter:
    return SiteRouter("Berlin", (IPv4Network(site.lan_v4), IPv6Network(site.lan_v6)), version, TAG)


def start_server(lab: Lab, hub: Node, site: Site, authority: str, server: pki.Credential) -> None:
    """An openvpn like the hub's compatibility listener."""
    directory = lab.directory / hub.name
    clients = directory / "clients"
    clients.mkdir()
    lan = IPv4Network(site.lan_v4)
    (clients / "peer-1").write_text(
        f"ifconfig-push 100.64.0.2 255.255.240.0\niroute {lan.network_address} {lan.netmask}\n"
    )
    for name, text in (("ca", authority), ("cert", server.certificate), ("key", server.private_key)):
        (directory / name).write_text(text)
    lab.start(
        hub,
        [
            *("openvpn", "--dev", "tun", "--mode", "server", "--tls-server", "--topology", "subnet", "--dh", "none"),
            *("--proto", "tcp-server", "--port", "20000", "--disable-dco", "--ifconfig", "100.64.0.1", "255.255.240.0"),
            *("--push", "topology subnet", "--push", "route-gateway 100.64.0.1"),
            *("--push", "route 100.64.0.0 255.255.240.0", "--client-config-dir", str(clients)),
            *("--data-ciphers", "AES-256-GCM:AES-256-CBC", "--auth", "SHA1", "--tls-version-max", "1.2"),
            *("--route", str(lan.network_address), str(lan.netmask), "100.64.0.2"),
            *(part for name in ("ca", "cert", "key") for part in (f"--{name}", str(directory / name))),
        ],
    )
