"""What each platform offers, from which version on, and the words for what is missing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpn import platforms
from vpn.choices import Platform


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("7.16.2", (7, 16, 2)),
        ("7.16.2 (stable)", (7, 16, 2)),
        (" v7.17rc3", (7, 17)),
        ("7.22beta1", (7, 22)),
        ("24.1", (24, 1)),
        ("7", (7,)),
        ("", ()),
        ("stable", ()),
        ("v", ()),
        ("99999999999", ()),
        ("7.", (7,)),
        ("\u0667.\u0661", ()),
    ],
)
def test_a_version_is_the_numbers_at_the_beginning(text: str, version: tuple[int, ...]) -> None:
    assert platforms.parse_version(text) == version


@given(st.text(max_size=40))
def test_no_text_makes_it_stumble(text: str) -> None:
    platforms.parse_version(text)
    for platform in Platform.values:
        platforms.version_fault(platform, text)
        for protocol in (platforms.WIREGUARD, platforms.OPENVPN):
            platforms.capability(platform, protocol, text)


@pytest.mark.parametrize("platform", Platform.values)
def test_every_platform_states_both_protocols(platform: str) -> None:
    both = platforms.capabilities(platform)
    assert set(both) == {"wireguard", "openvpn"}
    for capability in both.values():
        assert capability.offered == (not capability.reason)
        assert capability.transports or not capability.offered
        assert not capability.compat or capability.transports == ("tcp",)


@pytest.mark.parametrize("version", ["", "6.49.17", "6.48"])
def test_routeros_6_has_no_wireguard_whatever_its_version(version: str) -> None:
    assert "no WireGuard" in platforms.why_not(Platform.ROUTEROS6, version, "wireguard")


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
        (Platform.LINUX, "wireguard", "6.1", True),
    ],
)
def test_since_when(platform: str, protocol: str, version: str, offered: bool) -> None:
    assert (platforms.why_not(platform, version, protocol) == "") == offered


def test_who_needs_the_compatibility_listener() -> None:
    needing = {platform for platform in Platform.values if platforms.needs_compat(platform)}
    assert needing == {Platform.ROUTEROS7, Platform.ROUTEROS6, Platform.OPNSENSE, Platform.PFSENSE}
    assert platforms.needs_compat(Platform.ROUTEROS7, "7.21.1")


@pytest.mark.parametrize(
    ("platform", "version", "words"),
    [
        (Platform.ROUTEROS7, "6.49.17", "RouterOS 6"),
        (Platform.ROUTEROS6, "7.16", "RouterOS 7"),
        (Platform.ROUTEROS7, "8.0", "begin with 7"),
        (Platform.ROUTEROS7, "latest", "such as 7.16"),
        (Platform.ROUTEROS7, "7.16", ""),
        (Platform.ROUTEROS7, " ", ""),
        (Platform.LINUX, "6.1", ""),
    ],
)
def test_a_version_of_another_system_is_told(platform: str, version: str, words: str) -> None:
    fault = platforms.version_fault(platform, version)
    assert words in fault
    assert bool(fault) == bool(words)


def test_an_unknown_platform_is_an_error() -> None:
    with pytest.raises(ValueError, match="nokia"):
        platforms.capability("nokia", "wireguard")
