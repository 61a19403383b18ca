"""Certificates of an instance and its OpenVPN peers: issued, revoked, renewed, and never loose."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography import x509
from django.utils import timezone
from pytest_django import Settings

from portal.exceptions import InvalidInput
from portal.models import Organization
from tests.factories import BY, make_instance, make_member, make_site
from vpn import keys, pki
from vpn.actions.peers.keys import renew_peer, rotate_keys
from vpn.actions.peers.peer import create_client_peer, create_site_peer, delete_peer, update_peer
from vpn.actions.peers.protocol_change import conclude_changes
from vpn.choices import ProfileState
from vpn.desired import compile_spec
from vpn.jobs.certificates import renew_certificates
from vpn.jobs.tidy import tidy
from vpn.models import Instance, Peer, RevokedCertificate, Server, Tick
from vpn.profiles.plain_file import render_profile
from vpn.profiles.state import current_digest, profile_state


@pytest.fixture
def instance(organization: Organization) -> Instance:
    """A ready instance."""
    return make_instance(organization)


@pytest.fixture
def peer(instance: Instance, organization: Organization) -> Peer:
    """A device over OpenVPN."""
    return create_client_peer(instance, member=make_member(organization), device="laptop", protocol="openvpn", by=BY)


def revoked_serials(instance: Instance) -> set[str]:
    """What the revocation list names."""
    instance.refresh_from_db()
    return {f"{entry.serial_number:x}" for entry in x509.load_pem_x509_crl(instance.revocation_list.encode())}


def deliver(peer: Peer) -> None:
    """As if the profile had been fetched."""
    peer.delivered_digest = current_digest(peer)
    peer.save(update_fields=["delivered_digest"])


def test_a_profile_holds_what_its_device_needs_and_nothing_of_the_authority(peer: Peer) -> None:
    peer = Peer.objects.select_related("instance__server", "member__user", "site").get(pk=peer.pk)
    text = render_profile(peer).content
    assert peer.certificate.strip() in text
    assert peer.private_key.strip() in text
    assert peer.tls_crypt_key.strip() in text
    assert peer.instance.authority_key not in text
    assert render_profile(peer).filename.endswith(".ovpn")


def test_a_spec_carries_the_hubs_keys_and_no_peers_or_authoritys(peer: Peer, instance: Instance) -> None:
    instance.refresh_from_db()
    document = compile_spec(instance.pk).document
    assert document["openvpn"]["private_key"] == instance.server_key
    assert document["peers"][str(peer.pk)]["common_name"] == str(peer.pk)
    assert peer.private_key not in str(document)
    assert instance.authority_key not in str(document)


ENDS: dict[str, Callable[[Peer], object]] = {
    "rotated": lambda peer: rotate_keys(peer, by=BY),
    "deleted": lambda peer: delete_peer(peer, by=BY),
    "protocol changed": lambda peer: update_peer(peer, protocol="wireguard", by=BY),
}


@pytest.mark.parametrize("act", ENDS.values(), ids=ENDS)
def test_what_ends_a_certificate_puts_it_on_the_list(
    peer: Peer, instance: Instance, act: Callable[[Peer], object]
) -> None:
    assert peer.certificate_serial not in revoked_serials(instance)
    act(peer)
    assert peer.certificate_serial in revoked_serials(instance)


def test_a_changed_protocol_keeps_the_address_and_makes_new_keys(peer: Peer) -> None:
    deliver(peer)
    changed = update_peer(peer, protocol="wireguard", by=BY)
    assert changed.host == peer.host
    assert changed.certificate == ""
    assert changed.public_key != peer.public_key
    assert profile_state(changed) == ProfileState.UNDELIVERED
    again = update_peer(changed, protocol="openvpn", by=BY)
    assert again.certificate
    assert again.host == peer.host


def test_a_changed_route_outdates_no_openvpn_profile(
    peer: Peer, instance: Instance, organization: Organization
) -> None:
    deliver(peer)
    create_site_peer(instance, site=make_site(organization), subnets=["10.9.0.0/24"], by=BY)
    assert profile_state(Peer.objects.select_related("instance").get(pk=peer.pk)) == ProfileState.CURRENT


def test_routeros_6_has_the_routes_in_its_script_and_is_outdated_by_a_new_one(
    instance: Instance, organization: Organization
) -> None:
    site = make_site(organization)
    type(site).objects.filter(pk=site.pk).update(platform="routeros6")
    site.refresh_from_db()
    peer = create_site_peer(instance, site=site, subnets=["10.6.0.0/24"], protocol="openvpn", by=BY)
    deliver(peer)
    assert state_of(peer) == ProfileState.CURRENT
    create_site_peer(instance, site=make_site(organization), subnets=["10.9.0.0/24"], by=BY)
    assert state_of(peer) == ProfileState.OUTDATED


def test_a_profile_for_an_address_that_the_hub_has_left_is_outdated(peer: Peer, instance: Instance) -> None:
    deliver(peer)
    Peer.objects.filter(pk=peer.pk).update(delivered_host="203.0.113.1")
    assert state_of(peer) == ProfileState.CURRENT
    Server.objects.update(address="203.0.113.2")
    assert state_of(peer) == ProfileState.OUTDATED
    Peer.objects.filter(pk=peer.pk).update(delivered_host=instance.full_hostname)
    assert state_of(peer) == ProfileState.CURRENT, "a name goes along with the hub"


def test_a_profile_for_a_name_that_the_hub_has_no_longer_is_outdated(
    peer: Peer, instance: Instance, settings: Settings
) -> None:
    deliver(peer)
    Peer.objects.filter(pk=peer.pk).update(delivered_host=instance.full_hostname)
    settings.VPN_DOMAIN = "vpn.other.test"
    assert state_of(peer) == ProfileState.OUTDATED
    Peer.objects.filter(pk=peer.pk).update(delivered_host=instance.full_hostname)
    assert state_of(peer) == ProfileState.CURRENT


def test_the_hubs_certificate_names_where_it_is_reached(peer: Peer, instance: Instance) -> None:
    Server.objects.update(address="203.0.113.2")
    renew_certificates()
    instance.refresh_from_db()
    certificate = x509.load_pem_x509_certificate(instance.server_certificate.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["203.0.113.2"]
    assert names.get_values_for_type(x509.DNSName) == [instance.full_hostname]


def test_a_renewed_certificate_outdates_its_own_profile_only(
    instance: Instance, organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = make_member(organization)
    then = timezone.now() - timedelta(days=4 * 365)
    with monkeypatch.context() as long_ago:
        long_ago.setattr("vpn.actions.peers.certificates.timezone.now", lambda: then)
        old = create_client_peer(instance, member=member, device="old", protocol="openvpn", by=BY)
    new = create_client_peer(instance, member=member, device="new", protocol="openvpn", by=BY)
    deliver(old)
    deliver(new)
    renew_certificates()
    assert state_of(old) == ProfileState.OUTDATED
    assert state_of(new) == ProfileState.CURRENT
    assert old.certificate_serial not in revoked_serials(instance), "the old one stays good until its end"


def test_the_hubs_own_certificate_is_renewed_before_its_end(
    instance: Instance, organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    then = timezone.now() - timedelta(days=600)
    with monkeypatch.context() as long_ago:
        long_ago.setattr("vpn.actions.peers.certificates.timezone.now", lambda: then)
        peer = create_client_peer(instance, member=make_member(organization), protocol="openvpn", by=BY)
    deliver(peer)
    instance.refresh_from_db()
    before = instance.server_certificate
    renew_certificates()
    instance.refresh_from_db()
    assert instance.server_certificate != before
    assert state_of(peer) == ProfileState.CURRENT


def state_of(peer: Peer) -> ProfileState:
    """The state of a peer's profile, from its row."""
    return profile_state(Peer.objects.select_related("instance").get(pk=peer.pk))


