"""One tap: OpenVPN Connect imports the profile from an address that the page has, once and for minutes."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.test import Client, override_settings
from django.utils import timezone

from portal.models import JournalEntry, Membership
from tests.factories import BY, settle
from tests.secret_story import database_dump
from vpn.actions.peers.keys import rotate_keys
from vpn.actions.peers.peer import create_client_peer, update_peer
from vpn.actions.profiles.profile import issue_link
from vpn.choices import Protocol
from vpn.models import Instance, LinkKind, Peer, ProfileLink

pytestmark = pytest.mark.django_db
URL = "https://portal.example.org"


@pytest.fixture(autouse=True)
def _over_https() -> Iterator[None]:
    with override_settings(PUBLIC_URL=URL):
        yield


@pytest.fixture
def peer(instance: Instance, member: Membership) -> Peer:
    """A member's device over OpenVPN, as if the hub had it."""
    made = create_client_peer(instance, member=member, device="tablet", protocol=Protocol.OPENVPN, by=BY)
    settle(instance)
    return Peer.objects.get(pk=made.pk)


def path_in(page: str) -> str:
    """The path of the address in the button."""
    [found] = re.findall(rf'href="openvpn://import-profile/{URL}(/i/[\w-]+/)"', page)
    return str(found)


def shown(browser: Client, peer: Peer) -> str:
    """Show the profile; the path of the address."""
    return path_in(browser.post(f"/peers/{peer.pk}/profile/").content.decode())


def test_the_app_fetches_the_file_once(member_browser: Client, peer: Peer) -> None:
    path = shown(member_browser, peer)
    answer = Client().get(path)
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/x-openvpn-profile")
    assert b"<key>" in answer.content
    assert answer["Cache-Control"] == "no-store"
    assert answer["Content-Disposition"].endswith('.ovpn"')
    assert Client().get(path).status_code == 404
    line = JournalEntry.objects.get(code="peer.imported")
    assert (line.actor_kind, line.actor_name) == ("device", peer.label)


def test_a_look_at_its_head_spends_nothing(member_browser: Client, peer: Peer) -> None:
    path = shown(member_browser, peer)
    for _ in range(2):
        answer = Client().head(path)
        assert (answer.status_code, answer.content) == (200, b"")
    assert Client().post(path).status_code == 405
    assert Client().get(path).status_code == 200
    assert Client().head(path).status_code == 404


def test_a_share_link_has_the_address_only_after_its_button(peer: Peer) -> None:
    token, _ = issue_link(peer, by=BY)
    phone = Client()
    for _ in range(2):  # a scanner
        assert b"openvpn://" not in phone.get(f"/p/{token}/").content
    assert not ProfileLink.objects.filter(kind=LinkKind.IMPORT).exists()
    path = path_in(phone.post(f"/p/{token}/").content.decode())
    assert Client().get(path).status_code == 200
    again = path_in(phone.get(f"/p/{token}/").content.decode())
    assert Client().get(again).status_code == 200, "the browser that opened the link may try again"


def test_its_token_is_neither_kept_nor_logged_and_is_no_share_token(
    member_browser: Client, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    path = shown(member_browser, peer)
    token = path.split("/")[2]
    assert token not in database_dump()
    assert Client().post(f"/p/{token}/").status_code == 404
    bearer = {"Authorization": f"Bearer {token}"}
    assert Client().get("/api/v1/vpn/client", headers=bearer).status_code == 404
    with caplog.at_level(logging.DEBUG):
        assert Client().get(path).status_code == 200
        assert Client().get(path).status_code == 404
    assert token not in caplog.text


def test_a_share_token_imports_nothing(peer: Peer) -> None:
    token, _ = issue_link(peer, by=BY)
    assert Client().get(f"/i/{token}/").status_code == 404


def test_it_ends_with_time_keys_access_and_by_a_newer_page(member_browser: Client, peer: Peer) -> None:
    path = shown(member_browser, peer)
    left = ProfileLink.objects.get().expires_at - timezone.now()
    assert timedelta(minutes=9) < left <= timedelta(minutes=10)
    newer = shown(member_browser, peer)
    assert Client().get(path).status_code == 404
    ProfileLink.objects.update(expires_at=timezone.now())
    assert Client().get(newer).status_code == 404
    path = shown(member_browser, peer)
    update_peer(peer, enabled=False, by=BY)
    assert Client().get(path).status_code == 404
    update_peer(peer, enabled=True, by=BY)
    settle(peer.instance)
    path = shown(member_browser, peer)
    rotate_keys(peer, by=BY)
    assert Client().get(path).status_code == 404


def test_it_leaves_a_share_link_alone(member_browser: Client, peer: Peer) -> None:
    token, _ = issue_link(peer, by=BY)
    assert Client().get(shown(member_browser, peer)).status_code == 200
    assert Client().get(f"/p/{token}/").status_code == 200


def test_it_is_offered_where_the_app_can_follow_it(member_browser: Client, peer: Peer, client_peer: Peer) -> None:
    settle(client_peer.instance)
    assert b"openvpn://" not in member_browser.post(f"/peers/{client_peer.pk}/profile/").content
    with override_settings(PUBLIC_URL="http://portal.example.org"):
        assert b"openvpn://" not in member_browser.post(f"/peers/{peer.pk}/profile/").content
    page = member_browser.post(f"/peers/{peer.pk}/profile/").content.decode()
    assert re.search(r'data-not-system="linux">\s*<a class="button[^"]*" href="openvpn://', page)


def test_whoever_guesses_is_slowed_down(peer: Peer) -> None:
    statuses = {Client().get(f"/i/{number}/").status_code for number in range(70)}
    assert statuses <= {404, 429}
    assert 429 in statuses
