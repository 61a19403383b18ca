"""The names that peers have by themselves: of devices and sites, through renames and conflicts."""

from __future__ import annotations

from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection

from portal.actions.member import change_member
from portal.models import Organization
from tests.factories import BY, make_client_peer, make_instance, make_member, make_site, make_site_peer, settle
from tests.revising import unrevised
from vpn.actions.peers.peer import update_peer
from vpn.actions.sites.site import update_site
from vpn.desired import compile_change, compile_spec
from vpn.models import DnsRecord, Instance, Peer

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def name_of(peer: Peer) -> str:
    return Peer.objects.select_related("instance", "member__user", "site").get(pk=peer.pk).dns_name


def names_in_spec(instance: Instance) -> set[str]:
    peers = compile_spec(instance.pk).document["peers"].values()
    return {name for peer in peers for name in peer.get("names", [])}


def record(instance: Instance, name: str, kind: str = "A", value: str = "10.1.0.9") -> DnsRecord:
    with unrevised():
        return DnsRecord.objects.create(instance=instance, name=name, type=kind, value=value)


@pytest.fixture
def instance(organization: Organization) -> Instance:
    return make_instance(organization, hostname="fra")


def test_devices_and_sites_have_names_below_their_hub(instance: Instance, organization: Organization) -> None:
    anna = make_member(organization, name="Anna Müller")
    laptop = make_client_peer(instance, anna, "Anna's ThinkPad")
    office = make_site_peer(instance, make_site(organization, name="Berlin (Büro)"))
    assert name_of(laptop) == "annas-thinkpad.anna-muller.fra.vpn.example.net"
    assert name_of(office) == "berlin-buro.fra.vpn.example.net"
    assert names_in_spec(instance) == {"annas-thinkpad.anna-muller", "berlin-buro"}


def test_labels_are_unique_where_they_have_to_be(instance: Instance, organization: Organization) -> None:
    anna, bert = make_member(organization, name="Anna"), make_member(organization, name="Bert")
    labels = [make_client_peer(instance, anna, device).dns_label for device in ("Laptop", "laptop!", "", "设备")]
    assert labels == ["laptop", "laptop-2", "device", "device-2"]
    assert make_client_peer(instance, bert, "Laptop").dns_label == "laptop"
    sites = [make_site_peer(instance, make_site(organization, name=name)).dns_label for name in ("Köln", "Koln", "!")]
    assert sites == ["koln", "koln-2", "site"]
    assert make_client_peer(make_instance(organization), anna, "Laptop").dns_label == "laptop"


def test_a_new_peer_steps_aside_for_a_record(instance: Instance, organization: Organization) -> None:
    anna = make_member(organization, name="Anna")
    record(instance, "laptop.anna.fra.vpn.example.net")
    record(instance, "berlin.fra.vpn.example.net")
    assert make_client_peer(instance, anna, "laptop").dns_label == "laptop-2"
    assert make_site_peer(instance, make_site(organization, name="Berlin")).dns_label == "berlin-2"


def test_a_name_follows_the_device_and_cnames_follow_the_name(instance: Instance, organization: Organization) -> None:
    peer = make_client_peer(instance, make_member(organization, name="Anna"), "laptop")
    alias = record(instance, "wiki.fra.vpn.example.net", "CNAME", name_of(peer))
    update_peer(peer, device="Workstation", by=BY)
    assert name_of(peer) == "workstation.anna.fra.vpn.example.net"
    alias.refresh_from_db()
    assert alias.value == "workstation.anna.fra.vpn.example.net"
    update_peer(peer, route_all=True, by=BY)
    assert name_of(peer) == "workstation.anna.fra.vpn.example.net"


def test_a_renamed_person_takes_their_devices_along(instance: Instance, organization: Organization) -> None:
    anna = make_member(organization, name="Anna")
    laptop, phone = make_client_peer(instance, anna, "laptop"), make_client_peer(instance, anna, "phone")
    record(instance, "phone.anna-berg.fra.vpn.example.net")
    alias = record(instance, "wiki.fra.vpn.example.net", "CNAME", name_of(laptop))
    settle(instance)
    before = instance.desired_generation
    change_member(anna, name="Anna Berg", by=BY)
    instance.refresh_from_db()
    assert instance.desired_generation > before
    assert name_of(laptop) == "laptop.anna-berg.fra.vpn.example.net"
    assert name_of(phone) == "phone-2.anna-berg.fra.vpn.example.net", "a record has the other one"
    alias.refresh_from_db()
    assert alias.value == name_of(laptop)


def test_a_renamed_site_is_renamed_on_every_instance_by_a_delta(instance: Instance, organization: Organization) -> None:
    site = make_site(organization, name="Berlin")
    peers = [make_site_peer(each, site) for each in (instance, make_instance(organization, hostname="par"))]
    for peer in peers:
        settle(peer.instance)
    update_site(site, name="Potsdam", by=BY)
    assert [name_of(peer) for peer in peers] == ["potsdam.fra.vpn.example.net", "potsdam.par.vpn.example.net"]
    changed = Peer.objects.filter(changed_generation__gt=1, pk__in=[peer.pk for peer in peers])
    assert changed.count() == 2
    update_site(site, place="Brandenburg", by=BY)
    assert names_in_spec(instance) == {"potsdam"}


def test_a_new_name_travels_as_a_delta(instance: Instance, organization: Organization) -> None:
    anna = make_member(organization, name="Anna")
    peer = make_client_peer(instance, anna, "laptop")
    instance.refresh_from_db()
    whole = compile_spec(instance.pk)
    Instance.objects.filter(pk=instance.pk).update(
        applied_generation=whole.generation,
        applied_epoch=whole.epoch,
        applied_digest=whole.digest,
        applied_header_digest=whole.header_digest,
        applied_total=whole.total_hex,
    )
    Peer.objects.filter(pk=peer.pk).update(applied_digest=whole.peer_digests[str(peer.pk)])
    change_member(anna, name="Berta", by=BY)
    desired = compile_change(instance.pk)
    assert desired.is_delta
    assert desired.document["upsert"][str(peer.pk)]["names"] == ["laptop.berta"]
    assert desired.digest == compile_spec(instance.pk).digest


def test_peers_of_before_get_labels_when_the_portal_is_renewed(instance: Instance, organization: Organization) -> None:
    anna = make_member(organization, name="Anna")
    for device in ("laptop", "laptop!"):
        make_client_peer(instance, anna, device)
    make_site_peer(instance, make_site(organization, name="Berlin"))
    Peer.objects.update(dns_label="")
    assert names_in_spec(instance) == set()
    import_module("vpn.migrations.0005_labels").give_labels(apps, connection.schema_editor())
    assert names_in_spec(instance) == {"laptop.anna", "laptop-2.anna", "berlin"}
