"""What an admin may let a hub's resolver answer and ask, and what is refused, in words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.models import Organization
from tests.factories import BY, make_client_peer, make_instance, make_member, make_site, make_site_peer
from vpn.actions.dns.records import RecordCheck, Surroundings
from vpn.actions.dns.settings import records_of
from vpn.actions.instances.settings import update_instance
from vpn.actions.refusal import InvalidSettings
from vpn.models import DnsRecord, Instance
from vpn.wire.parsing import Faults
from vpn.wire.resolver import CNAME, parse_resolver

HUB = "fra.vpn.example.net"
AROUND = Surroundings(HUB, "vpn.example.net", ("corp.example",), frozenset({f"laptop.anna.{HUB}", f"berlin.{HUB}"}))


def record(name: str, kind: str, value: str) -> dict[str, str]:
    return {"name": name, "type": kind, "value": value}


@pytest.fixture
def instance(organization: Organization) -> Instance:
    """A hub with a device and a site."""
    made = make_instance(organization, hostname="fra")
    make_client_peer(made, make_member(organization, name="Anna"), "laptop")
    make_site_peer(made, make_site(organization, name="Berlin"))
    return made


def refused(instance: Instance, **changes: Any) -> InvalidSettings:
    before = Instance.objects.values().get(pk=instance.pk)
    with pytest.raises(InvalidSettings) as refusal:
        update_instance(instance, by=BY, **changes)
    assert Instance.objects.values().get(pk=instance.pk) == before, "what is refused changes nothing"
    return refusal.value


def saved(instance: Instance, *records: dict[str, str]) -> list[tuple[str, str, str]]:
    update_instance(instance, dns_custom=list(records), by=BY)
    return [(one["name"], one["type"], one["value"]) for one in records_of(Instance.objects.get(pk=instance.pk))]


def test_records_are_stored_in_full_and_in_one_form(instance: Instance) -> None:
    assert saved(
        instance,
        record("NAS", "A", " 10.1.0.9 "),
        record("nas", "AAAA", "FD12:3456::0009"),
        record("Wiki.Intra.Example.", "CNAME", "nas"),
        record("desk", "CNAME", "laptop.anna"),
        record("office", "CNAME", "berlin"),
        record("vpn", "CNAME", HUB),
    ) == [
        (f"desk.{HUB}", "CNAME", f"laptop.anna.{HUB}"),
        (f"nas.{HUB}", "A", "10.1.0.9"),
        (f"nas.{HUB}", "AAAA", "fd12:3456::9"),
        (f"office.{HUB}", "CNAME", f"berlin.{HUB}"),
        (f"vpn.{HUB}", "CNAME", HUB),
        ("wiki.intra.example", "CNAME", f"nas.{HUB}"),
    ]


def test_what_is_there_already_keeps_its_row_and_the_rest_goes(instance: Instance) -> None:
    saved(instance, record("nas", "A", "10.1.0.9"), record("old", "A", "10.1.0.8"))
    kept = DnsRecord.objects.get(name=f"nas.{HUB}")
    assert len(saved(instance, record("nas", "A", "10.1.0.9"), record("nas", "A", "10.1.0.10"))) == 2
    assert DnsRecord.objects.filter(pk=kept.pk).exists()
    assert saved(instance) == []


@pytest.mark.parametrize(
    ("rows", "column", "words"),
    [
        ([record("", "A", "10.1.0.9")], "name", "Enter a name"),
        ([record("*.intra.example", "A", "10.1.0.9")], "name", "wildcards are not answered"),
        ([record("bücher.example", "A", "10.1.0.9")], "name", "ASCII"),
        ([record("nas.localhost", "A", "10.1.0.9")], "name", "RFC 6761"),
        ([record("printer.local", "A", "10.1.0.9")], "name", "RFC 6762"),
        ([record(HUB, "A", "10.1.0.9")], "name", "hub's own name"),
        ([record(f"laptop.anna.{HUB}", "A", "10.1.0.9")], "name", "own name of a peer"),
        ([record("berlin", "A", "10.1.0.9")], "name", "own name of a peer"),
        ([record("par.vpn.example.net", "A", "10.1.0.9")], "name", "belongs to another hub"),
        ([record("nas.par.vpn.example.net", "A", "10.1.0.9")], "name", "belongs to another hub"),
        ([record("vpn.example.net", "A", "10.1.0.9")], "name", "belongs to another hub"),
        ([record("nas.corp.example", "A", "10.1.0.9")], "name", "which has its own servers"),
        ([record("nas", "MX", "10.1.0.9")], "type", "A, AAAA, CNAME"),
        ([record("nas", "A", "fd12::9")], "value", "Choose AAAA"),
        ([record("nas", "AAAA", "10.1.0.9")], "value", "Choose A"),
        ([record("nas", "A", "127.0.0.1")], "value", "loopback"),
        ([record("nas", "CNAME", "a b")], "value", "letters, digits"),
        ([record("nas", "CNAME", "nas")], "value", "leads back to itself"),
        ([record("nas", "CNAME", "elsewhere.example")], "value", "has no record of elsewhere.example"),
        ([record("nas", "CNAME", "www.corp.example")], "value", "has no record of www.corp.example"),
        ([record("a", "CNAME", "b"), record("b", "CNAME", "gone")], "value", "resolve to nothing"),
    ],
)
def test_a_faulty_record_is_refused_in_words(
    instance: Instance, rows: list[dict[str, str]], column: str, words: str
) -> None:
    update_instance(instance, split_dns=["10.1.0.53"], domains=["corp.example"], by=BY)
    refusal = refused(instance, dns_custom=rows)
    assert (refusal.record_faults[0].number, refusal.record_faults[0].field) == (1, column)
    assert words in refusal.record_faults[0].message
    assert words in refusal.errors["dns_custom"][0]
    assert refusal.errors["dns_custom"][0].startswith("Record 1")


def test_aliases_that_go_round_are_refused_on_each_row(instance: Instance) -> None:
    rows = [record("a", "CNAME", "b"), record("b", "CNAME", "c"), record("c", "CNAME", "a")]
    refusal = refused(instance, dns_custom=rows)
    assert [fault.number for fault in refusal.record_faults] == [1, 2, 3]
    assert f"a.{HUB} → b.{HUB} → c.{HUB} → a.{HUB}" in refusal.record_faults[0].message


def test_an_alias_stands_alone_under_its_name(instance: Instance) -> None:
    rows = [record("a", "A", "10.1.0.9"), record("a", "CNAME", "berlin"), record("a", "CNAME", "laptop.anna")]
    assert [(fault.number, fault.field) for fault in refused(instance, dns_custom=rows).record_faults] == [
        (2, "name"),
        (3, "name"),
    ]


def test_a_chain_of_aliases_is_fine_up_to_what_dnsmasq_follows(instance: Instance) -> None:
    chain = [record(f"a{number}", "CNAME", f"a{number + 1}") for number in range(8)]
    assert len(saved(instance, *chain, record("a8", "A", "10.1.0.9"))) == 9
    longer = [record("b", "CNAME", "a0"), *chain, record("a8", "A", "10.1.0.9")]
    assert "At most 8 aliases" in refused(instance, dns_custom=longer).record_faults[0].message


def test_every_fault_is_told_at_once(instance: Instance) -> None:
    refusal = refused(
        instance,
        mtu=1,
        public_dns=["nonsense", "127.0.0.1"],
        split_dns=[],
        domains=["corp.example", "*.x", HUB],
        dns_custom=[record("nas", "A", "10.1.0.9"), record("nas", "A", "10.1.0.9"), record("*", "B", "")],
    )
    assert set(refusal.errors) == {"mtu", "public_dns", "domains", "dns_custom"}
    assert [len(messages) for messages in refusal.errors.values()] == [1, 2, 2, 2 + 1]
    assert [(fault.number, fault.field) for fault in refusal.record_faults] == [(2, "name"), (3, "type"), (3, "name")]


def test_split_servers_and_domains_need_each_other(instance: Instance) -> None:
    assert "at least one domain" in refused(instance, split_dns=["10.1.0.53"]).errors["domains"][0]
    assert "at least one server" in refused(instance, domains=["corp.example"]).errors["split_dns"][0]
    changed = update_instance(
        instance, split_dns=["10.1.0.53", "fd12::53"], domains=["Corp.Example.", "_x.corp.local"], by=BY
    )
    assert (changed.split_dns, changed.domains) == (["10.1.0.53", "fd12::53"], ["corp.example", "_x.corp.local"])
    assert "at least one server" in refused(instance, split_dns=[]).errors["split_dns"][0]
    assert update_instance(instance, split_dns=[], domains=[], by=BY).domains == []


def test_servers_and_domains_that_cannot_be(instance: Instance) -> None:
    own = str(instance.network_v4[1])
    assert "queries to itself" in refused(instance, public_dns=[own]).errors["public_dns"][0]
    assert "queries to itself" in refused(instance, split_dns=[own], domains=["corp.example"]).errors["split_dns"][0]
    assert "reserved" in refused(instance, split_dns=["240.0.0.1"], domains=["corp.example"]).errors["split_dns"][0]
    assert "at least one server" in refused(instance, public_dns=[]).errors["public_dns"][0]
    for domain in (HUB, "vpn.example.net", f"x.{HUB}", "localhost", "10.1.0.0"):
        assert list(refused(instance, split_dns=["10.1.0.53"], domains=[domain]).errors) == ["domains"]
    many = [f"d{number}.example" for number in range(51)]
    assert "at most 50" in refused(instance, split_dns=["10.1.0.53"], domains=many).errors["domains"][0]
    rows = [record(f"r{number}", "A", "10.1.0.9") for number in range(501)]
    assert "at most 500" in refused(instance, dns_custom=rows).errors["dns_custom"][0]


def test_a_domain_does_not_take_a_record_away_unnoticed(instance: Instance) -> None:
    update_instance(instance, dns_custom=[record("nas.corp.example", "A", "10.1.0.9")], by=BY)
    refusal = refused(instance, split_dns=["10.1.0.53"], domains=["corp.example"])
    assert "nas.corp.example" in refusal.errors["domains"][0]
    update_instance(instance, split_dns=["10.1.0.53"], domains=["corp.example"], dns_custom=[], by=BY)


names = st.sampled_from(
    [
        "nas",
        "a",
        "b",
        "c.intra.example",
        HUB,
        f"berlin.{HUB}",
        "laptop.anna",
        "x.corp.example",
        "*",
        "ä",
        "10.1.0.9",
        "",
    ]
) | st.text(max_size=12)
rows = st.lists(
    st.builds(record, names, st.sampled_from(["A", "AAAA", "CNAME", "MX"]), names | st.ip_addresses().map(str)),
    max_size=8,
)


@given(rows)
def test_whatever_passes_is_what_the_agent_takes_and_can_answer(records: list[dict[str, str]]) -> None:
    check = RecordCheck(records, AROUND)
    faulty = {fault.number for fault in check.faults}
    good = [row for number, row in enumerate(check.rows, 1) if number not in faulty]
    faults = Faults()
    parse_resolver(
        {
            "domain": HUB,
            "public_addresses": [],
            "upstreams": [],
            "domains": [],
            "domain_servers": [],
            "records": [{"name": row.name, "type": row.type, "value": row.value} for row in good],
        },
        faults,
    )
    assert faults == []
    assert len(set(good)) == len(good)
    assert not {row.name for row in good} & ({HUB} | AROUND.peers)
    if not check.faults:
        aliases = {row.name: row.value for row in good if row.type == CNAME}
        known = {row.name for row in good} | AROUND.peers | {HUB}
        assert set(aliases.values()) <= known
        assert all(sum(other.name == name for other in good) == 1 for name in aliases)
