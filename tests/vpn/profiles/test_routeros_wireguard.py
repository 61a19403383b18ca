"""WireGuard on RouterOS: what the script makes, that it doubles nothing, and that it can be taken back."""

from __future__ import annotations

import dataclasses
from ipaddress import IPv4Network, IPv6Interface, IPv6Network
from typing import Any

import pytest
from hypothesis import given, settings

from portal.naming import ascii_text
from tests.routeros.router import Router
from tests.vpn.profiles.router_samples import HUB_KEY, PRIVATE_KEY, ROUTER, TAG, WIREGUARD, hostile, network_lists
from vpn import keys
from vpn.profiles.router import SiteRouter
from vpn.profiles.routeros_wireguard import wireguard
from vpn.profiles.wireguard import WireGuardProfile

VERSIONS = ["7.1", "7.12", "7.15.3", "7.16.2", "7.17", "7.19.6", "7.21.1", "7.22"]

# What an admin's router already does (the vendor's default firewall, shortened), and must go on doing.
THEIRS = """
/ip address add address=10.1.0.1/24 interface="bridge" comment="defconf"
/ip route add dst-address=10.9.0.0/16 gateway="bridge" comment="vpn-1f2e3d4c-other route"
/ip firewall filter add chain=input action=accept connection-state=established comment="established"
/ip firewall filter add chain=input action=drop comment="drop the rest"
/ip firewall filter add chain=forward action=accept connection-state=established comment="established"
/ip firewall filter add chain=forward action=drop connection-state=invalid comment="drop invalid"
/ip firewall filter add chain=forward action=drop comment="drop the rest"
/ipv6 firewall filter add chain=forward action=reject comment="reject the rest"
/ip firewall nat add chain=srcnat action=masquerade comment="masquerade"
"""


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def made(
    profile: WireGuardProfile = WIREGUARD, version: str = "7.16.2", theirs: str = THEIRS, site: SiteRouter = ROUTER
) -> Router:
    router = Router(numbers(version))
    router.run(theirs)
    router.run(wireguard(profile, dataclasses.replace(site, version=version)).files[0].content)
    return router


@pytest.mark.parametrize("version", VERSIONS)
def test_what_the_script_makes(version: str) -> None:
    router = made(version=version)
    (interface,) = router.rows("/interface wireguard")
    assert (interface["name"], interface["mtu"], interface["private-key"]) == (TAG, "1420", PRIVATE_KEY)
    (peer,) = router.rows("/interface wireguard peers")
    assert (peer["interface"], peer["public-key"]) == (TAG, HUB_KEY)
    assert (peer["endpoint-address"], peer["endpoint-port"]) == ("fra.vpn.example.net", "20000")
    assert peer["allowed-address"] == "100.64.0.0/20,10.2.0.0/24,fd12:3456:789a::/64"
    assert peer["persistent-keepalive"] == "25s"
    assert ("name" in peer) == (numbers(version) >= (7, 17))
    routes = [row for menu in ("/ip route", "/ipv6 route") for row in router.rows(menu) if row["gateway"] == TAG]
    assert [row["dst-address"] for row in routes] == ["100.64.0.0/20", "10.2.0.0/24", "fd12:3456:789a::/64"]
    addresses = [row for menu in ("/ip address", "/ipv6 address") for row in router.rows(menu)]
    assert [row["address"] for row in addresses if row["interface"] == TAG] == [
        "100.64.0.2/32",
        "fd12:3456:789a::2/128",
    ]


@pytest.mark.parametrize("version", ["", *VERSIONS])
def test_a_script_goes_on_working_after_an_upgrade(version: str) -> None:
    script = wireguard(WIREGUARD, dataclasses.replace(ROUTER, version=version)).files[0].content
    for newer in VERSIONS:
        if not version or numbers(newer) >= numbers(version):
            Router(numbers(newer)).run(script)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_second_import_changes_nothing(version: str) -> None:
    router = made(version=version)
    once = router.configuration()
    router.run(wireguard(WIREGUARD, dataclasses.replace(ROUTER, version=version)).files[0].content)
    assert router.configuration() == once


