"""What the hub itself answers and asks: queries of its peers and of its resolver, while it has one."""

from __future__ import annotations

import pytest

from tests.lab.hub import Hub
from tests.lab.lab import Lab
from tests.lab.nodes import OUTSIDE_V4, OUTSIDE_V6
from vpn.wire.documents import ResolverDocument

RESOLVER: ResolverDocument = {
    "domain": "acme.vpn.example.net",
    "public_addresses": [],
    "upstreams": [OUTSIDE_V4, OUTSIDE_V6],
    "domains": ["corp.example"],
    "domain_servers": [],
    "records": [],
}


def test_peers_may_ask_the_resolver_while_there_is_one(lab: Lab, hub: Hub) -> None:
    alice = lab.add_client("alice")
    hub.connect(alice)
    servers = []
    for address in (hub.v4, hub.v6):
        servers.append(lab.serve_http(hub.node, address, 53))
        lab.serve_http(hub.node, address, 54)
        assert not lab.can_connect(alice, address, 53, timeout=0.4)
    for server in servers:
        server.kill()
        server.wait(5)
    hub.resolver = RESOLVER
    hub.apply_next()
    for address in (hub.v4, hub.v6):
        assert lab.can_connect(alice, address, 53)
        assert not lab.can_connect(alice, address, 54, timeout=0.4)


@pytest.mark.parametrize("version", [4, 6])
def test_the_resolver_reaches_those_whom_it_asks(lab: Lab, hub: Hub, version: int) -> None:
    berlin = lab.add_site("berlin")
    hub.connect_site(berlin)
    inside = berlin.lan.v4 if version == 4 else berlin.lan.v6
    outside, other = (OUTSIDE_V4, "198.51.100.11") if version == 4 else (OUTSIDE_V6, "2001:db8:51::11")
    lab.add_address(lab.outside, f"{other}/{24 if version == 4 else 64}", "eth0")
    for node, address, port in ((lab.outside, outside, 53), (lab.outside, outside, 54), (lab.outside, other, 53)):
        lab.serve_http(node, address, port)
    lab.serve_http(berlin.lan, inside, 53)
    assert not lab.can_connect(hub.node, outside, 53, timeout=0.4)
    hub.resolver = {**RESOLVER, "domain_servers": [inside]}
    hub.apply_next()
    assert lab.can_connect(hub.node, outside, 53)
    assert lab.can_connect(hub.node, inside, 53)
    assert not lab.can_connect(hub.node, outside, 54, timeout=0.4)
    assert not lab.can_connect(hub.node, other, 53, timeout=0.4)
