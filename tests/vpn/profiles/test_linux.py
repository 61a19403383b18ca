"""Linux: what the files and steps for a router say."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given

from tests.vpn.profiles.linux_files import DEVICE, EVERYTHING, files, parse
from tests.vpn.profiles.router_samples import HUB_KEY, PRIVATE_KEY, ROUTER, WIREGUARD, hostile, network_lists, openvpn
from vpn.profiles import linux
from vpn.profiles.router import RouterProfile, metric_of


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
    """`enable --now` does not restart a running service, nor does a reload of systemd-networkd change a device."""
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