def test_an_older_instance_gets_its_certificates_by_the_clock(instance: Instance) -> None:
    assert not instance.has_certificates
    renew_certificates()
    renewed = Instance.objects.get(pk=instance.pk)
    assert renewed.has_certificates
    Tick.objects.all().delete()
    renew_certificates()
    again = Instance.objects.get(pk=instance.pk)
    assert again.desired_generation == renewed.desired_generation, "nothing was due"


def test_routeros_6_speaks_openvpn_over_the_compatibility_listener_only(
    instance: Instance, organization: Organization
) -> None:
    site = make_site(organization)
    type(site).objects.filter(pk=site.pk).update(platform="routeros6")
    site.refresh_from_db()
    with pytest.raises(InvalidInput) as refused:
        create_site_peer(instance, site=site, subnets=["10.6.0.0/24"], by=BY)
    assert "protocol" in refused.value.errors
    assert compile_spec(instance.pk).document["openvpn"] is None
    peer = create_site_peer(instance, site=site, subnets=["10.6.0.0/24"], protocol="openvpn", by=BY)
    instance.refresh_from_db()
    assert compile_spec(instance.pk).document["openvpn"]["compat_port"] == instance.compat_port
    update_peer(peer, enabled=False, by=BY)
    assert compile_spec(instance.pk).document["openvpn"]["compat_port"] is None


def test_a_device_cannot_bring_its_own_key_to_openvpn(instance: Instance, organization: Organization) -> None:
    own = keys.public_key(keys.generate_private_key())
    with pytest.raises(InvalidInput) as refused:
        create_client_peer(instance, member=make_member(organization), protocol="openvpn", public_key=own, by=BY)
    assert "public_key" in refused.value.errors


def renewed(peer: Peer) -> Peer:
    """The peer with a newer certificate, the one before still good."""
    renew_peer(peer, by=BY)
    return Peer.objects.select_related("instance", "member__user", "site").get(pk=peer.pk)


@pytest.mark.parametrize("act", ENDS.values(), ids=ENDS)
def test_what_ends_a_certificate_ends_those_before_it_too(
    peer: Peer, instance: Instance, act: Callable[[Peer], object]
) -> None:
    newer = renewed(peer)
    newest = renewed(newer)
    assert not revoked_serials(instance)
    act(newest)
    assert revoked_serials(instance) == {each.certificate_serial for each in (peer, newer, newest)}


def test_a_certificate_that_was_renewed_stays_good_through_a_change_of_protocol(peer: Peer, instance: Instance) -> None:
    newer = renewed(peer)
    deliver(newer)
    changed = update_peer(newer, protocol="wireguard", by=BY)
    assert not revoked_serials(instance), "the device may have either of them"
    conclude_changes(instance.pk, [(changed.pk, changed.public_key)], by=BY)
    assert revoked_serials(instance) == {peer.certificate_serial, newer.certificate_serial}


def test_the_list_does_not_name_what_has_ended_by_itself(
    peer: Peer, instance: Instance, organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete_peer(peer, by=BY)
    assert peer.certificate_serial in revoked_serials(instance)
    another = create_client_peer(instance, member=make_member(organization), device="other", protocol="openvpn", by=BY)
    then = timezone.now() + pki.CLIENT_LIFE + timedelta(days=3)
    monkeypatch.setattr("vpn.actions.peers.certificates.timezone.now", lambda: then)
    delete_peer(another, by=BY)
    assert revoked_serials(instance) == set()
    monkeypatch.setattr("vpn.jobs.tidy.timezone.now", lambda: then)
    tidy()
    assert not RevokedCertificate.objects.exists()
