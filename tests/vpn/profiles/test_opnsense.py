"""OPNsense and pfSense: every value that their pages ask for is in the steps, as it must be pasted, in their order."""

from __future__ import annotations

import dataclasses
from ipaddress import IPv4Network
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given

from tests.vpn.profiles.router_samples import HUB_KEY, PRIVATE_KEY, ROUTER, WIREGUARD, hostile, openvpn
from vpn.profiles import opnsense, pfsense
from vpn.profiles.router import RouterProfile, SiteRouter, Step

BOTH = pytest.mark.parametrize("platform", [opnsense, pfsense], ids=["opnsense", "pfsense"])

# The labels of the forms in their order, read from opnsense/core (stable/23.7 to 26.1; `24.7` and `25.1` are where a
# field came) and from pfsense (RELENG_2_6_0, RELENG_2_7_2) with its package WireGuard.
OPNSENSE_PEER = (
    "Enabled, Name, Public key, Pre-shared key, Allowed IPs, Endpoint address, Endpoint port, Instances, "
    "Keepalive interval"
)
OPNSENSE_INSTANCE = (
    "Enabled, Name, Instance, Public key, Private key, Listen port, MTU, DNS servers, Tunnel address, "
    "Depend on (CARP), Peers, Disable routes, Gateway"
)
OPNSENSE_CLIENT = (
    "Role, Description, Enabled, Protocol, Port number, Bind address, Type, Verbosity, Remote, Depend on (CARP), "
    "Certificate, Verify Remote Certificate, Certificate Authority, TLS static key, Auth, Username, Password, "
    "Renegotiate time, Local Network, Remote Network, Options, TUN device MTU, Fragment size, MSS fix"
)
PFSENSE_TUNNEL = "Tunnel Enabled, Description, Listen Port, Private Key, Public Key"
PFSENSE_PEER = (
    "Peer Enabled, Tunnel, Description, Dynamic Endpoint, Endpoint, Endpoint Port, Keep Alive, Public Key, "
    "Pre-shared Key, Allowed IPs, first row, Allowed IPs, second row"
)
PFSENSE_CLIENT = (
    "Description, Disabled, Server mode, Device mode, Protocol, Interface, Local port, Server host or address, "
    "Server port, Use a TLS Key, Peer Certificate Authority, Client Certificate, Data Encryption Algorithms, "
    "Fallback Data Encryption Algorithm, Auth digest algorithm, Hardware Crypto, "
    "Server Certificate Key Usage Validation, Don't pull routes, Custom options"
)


def values(made: RouterProfile) -> dict[str, str]:
    """All values, each label once per step."""
    found: dict[str, str] = {}
    for step in made.steps:
        assert step.text
        labels = [label for label, _ in step.values]
        assert len(labels) == len(set(labels))
        found.update(step.values)
    return found


def step_at(made: RouterProfile, page: str) -> Step:
    (found,) = (step for step in made.steps if step.text.startswith(page))
    return found


def running(version: str) -> SiteRouter:
    return dataclasses.replace(ROUTER, version=version)


def in_order(step: Step, form: str) -> bool:
    """Are the step's labels fields of the form, in its order?"""
    position = 0
    for label, _ in step.values:
        found = f", {form}, ".find(f", {label}, ", position)
        if found < 0:
            return False
        position = found + 1
    return True


