"""What is sent to a server: whole, or as a difference that ends at the very same state."""

from __future__ import annotations

import json
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from portal.models import MembershipState, Organization
from tests.factories import make_client_peer, make_instance, make_member, make_organization, make_site, make_site_peer
from vpn.actions import lease
from vpn.actions.instance import update_instance
from vpn.actions.peer import create_client_peer, create_site_peer, delete_peer, rotate_keys, update_peer
from vpn.agent.report import HubReport
from vpn.agent.spec import digest, parse_delta, parse_spec
from vpn.desired import Desired, compile_change, compile_spec
from vpn.models import Instance
from vpn.observed import record_applied

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


def following(spec: dict[str, Any], delta: dict[str, Any]) -> dict[str, Any]:
    """The spec that results from a delta."""
    peers = {key: peer for key, peer in spec["peers"].items() if key not in delta["remove"]} | delta["upsert"]
    return {**spec, "generation": delta["generation"], "peers": peers}


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
        lambda: create_client_peer(instance, member=make_member(organization), device="new"),
        lambda: create_site_peer(instance, site=make_site(organization, name="Paris"), subnets=["10.2.0.0/24"]),
        lambda: update_peer(site, subnets=["10.1.0.0/24", "10.9.0.0/24"]),
        lambda: rotate_keys(laptop),
        lambda: update_peer(phone, enabled=False),
        lambda: update_peer(phone, enabled=True),
        lambda: delete_peer(laptop),
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


def test_several_changes_before_a_confirmation_are_one_delta(instance: Instance) -> None:
    laptop, phone = instance.peers.filter(device="laptop").get(), instance.peers.filter(device="phone").get()
    spec = compile_spec(instance.pk).document
    rotate_keys(laptop)
    rotate_keys(laptop)
    delete_peer(phone)
    desired = compile_change(instance.pk)
    assert set(desired.document["upsert"]) == {str(laptop.pk)}
    assert desired.document["remove"] == [str(phone.pk)]
    assert digest(following(spec, desired.document)) == desired.digest == compile_spec(instance.pk).digest


def test_a_peer_that_came_and_went_unseen_is_no_change(instance: Instance, organization: Organization) -> None:
    delete_peer(create_client_peer(instance, member=make_member(organization), device="brief"))
    desired = compile_change(instance.pk)
    assert desired.document["upsert"] == {}
    assert desired.document["remove"] == []
    assert desired.digest == instance.applied_digest


def test_changed_settings_travel_whole(instance: Instance) -> None:
    update_instance(instance, mtu=1380)
    desired = compile_change(instance.pk)
    assert not desired.is_delta
    assert desired.document["wireguard"]["mtu"] == 1380


def test_a_new_epoch_travels_whole(instance: Instance) -> None:
    Instance.objects.filter(pk=instance.pk).update(epoch=2)
    assert not compile_change(instance.pk).is_delta


def test_a_deactivated_member_is_left_out_though_nobody_said_so(instance: Instance) -> None:
    peer = instance.peers.filter(device="laptop").get()
    assert peer.member is not None
    type(peer.member).objects.filter(pk=peer.member.pk).update(state=MembershipState.DEACTIVATED)
    assert str(peer.pk) not in compile_spec(instance.pk).document["peers"]


def test_a_confirmed_default_route_is_taken_without_the_pool_and_the_reserved_ranges(
    instance: Instance, organization: Organization
) -> None:
    site = make_site(organization, name="Exit")
    peer = create_site_peer(instance, site=site, subnets=["0.0.0.0/0"], confirm_broad_routes=True)
    compiled = compile_spec(instance.pk).document["peers"][str(peer.pk)]
    assert compiled["routes"] == ["0.0.0.0/0"]
    accepted = [ip_network(text) for text in compiled["allowed_ips"][2:]]
    for refused in ("127.0.0.1", "169.254.169.254", "224.0.0.1", str(instance.network_v4[77])):
        assert not any(ip_address(refused) in network for network in accepted), refused
    assert any(ip_address("198.51.100.7") in network for network in accepted)


def test_a_spec_carries_no_private_key_of_a_peer(instance: Instance) -> None:
    text = json.dumps(compile_spec(instance.pk).document)
    assert all(peer.private_key not in text for peer in instance.peers.all())
    assert instance.private_key not in repr(compile_spec(instance.pk))


def test_a_confirmation_of_something_else_is_not_noted(instance: Instance) -> None:
    rotate_keys(instance.peers.filter(device="laptop").get())
    desired = compile_change(instance.pk)
    token = lease.claim(instance.pk)
    assert token is not None
    report = HubReport(instance.hub, desired.epoch, desired.generation, "0" * 64, alive=True, observed_at=0.0)
    assert not record_applied(instance.pk, token, desired, report)
