"""Arithmetic on pools and routes, compared with the plain definition of each."""

from ipaddress import IPv4Network, IPv6Network, ip_network

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.agent import made
from vpn.addressing.networks import Network, contains, overlaps
from vpn.addressing.pools import (
    PoolExhausted,
    choose_pool,
    host_addresses,
    last_peer_host,
    next_free_host,
    probe_host,
    random_ula,
)
from vpn.addressing.reserved import IN_GUEST, reserved_reason
from vpn.addressing.routes import SplitRoutes
from vpn.addressing.subnets import Claim, subnet_faults, subnet_warnings
from vpn.wire import reserved
from vpn.wire.spec import parse_spec

pytestmark = pytest.mark.both_databases

BASE = IPv4Network("100.64.0.0/10")
POOL_V4 = IPv4Network("100.64.0.0/20")
POOL_V6 = IPv6Network("fd12:3456:789a::/64")
POOLS = (POOL_V4, POOL_V6)

v4_networks = st.builds(
    lambda address, prefix: IPv4Network((address, prefix), strict=False), st.ip_addresses(v=4), st.integers(0, 32)
)
v6_networks = st.builds(
    lambda address, prefix: IPv6Network((address, prefix), strict=False), st.ip_addresses(v=6), st.integers(0, 128)
)
networks = v4_networks | v6_networks
# Small ranges, so that networks really meet.
crowded = st.builds(
    lambda number, prefix: IPv4Network(((10 << 24) + (number << 8), prefix), strict=False),
    st.integers(0, 255),
    st.integers(16, 24),
)


def nets(*texts: str) -> list[Network]:
    return [ip_network(text) for text in texts]


def faults(
    *texts: str,
    others: tuple[Claim, ...] = (),
    confirm_broad: bool = False,
    pool_v4: IPv4Network = POOL_V4,
    advertised: tuple[str, ...] = (),
) -> list[tuple[str, str]]:
    found = subnet_faults(
        nets(*texts),
        pool_v4=pool_v4,
        pool_v6=POOL_V6,
        others=others,
        confirm_broad=confirm_broad,
        advertised=nets(*advertised),
    )
    assert all(str(fault.network) in fault.message and fault.message.endswith(".") for fault in found)
    return [(str(fault.network), fault.code) for fault in found]


class TestPools:
    def test_the_first_pool_is_the_lowest(self) -> None:
        assert choose_pool(BASE, 20, []) == IPv4Network("100.64.0.0/20")

    def test_a_gap_is_used(self) -> None:
        taken = [IPv4Network("100.64.0.0/20"), IPv4Network("100.64.32.0/20")]
        assert choose_pool(BASE, 20, taken) == IPv4Network("100.64.16.0/20")

    @given(st.integers(16, 24), st.lists(st.tuples(st.integers(0, 255), st.integers(16, 24)), max_size=12))
    def test_it_is_the_lowest_that_overlaps_none(self, prefix: int, blocks: list[tuple[int, int]]) -> None:
        base = IPv4Network("10.0.0.0/14")
        taken = [IPv4Network(((10 << 24) + (n << 10), size), strict=False) for n, size in blocks]
        plain = next((p for p in base.subnets(new_prefix=prefix) if not any(p.overlaps(t) for t in taken)), None)
        if plain is None:
            with pytest.raises(PoolExhausted):
                choose_pool(base, prefix, taken)
        else:
            assert choose_pool(base, prefix, taken) == plain

    def test_a_full_base_says_what_to_do(self) -> None:
        with pytest.raises(PoolExhausted, match="Choose a smaller pool"):
            choose_pool(IPv4Network("10.0.0.0/20"), 20, [IPv4Network("10.0.8.0/24")])

    def test_a_pool_wider_than_its_base_is_refused(self) -> None:
        with pytest.raises(ValueError, match="does not fit"):
            choose_pool(IPv4Network("10.0.0.0/20"), 16, [])

    def test_unique_local_prefixes_are_random_and_of_rfc_4193(self) -> None:
        made = {random_ula() for _ in range(50)}
        assert len(made) == 50
        assert all(n.subnet_of(IPv6Network("fd00::/8")) and n.prefixlen == 64 for n in made)
        assert random_ula(lambda count: b"\x12\x34\x56\x78\x9a"[:count]) == IPv6Network("fd12:3456:789a::/64")


