"""OPNsense and pfSense: every value that their pages ask for is in the steps, as it must be pasted."""

from __future__ import annotations

import dataclasses
from ipaddress import IPv4Network
from typing import Any

import pytest
from hypothesis import given

from tests.vpn.profiles.router_samples import HUB_KEY, PRIVATE_KEY, ROUTER, WIREGUARD, hostile, openvpn
from vpn.profiles import opnsense
from vpn.profiles.router import RouterProfile


def values(made: RouterProfile) -> dict[str, str]:
    """All values, each label once per step."""
    found: dict[str, str] = {}
    for step in made.steps:
        assert step.text
        labels = [label for label, _ in step.values]
        assert len(labels) == len(set(labels))
        found.update(step.values)
    return found


@pytest.mark.parametrize("pfsense", [False, True])
def test_wireguard(pfsense: bool) -> None:
    made = opnsense.wireguard(WIREGUARD, ROUTER, pfsense=pfsense)
    found = values(made)
    assert made.files == ()
    assert found["Public key"] == HUB_KEY
    assert found["Pre-shared key"] == WIREGUARD.preshared_key
    assert PRIVATE_KEY in found.values()
    assert found["Allowed IPs"] == "100.64.0.0/20, 10.2.0.0/24, fd12:3456:789a::/64"
    assert "fra.vpn.example.net" in found.values()
    assert found["Endpoint port"] == "20000"
    assert "100.64.0.2/32, fd12:3456:789a::2/128" in found.values()
    assert found["MTU"] == "1420"


def test_pfsense_needs_its_routes_told() -> None:
    found = values(opnsense.wireguard(WIREGUARD, ROUTER, pfsense=True))
    assert found["Destination networks"] == found["Allowed IPs"]


@pytest.mark.parametrize("pfsense", [False, True])
def test_openvpn_uses_the_compatibility_listener(pfsense: bool) -> None:
    profile = openvpn(compat=True)
    found = values(opnsense.openvpn(profile, ROUTER, pfsense=pfsense))
    assert profile.private_key in found.values()
    assert found["Private key data"] == profile.private_key
    assert ("20000" in found.values()) or found["Remote"] == "fra.vpn.example.net:20000"
    with pytest.raises(ValueError, match="compatibility"):
        opnsense.openvpn(openvpn(compat=False), ROUTER, pfsense=pfsense)


@pytest.mark.parametrize("pfsense", [False, True])
def test_a_default_route_is_left_to_the_admin(pfsense: bool) -> None:
    profile = dataclasses.replace(WIREGUARD, allowed_ips=(IPv4Network("0.0.0.0/0"), IPv4Network("10.0.0.0/8")))
    made = opnsense.wireguard(profile, ROUTER, pfsense=pfsense)
    assert "all traffic" in made.steps[-1].text
    if pfsense:
        assert values(made)["Destination networks"] == "10.0.0.0/8"


def test_an_ipv6_remote_has_brackets() -> None:
    profile = dataclasses.replace(openvpn(compat=True), remotes=(("2001:db8::1", 20000, "tcp"),))
    assert values(opnsense.openvpn(profile, ROUTER))["Remote"] == "[2001:db8::1]:20000"


def test_keys_are_not_shown_by_accident() -> None:
    assert PRIVATE_KEY not in repr(opnsense.wireguard(WIREGUARD, ROUTER))


@given(hostile)
def test_no_name_reaches_a_value(name: str) -> None:
    for pfsense in (False, True):
        plain = opnsense.wireguard(WIREGUARD, ROUTER, pfsense=pfsense)
        strange = opnsense.wireguard(dataclasses.replace(WIREGUARD, name=name), ROUTER, pfsense=pfsense)
        assert plain == strange


@pytest.mark.parametrize("pfsense", [False, True])
@pytest.mark.parametrize(
    "changes",
    [
        {"private_key": "x"},
        {"hub_public_key": "x"},
        {"preshared_key": "x"},
        {"endpoint_host": "a b"},
        {"mtu": 9},
        {"keepalive": -1},
        {"addresses": ()},
        {"addresses": ("x",)},
        {"allowed_ips": ()},
        {"allowed_ips": ("x",)},
    ],
)
def test_a_value_that_does_not_belong_is_refused(changes: dict[str, Any], pfsense: bool) -> None:
    with pytest.raises(ValueError, match=r"."):
        opnsense.wireguard(dataclasses.replace(WIREGUARD, **changes), ROUTER, pfsense=pfsense)
