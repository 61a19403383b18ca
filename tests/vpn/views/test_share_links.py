"""Share links: who makes one, what it shows, and where its token never goes."""

from __future__ import annotations

import logging
import re
import sqlite3
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from portal.models import Membership
from tests.factories import BY, make_client_peer, make_site_peer, settle
from vpn.actions.peers.peer import create_client_peer
from vpn.choices import InstanceState
from vpn.models import Instance, Peer, ProfileLink, Server, Site
from vpn.profiles.plain_file import render_profile

CLIENT = "/api/v1/vpn/client"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1"
ANDROID = "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/130.0 Mobile Safari/537.36"


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


def test_before_anything_is_spent_it_names_company_sender_and_device_and_leads_to_the_app(
    admin_browser: Client, admin: Membership, on_hub: Peer
) -> None:
    path = path_of(admin_browser, on_hub)
    for _ in range(2):
        answer = Client().get(path, headers={"User-Agent": IPHONE})
        page = answer.content.decode()
        assert answer.status_code == 200
        for words in (admin.organization.name, admin.label, on_hub.device, "Get the app"):
            assert words in page
        assert "https://apps.apple.com/app/wireguard/id1441195209" in page
        assert "https://play.google.com/store/apps/details?id=com.wireguard.android" in page
        assert page.index("App Store") < page.index("Google Play"), "the reader's own system comes first"
        for secret in (on_hub.label, on_hub.public_key, str(on_hub.addresses[0])):
            assert secret not in page
    assert ProfileLink.objects.get().browser_digest == ""
    assert not Peer.objects.get().delivered_digest


def test_an_openvpn_link_leads_to_its_own_app_and_a_routers_to_none(
    admin_browser: Client, instance: Instance, member: Membership, site: Site
) -> None:
    phone = create_client_peer(instance, member=member, device="phone", protocol="openvpn", by=BY)
    router = make_site_peer(instance, site)
    settle(instance)
    page = Client().get(path_of(admin_browser, phone), headers={"User-Agent": ANDROID}).content.decode()
    assert "net.openvpn.openvpn" in page
    assert page.index("Google Play") < page.index("App Store")
    page = Client().get(path_of(admin_browser, router)).content.decode()
    assert site.name in page
    assert "Get the app" not in page


def test_the_link_of_somebody_who_left_names_the_company_alone(
    admin_browser: Client, admin: Membership, on_hub: Peer
) -> None:
    path = path_of(admin_browser, on_hub)
    ProfileLink.objects.update(made_by=None)
    page = Client().get(path).content.decode()
    assert admin.organization.name in page
    assert admin.label not in page


def test_who_opened_it_may_come_back_for_a_quarter_of_an_hour_and_nobody_else(
    admin_browser: Client, on_hub: Peer
) -> None:
    path = path_of(admin_browser, on_hub)
    phone, other = Client(), Client()
    opened = phone.post(path)
    cookie = opened.cookies["opened_link"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["max-age"]) == (True, "Lax", "/p/", 900)
    assert path.split("/")[2] not in opened.headers.get("Set-Cookie", str(cookie))
    for again in (phone.get(path), phone.get(path), phone.post(path)):
        assert f"PrivateKey = {on_hub.private_key}" in again.content.decode()
        assert again["Cache-Control"] == "no-store"
    forged = Client()
    forged.cookies["opened_link"] = str(cookie.value)[:-1] + ("A" if cookie.value[-1] != "A" else "B")
    for answer in (other.get(path), other.post(path), forged.get(path), forged.post(path)):
        assert answer.status_code == 404
        assert b"This link has ended" in answer.content
    assert Client().get(CLIENT, headers={"Authorization": f"Bearer {path.split('/')[2]}"}).status_code == 404
    ProfileLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert phone.get(path).status_code == phone.post(path).status_code == 404


def test_its_cookie_opens_no_other_link_and_a_second_one_does_not_end_the_first(
    admin_browser: Client, on_hub: Peer, admin: Membership
) -> None:
    second = make_client_peer(on_hub.instance, admin, "phone")
    settle(on_hub.instance)
    paths = [path_of(admin_browser, peer) for peer in (on_hub, second)]
    phone, other = Client(), Client()
    assert phone.post(paths[0]).status_code == 200
    assert other.post(paths[1]).status_code == 200
    assert phone.get(paths[1]).status_code == 404
    ProfileLink.objects.filter(peer=second).update(browser_digest="")
    assert phone.post(paths[1]).status_code == 200
    assert [phone.get(path).status_code for path in paths] == [200, 200]