class TestHosts:
    @pytest.mark.parametrize(("pool", "probe"), [("10.0.0.0/24", 254), ("10.0.0.0/20", 4094), ("10.0.0.0/16", 65534)])
    def test_the_probe_has_the_last_usable_address(self, pool: str, probe: int) -> None:
        network = IPv4Network(pool)
        assert probe_host(network) == probe
        assert last_peer_host(network) == probe - 1
        assert host_addresses(network, POOL_V6, probe)[0] == network.broadcast_address - 1

    def test_both_addresses_follow_from_the_number(self) -> None:
        v4, v6 = host_addresses(POOL_V4, POOL_V6, 258)
        assert (str(v4), str(v6)) == ("100.64.1.2", "fd12:3456:789a::102")

    @pytest.mark.parametrize("host", [-1, 0, 4095, 5000])
    def test_numbers_outside_the_pool_are_refused(self, host: int) -> None:
        with pytest.raises(ValueError, match="has no host"):
            host_addresses(POOL_V4, POOL_V6, host)

    def test_the_first_peer_gets_the_second_address(self) -> None:
        assert next_free_host(None, list, 253) == 2

    def test_a_freed_address_is_not_used_again_at_once(self) -> None:
        def unneeded() -> list[int]:
            raise AssertionError("the numbers in use are only needed at the end of the pool")

        assert next_free_host(9, unneeded, 253) == 10

    def test_at_the_end_of_the_pool_the_lowest_gap_is_used(self) -> None:
        assert next_free_host(253, lambda: [2, 3, 5, 253], 253) == 4

    def test_a_full_pool_says_what_to_do(self) -> None:
        with pytest.raises(PoolExhausted, match="Widen the pool"):
            next_free_host(253, lambda: range(2, 254), 253)

    @given(st.sets(st.integers(2, 30)))
    def test_a_number_is_never_given_twice(self, taken: set[int]) -> None:
        assume(len(taken) < 29)
        host = next_free_host(max(taken, default=None), lambda: taken, 30)
        assert 2 <= host <= 30
        assert host not in taken


class TestSubnets:
    def test_ordinary_subnets_are_fine(self) -> None:
        assert faults("10.1.0.0/24", "192.168.0.0/16", "fd99::/48", "203.0.113.0/24") == []

    @pytest.mark.parametrize("text", ["100.64.0.0/24", "100.64.0.0/20", "fd12:3456:789a::/80", "fd12:3456:789a::/64"])
    def test_the_pool_is_not_advertised(self, text: str) -> None:
        assert faults(text) == [(text, "overlap")]

    @pytest.mark.parametrize("text", ["100.64.0.0/16", "fd12:3456::/32"])
    def test_what_contains_the_pool_needs_the_confirmation(self, text: str) -> None:
        assert faults(text) == [(text, "nested_unconfirmed")]
        assert faults(text, confirm_broad=True) == []

    def test_the_other_side_is_named(self) -> None:
        found = subnet_faults(
            nets("10.1.0.0/16"),
            pool_v4=POOL_V4,
            pool_v6=POOL_V6,
            others=[Claim("the site Berlin", ip_network("10.1.2.0/24"))],
            confirm_broad=False,
        )
        assert found[0].message.startswith("10.1.0.0/16 contains 10.1.2.0/24 of the site Berlin, which keeps")

    @pytest.mark.parametrize(
        "text",
        [
            "0.0.0.0/8",
            "127.0.0.0/8",
            "127.1.2.0/24",
            "169.254.169.254/32",
            "169.0.0.0/8",
            "224.0.0.0/4",
            "240.0.0.0/8",
            "255.255.255.255/32",
            "198.18.0.0/16",
            "::1/128",
            "::/128",
            "fe80::/10",
            "fe80::/64",
            "ff02::/16",
            "::ffff:a00:0/112",
            "64:ff9b::/96",
            "1::/16",
            "100.100.100.200/32",
            "100.100.100.0/24",
            "168.63.129.0/24",
            "161.26.0.10/32",
            "fd00:ec2::254/128",
            "fd00:c1::/64",
        ],
    )
    def test_reserved_ranges_are_refused(self, text: str) -> None:
        assert faults(text) == [(text, "reserved")]
        assert faults(text, confirm_broad=True) == [(text, "reserved")]

    def test_the_portal_and_the_agent_know_the_same_services_of_clouds(self) -> None:
        assert {*reserved.IN_GUEST_V4, *reserved.IN_GUEST_V6} == IN_GUEST

    @given(networks)
    def test_what_is_not_refused_is_what_the_agent_takes(self, network: Network) -> None:
        site = made.peer(1, str(network))
        if reserved_reason(network) is None:
            parse_spec(made.spec(peers={made.peer_id(1): site}))  # raises where the agent would refuse

    @pytest.mark.parametrize("text", ["0.0.0.0/0", "::/0", "128.0.0.0/1", "10.0.0.0/7", "2000::/3", "fd00::/31"])
    def test_broad_routes_need_the_confirmation_and_then_win_over_nothing(self, text: str) -> None:
        others = (Claim("the site Berlin", ip_network("10.1.0.0/16")), Claim("the site Bonn", ip_network("fd00::/40")))
        assert faults(text, others=others) == [(text, "broad_unconfirmed")]
        assert faults(text, others=others, confirm_broad=True) == []

    @pytest.mark.parametrize(
        ("wide", "narrow"), [("10.0.0.0/8", "10.7.0.0/16"), ("10.7.0.0/16", "10.7.9.0/30"), ("fd00::/32", "fd00::/48")]
    )
    def test_one_network_inside_anothers_needs_one_confirmation_at_any_width(self, wide: str, narrow: str) -> None:
        for network, there in ((wide, narrow), (narrow, wide)):
            others = (Claim("the site Berlin", ip_network(there)),)
            assert faults(network, others=others) == [(network, "nested_unconfirmed")]
            assert faults(network, others=others, confirm_broad=True) == []
            assert faults(network, others=others, advertised=(network,)) == []

    def test_no_confirmation_helps_against_equal_networks_and_parts_of_the_pool(self) -> None:
        others = (Claim("the site Berlin", ip_network("10.1.0.0/16")),)
        assert faults("10.1.0.0/16", "127.0.0.0/8", "100.64.1.0/24", others=others, confirm_broad=True) == [
            ("10.1.0.0/16", "overlap"),
            ("127.0.0.0/8", "reserved"),
            ("100.64.1.0/24", "overlap"),
        ]
        assert faults("100.64.0.0/10", confirm_broad=True) == []

    def test_anothers_broad_route_is_in_nobodys_way_but_its_twins(self) -> None:
        others = (Claim("the site Berlin", ip_network("0.0.0.0/0")),)
        assert faults("10.1.0.0/24", "0.0.0.0/1", others=others, confirm_broad=True) == []
        assert faults("0.0.0.0/0", others=others, confirm_broad=True) == [("0.0.0.0/0", "overlap")]

    def test_a_subnet_that_is_listed_twice_is_told_once(self) -> None:
        assert faults("10.1.0.0/24", "10.1.0.0/24") == [("10.1.0.0/24", "duplicate")]

    def test_every_fault_is_told_at_once(self) -> None:
        assert [code for _, code in faults("127.0.0.0/8", "0.0.0.0/0", "100.64.1.0/24")] == [
            "reserved",
            "broad_unconfirmed",
            "overlap",
        ]

    @given(st.lists(crowded, max_size=4), st.lists(crowded, max_size=4))
    def test_what_passes_overlaps_nobody_unless_confirmed(
        self, wanted: list[IPv4Network], there: list[IPv4Network]
    ) -> None:
        refused: dict[bool, set[Network]] = {}
        for confirm_broad in (False, True):
            found = subnet_faults(
                wanted,
                pool_v4=POOL_V4,
                pool_v6=POOL_V6,
                others=[Claim("another", network) for network in there],
                confirm_broad=confirm_broad,
            )
            refused[confirm_broad] = {fault.network for fault in found if fault.code != "duplicate"}
        assert refused[True] == set(wanted) & set(there)
        assert refused[False] == {n for n in wanted if any(n.overlaps(t) for t in there)}

    def test_public_ranges_get_a_warning(self) -> None:
        warned = subnet_warnings(nets("10.0.0.0/8", "100.64.0.0/10", "8.8.8.0/24", "2001:db8::/48", "fd00::/8"))
        assert [line.split()[0] for line in warned] == ["8.8.8.0/24", "2001:db8::/48"]

    def test_a_confirmed_broad_route_gets_no_second_word(self) -> None:
        assert subnet_warnings(nets("0.0.0.0/0")) == []


