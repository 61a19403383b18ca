"""What each platform offers, from which version on, and the words for what is missing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpn.choices import Platform
from vpn.platforms import capabilities, kinds, versions


@pytest.mark.parametrize(
    ("platform", "text", "version"),
    [
        (Platform.ROUTEROS7, "7.16.2", (7, 16, 2)),
        (Platform.ROUTEROS7, "7.16.1 (stable)", (7, 16, 1)),
        (Platform.ROUTEROS7, "RouterOS 7.16.1 (stable)", (7, 16, 1)),
        (Platform.ROUTEROS7, "RB4011iGS+ RouterOS v7.16.1 (stable)", (7, 16, 1)),
        (Platform.ROUTEROS7, " v7.17rc3", (7, 17)),
        (Platform.ROUTEROS7, "version: 7.22beta1 (testing)", (7, 22)),
        (Platform.ROUTEROS6, "6.49.17 (long-term)", (6, 49, 17)),
        (Platform.OPENWRT, "OpenWrt 23.05.5 r24106-10cc5e456a", (23, 5, 5)),
        (Platform.OPENWRT, "OpenWrt 23.05.5, r24106-10cc5e456a", (23, 5, 5)),
        (Platform.OPENWRT, "OpenWrt 23.05-SNAPSHOT, r24106-10cc5e456a", (23, 5)),
        (Platform.OPENWRT, "LuCI branch (git-24.086.45142-09d5a38) / OpenWrt 22.03.7 r20341", (22, 3, 7)),
        (Platform.OPENWRT, "OpenWrt SNAPSHOT, r28000-1234567", kinds.NEWEST),
        (Platform.OPENWRT, "Linux OpenWrt 5.15.167 #0 SMP", ()),
        (Platform.VYOS, "VyOS 1.4.0", (1, 4, 0)),
        (Platform.VYOS, "Version:          VyOS 1.3.8", (1, 3, 8)),
        (Platform.VYOS, "1.5-rolling-202411190007", (1, 5)),
        (Platform.VYOS, "2025.09.10-0018-rolling", (2025, 9, 10)),
        (Platform.VYOS, "VyOS sagitta", (1, 4)),
        (Platform.OPNSENSE, "OPNsense 24.7.9_1-amd64", (24, 7, 9)),
        (Platform.OPNSENSE, "OPNsense 24.7.9_1-amd64FreeBSD 14.1-RELEASE-p6OpenSSL 3.0.15", (24, 7, 9)),
        (Platform.OPNSENSE, "25.1.a_93", (25, 1)),
        (Platform.PFSENSE, "2.7.2-RELEASE", (2, 7, 2)),
        (Platform.PFSENSE, "2.7.2-RELEASE (amd64) built on Wed Dec 6 20:10:00 UTC 2023", (2, 7, 2)),
        (Platform.PFSENSE, "pfSense Plus 24.03-RELEASE", (24, 3)),
        (Platform.LINUX, "Debian GNU/Linux 12 (bookworm)", (12,)),
        (Platform.ROUTEROS7, "7", (7,)),
        (Platform.ROUTEROS7, "", ()),
        (Platform.ROUTEROS7, "stable", ()),
        (Platform.ROUTEROS7, "v", ()),
        (Platform.ROUTEROS7, "99999999999", ()),
        (Platform.ROUTEROS7, "7.", (7,)),
        (Platform.ROUTEROS7, "\u0667.\u0661", ()),
    ],
)
def test_a_version_is_read_as_the_router_shows_it(platform: str, text: str, version: tuple[int, ...]) -> None:
    assert versions.version_of(platform, text) == version
    # What is understood is taken as well.
    assert (versions.version_fault(platform, text) == "") == bool(version or not text)


@given(st.text(max_size=40))
def test_no_text_makes_it_stumble(text: str) -> None:
    for platform in Platform.values:
        versions.version_of(platform, text)
        versions.shown(platform, text)
        versions.version_fault(platform, text)
        for protocol in (capabilities.WIREGUARD, capabilities.OPENVPN):
            capabilities.capability(platform, protocol, text)


@pytest.mark.parametrize("platform", Platform.values)
def test_every_platform_states_both_protocols(platform: str) -> None:
    both = capabilities.capabilities(platform)
    assert set(both) == {"wireguard", "openvpn"}
    for capability in both.values():
        assert capability.offered == (not capability.reason)
        assert capability.transports or not capability.offered
        assert not capability.compat or capability.transports == ("tcp",)


@pytest.mark.parametrize("version", ["", "6.49.17", "6.48"])
def test_routeros_6_has_no_wireguard_whatever_its_version(version: str) -> None:
    assert "no WireGuard" in capabilities.why_not(Platform.ROUTEROS6, version, "wireguard")


@pytest.mark.parametrize(
    ("platform", "protocol", "version", "offered"),
    [
        (Platform.ROUTEROS7, "wireguard", "", True),
        (Platform.ROUTEROS7, "wireguard", "7.1", True),
        (Platform.ROUTEROS7, "wireguard", "7.0.3", False),
        (Platform.ROUTEROS7, "openvpn", "7.11.3", False),
        (Platform.ROUTEROS7, "openvpn", "7.12", True),
        (Platform.ROUTEROS7, "openvpn", "7.2", False),
        (Platform.ROUTEROS6, "openvpn", "6.49.17", True),
        (Platform.ROUTEROS6, "openvpn", "6.44", False),
        (Platform.OPENWRT, "openvpn", "19.07", False),
        (Platform.OPENWRT, "openvpn", "23.05.5", True),
        (Platform.OPENWRT, "wireguard", "19.07.10", True),
        (Platform.VYOS, "openvpn", "1.3.8", False),
        (Platform.VYOS, "openvpn", "1.4.0", True),
        (Platform.OPNSENSE, "wireguard", "23.7", False),
        (Platform.OPNSENSE, "wireguard", "24.7.1", True),
        (Platform.PFSENSE, "wireguard", "2.7.2", True),
        (Platform.OPNSENSE, "openvpn", "23.1", False),
        (Platform.OPNSENSE, "openvpn", "OPNsense 23.7.12-amd64", True),
        (Platform.PFSENSE, "wireguard", "21.05.2-RELEASE", False),
        (Platform.PFSENSE, "wireguard", "pfSense Plus 24.03-RELEASE", True),
        (Platform.VYOS, "openvpn", "VyOS 1.3.8", False),
        (Platform.VYOS, "openvpn", "1.5-rolling-202411190007", True),
        (Platform.OPENWRT, "openvpn", "OpenWrt SNAPSHOT, r28000-1234567", True),
        (Platform.LINUX, "wireguard", "6.1", True),
    ],
)
def test_since_when(platform: str, protocol: str, version: str, offered: bool) -> None:
    assert (capabilities.why_not(platform, version, protocol) == "") == offered


def test_who_needs_the_compatibility_listener() -> None:
    needing = {platform for platform in Platform.values if capabilities.needs_compat(platform)}
    assert needing == {Platform.ROUTEROS7, Platform.ROUTEROS6, Platform.OPNSENSE, Platform.PFSENSE}
    assert capabilities.needs_compat(Platform.ROUTEROS7, "7.21.1")


@pytest.mark.parametrize(
    ("platform", "version", "words"),
    [
        (Platform.ROUTEROS7, "6.49.17", "RouterOS 6"),
        (Platform.ROUTEROS6, "7.16", "RouterOS 7"),
        (Platform.ROUTEROS7, "8.0", "begin with 7"),
        (Platform.ROUTEROS7, "latest", "such as 7.16"),
        (Platform.ROUTEROS7, "VyOS 1.4.0", "Choose VyOS"),
        (Platform.LINUX, "OpenWrt 23.05.5 r24106-10cc5e456a", "Choose OpenWrt"),
        (Platform.OPNSENSE, "2.7.2-RELEASE", "such as OPNsense 24.7"),
        (Platform.LINUX, "Arch Linux", ""),
        (Platform.OTHER, "OpenWrt of a vendor", ""),
        (Platform.ROUTEROS7, "7.16", ""),
        (Platform.ROUTEROS7, " ", ""),
        (Platform.LINUX, "6.1", ""),
    ],
)
def test_a_version_of_another_system_is_told(platform: str, version: str, words: str) -> None:
    fault = versions.version_fault(platform, version)
    assert words in fault
    assert bool(fault) == bool(words)


@pytest.mark.parametrize("platform", Platform.values)
def test_what_a_platform_can_do_names_its_manual(platform: str) -> None:
    for capability in capabilities.capabilities(platform).values():
        assert bool(capability.manual) == (capability.offered and platform != Platform.OTHER)
        assert capability.manual.startswith("https://") or not capability.manual


def test_an_unknown_platform_is_an_error() -> None:
    with pytest.raises(ValueError, match="nokia"):
        capabilities.capability("nokia", "wireguard")


@pytest.mark.parametrize(
    ("platform", "text", "shown"),
    [
        (Platform.VYOS, "VyOS 1.4.0", "VyOS 1.4.0"),
        (Platform.VYOS, "1.4.0", "VyOS 1.4.0"),
        (Platform.ROUTEROS7, "7.16.1 (stable)", "MikroTik RouterOS 7.16.1 (stable)"),
        (Platform.ROUTEROS7, "RouterOS 7.16.1", "RouterOS 7.16.1"),
        (Platform.ROUTEROS7, "6.49", "MikroTik RouterOS 7 6.49"),
        (Platform.ROUTEROS7, "", "MikroTik RouterOS 7"),
        (Platform.LINUX, "Arch Linux", "Linux, Arch Linux"),
    ],
)
def test_a_page_names_the_product_once(platform: str, text: str, shown: str) -> None:
    assert versions.shown(platform, text) == shown
