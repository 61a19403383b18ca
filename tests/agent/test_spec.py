"""Every field of a spec is validated, and no value can inject anything into a configuration."""

from __future__ import annotations

import copy
import ipaddress
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agent import made
from vpn.agent.firewall import rules as firewall_rules
from vpn.agent.firewall import script as firewall_script
from vpn.agent.memory.names import Names
from vpn.agent.system import nft
from vpn.agent.system.command import Netns
from vpn.agent.wireguard import config as wireguard_config
from vpn.wire import reserved
from vpn.wire.delta import parse_delta
from vpn.wire.errors import INVALID, AgentError
from vpn.wire.identity import parse_hub
from vpn.wire.spec import parse_spec

# The path of every string and number in a spec.
PLACES: list[tuple[str | int, ...]] = [
    ("schema",),
    ("hub",),
    ("epoch",),
    ("generation",),
    ("addresses", 0),
    ("addresses", 1),
    ("wireguard", "port"),
    ("wireguard", "private_key"),
    ("wireguard", "mtu"),
    ("peers", made.peer_id(1), "public_key"),
    ("peers", made.peer_id(1), "preshared_key"),
    ("peers", made.peer_id(1), "allowed_ips", 0),
    ("peers", made.peer_id(1), "allowed_ips", 1),
    ("peers", made.peer_id(1), "routes", 0),
    ("forwarding",),
]
VALUES = st.one_of(
    st.text(),
    st.integers(),
    st.booleans(),
    st.floats(),
    st.none(),
    st.lists(st.text(), max_size=2),
    st.sampled_from(
        [
            "10.0.0.0/8\n",
            "fe80::1%eth0/128",
            "10.1.0.0/24,10.2.0.0/24",
            "accept; }",
            '"',
            "\x00",
            "\uff11\uff10.0.0.0/8",
        ]
    ),
    st.sampled_from(
        [made.key("a") + "\n", made.key("a")[:-1], "A" * 42 + "B=", made.key("a") + "\nEndpoint = 1.2.3.4:5"]
    ),
)


def document() -> dict[str, Any]:
    whole = json.loads(json.dumps(made.spec(1, 2)))
    whole["peers"][made.peer_id(1)] = json.loads(json.dumps(made.peer(1, "10.1.0.0/24")))
    assert isinstance(whole, dict)
    return whole


def replaced(whole: dict[str, Any], place: tuple[str | int, ...], value: object) -> dict[str, Any]:
    whole = copy.deepcopy(whole)
    inner: Any = whole
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    return whole


def everything_written(whole: dict[str, Any]) -> str:
    """Return the agent's input to wg(8), nft(8) and ip(8) for a spec."""
    spec = parse_spec(whole)
    names = Names(spec.hub, Netns("host"))
    routes = "".join(
        f"route replace {route} dev {names.wireguard}\n" for peer in spec.peers.values() for route in peer.routes
    )
    addresses = "".join(f"address add {address} dev {names.wireguard}\n" for address in spec.addresses)
    return (
        wireguard_config.configuration(spec, {})
        + firewall_script.whole(firewall_rules.table(names, spec), {}, {}, there=False)
        + routes
        + addresses
    )


GOOD = everything_written(document())


@given(st.sampled_from(PLACES), VALUES)
def test_no_value_can_add_a_line(place: tuple[str | int, ...], value: object) -> None:
    try:
        written = everything_written(replaced(document(), place, value))
    except AgentError:
        return  # refused, which other tests look at
    good, bad = GOOD.splitlines(), written.splitlines()
    if place[0] in ("addresses", "peers"):
        # An address of another family makes other rules; a null preshared key means none.
        assert len(bad) == len(good)
    else:
        assert [re.sub(r"\d+|[a-z][a-z0-9]{9}|\S{43}=|accept|drop", "", line) for line in bad] == [
            re.sub(r"\d+|[a-z][a-z0-9]{9}|\S{43}=|accept|drop", "", line) for line in good
        ]
    assert "\x00" not in written
    assert written.isascii()


@given(st.recursive(VALUES, lambda inner: st.dictionaries(st.text(), inner, max_size=3), max_leaves=5))
def test_anything_at_all_is_refused_in_good_order(value: object) -> None:
    for parse in (parse_spec, parse_delta):
        with pytest.raises(AgentError, match=r"^invalid: "):
            parse(value)


@given(st.text())
def test_only_names_of_hubs_are_names_of_hubs(text: str) -> None:
    if re.fullmatch(r"[a-z][a-z0-9]{9}", text, re.ASCII):
        assert parse_hub(text) == text
    else:
        with pytest.raises(AgentError):
            parse_hub(text)