def test_a_changed_profile_brings_everything_up_to_date() -> None:
    router = made()
    key = keys.generate_private_key()
    changed = dataclasses.replace(
        WIREGUARD,
        name="Fleet: München",
        private_key=key,
        preshared_key=None,
        mtu=1380,
        endpoint_host="203.0.113.9",
        endpoint_port=20002,
        addresses=(WIREGUARD.addresses[0], IPv6Interface("fd12:3456:789a::9/128")),
        allowed_ips=(IPv4Network("100.64.0.0/20"), IPv4Network("10.3.0.0/24")),
    )
    router.run(wireguard(changed, dataclasses.replace(ROUTER, version="7.16.2")).files[0].content)
    assert router.configuration() == made(changed).configuration()


@pytest.mark.parametrize("version", ["7.12", "7.17", "7.21.1"])
def test_the_removal_removes_exactly_ours(version: str) -> None:
    router = made(version=version, profile=dataclasses.replace(WIREGUARD, allowed_ips=(IPv4Network("0.0.0.0/0"),)))
    before = Router(numbers(version))
    before.run(THEIRS)
    assert router.configuration() != before.configuration()
    undo = wireguard(WIREGUARD, dataclasses.replace(ROUTER, version=version)).files[1].content
    router.run(undo)
    assert router.configuration() == before.configuration()
    router.run(undo)
    assert router.configuration() == before.configuration()


def test_two_tunnels_on_one_router_leave_each_other_alone() -> None:
    router = made()
    other = dataclasses.replace(ROUTER, tag=f"{TAG[:-1]}", version="7.16.2")
    elsewhere = dataclasses.replace(WIREGUARD, addresses=(), endpoint_port=20004)
    files = wireguard(elsewhere, other).files
    alone = router.configuration()
    router.run(files[0].content)
    assert len(router.rows("/interface wireguard")) == 2
    router.run(files[1].content)
    assert router.configuration() == alone


def test_accepts_stand_before_the_first_drop() -> None:
    router = made()
    forward = [row for row in router.rows("/ip firewall filter") if row["chain"] == "forward"]
    assert [row["action"] for row in forward] == ["accept", "accept", "accept", "drop", "drop"]
    assert [row.get("in-interface") for row in forward[1:3]] == [TAG, None]
    assert forward[2]["out-interface"] == TAG
    incoming = [row for row in router.rows("/ip firewall filter") if row["chain"] == "input"]
    assert [row.get("protocol") for row in incoming] == [None, "icmp", None]
    assert [row["action"] for row in router.rows("/ipv6 firewall filter")][:2] == ["accept", "accept"]
    assert router.rows("/ip firewall nat")[0]["out-interface"] == TAG
    assert router.rows("/ip firewall nat")[1]["action"] == "masquerade"


@pytest.mark.parametrize("action", ["drop", "reject", "tarpit", "jump jump-target=guard"])
@pytest.mark.parametrize("menu", ["/ip firewall filter", "/ipv6 firewall filter"])
def test_accepts_stand_before_whatever_can_stop_a_packet(menu: str, action: str) -> None:
    theirs = "".join(
        f"{menu} add chain={chain} action={act}\n"
        for chain in ("forward", "input")
        for act in ("accept connection-state=established", action, "drop")
    )
    rows = made(theirs=theirs + f"{menu} add chain=guard action=drop\n").rows(menu)
    for chain, ours in (("forward", 2), ("input", 1)):
        actions = [row["action"] for row in rows if row["chain"] == chain]
        assert actions == ["accept", *["accept"] * ours, action.split(maxsplit=1)[0], "drop"]


@pytest.mark.parametrize("action", ["masquerade", "src-nat to-addresses=192.0.2.1", "netmap", "jump jump-target=x"])
def test_no_rule_changes_a_source_address_before_ours(action: str) -> None:
    theirs = f"/ip firewall nat add chain=srcnat action={action}\n/ip firewall nat add chain=srcnat action=masquerade\n"
    rows = made(theirs=theirs).rows("/ip firewall nat")
    assert [row["action"] for row in rows] == ["accept", action.split(maxsplit=1)[0], "masquerade"]


