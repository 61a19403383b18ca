"""A site's router on the pages: enrolling it, what it reported, and what to do."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.test import Client
from django.utils import timezone

from tests.factories import BY, settle
from tests.vpn.routers import enrolled, placed, words_of
from vpn.actions.instances.settings import update_instance
from vpn.models import Peer, Router, Site

pytestmark = pytest.mark.django_db


def page_of(browser: Client, peer: Peer) -> str:
    """The peer's page."""
    return browser.get(f"/peers/{peer.pk}/").content.decode()


def test_the_line_is_shown_once(settings: LazySettings, admin_browser: Client, site_peer: Peer) -> None:
    settings.PUBLIC_URL = "https://vpn.example.org"
    assert "Enrol this router" in page_of(admin_browser, placed(site_peer))
    answer = admin_browser.post(f"/peers/{site_peer.pk}/enrol/")
    assert answer["Cache-Control"].startswith("no-store") or "no-store" in answer["Cache-Control"]
    text = html.unescape(answer.content.decode())
    line = re.search(r"curl -fsS -H 'Authorization: Bearer ([\w-]{43})' (\S+) \| sh", text)
    assert line
    assert line[2] == "https://vpn.example.org/api/v1/vpn/router/script"
    assert f"wget -qO- --header='Authorization: Bearer {line[1]}'" in text
    page = page_of(admin_browser, site_peer)
    assert line[1] not in page
    assert "A line was made and not used yet" in page
    assert line[1] not in str(list(Router.objects.values()))
    assert admin_browser.get(f"/peers/{site_peer.pk}/enrol/").status_code == 302


def test_only_linux_routers_over_wireguard_are_offered_it(
    admin_browser: Client, member_browser: Client, site_peer: Peer, client_peer: Peer
) -> None:
    assert "Enrol" not in page_of(admin_browser, client_peer)
    Site.objects.update(platform="routeros7")
    assert "Enrol" not in page_of(admin_browser, site_peer)
    answer = admin_browser.post(f"/peers/{site_peer.pk}/enrol/", follow=True)
    assert "Only Linux routers enrol by themselves." in answer.content.decode()
    assert not Router.objects.exists()


def test_the_page_says_how_the_router_is(admin_browser: Client, site_peer: Peer) -> None:
    router = enrolled(site_peer)
    assert "It has not checked in yet." in page_of(admin_browser, site_peer)
    router.check_in(handshake_age=5, addresses=["192.0.2.9"])
    page = page_of(admin_browser, site_peer)
    for text in ("Up to date", "APU2", "Debian 12 (6.1)", "berlin-gw", "192.0.2.9", router.applied[:12]):
        assert text in page
    assert "Up to date" in admin_browser.get(f"/sites/{site_peer.site_id}/").content.decode()
    former = router.applied
    update_instance(site_peer.instance, pushed_routes=["198.51.100.0/24"], by=BY)
    settle(site_peer.instance)
    page = page_of(admin_browser, site_peer)
    assert "Update under way" in page
    assert "Its router fetches changes itself" in page
    failed = words_of(router.check_in())["fingerprint"]
    router.applied = former
    router.check_in(rolled_back={"fingerprint": failed, "why": "no-handshake"})
    page = page_of(admin_browser, site_peer)
    assert "The hub did not answer with the new configuration." in page
    answer = admin_browser.post(f"/peers/{site_peer.pk}/router/retry/", follow=True)
    assert "Update under way" in answer.content.decode()
    Router.objects.update(checked_in_at=timezone.now() - timedelta(minutes=6, seconds=5))
    assert "It missed 6 check-ins." in page_of(admin_browser, site_peer)


def test_reported_subnets_are_advertised_once_they_are_confirmed(admin_browser: Client, site_peer: Peer) -> None:
    enrolled(site_peer, subnets=["10.9.0.0/24", "10.8.0.0/24", *site_peer.subnets])
    page = page_of(admin_browser, site_peer)
    assert 'value="10.9.0.0/24"' in page
    assert f'value="{site_peer.subnets[0]}"' not in page, "it is advertised already"
    path = f"/peers/{site_peer.pk}/router/subnets/"
    admin_browser.post(path, {"subnet": ["10.9.0.0/24", "10.77.0.0/24"]})
    assert Peer.objects.get().subnets == [*site_peer.subnets, "10.9.0.0/24"], "what was not reported is not taken"
    assert Site.objects.get().subnets == [*site_peer.subnets, "10.9.0.0/24"]
    assert "nothing changed" in admin_browser.post(path, follow=True).content.decode()


def test_a_reported_subnet_that_another_site_has_is_refused_with_the_reason(
    admin_browser: Client, site_peer: Peer
) -> None:
    from tests.factories import make_site, make_site_peer

    make_site_peer(site_peer.instance, make_site(site_peer.instance.organization, name="Oslo"), ["10.9.0.0/24"])
    enrolled(site_peer)
    answer = admin_browser.post(f"/peers/{site_peer.pk}/router/subnets/", {"subnet": "10.9.0.0/24"}, follow=True)
    assert "Oslo" in answer.content.decode()
    assert Peer.objects.get(pk=site_peer.pk).subnets == site_peer.subnets


def test_revoking_asks_once_and_ends_token_and_key(admin_browser: Client, site_peer: Peer) -> None:
    router = enrolled(site_peer)
    path = f"/peers/{site_peer.pk}/router/revoke/"
    assert "Revoke the router of" in admin_browser.get(path).content.decode()
    page = admin_browser.post(path, follow=True).content.decode()
    assert "Its tokens and its key ended." in page
    assert router.check_in().status_code == 410
