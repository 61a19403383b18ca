"""Adding clients' peers: the form of the page, and what it refuses beside the field."""

from __future__ import annotations

import re

from django.test import Client

from portal.models import Membership, MembershipState, Organization
from tests.factories import make_client_peer, make_member
from tests.vpn.views.peer_forms import client_url, error_of, site_url
from vpn import keys
from vpn.choices import KeyCustody
from vpn.models import Instance, Peer


def test_a_client_peer_is_added_and_its_page_shown(
    admin_browser: Client, instance: Instance, member: Membership
) -> None:
    values = {"user_id": str(member.pk), "device": "phone", "route_all": "true"}
    answer = admin_browser.post(client_url(instance), values)
    peer = Peer.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"/peers/{peer.pk}/")
    assert (peer.member, peer.device, peer.route_all) == (member, "phone", True)


def test_split_tunnel_is_the_default(admin_browser: Client, instance: Instance, member: Membership) -> None:
    admin_browser.post(client_url(instance), {"user_id": str(member.pk)})
    assert Peer.objects.get().route_all is False


def test_a_key_made_by_the_device_is_taken(admin_browser: Client, instance: Instance, member: Membership) -> None:
    own = keys.public_key(keys.generate_private_key())
    admin_browser.post(client_url(instance), {"user_id": str(member.pk), "public_key": own})
    peer = Peer.objects.get()
    assert (peer.public_key, peer.key_custody) == (own, KeyCustody.DEVICE)


def test_a_key_that_is_none_is_refused_beside_its_field_and_what_was_typed_is_kept(
    admin_browser: Client, instance: Instance, member: Membership
) -> None:
    values = {"user_id": str(member.pk), "device": "my phone ", "public_key": "PrivateKey = abc"}
    page = admin_browser.post(client_url(instance), values).content
    assert "44 characters" in error_of(page, "public_key")
    assert b'value="my phone' in page
    assert b"PrivateKey = abc" not in page
    assert b'<details class="more" open>' in page


def test_an_expiry_in_the_past_is_refused(admin_browser: Client, instance: Instance, member: Membership) -> None:
    values = {"user_id": str(member.pk), "expires_at": "2020-01-01T00:00"}
    page = admin_browser.post(client_url(instance), values).content
    assert "future" in error_of(page, "expires_at")


def test_two_devices_of_one_person_cannot_have_the_same_name(
    admin_browser: Client, instance: Instance, member: Membership, admin: Membership
) -> None:
    make_client_peer(instance, member, "Büro-Laptop")
    for device in (" BÜRO-laptop", "Bu\u0308ro-Laptop"):
        page = admin_browser.post(client_url(instance), {"user_id": str(member.pk), "device": device}).content
        assert "Choose another name" in error_of(page, "device")
    assert Peer.objects.count() == 1
    # Somebody else's device may, and so may devices without a name.
    for whose, device in ((admin, "Büro-Laptop"), (member, ""), (member, "")):
        answer = admin_browser.post(client_url(instance), {"user_id": str(whose.pk), "device": device})
        assert answer.status_code == 302


def test_wireguard_is_the_default_and_openvpn_a_choice(
    admin_browser: Client, instance: Instance, member: Membership
) -> None:
    page = admin_browser.get(client_url(instance)).content.decode()
    assert re.search(r'value="wireguard"[^>]* checked', page)
    assert re.search(r'value="openvpn"(?![^>]*(checked|disabled))', page)
    admin_browser.post(client_url(instance), {"user_id": str(member.pk), "device": "a"})
    admin_browser.post(client_url(instance), {"user_id": str(member.pk), "device": "b", "protocol": "openvpn"})
    assert list(Peer.objects.values_list("device", "protocol")) == [("a", "wireguard"), ("b", "openvpn")]


def test_an_unknown_protocol_is_refused_beside_the_choice(
    admin_browser: Client, instance: Instance, member: Membership
) -> None:
    page = admin_browser.post(client_url(instance), {"user_id": str(member.pk), "protocol": "ipsec"}).content
    assert "ipsec" in error_of(page, "protocol")
    assert not Peer.objects.exists()


def test_only_wireguard_devices_make_their_own_key(
    admin_browser: Client, instance: Instance, member: Membership
) -> None:
    own = keys.public_key(keys.generate_private_key())
    values = {"user_id": str(member.pk), "public_key": own, "protocol": "openvpn"}
    page = admin_browser.post(client_url(instance), values).content
    assert "Only WireGuard devices" in error_of(page, "public_key")
    assert b'<details class="more" open>' in page


def test_members_of_another_organization_and_deactivated_ones_are_not_offered(
    admin_browser: Client, instance: Instance, organization: Organization, stranger: Membership
) -> None:
    gone = make_member(organization, state=MembershipState.DEACTIVATED)
    page = admin_browser.get(client_url(instance)).content.decode()
    assert str(stranger.pk) not in page
    assert str(gone.pk) not in page
    refused = admin_browser.post(client_url(instance), {"user_id": str(stranger.pk)})
    assert refused.status_code == 200
    assert not Peer.objects.exists()


def test_an_instance_being_deleted_takes_no_peer(admin_browser: Client, instance: Instance, member: Membership) -> None:
    Instance.objects.filter(pk=instance.pk).update(state="deleting")
    page = admin_browser.post(client_url(instance), {"user_id": str(member.pk)}).content
    assert b"being deleted" in page


def test_auditors_and_members_may_not_add(
    auditor_browser: Client, member_browser: Client, stranger_browser: Client, instance: Instance
) -> None:
    for url in (client_url(instance), site_url(instance)):
        assert auditor_browser.get(url).status_code == 403
        assert member_browser.post(url).status_code == 403
        assert stranger_browser.get(url).status_code == 404
