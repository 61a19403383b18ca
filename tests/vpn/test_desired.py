"""What is sent to a server: whole, or as a difference that ends at the very same state."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from ipaddress import ip_address, ip_network
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from portal.actions.group import change_group, create_group
from portal.models import MembershipState, Organization
from tests.factories import (
    BY,
    make_client_peer,
    make_instance,
    make_member,
    make_organization,
    make_site,
    make_site_peer,
)
from vpn.actions.instances.settings import update_instance
from vpn.actions.peers.keys import rotate_keys
from vpn.actions.peers.peer import create_client_peer, create_site_peer, delete_peer, update_peer
from vpn.addressing.networks import Network
from vpn.agent.memory.saved import Saved
from vpn.agent.openvpn.revocation import revoked_serials
from vpn.desired import PLACEHOLDER_ID, Desired, compile_change, compile_removals, compile_spec
from vpn.jobs import lease
from vpn.models import Instance
from vpn.observed import record_applied
from vpn.wire.delta import parse_delta
from vpn.wire.digests import digest
from vpn.wire.errors import BASE_MISMATCH, AgentError
from vpn.wire.report import HubReport
from vpn.wire.spec import parse_spec

PROTOCOLS = ("wireguard", "openvpn")
pytestmark = pytest.mark.django_db


def confirm(instance: Instance, desired: Desired) -> None:
    """Play the server that confirms what it was sent."""
    token = lease.claim(instance.pk)
    assert token is not None
    report = HubReport(instance.hub, desired.epoch, desired.generation, desired.digest, alive=True, observed_at=0.0)
    assert record_applied(instance.pk, token, desired, report)
    lease.release(instance.pk, token)


@pytest.fixture
def organization() -> Organization:
    return make_organization()


@pytest.fixture
def instance(organization: Organization) -> Instance:
    """An instance with a site and two devices, all confirmed."""
    made = make_instance(organization)
    anna = make_member(organization, name="Anna")
    make_client_peer(made, anna, "laptop")
    make_client_peer(made, anna, "phone")
    make_site_peer(made, make_site(organization, name="Berlin"), ["10.1.0.0/24"])
    confirm(made, compile_spec(made.pk))
    made.refresh_from_db()
    return made


def sent_whole(instance: Instance) -> Saved:
    """What the agent saves of an instance that was just applied."""
    desired = compile_spec(instance.pk)
    confirm(instance, desired)
    return Saved.of(parse_spec(desired.document))


def following(spec: dict[str, Any], delta: dict[str, Any]) -> dict[str, Any]:
    """The spec that results from a delta."""
    peers = {key: peer for key, peer in spec["peers"].items() if key not in delta["remove"]} | delta["upsert"]
    settings: dict[str, Any] = {field: delta[field] for field in ("rules", "forwarding") if field in delta}
    return {**spec, **settings, "generation": delta["generation"], "peers": peers}


def test_the_spec_is_one_that_the_agent_takes(instance: Instance) -> None:
    desired = compile_spec(instance.pk)
    parse_spec(desired.document)  # raises where the agent would refuse
    assert digest(desired.document) == desired.digest


def test_nothing_changed_gives_an_empty_delta(instance: Instance) -> None:
    desired = compile_change(instance.pk)
    assert desired.is_delta
    assert desired.document["upsert"] == {}
    assert desired.digest == instance.applied_digest


def test_every_change_of_peers_travels_as_a_delta_to_the_same_state(
    instance: Instance, organization: Organization
) -> None:
    spec = compile_spec(instance.pk).document
    laptop, phone = instance.peers.filter(device="laptop").get(), instance.peers.filter(device="phone").get()
    site = instance.peers.filter(type="site").get()
    changes: list[Callable[[], object]] = [
        lambda: create_client_peer(instance, member=make_member(organization), device="new", by=BY),
        lambda: create_site_peer(instance, site=make_site(organization, name="Paris"), subnets=["10.2.0.0/24"], by=BY),
        lambda: update_peer(site, subnets=["10.1.0.0/24", "10.9.0.0/24"], by=BY),
        lambda: rotate_keys(laptop, by=BY),
        lambda: update_peer(phone, enabled=False, by=BY),
        lambda: update_peer(phone, enabled=True, by=BY),
        lambda: delete_peer(laptop, by=BY),
    ]
    for change in changes:
        change()
        desired = compile_change(instance.pk)
        assert desired.is_delta
        parse_delta(desired.document)
        spec = following(spec, desired.document)
        whole = compile_spec(instance.pk)
        assert spec["peers"] == whole.document["peers"]
        assert desired.digest == whole.digest == digest(spec)
        confirm(instance, desired)


def test_a_revocation_travels_as_a_delta_to_the_same_state(instance: Instance, organization: Organization) -> None:
    member = make_member(organization)
    lost, kept = (
        create_client_peer(instance, member=member, device=device, protocol="openvpn", by=BY)
        for device in ("lost", "kept")
    )
    server = sent_whole(instance)
    for change, counted in ((lambda: delete_peer(lost, by=BY), 1), (lambda: rotate_keys(kept, by=BY), 2)):
        change()
        desired = compile_change(instance.pk)
        assert desired.is_delta
        delta = parse_delta(desired.document)
        server.advance(delta, server.change(delta))
        assert len(revoked_serials(delta.crl)) == counted
        assert server.spec == parse_spec(compile_spec(instance.pk).document)
        confirm(instance, desired)
    assert "crl" not in compile_change(instance.pk).document


@pytest.mark.parametrize(("platform", "expected"), [("routeros6", True), ("routeros7", None), ("openwrt", None)])
def test_routeros_6_alone_has_its_routes_in_its_own_configuration(
    instance: Instance, organization: Organization, platform: str, expected: bool | None
) -> None:
    site = make_site(organization, name="Rome")
    type(site).objects.filter(pk=site.pk).update(platform=platform)
    site.refresh_from_db()
    peer = create_site_peer(instance, site=site, subnets=["10.6.0.0/24"], protocol="openvpn", by=BY)
    document = compile_spec(instance.pk).document
    assert document["peers"][str(peer.pk)].get("static_routes") is expected
    assert parse_spec(document).document()["peers"] == document["peers"]


def test_the_agent_asks_for_the_whole_where_the_first_router_needs_another_listener(
    instance: Instance, organization: Organization
) -> None:
    create_client_peer(instance, member=make_member(organization), device="laptop", protocol="openvpn", by=BY)
    server = sent_whole(instance)
    site = make_site(organization, name="Rome")
    type(site).objects.filter(pk=site.pk).update(platform="routeros7")
    site.refresh_from_db()
    create_site_peer(instance, site=site, subnets=["10.6.0.0/24"], protocol="openvpn", by=BY)
    with pytest.raises(AgentError) as refusal:
        server.change(parse_delta(compile_change(instance.pk).document))
    assert refusal.value.code == BASE_MISMATCH


def test_several_changes_before_a_confirmation_are_one_delta(instance: Instance) -> None:
    laptop, phone = instance.peers.filter(device="laptop").get(), instance.peers.filter(device="phone").get()
    spec = compile_spec(instance.pk).document
    rotate_keys(laptop, by=BY)
    rotate_keys(laptop, by=BY)
    delete_peer(phone, by=BY)
    desired = compile_change(instance.pk)
    assert set(desired.document["upsert"]) == {str(laptop.pk)}
    assert desired.document["remove"] == [str(phone.pk)]
    assert digest(following(spec, desired.document)) == desired.digest == compile_spec(instance.pk).digest


def test_a_peer_that_came_and_went_unseen_is_no_change(instance: Instance, organization: Organization) -> None:
    delete_peer(create_client_peer(instance, member=make_member(organization), device="brief", by=BY), by=BY)
    desired = compile_change(instance.pk)
    assert desired.document["upsert"] == {}
    assert desired.document["remove"] == []
    assert desired.digest == instance.applied_digest


def test_changed_settings_travel_whole(instance: Instance) -> None:
    update_instance(instance, mtu=1380, by=BY)
    desired = compile_change(instance.pk)
    assert not desired.is_delta
    assert desired.document["wireguard"]["mtu"] == 1380


@pytest.mark.parametrize("whole", [False, True])
def test_a_peer_deleted_while_it_travels_does_not_stay_on_the_hub(instance: Instance, *, whole: bool) -> None:
    peer = create_client_peer(instance, member=make_member(instance.organization), device="lost at once", by=BY)
    desired = compile_spec(instance.pk) if whole else compile_change(instance.pk)
    delete_peer(peer, by=BY)
    confirm(instance, desired)
    after = compile_change(instance.pk)
    assert after.document["remove"] == [str(peer.pk)]
    assert after.digest == compile_spec(instance.pk).digest


def test_a_peer_deleted_while_it_is_shut_out_is_not_removed_twice(instance: Instance) -> None:
    phone = instance.peers.get(device="phone")
    update_peer(phone, enabled=False, by=BY)
    desired = compile_change(instance.pk)
    delete_peer(phone, by=BY)
    confirm(instance, desired)
    after = compile_change(instance.pk)
    assert after.document["remove"] == []
    assert after.digest == compile_spec(instance.pk).digest


def test_a_new_epoch_travels_whole(instance: Instance) -> None:
    Instance.objects.filter(pk=instance.pk).update(epoch=2)
    assert not compile_change(instance.pk).is_delta


def test_the_hub_knows_when_a_peers_time_is_over_and_never_ends_it_before(instance: Instance) -> None:
    peer = instance.peers.filter(type="client")[0]
    moment = timezone.now().replace(microsecond=1) + timedelta(hours=1)
    update_peer(peer, expires_at=moment, by=BY)
    document = compile_spec(instance.pk).document
    assert document["peers"][str(peer.pk)]["expires_at"] == int(moment.timestamp()) + 1
    assert parse_spec(document).document()["peers"] == document["peers"]
    others = [spec for peer_id, spec in document["peers"].items() if peer_id != str(peer.pk)]
    assert not any("expires_at" in spec for spec in others)


def test_a_deactivated_member_is_left_out_though_nobody_said_so(instance: Instance) -> None:
    peer = instance.peers.filter(device="laptop").get()
    assert peer.member is not None
    type(peer.member).objects.filter(pk=peer.member.pk).update(state=MembershipState.DEACTIVATED)
    assert str(peer.pk) not in compile_spec(instance.pk).document["peers"]


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ("0.0.0.0/0", "0.0.0.0/1"),
        ("0.0.0.0/0", "1.0.0.0/8"),
        ("128.0.0.0/1", "224.0.0.0/3"),
        ("0.0.0.0/7", "100.0.0.0/7"),
        ("::/0", "8000::/1"),
        ("fc00::/7", "fd00::/31"),
    ],
)
def test_confirmed_broad_routes_are_ones_that_the_agent_takes(
    instance: Instance, organization: Organization, wide: str, narrow: str
) -> None:
    sites = [make_site(organization, name=name) for name in ("Exit", "Other")]
    for site, subnet in zip(sites, (wide, narrow), strict=True):
        create_site_peer(instance, site=site, subnets=[subnet], confirm_broad_routes=True, by=BY)
    parse_delta(compile_change(instance.pk).document)
    spec = parse_spec(compile_spec(instance.pk).document)
    assert {route for peer in spec.peers.values() for route in peer.routes} == {"10.1.0.0/24", wide, narrow}


def test_a_broad_route_speaks_for_no_address_of_the_pool(instance: Instance, organization: Organization) -> None:
    site = make_site(organization, name="Exit")
    peer = create_site_peer(instance, site=site, subnets=["0.0.0.0/0", "::/0"], confirm_broad_routes=True, by=BY)
    peers = compile_spec(instance.pk).document["peers"]
    claims: list[tuple[Network, str]] = [
        (ip_network(text), peer_id) for peer_id, one in peers.items() for text in one["allowed_ips"]
    ]

    def owner(text: str) -> str:
        """Whose packets from this address may be, as WireGuard looks it up."""
        address = ip_address(text)
        return max((network.prefixlen, peer_id) for network, peer_id in claims if address in network)[1]

    assert owner("198.51.100.7") == owner("2001:db8::7") == str(peer.pk)
    assert owner(str(instance.network_v4[77])) == owner(str(instance.network_v6[77])) == PLACEHOLDER_ID
    assert owner("10.1.0.9") == str(instance.peers.get(site__name="Berlin").pk)


def test_a_spec_carries_no_private_key_of_a_peer(instance: Instance) -> None:
    text = json.dumps(compile_spec(instance.pk).document)
    assert all(peer.private_key not in text for peer in instance.peers.all())
    assert instance.private_key not in repr(compile_spec(instance.pk))


def test_a_confirmation_of_something_else_is_not_noted(instance: Instance) -> None:
    rotate_keys(instance.peers.filter(device="laptop").get(), by=BY)
    desired = compile_change(instance.pk)
    token = lease.claim(instance.pk)
    assert token is not None
    report = HubReport(instance.hub, desired.epoch, desired.generation, "0" * 64, alive=True, observed_at=0.0)
    assert not record_applied(instance.pk, token, desired, report)


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


def test_a_spec_without_rules_is_the_one_that_it_was(instance: Instance) -> None:
    document = compile_spec(instance.pk).document
    assert (document["rules"], document["forwarding"]) == ([], "allow")
    without = {key: value for key, value in document.items() if key != "rules"}
    assert digest(without) == digest(document)


def test_a_spec_takes_the_same_few_queries_for_any_number_of_peers(
    instance: Instance, organization: Organization
) -> None:
    member = make_member(organization)
    for number in range(20):
        create_client_peer(instance, member=member, device=f"device {number}", protocol=PROTOCOLS[number % 2], by=BY)
    groups = [create_group(organization, name=f"Group {number}", members=[member.pk], by=BY) for number in range(5)]
    update_instance(instance, firewall=[{"source": f"group:{group.pk}"} for group in groups], by=BY)
    with CaptureQueriesContext(connection) as queries:
        compile_spec(instance.pk)
    assert len(queries) < 8


def test_a_withdrawal_leads_the_agent_to_the_state_that_it_names(instance: Instance) -> None:
    """It travels before a whole spec, and builds on the settings that the hub has still."""
    gone, shut_out, _ = instance.peers.order_by("created_at")
    saved = sent_whole(instance)
    before = saved.spec.mtu
    update_instance(instance, mtu=before + 60, by=BY)
    delete_peer(gone, by=BY)
    update_peer(shut_out, enabled=False, by=BY)
    withdrawal = compile_removals(instance.pk)
    assert withdrawal is not None
    assert withdrawal.is_part
    assert set(withdrawal.removed) == {str(gone.pk), str(shut_out.pk)}
    delta = parse_delta(withdrawal.document)
    saved.advance(delta, saved.change(delta))
    assert saved.digest == withdrawal.digest
    assert saved.spec.mtu == before
    assert not set(withdrawal.removed) & saved.spec.peers.keys()


def test_without_anybody_to_shut_out_there_is_no_withdrawal(instance: Instance) -> None:
    update_instance(instance, mtu=1300, by=BY)
    update_peer(instance.peers.order_by("created_at")[0], device="renamed", by=BY)
    assert compile_removals(instance.pk) is None
