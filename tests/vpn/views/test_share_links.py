"""Share links: who makes one, what it shows, and where its token never goes."""

from __future__ import annotations

import logging
import re
from base64 import b64decode
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.test import Client
from django.utils import timezone

from portal.models import Membership
from tests.factories import make_client_peer, settle
from vpn.models import Peer, ProfileLink
from vpn.profiles.peer import render_profile


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not come at once does not come in these tests."""
    monkeypatch.setattr("vpn.views.shared_profile.WAIT_SECONDS", 0)


@pytest.fixture
def on_hub(client_peer: Peer) -> Peer:
    """The member's device, as if the hub had it."""
    settle(client_peer.instance)
    return Peer.objects.get(pk=client_peer.pk)


def path_of(browser: Client, peer: Peer) -> str:
    """Make a link; its path."""
    page = browser.post(f"/peers/{peer.pk}/link/").content.decode()
    found = re.search(r"https?://[^/]+(/p/[\w-]+/)</textarea>", page)
    assert found
    return found[1]


def test_the_link_is_shown_once_with_its_code(admin_browser: Client, on_hub: Peer, settings: LazySettings) -> None:
    answer = admin_browser.post(f"/peers/{on_hub.pk}/link/")
    page = answer.content.decode()
    assert f"{settings.PUBLIC_URL}/p/" in page
    assert 'class="qr"' in page
    assert answer["Cache-Control"] == "no-store"
    again = admin_browser.get(f"/peers/{on_hub.pk}/link/")
    assert (again.status_code, again["Location"]) == (302, f"/peers/{on_hub.pk}/")


def test_opening_it_spends_nothing_and_tells_nothing(admin_browser: Client, on_hub: Peer) -> None:
    path = path_of(admin_browser, on_hub)
    for _ in range(2):
        page = Client().get(path)
        assert page.status_code == 200
        assert on_hub.label not in page.content.decode()
    assert ProfileLink.objects.count() == 1


def test_the_button_shows_the_profile_once_without_an_account(admin_browser: Client, on_hub: Peer) -> None:
    path = path_of(admin_browser, on_hub)
    answer = Client(enforce_csrf_checks=True).post(path, headers={"Origin": "null"})
    page = answer.content.decode()
    assert f"PrivateKey = {on_hub.private_key}" in page
    assert 'class="qr"' in page
    assert f"/peers/{on_hub.pk}/" not in page
    assert Peer.objects.get().delivered_digest
    for again in (Client().post(path), Client().get(path)):
        assert again.status_code == 404
        assert b"This link has ended" in again.content


def test_the_page_carries_the_file_since_it_cannot_be_asked_again(admin_browser: Client, on_hub: Peer) -> None:
    page = Client().post(path_of(admin_browser, on_hub)).content.decode()
    found = re.search(r'href="data:text/plain;base64,([^"]+)" download="([\w-]+\.conf)"', page)
    assert found
    assert on_hub.private_key.encode() in b64decode(found[1])


def test_a_program_gets_the_file_itself(admin_browser: Client, on_hub: Peer) -> None:
    answer = Client().post(path_of(admin_browser, on_hub), headers={"Accept": "text/plain"})
    assert answer.content.decode().startswith("# ")
    assert answer["Content-Disposition"] == f'attachment; filename="{render_profile(on_hub).filename}"'


def test_no_header_and_no_log_lets_the_token_out(
    admin_browser: Client, client_peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    path = path_of(admin_browser, client_peer)
    token = path.split("/")[2]
    with caplog.at_level(logging.DEBUG):
        answers = [Client().get(path), Client().post(path), Client().put(path)]
        settle(client_peer.instance)
        answers += [Client().post(path), Client().get(path), Client().post(path)]
    assert [answer.status_code for answer in answers] == [200, 503, 405, 200, 404, 404]
    for answer in answers:
        assert answer["Referrer-Policy"] == "no-referrer"
        assert answer["Cache-Control"] == "no-store"
        assert token not in answer.content.decode()
    assert token not in caplog.text


def test_a_failure_is_logged_without_the_token(
    admin_browser: Client, on_hub: Peer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = path_of(admin_browser, on_hub)
    monkeypatch.setattr("vpn.views.shared_profile.redeem_link", lambda *_: 1 / 0)
    visitor = Client(raise_request_exception=False)
    assert visitor.post(path).status_code == 500
    assert "ZeroDivisionError" in caplog.text
    assert path.split("/")[2] not in caplog.text


def test_a_link_waits_for_the_hub_unspent(admin_browser: Client, client_peer: Peer) -> None:
    path = path_of(admin_browser, client_peer)
    waiting = Client().post(path)
    assert (waiting.status_code, waiting["Retry-After"]) == (503, "5")
    assert b"Try again" in waiting.content
    settle(client_peer.instance)
    assert Client().post(path).status_code == 200


def test_a_newer_link_time_and_shutting_out_end_it(admin_browser: Client, on_hub: Peer) -> None:
    first = path_of(admin_browser, on_hub)
    second = path_of(admin_browser, on_hub)
    assert Client().get(first).status_code == 404
    Peer.objects.update(enabled=False)
    assert Client().get(second).status_code == 404
    Peer.objects.update(enabled=True)
    ProfileLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert Client().get(second).status_code == 404


def test_guessing_is_slowed_down(db: None, settings: LazySettings) -> None:
    settings.API_LIMITS = {"wrong-share-token": 3}
    answers = [Client().get(f"/p/guess{number}/") for number in range(5)]
    assert [answer.status_code for answer in answers] == [404, 404, 404, 429, 429]
    assert int(answers[-1]["Retry-After"]) > 0


def test_who_is_shut_out_gets_no_link(admin_browser: Client, on_hub: Peer) -> None:
    Peer.objects.update(enabled=False)
    page = admin_browser.post(f"/peers/{on_hub.pk}/link/", follow=True).content.decode()
    assert "Enable it first" in page
    assert not ProfileLink.objects.exists()


def test_members_share_their_own_and_nobody_elses(
    member_browser: Client, auditor_browser: Client, stranger_browser: Client, on_hub: Peer, admin: Membership
) -> None:
    assert path_of(member_browser, on_hub)
    other = make_client_peer(on_hub.instance, admin)
    assert member_browser.post(f"/peers/{other.pk}/link/").status_code == 404
    assert auditor_browser.post(f"/peers/{other.pk}/link/").status_code == 403
    assert stranger_browser.post(f"/peers/{other.pk}/link/").status_code == 404
    assert ProfileLink.objects.count() == 1
