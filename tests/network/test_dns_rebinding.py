"""Names of others that lead to private addresses, and names that nobody on the internet is asked for."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.lab.dns import Answer, DnsServer, ask, serve_dns
from tests.lab.hub import Agent, Hub
from tests.lab.lab import Lab
from tests.lab.nodes import OUTSIDE_V4, Node
from vpn.agent.dns.config import SPECIAL_ZONES

WORLD_WIDE = "93.184.215.14"
OTHER_SERVER = "198.51.100.11"  # of the same machine
PRIVATE = {
    "rfc1918-a": "10.1.2.3",
    "rfc1918-b": "172.20.1.1",
    "rfc1918-c": "192.168.1.1",
    "shared": "100.80.1.2",
    "pool": "100.64.0.9",
    "loopback": "127.0.0.1",
    "this": "0.0.0.0",  # noqa: S104 - an answer to hold back
    "link-local": "169.254.169.254",
    "hub-links": "198.18.0.7",
    "azure": "168.63.129.16",
    "ula": "fd10:2::10",
    "other-ula": "fc00::1",
    "site-local": "fec0::1",
    "loopback-v6": "::1",
    "link-local-v6": "fe80::1",
    "mapped": "::ffff:10.1.2.3",
}


def service(target: str, *hints: str) -> str:
    """The data of an HTTPS or SVCB record in hexadecimal digits: to itself, with hints (RFC 9460, section 2.2)."""
    text = bytes([0, 1]) + bytes([0])
    for key, version in ((4, 4), (6, 6)):
        packed = b"".join(ip.packed for ip in map(ipaddress.ip_address, hints) if ip.version == version)
        if packed:
            text += key.to_bytes(2) + len(packed).to_bytes(2) + packed
    return f"{target},{text.hex()}"


@dataclass(frozen=True)
class World:
    lab: Lab
    hub: Hub
    alice: Node
    internet: DnsServer
    inner: DnsServer

    def ask(self, name: str, kind: str = "A", server: str = "") -> Answer:
        return ask(self.lab, self.alice, server or self.hub.v4, name, kind)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    if os.geteuid() != 0:
        pytest.skip("making network namespaces needs root")
    with Lab() as lab:
        agent = Agent(lab)
        hub = Hub(lab, agent)
        alice = lab.add_client("alice")
        lab.add_address(lab.outside, f"{OTHER_SERVER}/24", "eth0")
        internet = serve_dns(
            lab,
            lab.outside,
            {f"{name}.example.com": address for name, address in PRIVATE.items()}
            | {"www.example.com": WORLD_WIDE}
            | {f"name.{zone}": WORLD_WIDE for zone in SPECIAL_ZONES},
            [OUTSIDE_V4],
            [
                service("web.example.com,65", "10.1.0.10", "fd10::1"),
                service("svc.example.com,64", "192.168.1.1"),
                service("public.example.com,65", WORLD_WIDE),
            ],
        )
        inner = serve_dns(lab, lab.outside, {"nas.corp.test": "10.1.0.9"}, [OTHER_SERVER])
        hub.resolver = {
            "domain": "office.vpn.example.net",
            "public_addresses": [lab.host.v4],
            "upstreams": [OUTSIDE_V4],
            "domains": [],
            "domain_servers": [],
            "records": [],
        }
        hub.connect(alice, everything=True)
        yield World(lab, hub, alice, internet, inner)
        agent.close()


@pytest.mark.parametrize("name", PRIVATE)
def test_no_name_of_others_has_a_private_address(world: World, name: str) -> None:
    kind = "AAAA" if ":" in PRIVATE[name] else "A"
    full = f"{name}.example.com"
    assert world.ask(full, kind, OUTSIDE_V4).values == (f"{kind} {PRIVATE[name]}",), "the server says so"
    assert world.ask(full, kind).values == ()
    assert f"{kind} {full}" in world.internet.asked()


@pytest.mark.parametrize(("name", "kind"), [("web", "HTTPS"), ("svc", "SVCB"), ("public", "HTTPS")])
def test_no_hint_of_an_address_passes(world: World, name: str, kind: str) -> None:
    assert world.ask(f"{name}.example.com", kind, OUTSIDE_V4).values, "the server says so"
    assert world.ask(f"{name}.example.com", kind) == Answer("NOERROR", ())
    assert world.ask("www.example.com").values == (f"A {WORLD_WIDE}",)


@pytest.mark.parametrize("zone", SPECIAL_ZONES)
def test_nobody_is_asked_for_special_domains(world: World, zone: str) -> None:
    assert world.ask(f"name.{zone}", "A", OUTSIDE_V4).values, "the server knows it"
    before = len(world.internet.asked_about(zone))
    for kind in ("A", "AAAA", "HTTPS"):
        assert world.ask(f"name.{zone}", kind) == Answer("NXDOMAIN", ())
    assert len(world.internet.asked_about(zone)) == before


def test_a_special_domain_that_is_split_off_is_asked_where_it_is_known(world: World) -> None:
    hub = world.hub
    assert hub.resolver is not None
    hub.resolver = {**hub.resolver, "domains": ["corp.test"], "domain_servers": [OTHER_SERVER]}
    hub.apply_next()
    assert world.ask("nas.corp.test").values == ("A 10.1.0.9",)
    assert world.ask("name.test") == Answer("NXDOMAIN", ())
    assert world.inner.asked_about("corp.test") == ["A nas.corp.test"]
