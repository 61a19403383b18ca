"""The files of dnsmasq: only names and servers of the spec, and each address in its own file."""

from __future__ import annotations

import copy
import ipaddress
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agent import made
from vpn.agent import dns
from vpn.agent.dns import config as resolver_config
from vpn.agent.dns import process as resolver_process
from vpn.agent.dns.config import Layout
from vpn.agent.memory.hub import Hub
from vpn.agent.memory.names import Names
from vpn.agent.memory.state import State
from vpn.agent.system import command
from vpn.agent.system.command import Netns
from vpn.wire.errors import PACKAGE_MISSING, AgentError
from vpn.wire.spec import HubSpec, parse_spec

NAMES = Names(made.HUB, Netns("host"))
LAYOUT = Layout(Path("/var/lib/vpn-hub/x/dns"))
DOMAIN = "office.vpn.example.net"
ANNA, BERLIN = made.peer_id(1), made.peer_id(2)

PLACES: list[tuple[str | int, ...]] = [
    ("resolver", "domain"),
    *(("resolver", name, 0) for name in ("public_addresses", "upstreams", "domains", "domain_servers")),
    *(("resolver", "records", number, name) for number in range(3) for name in ("name", "type", "value")),
    ("peers", ANNA, "names", 0),
    ("peers", ANNA, "allowed_ips", 0),
    ("addresses", 0),
]
VALUES = st.one_of(
    st.text(),
    st.integers(),
    st.none(),
    st.lists(st.text(), max_size=2),
    st.sampled_from(
        [
            "a.example\nserver=10.6.6.6",
            "a.example,10.6.6.6",
            "a.example/10.6.6.6",
            "/#/",
            "#",
            "a b",
            "a\\b",
            '"a"',
            "a" * 64,
            ".".join(["a" * 60] * 5),
            "9.9.9.9#53",
            "9.9.9.9@eth0",
            "fe80::1%eth0",
            "ÄÖÜ.example",
            "*.example",
            "",
        ]
    ),
)


def document() -> dict[str, Any]:
    whole: Any = made.spec(1, 2)
    whole["peers"][ANNA]["names"] = ["laptop.anna"]
    whole["peers"][BERLIN] = {**made.peer(2, "10.1.0.0/24", "10.2.0.9/32"), "names": ["berlin"]}
    whole["peers"][made.peer_id(3)] = {**made.openvpn_peer(3), "names": ["phone.anna", "phone"]}
    whole["openvpn"] = made.openvpn()
    whole["resolver"] = {
        "domain": DOMAIN,
        "public_addresses": ["203.0.113.1", "2001:db8:113::1"],
        "upstreams": ["9.9.9.9", "2620:fe::fe"],
        "domains": ["corp.example", "1.10.in-addr.arpa"],
        "domain_servers": ["10.1.0.53", "fd01::53"],
        "records": [
            {"name": "wiki.corp.example", "type": "A", "value": "10.1.0.9"},
            {"name": "wiki.corp.example", "type": "AAAA", "value": "fd01::9"},
            {"name": "docs.corp.example", "type": "CNAME", "value": "wiki.corp.example"},
        ],
    }
    copied: dict[str, Any] = json.loads(json.dumps(whole))
    return copied


def changed(**resolver: Any) -> HubSpec:
    whole = document()
    whole["resolver"].update(resolver)
    return parse_spec(whole)


def written(spec: HubSpec) -> dict[str, str]:
    """Return all files of dnsmasq by name."""
    assert spec.resolver is not None
    return {
        "dnsmasq.conf": resolver_config.configuration(LAYOUT, spec, spec.resolver),
        "servers": resolver_config.servers(spec, spec.resolver),
        **resolver_config.hosts(spec, spec.resolver),
    }


GOOD = written(parse_spec(document()))


@given(st.sampled_from(PLACES), VALUES)
def test_no_value_can_add_a_line_or_an_option(place: tuple[str | int, ...], value: object) -> None:
    whole = copy.deepcopy(document())
    inner: Any = whole
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    try:
        texts = written(parse_spec(whole))
    except AgentError:
        return  # refused, which other tests look at
    assert sum(text.count("\n") for text in texts.values()) <= sum(text.count("\n") for text in GOOD.values())
    options = {line.partition("=")[0] for line in (texts["dnsmasq.conf"] + texts["servers"]).splitlines()}
    assert options <= {line.partition("=")[0] for line in (GOOD["dnsmasq.conf"] + GOOD["servers"]).splitlines()}
    for text in texts.values():
        assert text.isascii()
        assert not set(text) & set('"\\\r\0*%@')


def test_names_lie_beside_their_addresses() -> None:
    hosts = {name: text for name, text in GOOD.items() if len(name) == 2}
    assert hosts == {
        "03": f"100.64.0.3 laptop.anna.{DOMAIN}\nfd12:3456:789a::3 laptop.anna.{DOMAIN}\n",
        "04": f"100.64.0.4 berlin.{DOMAIN}\nfd12:3456:789a::4 berlin.{DOMAIN}\n",
        "05": f"100.64.0.5 phone.anna.{DOMAIN} phone.{DOMAIN}\nfd12:3456:789a::5 phone.anna.{DOMAIN} phone.{DOMAIN}\n",
        "01": f"203.0.113.1 {DOMAIN}\n2001:db8:113::1 {DOMAIN}\n",
        "09": "10.1.0.9 wiki.corp.example\nfd01::9 wiki.corp.example\n",
    }


