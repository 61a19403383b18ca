"""A peer that changes its protocol keeps its old way in until the new one is seen to be used."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography import x509
from django.utils import timezone

from portal.actions.member import change_member
from portal.exceptions import Conflict
from portal.models import Membership, Organization
from tests.factories import BY, make_instance, make_member, make_site, settle
from vpn.actions.peers.admission import expire_peers
from vpn.actions.peers.keys import rotate_keys
from vpn.actions.peers.peer import create_client_peer, create_site_peer, delete_peer, update_peer
from vpn.actions.peers.protocol_change import conclude_changes
from vpn.desired import compile_change, compile_spec
from vpn.models import Instance, Peer
from vpn.observed import record_observations
from vpn.profiles.plain_file import render_profile
from vpn.profiles.state import current_digest
from vpn.wire.report import HubReport, PeerReport, SessionReport
from vpn.wire.spec import parse_spec

Change = Callable[[Peer], object]


@pytest.fixture
def instance(organization: Organization) -> Instance:
    return make_instance(organization)


@pytest.fixture(params=["wireguard", "openvpn"])
def peer(request: pytest.FixtureRequest, instance: Instance, organization: Organization) -> Peer:
    """A device over either protocol that has its profile."""
    made = create_client_peer(
        instance, member=make_member(organization), device="laptop", protocol=request.param, by=BY
    )
    return delivered(made)


def delivered(peer: Peer) -> Peer:
    peer.delivered_digest, peer.delivered_at = current_digest(peer), timezone.now()
    peer.save()
    return fresh(peer)


def fresh(peer: Peer) -> Peer:
    return Peer.objects.select_related("instance__server", "member__user", "site").get(pk=peer.pk)


def other(peer: Peer) -> str:
    return "openvpn" if peer.protocol == "wireguard" else "wireguard"


def in_spec(peer: Peer) -> dict[str, object] | None:
    document = compile_spec(peer.instance_id).document
    parse_spec(document)
    found = document["peers"].get(str(peer.pk))
    assert found is None or isinstance(found, dict)
    return found


def revoked(instance: Instance) -> set[str]:
    instance.refresh_from_db()
    if not instance.revocation_list:
        return set()
    return {f"{entry.serial_number:x}" for entry in x509.load_pem_x509_crl(instance.revocation_list.encode())}


def seen(peer: Peer) -> list[tuple[object, str]]:
    """Report the peer as connected over its protocol; returns who came over a new one."""
    now = int(timezone.now().timestamp())
    report = HubReport(
        peer.instance.hub,
        1,
        1,
        "",
        alive=True,
        observed_at=0.0,
        peers={peer.public_key: PeerReport("203.0.113.7:1", now, 1, 1)} if not peer.is_openvpn else {},
        sessions={str(peer.pk): SessionReport("203.0.113.7:1", now, 1, 1, "udp")} if peer.is_openvpn else {},
    )
    arrived = record_observations({peer.instance_id: report})[peer.instance_id].switched
    conclude_changes(peer.instance_id, arrived, by=BY)
    return list(arrived)


def test_both_ways_in_are_in_the_spec_until_the_new_one_is_seen(peer: Peer, instance: Instance) -> None:
    before = in_spec(peer)
    assert before is not None
    before = {name: value for name, value in before.items() if name != "names"}
    changed = update_peer(peer, protocol=other(peer), by=BY)
    both = in_spec(changed)
    assert both is not None
    assert both["former"] == before
    assert peer.certificate_serial not in revoked(instance)
    ending = ".conf" if changed.protocol == "wireguard" else ".ovpn"
    assert render_profile(fresh(changed)).filename.endswith(ending), "the new one is what is delivered"
    settle(instance)

    assert [pk for pk, _ in seen(fresh(changed))] == [peer.pk]
    settled = fresh(changed)
    assert (settled.former_protocol, settled.former_public_key, settled.former_preshared_key) == ("", "", "")
    now = in_spec(settled)
    assert now == {name: value for name, value in both.items() if name != "former"}
    if peer.certificate_serial:
        assert peer.certificate_serial in revoked(instance)
    assert seen(settled) == [], "once"


def test_a_crash_between_seeing_and_concluding_loses_nothing(peer: Peer, instance: Instance) -> None:
    changed = fresh(update_peer(peer, protocol=other(peer), by=BY))
    with pytest.MonkeyPatch.context() as killed:
        killed.setattr("tests.vpn.test_protocol_change.conclude_changes", lambda instance_id, arrived, *, by: None)
        assert seen(changed)
    assert fresh(changed).former_protocol
    assert seen(fresh(changed))
    assert fresh(changed).former_protocol == ""


def test_the_old_one_going_on_is_not_the_new_one(peer: Peer) -> None:
    changed = update_peer(peer, protocol=other(peer), by=BY)
    assert seen(peer) == []
    assert fresh(changed).former_protocol == peer.protocol


def test_a_change_to_and_from_wireguard_needs_no_whole_spec(instance: Instance, organization: Organization) -> None:
    member = make_member(organization)
    create_client_peer(instance, member=member, device="other", protocol="openvpn", by=BY)
    peer = delivered(create_client_peer(instance, member=member, device="laptop", by=BY))
    applied(instance)
    changed = update_peer(peer, protocol="openvpn", by=BY)
    assert compile_change(instance.pk).is_delta
    applied(instance)
    seen(fresh(changed))
    assert compile_change(instance.pk).is_delta


def applied(instance: Instance) -> None:
    """As if the server had confirmed everything, and its digests were noted."""
    desired = compile_spec(instance.pk)
    instance.refresh_from_db()
    instance.applied_generation, instance.applied_epoch = desired.generation, desired.epoch
    instance.applied_digest, instance.applied_total = desired.digest, desired.total_hex
    instance.applied_header_digest = desired.header_digest
    instance.save()
    for peer_id, digest in desired.peer_digests.items():
        Peer.objects.filter(pk=peer_id).update(applied_digest=digest)


def deactivate(member: Membership | None) -> None:
    assert member is not None
    change_member(member, active=False, by=BY)


def expire(peer: Peer) -> None:
    Peer.objects.filter(pk=peer.pk).update(expires_at=timezone.now(), applied_digest="0" * 64)
    expire_peers(by=BY)


ENDS: dict[str, Change] = {
    "disabled": lambda peer: update_peer(peer, enabled=False, by=BY),
    "rotated": lambda peer: rotate_keys(peer, by=BY),
    "deleted": lambda peer: delete_peer(peer, by=BY),
    "changed again": lambda peer: update_peer(peer, protocol=other(peer), by=BY),
    "deactivated": lambda peer: deactivate(peer.member),
    "expired": expire,
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_what_ends_a_peer_ends_both_at_once(peer: Peer, instance: Instance, end: Change) -> None:
    changed = fresh(update_peer(peer, protocol=other(peer), by=BY))
    assert changed.former_protocol
    settle(instance)
    end(changed)
    assert "former" not in (in_spec(changed) or {})
    assert peer.public_key not in str(compile_spec(instance.pk).document["peers"])
    if peer.certificate_serial:
        assert peer.certificate_serial in revoked(instance)
    # Whoever is let in again later comes with what it has now.
    assert not Peer.objects.exclude(former_protocol="").exists()


def test_what_nobody_ever_fetched_is_not_kept(instance: Instance, organization: Organization) -> None:
    peer = create_client_peer(instance, member=make_member(organization), device="laptop", protocol="openvpn", by=BY)
    changed = update_peer(peer, protocol="wireguard", by=BY)
    assert changed.former_protocol == ""
    assert peer.certificate_serial in revoked(instance)


def test_new_keys_meanwhile_are_not_taken_for_seen(peer: Peer) -> None:
    changed = fresh(update_peer(peer, protocol=other(peer), by=BY))
    conclude_changes(changed.instance_id, [(changed.pk, "another key")], by=BY)
    assert fresh(changed).former_protocol == peer.protocol


def test_a_former_key_is_nobody_elses(instance: Instance, organization: Organization) -> None:
    member = make_member(organization)
    peer = delivered(create_client_peer(instance, member=member, device="laptop", by=BY))
    update_peer(peer, protocol="openvpn", by=BY)
    with pytest.raises(Conflict):
        create_client_peer(instance, member=member, device="again", public_key=peer.public_key, by=BY)


def test_a_router_that_leaves_the_compatibility_listener_keeps_it_until_it_has(
    instance: Instance, organization: Organization
) -> None:
    site = make_site(organization)
    type(site).objects.filter(pk=site.pk).update(platform="routeros7")
    site.refresh_from_db()
    create_client_peer(instance, member=make_member(organization), device="laptop", protocol="openvpn", by=BY)
    peer = create_site_peer(instance, site=site, subnets=["10.6.0.0/24"], protocol="openvpn", by=BY)
    changed = update_peer(delivered(peer), protocol="wireguard", by=BY)
    assert compile_spec(instance.pk).document["openvpn"]["compat_port"] is not None
    seen(fresh(changed))
    assert compile_spec(instance.pk).document["openvpn"]["compat_port"] is None