def test_a_newer_link_new_keys_and_shutting_out_end_what_was_opened(admin_browser: Client, on_hub: Peer) -> None:
    phone, path = Client(), path_of(admin_browser, on_hub)
    assert phone.post(path).status_code == 200
    Peer.objects.update(enabled=False)
    assert phone.get(path).status_code == 404
    Peer.objects.update(enabled=True)
    assert phone.get(path).status_code == 200
    path_of(admin_browser, on_hub)
    assert phone.get(path).status_code == 404


def test_on_the_phone_the_download_comes_first_and_on_a_screen_the_code(admin_browser: Client, on_hub: Peer) -> None:
    phone = Client().post(path_of(admin_browser, on_hub), headers={"User-Agent": IPHONE}).content.decode()
    assert phone.index("Download ") < phone.index('class="qr"')
    screen = Client().post(path_of(admin_browser, on_hub), headers={"User-Agent": "Windows"}).content.decode()
    assert screen.index('class="qr"') < screen.index("Download ")
    chosen = Client().post(path_of(admin_browser, on_hub), {"system": "android"}).content.decode()
    assert re.search(r'value="android" checked', chosen), "the system chosen before stays"


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


def test_the_page_gives_the_file_to_the_browser_that_opened_it(admin_browser: Client, on_hub: Peer) -> None:
    path, phone = path_of(admin_browser, on_hub), Client(enforce_csrf_checks=True)
    page = phone.post(path).content.decode()
    # Phones refuse data: addresses as downloads; only the code's image is one.
    assert re.findall(r"[^ ]*data:[^;]*", page) == ['src="data:image/png']
    file = phone.post(path, {"download": "1"}, headers={"Origin": "null"})
    assert f"PrivateKey = {on_hub.private_key}" in file.content.decode()
    assert file["Content-Disposition"].startswith("attachment; ")


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
    monkeypatch.setattr("vpn.views.profiles.shared.open_link", lambda *_, **__: 1 / 0)
    visitor = Client(raise_request_exception=False)
    assert visitor.post(path).status_code == 500
    assert "ZeroDivisionError" in caplog.text
    assert path.split("/")[2] not in caplog.text


def test_a_link_waits_for_the_hub_unspent(admin_browser: Client, client_peer: Peer) -> None:
    path = path_of(admin_browser, client_peer)
    waiting = Client().post(path)
    assert (waiting.status_code, waiting["Retry-After"]) == (503, "5")
    assert b"Try again" in waiting.content
    assert b'data-again="5"' in waiting.content, "the page tries again by itself"
    Instance.objects.filter(pk=client_peer.instance_id).update(state=InstanceState.FAILED)
    assert b"data-again" not in Client().post(path).content, "not where the hub does not come by itself"
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


def test_the_browser_that_opened_a_link_may_choose_the_family(admin_browser: Client, on_hub: Peer) -> None:
    Server.objects.update(address="203.0.113.1", address_v6="2001:db8::1")
    path, phone = path_of(admin_browser, on_hub), Client()
    page = phone.post(path).content.decode()
    assert "Use IPv6" in page
    assert "Endpoint = 203.0.113.1:" in page
    page = phone.post(path, {"family": "6"}).content.decode()
    assert "Endpoint = [2001:db8::1]:" in page
    file = phone.post(path, {"family": "6", "download": "1"})
    assert file["Content-Type"] == "application/octet-stream"
    assert "Endpoint = [2001:db8::1]:" in file.content.decode()


def test_a_busy_database_leads_back_to_the_link_and_not_its_token_elsewhere(
    admin_browser: Client, on_hub: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = path_of(admin_browser, on_hub)

    def busy(*_: object, **__: object) -> None:
        cause = sqlite3.OperationalError("database is locked")
        cause.sqlite_errorcode = sqlite3.SQLITE_BUSY
        raise OperationalError(str(cause)) from cause

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr("vpn.views.profiles.shared.open_link", busy)
        answer = Client().post(path)
    page = answer.content.decode()
    assert (answer.status_code, answer["Cache-Control"], answer["Referrer-Policy"]) == (503, "no-store", "no-referrer")
    assert "nothing was lost" in page
    assert 'action=""' in page, "the form goes to where the browser is: the address with the token"
    assert "/p/" not in page
    assert "PrivateKey" in Client().post(path).content.decode(), "the token is unspent"