def test_wireguard_on_opnsense() -> None:
    made = opnsense.wireguard(WIREGUARD, ROUTER)
    peer = step_at(made, "VPN, WireGuard, Peers")
    instance = step_at(made, "VPN, WireGuard, Instances")
    assert made.files == ()
    assert dict(peer.values) == {
        "Name": "vpn-1f2e3d4c-hub",
        "Public key": HUB_KEY,
        "Pre-shared key": WIREGUARD.preshared_key,
        "Allowed IPs": "100.64.0.0/20, 10.2.0.0/24, fd12:3456:789a::/64",
        "Endpoint address": "fra.vpn.example.net",
        "Endpoint port": "20000",
        "Keepalive interval": "25",
    }
    assert dict(instance.values)["Private key"] == PRIVATE_KEY
    assert dict(instance.values)["Tunnel address"] == "100.64.0.2/32, fd12:3456:789a::2/128"
    assert in_order(peer, OPNSENSE_PEER)
    assert in_order(instance, OPNSENSE_INSTANCE)
    # No release has such a page: WireGuard is switched on below the list of instances.
    assert not [step for step in made.steps if "WireGuard, General" in step.text]
    assert "advanced mode" in instance.text


@pytest.mark.parametrize("version", ["", "OPNsense 23.7.12-amd64", "OPNsense 24.7.9_1-amd64", "OPNsense 25.1-amd64"])
def test_an_openvpn_instance_on_opnsense(version: str) -> None:
    profile = openvpn(compat=True)
    made = opnsense.openvpn(profile, running(version))
    instance = step_at(made, "VPN, OpenVPN, Instances")
    found = dict(instance.values)
    assert in_order(instance, OPNSENSE_CLIENT)
    assert (found["Remote"], found["Protocol"], found["Role"]) == ("fra.vpn.example.net:20000", "TCP", "Client")
    assert "advanced mode" in instance.text
    # A server's field: a client's form has it not.
    assert "Data ciphers" not in {label.capitalize() for label in found}
    assert ("Verify Remote Certificate" in found) == ("25.1" in version)
    trust = step_at(made, "System, Trust, Certificates")
    assert dict(trust.values)["Private key data"] == profile.private_key
    assert trust.values[1][0] == ("Descriptive name" if "23.7" in version else "Description")


def test_an_old_opnsense_is_told_what_it_does_not_check() -> None:
    texts = [step.text for step in opnsense.openvpn(openvpn(compat=True), running("24.1")).steps]
    assert any("does not check" in text for text in texts)


def test_wireguard_on_pfsense() -> None:
    made = pfsense.wireguard(WIREGUARD, ROUTER)
    tunnel, peer = step_at(made, "VPN, WireGuard, Tunnels"), step_at(made, "VPN, WireGuard, Peers")
    assert dict(tunnel.values)["Private Key"] == PRIVATE_KEY
    assert in_order(tunnel, PFSENSE_TUNNEL)
    assert in_order(peer, PFSENSE_PEER)
    found = dict(peer.values)
    # A row for each cannot be pasted, and they make no routes.
    assert (found["Allowed IPs, first row"], found["Allowed IPs, second row"]) == ("0.0.0.0/0", "::/0")
    assert (found["Public Key"], found["Endpoint"], found["Endpoint Port"]) == (HUB_KEY, "fra.vpn.example.net", "20000")
    interface = step_at(made, "Interfaces, Assignments")
    assert ("MTU", "1420") in interface.values
    assert ("IPv4 Address", "100.64.0.2/32") in interface.values


def test_the_networks_of_pfsense_are_aliases_to_paste() -> None:
    made = pfsense.wireguard(WIREGUARD, ROUTER)
    imports = [dict(step.values) for step in made.steps if step.text.startswith("Firewall, Aliases")]
    routes = [dict(step.values) for step in made.steps if step.text.startswith("System, Routing, Static Routes")]
    gateways = [dict(step.values) for step in made.steps if step.text.startswith("System, Routing, Gateways")]
    assert [each["Aliases to import"] for each in imports] == [
        "100.64.0.0/20\n10.2.0.0/24",
        "fd12:3456:789a::/64",
    ]
    assert [each["Destination network"] for each in routes] == [each["Alias Name"] for each in imports]
    assert [each["Gateway"] for each in routes] == [each["Name"] for each in gateways]
    assert all(len(each["Alias Name"]) <= 31 for each in imports)


