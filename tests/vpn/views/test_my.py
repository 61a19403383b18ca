"""My VPN: one's own devices, and nothing else."""

from __future__ import annotations

from django.test import Client
from django.utils import timezone

from portal.models import Membership
from tests.factories import make_client_peer, make_instance, settle
from vpn.models import Instance, Peer


def page_of(browser: Client) -> str:
    return browser.get("/my/").content.decode()


def test_whoever_has_no_device_is_told_whom_to_ask(member_browser: Client, admin: Membership) -> None:
    page = page_of(member_browser)
    assert "No device of yours yet" in page
    assert f"mailto:{admin.user.email}" in page


def test_an_admin_without_a_device_is_led_to_the_instances(admin_browser: Client, admin: Membership) -> None:
    assert "Open instances" in page_of(admin_browser)


def test_only_ones_own_devices_are_there(
    member_browser: Client, client_peer: Peer, instance: Instance, admin: Membership
) -> None:
    theirs = make_client_peer(instance, admin, "secret tablet")
    page = page_of(member_browser)
    assert f"/peers/{client_peer.pk}/profile/" in page
    assert "secret tablet" not in page
    assert str(theirs.pk) not in page


def test_devices_of_every_instance_are_there(member_browser: Client, client_peer: Peer, member: Membership) -> None:
    second = make_instance(member.organization, name="Singapore")
    make_client_peer(second, member, "phone")
    page = page_of(member_browser)
    assert "Frankfurt" in page
    assert "Singapore" in page


def test_am_i_protected(member_browser: Client, client_peer: Peer) -> None:
    assert "You are not connected" in page_of(member_browser)
    settle(client_peer.instance)
    Instance.objects.update(observed_at=timezone.now())
    Peer.objects.update(applied_digest="x", last_handshake=timezone.now(), connected_from=timezone.now())
    page = page_of(member_browser)
    assert "You are protected" in page
    assert "laptop, through Frankfurt" in page


def test_a_disabled_device_offers_no_profile(member_browser: Client, client_peer: Peer) -> None:
    Peer.objects.update(enabled=False)
    page = page_of(member_browser)
    assert "An admin can enable it again" in page
    assert "Show profile" not in page


def test_the_polled_part_is_a_part_of_the_page(member_browser: Client, client_peer: Peer) -> None:
    headers = {"HX-Request": "true", "HX-Target": "my_devices"}
    part = member_browser.get("/my/", headers=headers).content.decode()
    assert "laptop" in part
    assert "csrfmiddlewaretoken" in part
    assert "<html" not in part


def test_it_belongs_to_the_signed_in(db: None) -> None:
    assert Client().get("/my/").status_code == 302
