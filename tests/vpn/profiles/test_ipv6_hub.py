"""A hub that is reached over IPv6 alone: every router's files name it in the notation of their place."""

from __future__ import annotations

import dataclasses
import re

import pytest

from tests.vpn.profiles.router_samples import ROUTER, WIREGUARD, openvpn
from vpn.choices import Platform
from vpn.profiles.router import RouterProfile, SiteRouter
from vpn.profiles.routers import router_files

HUB = "2001:db8::1"
OVER_WIREGUARD = {
    Platform.ROUTEROS7: r'endpoint-address="2001:db8::1" endpoint-port=20000\b',
    Platform.OPENWRT: r"endpoint_host='2001:db8::1'",
    Platform.VYOS: r"peer hub address '2001:db8::1'",
    Platform.OPNSENSE: r"Endpoint address: 2001:db8::1$",
    Platform.PFSENSE: r"Endpoint: 2001:db8::1$",
    Platform.LINUX: r"^Endpoint ?= ?\[2001:db8::1\]:20000$",
}
OVER_OPENVPN = {
    Platform.ROUTEROS7: r'connect-to="2001:db8::1" port=20000\b',
    Platform.OPENWRT: r"^remote 2001:db8::1 20001 udp$",
    Platform.VYOS: r"remote-host '2001:db8::1'",
    Platform.OPNSENSE: r"Remote: \[2001:db8::1\]:20000$",
    Platform.PFSENSE: r"Protocol: TCP on IPv6 only$",
    Platform.LINUX: r"^remote 2001:db8::1 20001 udp$",
}


def everything(made: RouterProfile | None) -> str:
    """All that a site's admin gets, files and steps."""
    assert made is not None
    values = [f"{label}: {value}" for step in made.steps for label, value in step.values]
    return "\n".join([file.content for file in made.files] + values)


@pytest.mark.parametrize("platform", list(OVER_WIREGUARD))
def test_over_wireguard(platform: Platform) -> None:
    made = everything(router_files(platform, dataclasses.replace(WIREGUARD, endpoint_host=HUB), ROUTER))
    assert re.search(OVER_WIREGUARD[platform], made, re.MULTILINE)
    for network in WIREGUARD.allowed_ips:
        assert str(network) in made
    assert "fd12:3456:789a::2/128" in made


@pytest.mark.parametrize("platform", list(OVER_OPENVPN))
def test_over_openvpn(platform: Platform) -> None:
    profile = openvpn(compat=platform in {Platform.ROUTEROS7, Platform.OPNSENSE, Platform.PFSENSE})
    profile = dataclasses.replace(profile, remotes=tuple((HUB, port, by) for _, port, by in profile.remotes))
    assert re.search(OVER_OPENVPN[platform], everything(router_files(platform, profile, ROUTER)), re.MULTILINE)


def test_routeros_6_reaches_no_such_hub() -> None:
    profile = dataclasses.replace(openvpn(compat=True), remotes=((HUB, 20000, "tcp"),))
    with pytest.raises(ValueError, match="IPv4 only"):
        router_files(Platform.ROUTEROS6, profile, SiteRouter("Berlin", (), "6.49", ROUTER.tag))


@pytest.mark.parametrize("platform", [Platform.ROUTEROS7, Platform.VYOS, Platform.OPNSENSE, Platform.PFSENSE])
def test_the_mtu_is_carried(platform: Platform) -> None:
    profile = dataclasses.replace(openvpn(compat=platform != Platform.VYOS), mtu=1296)
    assert re.search(r"mtu\S*[=: '] ?1296|MTU: 1296|tun-mtu 1296", everything(router_files(platform, profile, ROUTER)))
