"""A hub runs the resolver and OpenVPN's listeners only while a peer needs them."""

from __future__ import annotations

import pytest

from portal.models import Membership, Organization
from tests.factories import BY, make_instance, make_member
from tests.vpn.desired.confirming import confirm
from vpn.actions.peers.peer import create_client_peer, delete_peer, update_peer
from vpn.actions.peers.protocol_change import conclude_changes
from vpn.desired import compile_change, compile_removals, compile_spec
from vpn.models import Instance, Peer
from vpn.models.peer import with_openvpn
from vpn.wire.spec import parse_spec

pytestmark = pytest.mark.django_db


@pytest.fixture
def bare(organization: Organization) -> Instance:
    """An instance without peers."""
    return make_instance(organization)


@pytest.fixture
def member(organization: Organization) -> Membership:
    return make_member(organization)


def daemons(instance: Instance) -> tuple[bool, bool]:
    """Whether the hub runs the resolver and OpenVPN's listeners."""
    spec = parse_spec(compile_spec(instance.pk).document)
    return spec.resolver is not None, spec.openvpn is not None


def test_the_first_peer_starts_the_resolver_and_the_first_over_openvpn_its_listeners(
    bare: Instance, member: Membership
) -> None:
    assert daemons(bare) == (False, False)
    phone = create_client_peer(bare, member=member, device="phone", by=BY)
    assert daemons(bare) == (True, False)
    laptop = create_client_peer(bare, member=member, device="laptop", protocol="openvpn", by=BY)
    assert daemons(bare) == (True, True)
    delete_peer(laptop, by=BY)
    assert daemons(bare) == (True, False)
    delete_peer(phone, by=BY)
    assert daemons(bare) == (False, False)


def test_a_disabled_peer_keeps_the_listeners_for_its_return(bare: Instance, member: Membership) -> None:
    laptop = create_client_peer(bare, member=member, device="laptop", protocol="openvpn", by=BY)
    update_peer(laptop, enabled=False, by=BY)
    assert daemons(bare) == (True, True)


def test_the_listeners_stay_until_a_device_has_changed_to_wireguard(bare: Instance, member: Membership) -> None:
    laptop = create_client_peer(bare, member=member, device="laptop", protocol="openvpn", by=BY)
    Peer.objects.filter(pk=laptop.pk).update(delivered_digest="d" * 64)
    changed = update_peer(Peer.objects.get(pk=laptop.pk), protocol="wireguard", by=BY)
    assert daemons(bare) == (True, True)
    conclude_changes(bare.pk, [(changed.pk, changed.public_key)], by=BY)
    assert daemons(bare) == (True, False)


def test_a_revocation_of_the_last_peer_over_openvpn_needs_no_whole_spec(bare: Instance, member: Membership) -> None:
    create_client_peer(bare, member=member, device="phone", by=BY)
    laptop = create_client_peer(bare, member=member, device="laptop", protocol="openvpn", by=BY)
    confirm(bare, compile_spec(bare.pk))
    delete_peer(laptop, by=BY)
    removal = compile_removals(bare.pk)
    assert removal is not None
    assert (removal.is_part, removal.document["remove"]) == (True, [str(laptop.pk)])


def test_only_confirmed_peers_count_for_knocks(bare: Instance, member: Membership) -> None:
    phone = create_client_peer(bare, member=member, device="phone", by=BY)
    confirm(bare, compile_spec(bare.pk))
    Peer.objects.filter(pk=phone.pk).update(delivered_digest="d" * 64)
    update_peer(Peer.objects.get(pk=phone.pk), protocol="openvpn", by=BY)
    assert with_openvpn([bare.pk]) == {bare.pk}
    assert not with_openvpn([bare.pk], confirmed=True), "the hub has it over WireGuard only"
    bare.refresh_from_db()
    confirm(bare, compile_spec(bare.pk))
    assert with_openvpn([bare.pk], confirmed=True) == {bare.pk}
    create_client_peer(bare, member=member, device="laptop", protocol="openvpn", by=BY)
    assert with_openvpn([bare.pk], confirmed=True) == {bare.pk}
    assert compile_change(bare.pk).document["upsert"]
