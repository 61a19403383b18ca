"""What routers accept for their management: in their files, gone with a newer file, and nothing where it is off."""

from __future__ import annotations

import dataclasses
from ipaddress import IPv4Network, IPv6Network

import pytest

from tests.routeros.router import Router
from tests.vpn.profiles.router_samples import REMOTE, ROUTER, WIREGUARD, openvpn
from tests.vpn.profiles.test_openwrt import DEVICE, parse
from vpn.choices import Platform
from vpn.profiles.router import RouterProfile, SiteRouter
from vpn.profiles.routers import router_files
from vpn.router_services import RouterAccess, RouterService

NETWORKS = (IPv4Network("10.1.0.0/24"), IPv4Network("100.64.0.9/32"), IPv6Network("fd10:1::/64"))
ACCESS = RouterAccess((RouterService.SSH, RouterService.HTTPS, RouterService.SNMP), NETWORKS)
MANAGED = dataclasses.replace(ROUTER, access=ACCESS)


def made(platform: Platform, router: SiteRouter, *, protocol: str = "wireguard") -> RouterProfile:
    profile = WIREGUARD if protocol == "wireguard" else openvpn(compat=True)
    found = router_files(platform, profile, router, REMOTE)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("platform", "version", "protocol"),
    [
        (Platform.ROUTEROS7, "7.12", "wireguard"),
        (Platform.ROUTEROS7, "7.21", "openvpn"),
        (Platform.ROUTEROS6, "6.49.10", "openvpn"),
    ],
)
def test_routeros_accepts_by_its_script_and_forgets_by_the_next(
    platform: Platform, version: str, protocol: str
) -> None:
    managed, plain = (dataclasses.replace(one, version=version) for one in (MANAGED, ROUTER))
    router = Router(tuple(map(int, version.split("."))))
    router.run('/ip firewall filter add chain="input" action="drop" comment="theirs"')
    router.run(made(platform, managed, protocol=protocol).files[0].content)
    found = [
        (one["chain"], one["protocol"], one["dst-port"], one["src-address"], one["in-interface"])
        for one in router.rows("/ip firewall filter")
        if "dst-port" in one
    ]
    # Each before the first rule that drops, in the order of the script.
    assert found == [
        ("input", protocol, ports, network, ROUTER.tag)
        for protocol, ports in (("tcp", "22,443"), ("udp", "161"))
        for network in ("10.1.0.0/24", "100.64.0.9/32")
    ]
    incoming = [one for one in router.rows("/ip firewall filter") if one["chain"] == "input"]
    assert incoming[-1]["comment"] == "theirs"
    if platform == Platform.ROUTEROS7:
        six = [one["src-address"] for one in router.rows("/ipv6 firewall filter") if "dst-port" in one]
        assert six == ["fd10:1::/64"] * 2
    router.run(made(platform, plain, protocol=protocol).files[0].content)
    assert not [one for one in router.rows("/ip firewall filter") if "dst-port" in one]


@pytest.mark.parametrize("protocol", ["wireguard", "openvpn"])
def test_openwrt_has_a_rule_for_each_protocol(protocol: str) -> None:
    number = 0 if protocol == "wireguard" else 1
    text = made(Platform.OPENWRT, MANAGED, protocol=protocol).files[number].content
    sections = parse(text)
    zone = sections[f"firewall.{DEVICE}"]["name"]
    for name, kind, ports in (("manage", "tcp", "22 443"), ("manage_udp", "udp", "161")):
        rule = sections[f"firewall.{DEVICE}_{name}"]
        assert (rule["src"], rule["proto"], rule["dest_port"], rule["target"]) == (zone, kind, ports, "ACCEPT")
        assert rule["src_ip"] == [str(network) for network in NETWORKS]
    # The next file and the removal take them away.
    for file in (made(Platform.OPENWRT, ROUTER, protocol=protocol), made(Platform.OPENWRT, MANAGED, protocol=protocol)):
        later = file.files[-1] if file.files[-1].filename.endswith("-remove.uci") else file.files[number]
        assert not [key for key in parse(later.content, parse(text)) if "_manage" in key]
    assert not [key for key in parse(made(Platform.OPENWRT, ROUTER).files[0].content, parse(text)) if "_manage" in key]


def test_linux_has_a_step_for_a_firewall() -> None:
    *_, step = made(Platform.LINUX, MANAGED).steps
    assert dict(step.values) == {
        "Interface": DEVICE,
        "From": "10.1.0.0/24, 100.64.0.9/32, fd10:1::/64",
        "Ports": "TCP 22 443, UDP 161",
    }
    assert step.commands[0] == (
        f'nft insert rule inet filter input iifname "{DEVICE}" ip saddr {{ 10.1.0.0/24, 100.64.0.9/32 }} '
        "tcp dport { 22, 443 } accept"
    )
    assert len(step.commands) == 4


def test_vyos_has_a_step_for_a_firewall() -> None:
    profile = dataclasses.replace(WIREGUARD, endpoint_host="203.0.113.1")
    found = router_files(Platform.VYOS, profile, MANAGED)
    assert found is not None
    assert dict(found.steps[-1].values)["Interface"].startswith("wg")


@pytest.mark.parametrize("platform", [Platform.OPNSENSE, Platform.PFSENSE])
def test_who_passes_everything_needs_nothing(platform: Platform) -> None:
    assert made(platform, MANAGED) == made(platform, ROUTER)