def test_an_empty_firewall_stays_open_and_gets_the_accepts() -> None:
    router = made(theirs="")
    assert {row["action"] for row in router.rows("/ip firewall filter")} == {"accept"}


def test_a_default_route_is_for_the_sites_networks_only() -> None:
    allowed = (IPv4Network("100.64.0.0/20"), IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
    router = made(dataclasses.replace(WIREGUARD, allowed_ips=allowed))
    defaults = [
        row for menu in ("/ip route", "/ipv6 route") for row in router.rows(menu) if row["dst-address"].endswith("/0")
    ]
    assert [row["routing-table"] for row in defaults] == [TAG, TAG]
    assert router.rows("/routing table")[0]["fib"] == "yes"
    rules = [(row.get("dst-address"), row.get("src-address"), row["table"]) for row in router.rows("/routing rule")]
    assert rules == [
        ("10.1.0.0/24", None, "main"),
        ("fd10:1::/64", None, "main"),
        (None, "10.1.0.0/24", TAG),
        (None, "fd10:1::/64", TAG),
    ]


def test_the_routers_own_key_stays_its_own() -> None:
    profile = dataclasses.replace(WIREGUARD, private_key=None)
    files = wireguard(profile, ROUTER)
    router = made(profile)
    assert "private-key" not in router.rows("/interface wireguard")[0]
    assert any("print" in text for step in files.steps for text in step.commands)


@settings(max_examples=60, deadline=None)
@given(hostile, hostile, network_lists)
def test_no_name_changes_more_than_the_comments(name: str, site: str, allowed: Any) -> None:
    profile = dataclasses.replace(WIREGUARD, allowed_ips=allowed, addresses=())
    plain, strange = (
        made(profile),
        made(dataclasses.replace(profile, name=name), site=dataclasses.replace(ROUTER, name=site)),
    )
    assert list(plain.configuration()) == list(strange.configuration())
    for menu, rows in strange.configuration().items():
        for row, expected in zip(rows, plain.configuration()[menu], strict=True):
            if expected["comment"].startswith(f"{TAG} "):
                assert row["comment"].startswith(f"{TAG} ")
                assert ascii_text(name)[:20].strip() in row["comment"]
            assert row | {"comment": ""} == expected | {"comment": ""}


@pytest.mark.parametrize(
    "changes",
    [
        {"private_key": PRIVATE_KEY + '" comment="x'},
        {"hub_public_key": "x"},
        {"preshared_key": "none"},
        {"endpoint_host": 'evil" comment="x'},
        {"endpoint_host": "fe80::1%eth0"},
        {"endpoint_port": 0},
        {"mtu": 1200},
        {"mtu": "1420 disabled=yes"},
        {"listen_port": "1 x=y"},
        {"keepalive": "25s x=y"},
        {"addresses": ("100.64.0.2/32",)},
        {"addresses": (IPv6Interface("fe80::1%x/64"),)},
        {"allowed_ips": ("0.0.0.0/0; /system reboot",)},
        {"allowed_ips": ()},
    ],
)
def test_a_value_that_does_not_belong_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        wireguard(dataclasses.replace(WIREGUARD, **changes), ROUTER)
    assert PRIVATE_KEY not in str(refused.value)


@pytest.mark.parametrize("tag", ["", "x", "Vpn", "vpn-", "vpn x", "vpn.*", "vpn\n", "9vpn", "v" * 15, 'a"b'])
def test_a_tag_is_plain(tag: str) -> None:
    with pytest.raises(ValueError, match="tag"):
        wireguard(WIREGUARD, dataclasses.replace(ROUTER, tag=tag))


def test_routeros_6_has_no_wireguard() -> None:
    with pytest.raises(ValueError, match="no WireGuard"):
        wireguard(WIREGUARD, dataclasses.replace(ROUTER, version="6.49.17"))
