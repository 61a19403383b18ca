"""VyOS's commands, read as its shell reads them, and what they configure."""

from __future__ import annotations

import dataclasses
import re
import shlex
from ipaddress import IPv4Network
from typing import Any

import pytest
from hypothesis import given

from tests.vpn.profiles.router_samples import HUB_KEY, PRIVATE_KEY, ROUTER, WIREGUARD, hostile, network_lists, openvpn
from vpn.profiles import vyos
from vpn.profiles.router import number_of, tls_crypt_v2_key

Tree = set[tuple[str, ...]]

N = number_of(ROUTER)
# What the configuration has where the commands lead: every path must begin with one of these.
KNOWN = re.compile(
    r"interfaces wireguard wg\d+ (address|description|mtu|private-key|port|peer hub "
    r"(public-key|address|host-name|port|preshared-key|persistent-keepalive|allowed-ips)) \S.*|"
    r"interfaces openvpn vtun\d+ (mode client|description .+|device-type tun|protocol (udp|tcp-active)|"
    r"remote-host \S+|remote-port \d+|persistent-tunnel|encryption data-ciphers aes256gcm|"
    r"tls (ca-certificate|certificate) \S+|openvpn-option --.+)|"
    r"pki (ca \S+ certificate|certificate \S+ (certificate|private key)) [A-Za-z0-9+/=]+|"
    r"protocols static route6? \S+ interface wg\d+"
)


def parse(text: str, tree: Tree | None = None) -> Tree:
    """Run the commands; each line is words of a POSIX shell, without anything that a shell would expand."""
    tree = set() if tree is None else tree
    lines = [line for line in text.splitlines() if not line.startswith("# ")]
    assert lines[0] == "configure"
    assert lines[-3:] == ["commit", "save", "exit"]
    for line in lines[1:-3]:
        assert not re.search(r"[$`\"\\;&|<>?*!]", line), line
        command, *path = shlex.split(line)
        if command == "delete":
            tree -= {entry for entry in tree if entry[: len(path)] == tuple(path)}
        else:
            assert command == "set"
            assert KNOWN.fullmatch(" ".join(path)), line
            tree.add(tuple(path))
    return tree


def test_wireguard() -> None:
    tree = parse(vyos.wireguard(WIREGUARD, ROUTER).files[0].content)
    path = ("interfaces", "wireguard", f"wg{N}")
    peer = (*path, "peer", "hub")
    assert {
        (*path, "address", "100.64.0.2/32"),
        (*path, "address", "fd12:3456:789a::2/128"),
        (*path, "mtu", "1420"),
        (*path, "private-key", PRIVATE_KEY),
        (*peer, "public-key", HUB_KEY),
        (*peer, "host-name", "fra.vpn.example.net"),
        (*peer, "port", "20000"),
        (*peer, "allowed-ips", "10.2.0.0/24"),
        ("protocols", "static", "route", "10.2.0.0/24", "interface", f"wg{N}"),
        ("protocols", "static", "route6", "fd12:3456:789a::/64", "interface", f"wg{N}"),
    } < tree


def test_a_hub_known_by_name_needs_vyos_1_5() -> None:
    older = dataclasses.replace(ROUTER, version="1.4.2")
    with pytest.raises(ValueError, match="address only"):
        vyos.wireguard(WIREGUARD, older)
    tree = parse(vyos.wireguard(dataclasses.replace(WIREGUARD, endpoint_host="203.0.113.1"), older).files[0].content)
    assert ("interfaces", "wireguard", f"wg{N}", "peer", "hub", "address", "203.0.113.1") in tree


def test_a_default_route_is_left_to_the_admin() -> None:
    made = vyos.wireguard(dataclasses.replace(WIREGUARD, allowed_ips=(IPv4Network("0.0.0.0/0"),)), ROUTER)
    assert not [entry for entry in parse(made.files[0].content) if entry[0] == "protocols"]
    assert "default route" in made.steps[-1].text


def test_openvpn() -> None:
    profile = openvpn(compat=False)
    made = vyos.openvpn(profile, ROUTER)
    key, commands, _ = made.files
    assert key.content == tls_crypt_v2_key(profile.tls_crypt_v2)
    tree = parse(commands.content)
    path = ("interfaces", "openvpn", f"vtun{N}")
    assert {
        (*path, "protocol", "udp"),
        (*path, "remote-host", "fra.vpn.example.net"),
        (*path, "remote-port", "20001"),
        (*path, "tls", "certificate", ROUTER.tag),
        (*path, "openvpn-option", "--verify-x509-name hub name"),
        (*path, "openvpn-option", f"--tls-crypt-v2 /config/auth/{ROUTER.tag}.key"),
    } < tree
    (authority,) = (entry[-1] for entry in tree if entry[:3] == ("pki", "ca", ROUTER.tag))
    assert authority in profile.ca.replace("\n", "")


def test_a_second_run_changes_nothing_and_the_removal_leaves_nothing() -> None:
    for made in (vyos.wireguard(WIREGUARD, ROUTER), vyos.openvpn(openvpn(compat=False), ROUTER)):
        commands, undo = (file.content for file in made.files[-2:])
        theirs = {
            ("protocols", "static", "route", "10.9.0.0/16", "next-hop", "192.0.2.1"),
            ("system", "host-name", "x"),
        }
        once = parse(commands, set(theirs))
        assert parse(commands, set(once)) == once
        assert parse(undo, set(once)) == theirs


@given(hostile, network_lists)
def test_no_name_changes_more_than_the_description(name: str, allowed: Any) -> None:
    profile = dataclasses.replace(WIREGUARD, allowed_ips=allowed)
    plain = parse(vyos.wireguard(profile, ROUTER).files[0].content)
    strange = parse(vyos.wireguard(dataclasses.replace(profile, name=name), ROUTER).files[0].content)
    assert {entry for entry in plain ^ strange if "description" not in entry} == set()


@pytest.mark.parametrize(
    "changes",
    [
        {"private_key": None},
        {"private_key": PRIVATE_KEY + "'"},
        {"hub_public_key": "x"},
        {"endpoint_host": "evil' ; reboot"},
        {"mtu": 9},
        {"addresses": ("100.64.0.2/32'",)},
        {"allowed_ips": ("0.0.0.0/0'",)},
    ],
)
def test_a_value_that_does_not_belong_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        vyos.wireguard(dataclasses.replace(WIREGUARD, **changes), ROUTER)
    assert PRIVATE_KEY not in str(refused.value)


@pytest.mark.parametrize(
    "changes",
    [{"server_name": "hub --script-security 3"}, {"tls_crypt_v2": None}, {"ca": "x"}, {"private_key": None}],
)
def test_an_openvpn_value_that_does_not_belong_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        vyos.openvpn(dataclasses.replace(openvpn(compat=False), **changes), ROUTER)
