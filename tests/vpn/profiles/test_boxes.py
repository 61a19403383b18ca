"""Boxes that import a plain profile: the file that each gets, and what its steps say."""

from __future__ import annotations

import configparser
import dataclasses
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import pytest
from hypothesis import given

from tests.vpn.profiles.router_samples import HUB_KEY, PRIVATE_KEY, REMOTE, ROUTER, TAG, WIREGUARD, hostile, openvpn
from vpn.choices import Platform, Protocol
from vpn.platforms.capabilities import capability
from vpn.profiles import openvpn as ovpn
from vpn.profiles import wireguard as wg
from vpn.profiles.boxes import fritzbox
from vpn.profiles.router import RouterProfile
from vpn.profiles.routers import router_files

BOXES = [
    Platform.UNIFI,
    Platform.FRITZBOX,
    Platform.GLINET,
    Platform.TELTONIKA,
    Platform.ASUS,
    Platform.SYNOLOGY,
]
CARRIED = [(box, over) for box in BOXES for over in Protocol.values if capability(box, over).offered]


def made(box: str, over: str, **changes: Any) -> RouterProfile:
    """The files and steps of a box."""
    profile = dataclasses.replace(WIREGUARD if over == "wireguard" else openvpn(compat=False), **changes)
    found = router_files(box, profile, ROUTER, REMOTE)
    assert found is not None
    return found


def values(profile: RouterProfile) -> dict[str, str]:
    """All values of the steps."""
    return {label: value for step in profile.steps for label, value in step.values}


def sections(text: str) -> dict[str, dict[str, str]]:
    """A wg-quick file as a strict parser of such files reads it: sections of `key = value`, without comments."""
    parser = configparser.ConfigParser(comment_prefixes=(), strict=True, interpolation=None)
    parser.read_string(text)
    return {name: dict(parser[name]) for name in parser.sections()}


def test_each_box_has_a_protocol() -> None:
    assert {box for box, _over in CARRIED} == set(BOXES)


@pytest.mark.parametrize(("box", "over"), CARRIED)
def test_the_steps_name_the_file_and_say_how_to_remove_it(box: str, over: str) -> None:
    found = made(box, over)
    texts = [step.text for step in found.steps]
    for file in found.files:
        assert any(file.filename in text for text in texts)
    assert texts[-1].startswith("To remove it later")
    assert len(set(texts)) == len(texts) >= 3


@pytest.mark.parametrize("box", [box for box, over in CARRIED if over == "wireguard" and box != "teltonika"])
def test_a_file_for_wireguard_has_no_comment_which_some_boxes_refuse(box: str) -> None:
    (file,) = made(box, "wireguard").files
    assert "#" not in file.content
    read = sections(file.content)
    assert read["Interface"]["privatekey"] == PRIVATE_KEY
    assert read["Peer"]["publickey"] == HUB_KEY
    assert read["Peer"]["endpoint"] == "fra.vpn.example.net:20000"


@pytest.mark.parametrize("box", [Platform.UNIFI, Platform.GLINET, Platform.ASUS])
def test_but_for_the_comment_it_is_the_plain_profile(box: str) -> None:
    (file,) = made(box, "wireguard").files
    assert file.content == wg.render(WIREGUARD).partition("\n")[2]
    assert file.filename == f"{TAG}.conf"


@pytest.mark.parametrize("box", [box for box, over in CARRIED if over == "openvpn"])
def test_a_file_for_openvpn_is_the_plain_profile(box: str) -> None:
    (file,) = made(box, "openvpn").files
    assert (file.filename, file.content) == (f"{TAG}.ovpn", ovpn.render(openvpn(compat=False)))


def test_a_fritzbox_gets_its_own_address_in_its_network_and_ipv4_alone() -> None:
    found = made("fritzbox", "wireguard")
    read = sections(found.files[0].content)
    assert read["Interface"]["address"] == "10.1.0.1/24" == values(found)["Address"]
    assert read["Peer"]["allowedips"] == "100.64.0.0/20, 10.2.0.0/24"


@pytest.mark.parametrize("subnets", [(), (IPv6Network("fd10:1::/64"),), (IPv4Network("10.1.0.1/32"),)])
def test_a_fritzbox_without_an_ipv4_network_gets_no_file(subnets: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="IPv4 subnet"):
        fritzbox.wireguard(WIREGUARD, dataclasses.replace(ROUTER, subnets=subnets))


def test_unifi_is_told_which_networks_its_policy_routes() -> None:
    found = values(made("unifi", "wireguard"))
    assert found["Source"] == "10.1.0.0/24, fd10:1::/64"
    assert found["Destination"] == ", ".join(str(network) for network in WIREGUARD.allowed_ips)


def test_teltonika_gets_every_value_of_the_profile() -> None:
    found = values(made("teltonika", "wireguard"))
    assert found["Private key"] == PRIVATE_KEY
    assert found["Public key"] == HUB_KEY
    assert found["Pre-shared key"] == WIREGUARD.preshared_key
    assert (found["Endpoint host"], found["Endpoint port"]) == ("fra.vpn.example.net", "20000")
    assert found["IP addresses"] == "100.64.0.2/32, fd12:3456:789a::2/128"
    assert (found["MTU"], found["Persistent keep alive"]) == ("1420", "25")


def test_the_lans_router_beside_a_synology_gets_the_networks() -> None:
    assert values(made("synology", "openvpn"))["Networks"].splitlines() == [str(network) for network in REMOTE]


def test_a_default_route_is_left_to_the_admin() -> None:
    for box, over in CARRIED:
        if over == "wireguard":
            found = made(box, over, allowed_ips=(IPv4Network("0.0.0.0/0"),))
            assert any("takes all traffic" in step.text for step in found.steps)


@pytest.mark.parametrize(
    ("box", "over", "version", "offered"),
    [
        (Platform.UNIFI, "wireguard", "", True),
        (Platform.UNIFI, "openvpn", "", False),
        (Platform.FRITZBOX, "wireguard", "FRITZ!OS: 07.57", True),
        (Platform.FRITZBOX, "wireguard", "8.02", True),
        (Platform.FRITZBOX, "wireguard", "7.29", False),
        (Platform.FRITZBOX, "openvpn", "8.02", False),
        (Platform.GLINET, "wireguard", "4.7.4", True),
        (Platform.GLINET, "openvpn", "3.216", False),
        (Platform.TELTONIKA, "openvpn", "RUTX_R_00.07.06.3", True),
        (Platform.ASUS, "wireguard", "3.0.0.4.388_24198", True),
        (Platform.SYNOLOGY, "wireguard", "DSM 7.2", False),
        (Platform.SYNOLOGY, "openvpn", "DSM 7.2.1-69057", True),
    ],
)
def test_what_a_box_can_do_and_since_when(box: str, over: str, version: str, *, offered: bool) -> None:
    found = capability(box, over, version)
    assert (found.offered, bool(found.reason)) == (offered, not offered)


@given(hostile)
def test_no_name_reaches_a_file(name: str) -> None:
    for box in ("unifi", "fritzbox", "glinet", "asus"):
        strange = router_files(box, dataclasses.replace(WIREGUARD, name=name), ROUTER)
        assert strange is not None
        assert strange.files == made(box, "wireguard").files
