"""Firewall rules, the policy and the tags that rules name, in the specification and in deltas."""

from __future__ import annotations

from uuid import UUID

import pytest

from portal.actions.group import change_group, create_group
from portal.models import Organization
from tests.factories import BY
from tests.vpn.desired.confirming import confirm, following, sent_whole
from vpn.actions.instances.settings import update_instance
from vpn.desired import Desired, compile_change, compile_spec
from vpn.models import Instance
from vpn.wire.delta import parse_delta
from vpn.wire.digests import digest
from vpn.wire.spec import parse_spec

pytestmark = pytest.mark.django_db


def tags_in(desired: Desired, whose: str = "peers") -> dict[str, list[str]]:
    """The tags of the peers in a document that have any."""
    return {key: peer["tags"] for key, peer in desired.document[whose].items() if "tags" in peer}


def test_peers_carry_the_tags_that_rules_name_and_no_others(instance: Instance, organization: Organization) -> None:
    laptop, site = instance.peers.get(device="laptop"), instance.peers.get(type="site")
    assert laptop.member is not None
    sales = create_group(organization, name="Sales", members=[laptop.member.pk], by=BY)
    create_group(organization, name="Nobody's business", members=[laptop.member.pk], by=BY)
    assert tags_in(compile_spec(instance.pk)) == {}
    rules = [
        {"name": "web", "protocol": "tcp", "port": "443", "source": f"group:{sales.pk}"},
        {"action": "drop", "port": "1000-2000", "destination": f"site:{site.site_id}"},
        {"source": f"user:{laptop.member.pk}", "destination": "10.1.0.0/24"},
    ]
    update_instance(instance, firewall=rules, firewall_policy="deny", by=BY)
    desired = compile_spec(instance.pk)
    spec = parse_spec(desired.document)
    rows = list(instance.firewall_rules.all())
    assert [rule.id for rule in spec.rules] == [str(row.pk) for row in rows]
    assert [rule.ports for rule in spec.rules] == [(443, 443), (1000, 2000), None]
    assert spec.forwarding == "deny"
    own = sorted([f"user:{laptop.member.pk}", f"group:{sales.pk}"])
    devices = {str(peer.pk): own for peer in instance.peers.filter(member=laptop.member)}
    assert tags_in(desired) == {**devices, str(site.pk): [f"site:{site.site_id}"]}


def test_rules_and_policy_travel_as_a_delta(instance: Instance, organization: Organization) -> None:
    laptop, site = instance.peers.get(device="laptop"), instance.peers.get(type="site")
    assert laptop.member is not None
    sales = create_group(organization, name="Sales", members=[laptop.member.pk], by=BY)
    saved = sent_whole(instance)
    to_site = {"source": f"group:{sales.pk}", "destination": f"site:{site.site_id}"}
    for changes, retagged in (
        ({"firewall": [to_site]}, {laptop.pk, site.pk}),
        ({"firewall": [{**to_site, "action": "drop"}]}, set()),
        ({"firewall_policy": "deny"}, set()),
        ({"firewall": [{"source": f"user:{laptop.member.pk}"}], "firewall_policy": "allow"}, {laptop.pk, site.pk}),
        ({"firewall": []}, {laptop.pk}),
    ):
        update_instance(instance, by=BY, **changes)
        desired = compile_change(instance.pk)
        assert desired.is_delta
        assert {UUID(peer_id) for peer_id in desired.document["upsert"]} >= retagged
        delta = parse_delta(desired.document)
        saved.advance(delta, saved.change(delta))
        assert saved.digest == desired.digest == compile_spec(instance.pk).digest
        confirm(instance, desired)


def test_other_settings_travel_whole_even_with_rules(instance: Instance) -> None:
    sent_whole(instance)
    update_instance(instance, firewall_policy="deny", mtu=1300, by=BY)
    assert not compile_change(instance.pk).is_delta


def test_a_change_of_a_group_travels_as_a_delta(instance: Instance, organization: Organization) -> None:
    anna = instance.peers.filter(device="laptop").get().member
    assert anna is not None
    sales = create_group(organization, name="Sales", by=BY)
    update_instance(instance, firewall=[{"source": f"group:{sales.pk}"}], by=BY)
    desired = compile_spec(instance.pk)
    spec = desired.document
    confirm(instance, desired)
    for members in ([anna.pk], []):
        change_group(sales, members=members, by=BY)
        desired = compile_change(instance.pk)
        assert desired.is_delta
        parse_delta(desired.document)
        devices = {str(peer.pk) for peer in instance.peers.filter(member=anna)}
        assert set(desired.document["upsert"]) == devices
        assert tags_in(desired, "upsert") == ({key: [f"group:{sales.pk}"] for key in devices} if members else {})
        spec = following(spec, desired.document)
        assert desired.digest == digest(spec) == compile_spec(instance.pk).digest
        confirm(instance, desired)
