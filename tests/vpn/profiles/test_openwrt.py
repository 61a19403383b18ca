"""OpenWrt's batch, read by uci's rules for quotes, and what is in it."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
from hypothesis import given

from tests.vpn.profiles.router_samples import HUB_KEY, PRIVATE_KEY, ROUTER, WIREGUARD, hostile, network_lists, openvpn
from vpn.profiles import openwrt
from vpn.profiles.openwrt import quoted

Sections = dict[str, dict[str, str | list[str]]]

DEVICE = "vpn_1f2e3d4c"
PACKAGES = ("network", "openvpn")
NAME = re.compile(r"(network|firewall|openvpn)(\.[A-Za-z0-9_]+){1,2}")


def value_of(text: str) -> str:
    """uci_parse_argument: single quotes keep everything, a backslash outside keeps the next character."""
    result, position = "", 0
    while position < len(text):
        if text[position] == "'":
            end = text.index("'", position + 1)
            result += text[position + 1 : end]
            position = end + 1
        elif text[position] == "\\":
            result += text[position + 1]
            position += 2
        else:
            assert text[position] not in ' \t";#', text
            result += text[position]
            position += 1
    return result


def parse(text: str, sections: Sections | None = None) -> Sections:
    """Run a batch as uci does; anything but set, add_list, delete, commit and comments is an error."""
    sections = {} if sections is None else sections
    for line in text.splitlines():
        if line.startswith("# "):
            continue
        command, _, rest = line.partition(" ")
        name, _, value = rest.partition("=")
        if command == "commit":
            assert rest in {"network", "firewall", "openvpn"}
            continue
        assert NAME.fullmatch(name), line
        section, _, option = name.removeprefix(".").partition(".")[2].partition(".")
        key = f"{name.partition('.')[0]}.{section}"
        if command == "delete":
            assert not value
            sections.pop(key, None)
        elif command == "set" and not option:
            sections[key] = {"type": value_of(value)}
        elif command == "set":
            assert option not in sections[key]
            sections[key][option] = value_of(value)
        else:
            assert command == "add_list", line
            values = sections[key].setdefault(option, [])
            assert isinstance(values, list)
            values.append(value_of(value))
    return sections


@given(hostile)
def test_a_quoted_value_reads_back_as_itself(text: str) -> None:
    if text.isprintable():
        assert value_of(quoted(text)) == text
    else:
        with pytest.raises(ValueError, match="one line"):
            quoted(text)


def test_wireguard() -> None:
    sections = parse(openwrt.wireguard(WIREGUARD, ROUTER).files[0].content)
    assert sections[f"network.{DEVICE}"] == {
        "type": "interface",
        "proto": "wireguard",
        "mtu": "1420",
        "private_key": PRIVATE_KEY,
        "addresses": ["100.64.0.2/32", "fd12:3456:789a::2/128"],
    }
    hub = sections[f"network.{DEVICE}_hub"]
    assert hub["type"] == f"wireguard_{DEVICE}"
    assert (hub["public_key"], hub["endpoint_host"], hub["endpoint_port"]) == (HUB_KEY, "fra.vpn.example.net", "20000")
    assert hub["preshared_key"] == WIREGUARD.preshared_key
    assert hub["allowed_ips"] == [str(network) for network in WIREGUARD.allowed_ips]
    assert (hub["route_allowed_ips"], hub["persistent_keepalive"]) == ("1", "25")


def test_the_firewall_lets_the_lan_and_the_tunnel_meet() -> None:
    sections = parse(openwrt.wireguard(WIREGUARD, ROUTER).files[0].content)
    zone = sections[f"firewall.{DEVICE}"]
    assert zone["network"] == [DEVICE]
    assert (zone["input"], zone["forward"], zone["masq"]) == ("REJECT", "ACCEPT", "0")
    assert len(str(zone["name"])) <= 11
    ways = {
        (sections[f"firewall.{DEVICE}_{way}"]["src"], sections[f"firewall.{DEVICE}_{way}"]["dest"])
        for way in ("in", "out")
    }
    assert ways == {(zone["name"], "lan"), ("lan", zone["name"])}


def test_openvpn() -> None:
    files = openwrt.openvpn(openvpn(compat=False), ROUTER).files
    assert [file.filename for file in files] == ["vpn-1f2e3d4c.ovpn", "vpn-1f2e3d4c.uci", "vpn-1f2e3d4c-remove.uci"]
    sections = parse(files[1].content)
    path = "/etc/openvpn/vpn-1f2e3d4c.ovpn"
    service = {"type": "openvpn", "enabled": "1", "config": path, "defaultroute": "0"}
    assert sections[f"openvpn.{DEVICE}_ov"] == service
    assert sections[f"network.{DEVICE}"] == {"type": "interface", "proto": "none", "device": DEVICE}
    assert f"\ndev {DEVICE}\ndev-type tun\n" in files[0].content
    assert "PRIVATE KEY" not in files[1].content


@pytest.mark.parametrize("version", ["", "OpenWrt 21.02.7", "OpenWrt 25.12.0", "OpenWrt SNAPSHOT, r28000-1234567"])
def test_no_interface_has_the_name_of_the_service(version: str) -> None:
    router = dataclasses.replace(ROUTER, version=version)
    sections = parse(openwrt.openvpn(openvpn(compat=False), router).files[1].content)
    names = [{key.partition(".")[2] for key in sections if key.startswith(f"{package}.")} for package in PACKAGES]
    assert not names[0] & names[1]


def test_a_package_that_knows_no_service_gets_an_interface() -> None:
    router = dataclasses.replace(ROUTER, version="OpenWrt SNAPSHOT, r28000-1234567")
    made = openwrt.openvpn(openvpn(compat=False), router)
    sections = parse(made.files[1].content)
    path = "/etc/openvpn/vpn-1f2e3d4c.ovpn"
    interface = {"type": "interface", "proto": "openvpn", "config": path, "defaultroute": "0"}
    assert sections[f"network.{DEVICE}"] == interface
    assert not [key for key in sections if key.startswith("openvpn.")]
    assert "service network restart" in made.steps[0].commands
    assert made.steps[-1].commands == (f"ifup {DEVICE}",)


def test_the_section_of_an_earlier_file_goes() -> None:
    earlier: Sections = {f"openvpn.{DEVICE}": {"type": "openvpn"}, f"network.{DEVICE}_ov": {"type": "interface"}}
    for made in (openwrt.wireguard(WIREGUARD, ROUTER), openwrt.openvpn(openvpn(compat=False), ROUTER)):
        for file in made.files[-2:]:
            assert not set(earlier) & set(parse(file.content, dict(earlier)))


def test_the_first_install_restarts_the_network() -> None:
    made = openwrt.wireguard(WIREGUARD, ROUTER)
    assert made.steps[0].commands[-1] == "service network restart"
    assert "# After the first install of WireGuard: service network restart" in made.files[0].content


def test_the_service_lets_go_of_the_interface_before_it_changes() -> None:
    for made in (openwrt.wireguard(WIREGUARD, ROUTER), openwrt.openvpn(openvpn(compat=False), ROUTER)):
        commands = [command for step in made.steps for command in step.commands]
        reload = commands.index("[ ! -e /etc/init.d/openvpn ] || service openvpn reload")
        assert reload < commands.index("service network reload")


def test_a_second_run_changes_nothing_and_the_removal_leaves_nothing() -> None:
    theirs: Sections = {"network.lan": {"type": "interface"}, "firewall.lan": {"type": "zone"}}
    for made in (openwrt.wireguard(WIREGUARD, ROUTER), openwrt.openvpn(openvpn(compat=False), ROUTER)):
        batch, undo = (file.content for file in made.files[-2:])
        once = parse(batch, dict(theirs))
        assert parse(batch, parse(batch, dict(theirs))) == once
        assert parse(undo, once) == theirs


def test_a_change_of_protocol_leaves_nothing_behind() -> None:
    wireguard = openwrt.wireguard(WIREGUARD, ROUTER).files[0].content
    over_openvpn = openwrt.openvpn(openvpn(compat=False), ROUTER).files[1].content
    assert parse(over_openvpn, parse(wireguard)) == parse(over_openvpn)
    assert parse(wireguard, parse(over_openvpn)) == parse(wireguard)


@given(hostile, network_lists)
def test_no_name_changes_more_than_the_description(name: str, allowed: Any) -> None:
    profile = dataclasses.replace(WIREGUARD, allowed_ips=allowed)
    plain = parse(openwrt.wireguard(profile, ROUTER).files[0].content)
    strange = parse(openwrt.wireguard(dataclasses.replace(profile, name=name), ROUTER).files[0].content)
    for sections in (plain, strange):
        del sections[f"network.{DEVICE}_hub"]["description"]
    assert plain == strange
    assert plain[f"network.{DEVICE}_hub"]["allowed_ips"] == [str(network) for network in allowed]


@pytest.mark.parametrize(
    "changes",
    [
        {"private_key": PRIVATE_KEY + "'\nset system.x=y"},
        {"hub_public_key": "x"},
        {"endpoint_host": "evil'"},
        {"endpoint_port": 70000},
        {"mtu": "1420'"},
        {"addresses": ("100.64.0.2/32'",)},
        {"allowed_ips": ("0.0.0.0/0'",)},
    ],
)
def test_a_value_that_does_not_belong_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        openwrt.wireguard(dataclasses.replace(WIREGUARD, **changes), ROUTER)
    assert PRIVATE_KEY not in str(refused.value)


@pytest.mark.parametrize(("version", "manager"), [("", "opkg"), ("24.10.1", "opkg"), ("25.12.0", "apk")])
def test_the_package_manager_follows_the_version(version: str, manager: str) -> None:
    made = openwrt.wireguard(WIREGUARD, dataclasses.replace(ROUTER, version=version))
    assert made.steps[0].commands[0] == f"{manager} update"


@given(hostile)
def test_no_name_changes_the_profile_of_openvpn(name: str) -> None:
    made = [
        openwrt.openvpn(dataclasses.replace(openvpn(compat=False), name=text), ROUTER).files[0].content
        for text in ("x", name)
    ]
    kept = [[line for line in text.splitlines() if not line.startswith("# ")] for text in made]
    assert kept[0] == kept[1]
