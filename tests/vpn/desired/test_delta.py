"""A change as a delta, which leads a hub to the same state as the whole specification."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from portal.models import Organization
from tests.factories import BY, make_member, make_site
from tests.vpn.desired.confirming import confirm, following, sent_whole
from vpn.actions.instances.settings import update_instance
from vpn.actions.peers.keys import rotate_keys
from vpn.actions.peers.peer import create_client_peer, create_site_peer, delete_peer, update_peer
from vpn.agent.openvpn.revocation import revoked_serials
from vpn.desired import compile_change, compile_removals, compile_spec
from vpn.jobs import lease
from vpn.models import Instance
from vpn.observed import record_applied
from vpn.wire.delta import parse_delta
from vpn.wire.digests import digest
from vpn.wire.errors import BASE_MISMATCH, AgentError
from vpn.wire.report import HubReport
from vpn.wire.spec import parse_spec

pytestmark = pytest.mark.django_db


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


def test_a_confirmation_of_something_else_is_not_noted(instance: Instance) -> None:
    rotate_keys(instance.peers.filter(device="laptop").get(), by=BY)
    desired = compile_change(instance.pk)
    token = lease.claim(instance.pk)
    assert token is not None
    report = HubReport(instance.hub, desired.epoch, desired.generation, "0" * 64, alive=True, observed_at=0.0)
    assert not record_applied(instance.pk, token, desired, report)


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
