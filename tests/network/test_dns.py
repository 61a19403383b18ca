"""A hub's resolver: what it answers, whom it asks, and who may ask it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.devices import Device
from tests.lab.dns import Answer, DnsServer, ask, ask_reverse, serve_dns
from tests.lab.hub import Agent, Hub
from tests.lab.lab import Lab
from tests.lab.nodes import OUTSIDE_V4, OUTSIDE_V6, Node, Site
from vpn.wire.documents import ResolverDocument
from vpn.wire.report import COMPONENTS

NOTHING = dict.fromkeys(COMPONENTS, False)
DOMAIN = "office.vpn.example.net"
WORLD_WIDE = "93.184.215.14"
UNKNOWN = Answer("NXDOMAIN", ())
EMPTY = Answer("NOERROR", ())


def resolver(lab: Lab, site: Site | None = None) -> ResolverDocument:
    return {
        "domain": DOMAIN,
        "public_addresses": [lab.host.v4, lab.host.v6],
        "upstreams": [OUTSIDE_V4, OUTSIDE_V6],
        "domains": ["corp.example", "10.in-addr.arpa"] if site else [],
        "domain_servers": [site.lan.v4, site.lan.v6] if site else [],
        "records": [
            {"name": f"wiki.{DOMAIN}", "type": "A", "value": "10.9.9.9"},
            {"name": f"wiki.{DOMAIN}", "type": "AAAA", "value": "fd99::9"},
            {"name": "printer.lan", "type": "A", "value": "192.168.7.7"},
            {"name": f"docs.{DOMAIN}", "type": "CNAME", "value": f"wiki.{DOMAIN}"},
        ],
    }


@dataclass(frozen=True)
class World:
    """A hub with a resolver, a client, a site that has a DNS server in its LAN, and one on the internet."""

    lab: Lab
    hub: Hub
    alice: Node
    device: Device
    berlin: Site
    internet: DnsServer
    corporate: DnsServer

    def ask(self, name: str, kind: str = "A", *options: str) -> Answer:
        """Ask the hub from Alice's device, over IPv4."""
        return ask(self.lab, self.alice, self.hub.v4, name, kind, *options)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    if os.geteuid() != 0:
        pytest.skip("making network namespaces needs root")
    with Lab() as lab:
        agent = Agent(lab)
        hub = Hub(lab, agent)
        alice, berlin = lab.add_client("alice"), lab.add_site("berlin", "10.1.0.0/24")
        internet = serve_dns(
            lab,
            lab.outside,
            {
                "www.example.com": [WORLD_WIDE, "2606:2800:21f:cb07:6820:80da:af6b:8b2c"],
                "private.example.com": ["10.1.0.10", "fd10:2::10"],
                "peer.example.com": hub.v4,
                f"secret.{DOMAIN}": WORLD_WIDE,
            },
        )
        corporate = serve_dns(
            lab,
            berlin.lan,
            {"intranet.corp.example": ["10.1.0.10", "fd10:2::10"], "10.0.1.10.in-addr.arpa": "intranet.corp.example"},
        )
        hub.resolver = resolver(lab, berlin)
        site = hub.add((berlin.lan_v4, berlin.lan_v6))
        site.names = ("berlin",)
        device = hub.add()
        device.names = ("laptop.anna",)
        hub.apply()
        lab.wg_quick_up(berlin.router, hub.profile(site, keepalive=1))
        # The answers of the LAN's server go back through its router.
        lab.wg_quick_up(alice, hub.profile(device))
        lab.wait_ping(berlin.router, hub.v4)
        lab.wait_ping(alice, berlin.lan.v4)
        yield World(lab, hub, alice, device, berlin, internet, corporate)
        agent.close()


def test_peers_have_names_both_ways(world: World) -> None:
    for server in (world.hub.v4, world.hub.v6):
        for options in ((), ("+tcp",)):
            found = ask(world.lab, world.alice, server, f"laptop.anna.{DOMAIN}", "A", *options)
            assert found == Answer("NOERROR", (f"A {world.device.v4}",))
        assert ask(world.lab, world.alice, server, f"laptop.anna.{DOMAIN}", "AAAA").values == (
            f"AAAA {world.device.v6}",
        )
        for address in (world.device.v4, world.device.v6):
            assert ask_reverse(world.lab, world.alice, server, address).values == (f"PTR laptop.anna.{DOMAIN}",)
    assert world.ask(f"berlin.{DOMAIN}").status == "NOERROR"
    assert world.ask(f"laptop.anna.{DOMAIN}", "MX") == EMPTY


def test_the_hub_itself_has_its_public_addresses(world: World) -> None:
    assert world.ask(DOMAIN).values == (f"A {world.lab.host.v4}",)
    assert world.ask(DOMAIN, "AAAA").values == (f"AAAA {world.lab.host.v6}",)
    for address in (world.hub.v4, world.hub.v6):
        assert ask_reverse(world.lab, world.alice, world.hub.v4, address).values == (f"PTR {DOMAIN}",)


