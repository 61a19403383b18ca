"""Edit, disable, enable, renew, delete: each says what stops working, asks once, and keeps what was typed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from portal.models import Organization
from tests.factories import make_site, make_site_peer
from vpn import keys
from vpn.choices import KeyCustody
from vpn.models import Instance, Peer, PeerTombstone

ACTS = ("disable", "enable", "rotate", "delete")


@pytest.mark.parametrize("act", ACTS)
def test_asking_changes_nothing(admin_browser: Client, client_peer: Peer, act: str) -> None:
    before = Instance.objects.get().desired_generation
    assert admin_browser.get(f"/peers/{client_peer.pk}/{act}/").status_code == 200
    assert Instance.objects.get().desired_generation == before


@pytest.mark.parametrize("act", ["disable", "rotate", "delete"])
def test_what_stops_working_is_said(admin_browser: Client, site_peer: Peer, client_peer: Peer, act: str) -> None:
    page = admin_browser.get(f"/peers/{site_peer.pk}/{act}/").content
    assert b"What stops working" in page
    assert b"10.1.0.0/24" in page
    assert b"The device reaches nothing" in admin_browser.get(f"/peers/{client_peer.pk}/{act}/").content


def test_disable_and_enable(admin_browser: Client, client_peer: Peer) -> None:
    answer = admin_browser.post(f"/peers/{client_peer.pk}/disable/")
    assert answer["Location"] == f"/peers/{client_peer.pk}/"
    assert Peer.objects.get().enabled is False
    admin_browser.post(f"/peers/{client_peer.pk}/enable/")
    assert Peer.objects.get().enabled is True


def test_rotate_gives_new_keys(admin_browser: Client, client_peer: Peer) -> None:
    admin_browser.post(f"/peers/{client_peer.pk}/rotate/")
    assert Peer.objects.get().public_key != client_peer.public_key


def test_a_key_made_by_the_device_cannot_be_rotated_here(admin_browser: Client, client_peer: Peer) -> None:
    Peer.objects.update(key_custody=KeyCustody.DEVICE)
    assert b"Renew keys" not in admin_browser.get(f"/peers/{client_peer.pk}/").content
    refused = admin_browser.post(f"/peers/{client_peer.pk}/rotate/")
    assert refused.status_code == 409
    assert b"This device made its own key" in refused.content


def test_delete_leads_back_to_the_instance(admin_browser: Client, client_peer: Peer) -> None:
    answer = admin_browser.post(f"/peers/{client_peer.pk}/delete/")
    assert answer["Location"] == f"/instances/{client_peer.instance_id}/"
    assert not Peer.objects.exists()
    assert PeerTombstone.objects.filter(peer_id=client_peer.pk).exists()


@pytest.mark.parametrize("act", ["disable", "enable", "edit"])
def test_only_admins_act(
    act: str, auditor_browser: Client, member_browser: Client, stranger_browser: Client, client_peer: Peer
) -> None:
    url = f"/peers/{client_peer.pk}/{act}/"
    for browser, status in ((auditor_browser, 403), (member_browser, 403), (stranger_browser, 404)):
        assert browser.get(url).status_code == status
        assert browser.post(url).status_code == status
    assert Peer.objects.get().enabled is True


def test_the_owner_removes_the_device_as_an_admin_does(
    auditor_browser: Client, member_browser: Client, stranger_browser: Client, client_peer: Peer
) -> None:
    url = f"/peers/{client_peer.pk}/delete/"
    for browser, status in ((auditor_browser, 403), (stranger_browser, 404)):
        assert browser.get(url).status_code == status
        assert browser.post(url).status_code == status
    assert Peer.objects.exists()
    assert member_browser.post(url)["Location"] == "/my/"
    assert not Peer.objects.exists()


def test_the_owner_renews_the_keys_as_an_admin_does(
    auditor_browser: Client, member_browser: Client, stranger_browser: Client, client_peer: Peer
) -> None:
    url = f"/peers/{client_peer.pk}/rotate/"
    for browser, status in ((auditor_browser, 403), (stranger_browser, 404)):
        assert browser.post(url).status_code == status
    assert Peer.objects.get().public_key == client_peer.public_key
    assert member_browser.post(url).status_code == 302
    assert Peer.objects.get().public_key != client_peer.public_key


def test_a_client_is_edited(admin_browser: Client, client_peer: Peer) -> None:
    until = timezone.now() + timedelta(days=3)
    values = {"device": "new laptop", "route_all": "true", "expires_at": until.strftime("%Y-%m-%dT%H:%M")}
    answer = admin_browser.post(f"/peers/{client_peer.pk}/edit/", values)
    assert answer.status_code == 302
    peer = Peer.objects.get()
    assert (peer.device, peer.route_all) == ("new laptop", True)
    assert peer.expires_at == until.replace(second=0, microsecond=0)


def test_the_form_holds_what_is_set(admin_browser: Client, client_peer: Peer) -> None:
    Peer.objects.update(route_all=True)
    page = admin_browser.get(f"/peers/{client_peer.pk}/edit/").content.decode()
    assert 'value="laptop"' in page
    assert page.index('value="true"') < page.index("checked") < page.index("All traffic</span>")


def test_saving_without_a_change_changes_nothing(admin_browser: Client, client_peer: Peer) -> None:
    before = Instance.objects.get().desired_generation
    admin_browser.post(f"/peers/{client_peer.pk}/edit/", {"device": "laptop", "route_all": "false", "expires_at": ""})
    assert Instance.objects.get().desired_generation == before


def test_a_sites_subnets_are_edited(admin_browser: Client, site_peer: Peer) -> None:
    page = admin_browser.post(
        f"/peers/{site_peer.pk}/edit/", {"subnets": "10.2.0.0/24\n9.9.9.0/24"}, follow=True
    ).content.decode()
    assert Peer.objects.get().subnets == ["10.2.0.0/24", "9.9.9.0/24"]
    assert "9.9.9.0/24 is a public range" in page


def test_an_overlap_is_refused_beside_the_field_and_what_was_typed_is_kept(
    admin_browser: Client, site_peer: Peer, instance: Instance, organization: Organization
) -> None:
    make_site_peer(instance, make_site(organization, name="Hamburg"), ["10.5.0.0/16"])
    page = admin_browser.post(f"/peers/{site_peer.pk}/edit/", {"subnets": "10.5.1.0/24"}).content.decode()
    assert "of the site Hamburg" in page
    assert "10.5.1.0/24</textarea>" in page
    assert Peer.objects.get(pk=site_peer.pk).subnets == ["10.1.0.0/24"]


def test_a_broad_route_needs_its_box_on_editing_too(admin_browser: Client, site_peer: Peer) -> None:
    url = f"/peers/{site_peer.pk}/edit/"
    assert b"confirm_broad_routes" not in admin_browser.get(url).content
    assert b'name="confirm_broad_routes"' in admin_browser.post(url, {"subnets": "0.0.0.0/0"}).content
    admin_browser.post(url, {"subnets": "0.0.0.0/0", "confirm_broad_routes": "true"})
    assert Peer.objects.get().subnets == ["0.0.0.0/0"]


def test_a_device_name_cannot_add_a_line(admin_browser: Client, client_peer: Peer) -> None:
    answer = admin_browser.post(
        f"/peers/{client_peer.pk}/edit/", {"device": f"x\nPrivateKey = {keys.generate_private_key()}"}
    )
    assert answer.status_code == 200
    assert Peer.objects.get().device == "laptop"