@pytest.mark.parametrize(
    ("place", "value", "named"),
    [
        (("schema",), 2, "different versions"),
        (("hub",), "../../etc/x", "hub is malformed"),
        (("hub",), "kx3j9x0aq2\n", "hub is malformed"),
        (("epoch",), 0, "epoch"),
        (("generation",), True, "generation"),
        (("wireguard", "port"), 65536, "wireguard.port"),
        (("wireguard", "mtu"), 576, "wireguard.mtu"),
        (("wireguard", "fwmark"), 1, "1 unknown fields"),
        (("forwarding",), "maybe", "forwarding"),
        (("addresses",), [], "addresses"),
        (("addresses", 0), "100.64.0.1", "addresses"),
        (("addresses", 0), "127.0.0.1/8", "addresses"),
        (("addresses", 1), "fe80::1/64", "addresses"),
        (("peers", "1; rm"), {}, "not a UUID"),
        (("peers", made.peer_id(1), "allowed_ips", 2), "10.1.0.1/24", "allowed_ips"),
        (("peers", made.peer_id(1), "allowed_ips", 2), "10.2.0.0/24", "not in its allowed_ips"),
        (("peers", made.peer_id(1), "allowed_ips", 0), "100.64.0.4/32", "belongs to"),
        (("peers", made.peer_id(1), "allowed_ips", 0), "100.64.0.1/32", "belongs to the hub"),
        (("peers", made.peer_id(1), "allowed_ips", 0), "169.254.169.254/32", "allowed_ips"),
        (("peers", made.peer_id(1), "allowed_ips", 0), "198.18.3.0/24", "allowed_ips"),
        (("peers", made.peer_id(1), "allowed_ips", 1), "fe80::/64", "allowed_ips"),
        (("peers", made.peer_id(1), "allowed_ips", 1), "FD12::1/128", "allowed_ips"),
        (("peers", made.peer_id(1), "public_key"), made.key("public 2"), "same public key"),
    ],
)
def test_a_fault_is_named(place: tuple[str | int, ...], value: object, named: str) -> None:
    with pytest.raises(AgentError) as refusal:
        parse_spec(replaced(document(), place, value))
    assert refusal.value.code == INVALID
    assert refusal.value.permanent
    assert named in refusal.value.message


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "::1", "224.0.0.1", "ff02::1", "0.0.0.0", "::", "169.254.7.7", "fe80::1"],  # noqa: S104 -- refused
)
def test_a_server_has_no_address_that_no_device_reaches(address: str) -> None:
    whole = document()
    whole["server"] = {"addresses": ["203.0.113.1", address], "networks": [], "portal_port": None}
    with pytest.raises(AgentError, match="server addresses") as refusal:
        parse_spec(whole)
    assert refusal.value.permanent


@pytest.mark.parametrize("number", [0, 1])
def test_no_network_within_the_pool_is_opened_behind_the_server(number: int) -> None:
    document = made.spec()
    pool = ipaddress.ip_interface(document["addresses"][number]).network
    around, within = pool.supernet(), next(pool.subnets())
    for network, is_good in ((around, True), (pool, False), (within, False)):
        document["server"] = {"addresses": ["203.0.113.1"], "networks": [str(network)], "portal_port": None}
        if is_good:
            assert parse_spec(document).server.networks == (str(network),)
            continue
        with pytest.raises(AgentError, match="within the hub's own pool") as refusal:
            parse_spec(document)
        assert refusal.value.code == INVALID


def test_all_faults_are_named_at_once_and_no_key_is() -> None:
    whole = replaced(document(), ("wireguard", "private_key"), "c2VjcmV0IHNlY3JldA==")
    whole = replaced(whole, ("peers", made.peer_id(1), "preshared_key"), "dG9wIHNlY3JldA==")
    whole = replaced(whole, ("forwarding",), "c2VjcmV0")
    with pytest.raises(AgentError) as refusal:
        parse_spec(whole)
    for name in ("wireguard.private_key", "preshared_key", "forwarding"):
        assert name in refusal.value.message
    assert "c2Vj" not in str(refusal.value)
    assert "dG9w" not in str(refusal.value)


def test_broad_routes_and_missing_preshared_keys_are_fine() -> None:
    whole = document()
    whole["peers"][made.peer_id(1)] |= {
        "allowed_ips": ["100.64.0.3/32", "0.0.0.0/0", "::/0"],
        "routes": ["0.0.0.0/0", "::/0"],
        "preshared_key": None,
    }
    assert parse_spec(whole).peers[made.peer_id(1)].routes == ("0.0.0.0/0", "::/0")


def test_what_was_parsed_is_written_as_it_came() -> None:
    whole = document()
    assert parse_spec(whole).document() == whole
    after = made.spec(1, 3, generation=2)
    change = json.loads(json.dumps(made.delta(made.spec(1, 2), after)))
    assert parse_delta(change).document() == change


def test_no_key_shows_in_a_representation() -> None:
    spec = parse_spec(document())
    shown = repr(spec) + repr(list(spec.peers.values()))
    assert spec.private_key not in shown
    assert made.key("preshared 1") not in shown


def test_documentation_ranges_are_the_internet_and_no_set_overlaps_itself() -> None:
    for ranges in (reserved.NEVER_V4, reserved.NEVER_V6, reserved.PRIVATE_V4, reserved.PRIVATE_V6):
        pairs = [(one, other) for one in ranges for other in ranges if one != other]
        assert not any(one.overlaps(other) for one, other in pairs)
    written = nft.elements([*reserved.PRIVATE_V4, *reserved.PRIVATE_V6])
    for public in ("198.51.100.0", "203.0.113.0", "192.0.2.0", "2001:db8:"):
        assert public not in written
