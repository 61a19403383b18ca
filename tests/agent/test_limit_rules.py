"""To which peer the limits assign an address."""

from __future__ import annotations

from tests.agent import made
from vpn.agent.firewall import limit_rules
from vpn.wire.spec import HubSpec, parse_spec


def spec(*peers: tuple[int, tuple[str, ...]]) -> HubSpec:
    document = made.spec(*(number for number, _ in peers))
    document["peers"] = {made.peer_id(number): made.peer(number, *routes) for number, routes in peers}
    return parse_spec(document)


def elements(*peers: tuple[int, tuple[str, ...]]) -> dict[str, set[str]]:
    return {name: set(each) for name, each in limit_rules.elements(spec(*peers)).items()}


def number(peer: int) -> str:
    return f"0x{limit_rules.number_of(made.peer_id(peer)):08x}"


def test_devices_need_no_element() -> None:
    assert elements((1, ()), (2, ())) == {"behind_v4": set(), "behind_v6": set()}


def test_all_networks_of_a_router_are_one_peer() -> None:
    found = elements((1, ("10.1.0.0/16", "10.3.0.0/24", "fd01::/48")), (2, ()))
    assert found["behind_v4"] == {f"10.1.0.0/16 : {number(1)}", f"10.3.0.0/24 : {number(1)}"}
    assert found["behind_v6"] == {f"fd01::/48 : {number(1)}"}


def test_of_nested_networks_the_narrowest_counts_and_the_pool_is_left_out() -> None:
    found = elements((1, ("0.0.0.0/0",)), (2, ("10.1.0.0/16",)))
    assert found["behind_v4"] == {
        f"0.0.0.0-10.0.255.255 : {number(1)}",
        f"10.1.0.0/16 : {number(2)}",
        f"10.2.0.0-100.63.255.255 : {number(1)}",
        f"100.64.16.0-255.255.255.255 : {number(1)}",
    }