def test_a_peers_own_name_comes_before_a_records() -> None:
    spec = changed(records=[{"name": "aaa.example", "type": "A", "value": "100.64.0.3"}])
    assert written(spec)["03"].splitlines() == [
        f"100.64.0.3 laptop.anna.{DOMAIN}",
        f"fd12:3456:789a::3 laptop.anna.{DOMAIN}",
        "100.64.0.3 aaa.example",
    ]


def test_the_order_of_peers_makes_no_difference() -> None:
    whole = document()
    whole["peers"] = dict(reversed(whole["peers"].items()))
    assert written(parse_spec(whole)) == GOOD


def test_split_domains_have_servers_of_their_own() -> None:
    assert GOOD["servers"].splitlines() == [
        "server=9.9.9.9",
        "server=2620:fe::fe",
        "server=/corp.example/10.1.0.53",
        "server=/corp.example/fd01::53",
        "server=/1.10.in-addr.arpa/10.1.0.53",
        "server=/1.10.in-addr.arpa/fd01::53",
    ]
    lines = GOOD["dnsmasq.conf"].splitlines()
    assert "rebind-domain-ok=/corp.example/" in lines
    assert "cname=docs.corp.example,wiki.corp.example" in lines


@pytest.mark.parametrize("domain", [DOMAIN, f"anna.{DOMAIN}", "3.64.100.in-addr.arpa", "0.3.64.100.in-addr.arpa"])
def test_queries_for_the_hubs_own_names_are_not_forwarded(domain: str) -> None:
    assert written(changed(domains=[domain]))["servers"].splitlines() == ["server=9.9.9.9", "server=2620:fe::fe"]


def test_reverse_zones_cover_the_pools_and_nothing_else() -> None:
    lines = [line for line in GOOD["dnsmasq.conf"].splitlines() if line.startswith("local=")]
    assert lines[0] == f"local=/{DOMAIN}/"
    special = [f"local=/{zone}/" for zone in resolver_config.SPECIAL_ZONES]
    assert lines[1:] == [
        *(f"local=/{number}.64.100.in-addr.arpa/" for number in range(16)),
        "local=/0.0.0.0.a.9.8.7.6.5.4.3.2.1.d.f.ip6.arpa/",
        *special,
    ]


def test_a_pool_that_is_not_known_to_be_private_is_protected_too() -> None:
    assert "bogus-nxdomain=100.64.0.0/20\n" in GOOD["dnsmasq.conf"]
    # Sites of a hub with split domains may have the rest of that range.
    assert "bogus-nxdomain=100.64.0.0/10\n" not in GOOD["dnsmasq.conf"]
    alone = written(changed(domains=[], domain_servers=[]))["dnsmasq.conf"]
    for network in ("100.64.0.0/10", "fc00::/8", "198.18.0.0/15", "168.63.129.16/32"):
        assert f"bogus-nxdomain={network}\n" in alone


@pytest.mark.parametrize("zone", ["local", "home.arpa", "internal"])
def test_a_special_domain_that_an_instance_splits_off_is_asked_for(zone: str) -> None:
    texts = written(changed(domains=[zone, f"corp.{zone}"]))
    assert f"local=/{zone}/\n" not in texts["dnsmasq.conf"]
    assert f"server=/{zone}/10.1.0.53\n" in texts["servers"]
    assert f"server=/corp.{zone}/10.1.0.53\n" in texts["servers"]


@given(st.ip_addresses())
def test_an_address_is_in_the_file_of_its_last_byte(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert resolver_config.bucket_of(str(address)) == address.packed[-1]


def test_a_name_that_is_too_long_is_left_out() -> None:
    whole = document()
    whole["peers"][ANNA]["names"] = [".".join(["a" * 60] * 4), "laptop.anna"]
    assert "aaa" not in "".join(written(parse_spec(whole)).values())
    assert f"100.64.0.3 laptop.anna.{DOMAIN}\n" in written(parse_spec(whole))["03"]


def test_a_small_change_touches_the_files_of_its_addresses_alone(tmp_path: Path) -> None:
    before, whole = parse_spec(document()), document()
    hub = Hub(NAMES, State(tmp_path))
    hosts = hub.dns / "hosts"
    hosts.mkdir(parents=True)
    assert before.resolver is not None
    for name, text in resolver_config.hosts(before, before.resolver).items():
        (hosts / name).write_text(text)
    whole["peers"][ANNA]["names"] = ["tablet.anna"]
    after = parse_spec(whole)
    stamps = {path.name: path.stat().st_ino for path in hosts.iterdir()}
    old, new = ({ANNA: spec.peers[ANNA], BERLIN: spec.peers[BERLIN]} for spec in (before, after))
    assert dns.change(hub, after, old, new)
    assert {path.name for path in hosts.iterdir() if path.stat().st_ino != stamps[path.name]} == {"03"}
    assert "tablet.anna" in (hosts / "03").read_text()
    assert not dns.change(hub, after, new, new)
    del whole["peers"][ANNA]
    gone = parse_spec(whole)
    assert dns.change(hub, gone, new, {BERLIN: gone.peers[BERLIN]})
    assert not (hosts / "03").exists()


def test_a_directory_that_would_be_an_option_is_refused() -> None:
    for name in ("/tmp/a b#c", '/tmp/"a"', "/tmp/a\\b", "/tmp/a\nport=1"):
        with pytest.raises(AgentError):
            Layout(Path(name)).checked()


def test_a_missing_program_is_named_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(command.ENVIRONMENT, "PATH", str(tmp_path))
    with pytest.raises(AgentError) as refusal:
        resolver_process.start(NAMES, Layout(tmp_path), "0" * 32)
    assert refusal.value.code == PACKAGE_MISSING
    assert "dnsmasq-base" in refusal.value.message