def test_records_are_answered(world: World) -> None:
    assert world.ask(f"wiki.{DOMAIN}").values == ("A 10.9.9.9",)
    assert world.ask(f"wiki.{DOMAIN}", "AAAA").values == ("AAAA fd99::9",)
    assert world.ask("printer.lan").values == ("A 192.168.7.7",)
    assert world.ask(f"docs.{DOMAIN}").values == ("A 10.9.9.9", f"CNAME wiki.{DOMAIN}")
    assert world.ask(f"docs.{DOMAIN}", "AAAA").values == ("AAAA fd99::9", f"CNAME wiki.{DOMAIN}")


def test_everything_else_is_asked_on_the_internet(world: World) -> None:
    assert world.ask("www.example.com").values == (f"A {WORLD_WIDE}",)
    assert world.ask("www.example.com", "AAAA").values == ("AAAA 2606:2800:21f:cb07:6820:80da:af6b:8b2c",)
    assert ask(world.lab, world.alice, world.hub.v6, "www.example.com", "A", "+tcp").values == (f"A {WORLD_WIDE}",)
    assert world.internet.asked_about("www.example.com")
    # Nobody on the internet can know a name without a dot.
    assert world.ask("printer").values == ()
    assert not world.internet.asked_about("printer")


def test_names_of_the_hubs_own_never_leave_it(world: World) -> None:
    for name in (f"secret.{DOMAIN}", f"a.b.{DOMAIN}", f"anna.{DOMAIN}"):
        for kind in ("A", "AAAA", "MX", "TXT"):
            assert world.ask(name, kind).values == ()
    assert world.ask(f"secret.{DOMAIN}") == UNKNOWN
    for address in ("100.64.3.3", "fd12:3456:789a::3:3"):
        assert ask_reverse(world.lab, world.alice, world.hub.v4, address) == UNKNOWN
    for server in (world.internet, world.corporate):
        assert not server.asked_about(DOMAIN)
        assert not server.asked_about("64.100.in-addr.arpa")
        assert not server.asked_about("d.f.ip6.arpa")


def test_split_domains_are_asked_where_they_are_known(world: World) -> None:
    assert world.ask("intranet.corp.example").values == ("A 10.1.0.10",)
    assert world.ask("intranet.corp.example", "AAAA").values == ("AAAA fd10:2::10",)
    assert ask_reverse(world.lab, world.alice, world.hub.v4, "10.1.0.10").values == ("PTR intranet.corp.example",)
    assert world.ask("nobody.corp.example") == UNKNOWN
    assert world.corporate.asked_about("corp.example")
    assert not world.internet.asked_about("corp.example")
    assert not world.internet.asked_about("10.in-addr.arpa")
    assert not world.corporate.asked_about("example.com")
    # Private networks of nobody here are not the internet's business either.
    assert ask_reverse(world.lab, world.alice, world.hub.v4, "192.168.3.3") == UNKNOWN
    assert not world.internet.asked_about("192.in-addr.arpa")


def test_names_of_others_do_not_lead_into_the_tunnels(world: World) -> None:
    for name, kind in (("private.example.com", "A"), ("private.example.com", "AAAA"), ("peer.example.com", "A")):
        assert world.ask(name, kind).values == ()
        assert f"{kind} {name}" in world.internet.asked()


def test_only_peers_reach_the_resolver(world: World) -> None:
    lab, hub = world.lab, world.hub
    stranger = lab.add_client("stranger")
    for address in (lab.host.v4, lab.host.v6):
        assert ask(lab, stranger, address, DOMAIN, "A", "+time=1").status == ""
        assert not lab.can_connect(stranger, address, 53, 0.5)
    # The host's own way in is shut too.
    link = f"vh-{hub.hub}"
    lab.run(lab.host, ["ip", "route", "replace", f"{hub.v4}/32", "dev", link])
    assert ask(lab, lab.host, hub.v4, DOMAIN, "A", "+time=1").status == ""
    lab.run(lab.host, ["ip", "route", "delete", f"{hub.v4}/32", "dev", link])
    listening = lab.run(hub.node, ["ss", "-Hlntu", "sport = :53"], check=False)
    assert set(re.findall(r"(\S+):53\b", listening.stdout)) <= {hub.v4, f"[{hub.v6}]"}


def test_it_holds_as_few_rights_as_work(world: World) -> None:
    directory = world.lab.state / world.hub.hub / "dns"
    group = directory.stat().st_gid
    assert directory.parent.stat().st_mode & 0o777 == 0o700
    for path in (directory, *directory.rglob("*")):
        found = path.stat()
        assert (found.st_uid, found.st_mode & 0o027) == (0, 0), path
        # It reads what is written for it, and nobody else does.
        assert found.st_gid == group or not found.st_mode & 0o040, path
    pid = (directory / "started").read_text().split()[0]
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    assert set(status["Uid"].split()) == set(status["Gid"].split()) == {str(group)}
    assert group > 1000
    # CAP_NET_BIND_SERVICE.
    assert {int(status[name], 16) for name in ("CapBnd", "CapPrm", "CapEff")} == {1 << 10}
    assert status["NoNewPrivs"] == "1"
    opened = {os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    assert not any(str(world.lab.state) in name for name in opened)


def test_the_same_spec_twice_changes_nothing(world: World) -> None:
    assert world.hub.apply().changed == NOTHING
    assert world.hub.agent.once("apply", spec=world.hub.document)["report"]["changed"] == NOTHING
    assert world.hub.status().alive