class TestRoutes:
    def test_a_split_tunnel_has_the_pool_the_subnets_and_the_pushed_routes(self) -> None:
        split = SplitRoutes(
            POOLS, nets("10.1.0.0/24", "10.1.1.0/24", "0.0.0.0/0", "::/0"), nets("192.168.0.0/16", "10.1.1.0/25")
        )
        wanted = ["10.1.0.0/24", "10.1.1.0/24", "100.64.0.0/20", "192.168.0.0/16", str(POOL_V6)]
        assert split.routes == tuple(nets(*wanted))

    @given(st.lists(networks, max_size=6), st.lists(networks, max_size=6))
    def test_a_split_tunnel_covers_everything_and_repeats_nothing(
        self, subnets: list[Network], pushed: list[Network]
    ) -> None:
        routes = SplitRoutes(POOLS, subnets, pushed).routes
        for wanted in (POOL_V4, POOL_V6, *subnets, *pushed):
            assert wanted.prefixlen == 0 or any(contains(route, wanted) for route in routes)
        assert not any(overlaps(a, b) for i, a in enumerate(routes) for b in routes[i + 1 :])
        assert routes == SplitRoutes(POOLS, reversed(pushed), reversed(subnets)).routes

    @given(st.lists(crowded, max_size=8), st.lists(crowded, max_size=4), st.data())
    def test_a_site_has_what_would_be_there_without_its_own_networks(
        self, subnets: list[Network], endpoints: list[Network], data: st.DataObject
    ) -> None:
        own = data.draw(st.lists(st.sampled_from(subnets) | crowded if subnets else crowded, max_size=4))
        split = SplitRoutes(POOLS, subnets, [], endpoints)
        others = [network for network in subnets if network not in own]
        routes = SplitRoutes(POOLS, others, [], endpoints).routes
        assert split.without(own) == routes
        assert tuple(split.texts_without(own)) == tuple(map(str, routes))
        assert split.sorted_texts_without(own) == sorted(map(str, routes))
