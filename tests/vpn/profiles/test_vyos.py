"""VyOS's commands, read as its shell reads them, and what they configure."""

from __future__ import annotations

import dataclasses
import re
import shlex
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from tests.vpn.profiles.router_samples import HUB_KEY, PRIVATE_KEY, ROUTER, WIREGUARD, hostile, network_lists, openvpn
from tests.vpn.profiles.vyos_schema import SCHEMAS, refusal
from tests.vpn.profiles.vyos_shell import paste
from vpn.profiles import vyos
from vpn.profiles.router import SiteRouter, number_of, tls_crypt_v2_key

Tree = set[tuple[str, ...]]

N = number_of(ROUTER)
BY_ADDRESS = dataclasses.replace(WIREGUARD, endpoint_host="203.0.113.1")
EVERY_OPTION = dataclasses.replace(BY_ADDRESS, keepalive=25, listen_port=51820)


def running(version: str) -> SiteRouter:
    return dataclasses.replace(ROUTER, version=version)


def commands_of(text: str) -> list[str]:
    """The `set` and `delete` commands, without the loops that look for what is ours."""
    inside, _, after = text.partition("\nexit\n")
    assert after in ("", f"sudo rm -rf /config/auth/wireguard/{ROUTER.tag} /config/auth/{ROUTER.tag}.key\n")
    lines = [line for line in f"{inside}\nexit".splitlines() if not line.startswith("# ")]
    assert lines[0] == "configure"
    assert lines[-3:] == ["commit", "save", "exit"]
    looping = False
    found = []
    for line in lines[1:-3]:
        looping = looping or line.startswith("for ")
        if not looping:
            found.append(line)
        looping = looping and line != "done"
    return found


def parse(text: str, version: str = "1.5.0") -> Tree:
    """What the commands set; each line is words of a POSIX shell, without anything that a shell would expand."""
    tree: Tree = set()
    for line in commands_of(text):
        assert not re.search(r"[$`\"\\;&|<>?*!]", line), line
        assert refusal(version, line) == ""
        command, *path = shlex.split(line)
        if command == "set":
            tree.add(tuple(path))
    return tree


@pytest.mark.parametrize("version", SCHEMAS)
def test_every_version_gets_the_paths_that_it_has(version: str, tmp_path: Path) -> None:
    router = running(f"VyOS {version}")
    made = [vyos.wireguard(EVERY_OPTION, router)]
    if version != "1.3.8":
        made.append(vyos.openvpn(openvpn(compat=False), router))
    for profile in made:
        for file in (profile.files[0], profile.files[-1]):
            lines = commands_of(file.content)
            # The loops' own commands, with what they find filled in.
            loops = [line.strip() for line in file.content.splitlines() if line.startswith("    delete ")]
            assert loops
            filled = [line.replace("$net", "10.2.0.0/24").strip() for line in loops]
            assert [refused for line in [*lines, *filled] if (refused := refusal(version, line))] == []


def test_vyos_1_3_keeps_the_private_key_as_a_file() -> None:
    made = vyos.wireguard(BY_ADDRESS, running("VyOS 1.3.8"))
    commands, key, _ = made.files
    assert (key.filename, key.content) == (f"{ROUTER.tag}.key", f"{PRIVATE_KEY}\n")
    tree = parse(commands.content, "1.3.8")
    assert ("interfaces", "wireguard", f"wg{N}", "private-key", ROUTER.tag) in tree
    assert ("protocols", "static", "interface-route", "10.2.0.0/24", "next-hop-interface", f"wg{N}") in tree
    assert PRIVATE_KEY not in commands.content
    assert f"/config/auth/wireguard/{ROUTER.tag}/private.key" in made.steps[0].commands[1]


def test_openvpn_needs_vyos_1_4() -> None:
    with pytest.raises(ValueError, match=r"1\.4 or newer"):
        vyos.openvpn(openvpn(compat=False), running("1.3.8"))


@pytest.mark.parametrize(
    ("version", "kind", "next_hop"), [("1.3.8", "interface-route", "next-hop-interface"), ("", "route", "interface")]
)
def test_a_withdrawn_route_goes_and_another_next_hop_stays(
    version: str, kind: str, next_hop: str, tmp_path: Path
) -> None:
    before = vyos.wireguard(BY_ADDRESS, running(version)).files[0].content
    after = dataclasses.replace(BY_ADDRESS, allowed_ips=BY_ADDRESS.allowed_ips[:1])
    theirs = {
        ("protocols", "static", kind, "10.2.0.0/24", next_hop, "eth7"),
        ("protocols", "static", kind, "10.9.0.0/16", next_hop, "wg1"),
        ("system", "host-name", "x"),
    }
    tree = paste(before, tmp_path, theirs)
    assert ("protocols", "static", f"{kind}6", "fd12:3456:789a::/64", next_hop, f"wg{N}") in tree
    tree = paste(vyos.wireguard(after, running(version)).files[0].content, tmp_path, tree)
    assert {path for path in tree if path[0] == "protocols"} == {
        *(path for path in theirs if path[0] == "protocols"),
        ("protocols", "static", kind, "100.64.0.0/20", next_hop, f"wg{N}"),
    }


def test_another_protocol_leaves_nothing_of_the_old_tunnel(tmp_path: Path) -> None:
    over_wireguard = vyos.wireguard(BY_ADDRESS, ROUTER).files[0].content
    over_openvpn = vyos.openvpn(openvpn(compat=False), ROUTER).files[0].content
    first = paste(over_wireguard, tmp_path, set())
    second = paste(over_openvpn, tmp_path, first)
    assert second == paste(over_openvpn, tmp_path, set())
    assert not [path for path in second if "wireguard" in path or "static" in path]
    assert paste(over_wireguard, tmp_path, second) == first


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
    tree = parse(vyos.wireguard(BY_ADDRESS, older).files[0].content, "1.4.0")
    assert ("interfaces", "wireguard", f"wg{N}", "peer", "hub", "address", "203.0.113.1") in tree


def test_a_default_route_is_left_to_the_admin() -> None:
    made = vyos.wireguard(dataclasses.replace(WIREGUARD, allowed_ips=(IPv4Network("0.0.0.0/0"),)), ROUTER)
    assert not [entry for entry in parse(made.files[0].content) if entry[0] == "protocols"]
    assert "default route" in made.steps[-1].text


def test_openvpn() -> None:
    profile = openvpn(compat=False)
    made = vyos.openvpn(profile, ROUTER)
    commands, key, _ = made.files
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


def test_a_second_run_changes_nothing_and_the_removal_leaves_nothing(tmp_path: Path) -> None:
    for made in (vyos.wireguard(WIREGUARD, ROUTER), vyos.openvpn(openvpn(compat=False), ROUTER)):
        commands, undo = (file.content for file in (made.files[0], made.files[-1]))
        theirs = {
            ("protocols", "static", "route", "10.9.0.0/16", "next-hop", "192.0.2.1"),
            ("system", "host-name", "x"),
        }
        once = paste(commands, tmp_path, set(theirs))
        assert parse(commands) < once
        assert paste(commands, tmp_path, set(once)) == once
        assert paste(undo, tmp_path, set(once)) == theirs


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