def test_other_networks_are_another_alias() -> None:
    fewer = dataclasses.replace(WIREGUARD, allowed_ips=WIREGUARD.allowed_ips[:1])
    names = [
        step.values[0][1]
        for profile in (WIREGUARD, fewer)
        for step in pfsense.wireguard(profile, ROUTER).steps
        if step.text.startswith("Firewall, Aliases") and step.values[0][1].endswith("_v4")
    ]
    assert len(set(names)) == 2


@pytest.mark.parametrize(
    ("version", "page", "checks"),
    [
        ("", "System, Certificates, Authorities", True),
        ("2.7.2-RELEASE", "System, Certificates, Authorities", True),
        ("24.03-RELEASE", "System, Certificates, Authorities", True),
        ("2.6.0-RELEASE", "System, Cert. Manager, CAs", True),
        ("22.05-RELEASE", "System, Cert. Manager, CAs", True),
        ("2.5.2-RELEASE", "System, Cert. Manager, CAs", False),
    ],
)
def test_an_openvpn_client_on_pfsense(version: str, page: str, checks: bool) -> None:
    profile = openvpn(compat=True)
    made = pfsense.openvpn(profile, running(version))
    assert dict(step_at(made, page).values)["Certificate data"] == profile.ca
    client = step_at(made, "VPN, OpenVPN, Clients")
    assert in_order(client, PFSENSE_CLIENT)
    found = dict(client.values)
    assert (found["Server host or address"], found["Server port"]) == ("fra.vpn.example.net", "20000")
    assert found["Server mode"] == "Peer to Peer ( SSL/TLS )"
    assert ("Server Certificate Key Usage Validation" in found) == checks


@BOTH
def test_the_first_step_ends_the_tunnel_of_the_other_protocol(platform: ModuleType) -> None:
    over_wireguard = platform.wireguard(WIREGUARD, ROUTER).steps[0]
    over_openvpn = platform.openvpn(openvpn(compat=True), ROUTER).steps[0]
    assert "connected over OpenVPN before: delete" in over_wireguard.text
    assert ROUTER.tag in dict(over_wireguard.values).values()
    assert "connected over WireGuard before" in over_openvpn.text
    assert f"{ROUTER.tag}-hub" in dict(over_openvpn.values).values()


@BOTH
def test_openvpn_needs_the_compatibility_listener(platform: ModuleType) -> None:
    with pytest.raises(ValueError, match="compatibility"):
        platform.openvpn(openvpn(compat=False), ROUTER)


@BOTH
def test_a_default_route_is_left_to_the_admin(platform: ModuleType) -> None:
    profile = dataclasses.replace(WIREGUARD, allowed_ips=(IPv4Network("0.0.0.0/0"), IPv4Network("10.0.0.0/8")))
    made = platform.wireguard(profile, ROUTER)
    assert "all traffic" in made.steps[-1].text
    if platform is pfsense:
        assert values(made)["Aliases to import"] == "10.0.0.0/8"


def test_an_ipv6_remote_has_brackets() -> None:
    profile = dataclasses.replace(openvpn(compat=True), remotes=(("2001:db8::1", 20000, "tcp"),))
    assert values(opnsense.openvpn(profile, ROUTER))["Remote"] == "[2001:db8::1]:20000"


@BOTH
def test_keys_are_not_shown_by_accident(platform: ModuleType) -> None:
    assert PRIVATE_KEY not in repr(platform.wireguard(WIREGUARD, ROUTER))


@given(hostile)
def test_no_name_reaches_a_value(name: str) -> None:
    for platform in (opnsense, pfsense):
        plain = platform.wireguard(WIREGUARD, ROUTER)
        strange = platform.wireguard(dataclasses.replace(WIREGUARD, name=name), ROUTER)
        assert plain == strange


@BOTH
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
def test_a_value_that_does_not_belong_is_refused(changes: dict[str, Any], platform: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"."):
        platform.wireguard(dataclasses.replace(WIREGUARD, **changes), ROUTER)
