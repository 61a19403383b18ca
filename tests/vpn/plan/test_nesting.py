"""Which networks of sites lie within those of other sites."""

from __future__ import annotations

from ipaddress import ip_network
from uuid import UUID

from vpn.plan.nesting import nested
from vpn.presenters.activity.plan_sentences import taken_sentences

MAIN, BRANCH, SHOP = (UUID(int=number) for number in (1, 2, 3))


def test_each_network_goes_to_the_narrowest_around_it() -> None:
    sites = {
        MAIN: (ip_network("10.0.0.0/8"), ip_network("10.7.1.0/24"), ip_network("fd00::/16")),
        BRANCH: (ip_network("10.7.0.0/16"), ip_network("192.168.0.0/24")),
        SHOP: (ip_network("10.7.1.128/25"), ip_network("fd00:1::/48")),
    }
    found = [(str(one.network), one.taker, str(one.within), one.giver) for one in nested(sites)]
    assert found == [
        ("10.7.0.0/16", BRANCH, "10.0.0.0/8", MAIN),
        ("10.7.1.0/24", MAIN, "10.7.0.0/16", BRANCH),
        ("10.7.1.128/25", SHOP, "10.7.1.0/24", MAIN),
        ("fd00:1::/48", SHOP, "fd00::/16", MAIN),
    ]


def test_the_sentence_names_both_sites() -> None:
    lines = [
        {"network": network, "by": "b", "within": "10.0.0.0/8", "of": "m", "begins": begins}
        for network, begins in (("10.7.0.0/16", True), ("10.8.0.0/16", True), ("10.9.0.0/16", False))
    ]
    assert taken_sentences(lines, {"b": "Branch", "m": "Main"}.__getitem__) == [
        "10.7.0.0/16 and 10.8.0.0/16 go to Branch; the rest of 10.0.0.0/8 to Main",
        "10.9.0.0/16 no longer goes to Branch: 10.0.0.0/8 of Main contains it",
    ]
