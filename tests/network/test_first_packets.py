"""Clients and sites reach each other through the hub, and the internet beyond it."""

from __future__ import annotations

import pytest

from tests.lab.hub import Hub
from tests.lab.lab import Lab
from tests.lab.nodes import OUTSIDE_V4, OUTSIDE_V6


def test_two_clients_and_a_site_reach_each_other(lab: Lab, hub: Hub) -> None:
    alice, bob, berlin = lab.add_client("alice"), lab.add_client("bob"), lab.add_site("berlin")
    hub.connect_site(berlin)
    first = hub.connect(alice)
    second = hub.connect(bob)

    assert lab.ping(alice, second.v4)
    assert lab.ping(alice, second.v6)
    assert lab.ping(alice, hub.v6)
    assert lab.ping(alice, berlin.lan.v4)
    assert lab.ping(alice, berlin.lan.v6)
    # The site's LAN reaches clients too, if its router sends it there.
    lab.run(berlin.router, ["ip", "route", "replace", "100.64.0.0/20", "dev", "wg0"])
    assert lab.ping(berlin.lan, first.v4)

    lab.serve_http(berlin.lan, berlin.lan.v4, 80, "from the LAN")
    assert lab.http_get(alice, f"http://{berlin.lan.v4}/") == "from the LAN"
    lab.serve_http(berlin.lan, berlin.lan.v6, 80, "from the LAN, v6")
    assert lab.http_get(bob, f"http://[{berlin.lan.v6}]/") == "from the LAN, v6"


def test_two_sites_reach_each_other(lab: Lab, hub: Hub) -> None:
    berlin, paris = lab.add_site("berlin"), lab.add_site("paris")
    hub.connect_site(berlin)
    hub.connect_site(paris)
    # Berlin's profile was made before Paris was there.
    lab.run(berlin.router, ["wg", "set", "wg0", "peer", hub.public_key, "allowed-ips", "100.64.0.0/20,10.0.0.0/8"])
    lab.run(berlin.router, ["ip", "route", "replace", paris.lan_v4, "dev", "wg0"])
    assert lab.ping(paris.lan, berlin.lan.v4)
    assert lab.ping(berlin.lan, paris.lan.v4)


@pytest.mark.parametrize("url", [f"http://{OUTSIDE_V4}/", f"http://[{OUTSIDE_V6}]/"])
def test_all_traffic_leaves_through_the_hub(lab: Lab, hub: Hub, url: str) -> None:
    alice = lab.add_client("alice")
    hub.connect(alice, everything=True)
    for address in (OUTSIDE_V4, OUTSIDE_V6):
        assert lab.ping(alice, address)
    lab.serve_http(lab.outside, url.split("/")[2].strip("[]"), 80, "from far away")
    own = f"ip6 saddr {lab.host.v6}" if "[" in url else f"ip saddr {lab.host.v4}"
    with lab.count(lab.outside, f"{own} tcp dport 80") as counter:
        assert lab.http_get(alice, url) == "from far away"
        assert counter.packets > 0
