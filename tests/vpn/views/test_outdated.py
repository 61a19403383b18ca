"""Outdated profiles are marked where people look, until they are fetched again."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from portal.models import Membership
from tests.factories import BY, make_client_peer, make_member, make_site_peer, settle, work_out_plans
from tests.vpn.api.caller import Caller, told
from tests.vpn.planned import planned
from vpn.actions.instances.settings import update_instance
from vpn.actions.profiles.profile import deliver_profile
from vpn.actions.sites.site import update_site
from vpn.choices import KeyCustody
from vpn.jobs.plan import find_outdated_profiles
from vpn.models import Instance, Peer, Site
from vpn.profiles import wireguard
from vpn.profiles.peer import profile_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def laptop(instance: Instance, member: Membership) -> Peer:
    """A split tunnel whose profile a new route outdates, beside a device that never had a profile."""
    peer = make_client_peer(instance, member, "laptop")
    make_client_peer(instance, make_member(instance.organization), "tablet")
    settle(instance)
    deliver_profile(peer, by=BY)
    return peer


def text_of(browser: Client, path: str) -> str:
    page = browser.get(path).content.decode()
    return " ".join(re.sub(r"<[^>]+>", " ", page.split("<main")[1]).split())


def outdate(instance: Instance) -> None:
    update_instance(instance, pushed_routes=["198.51.100.0/24"], by=BY)
    settle(work_out_plans(instance))


def test_the_instance_counts_them_and_lists_them(admin_browser: Client, instance: Instance, laptop: Peer) -> None:
    path = f"/instances/{instance.pk}/"
    assert "profile outdated" not in text_of(admin_browser, path)
    outdate(instance)
    page = text_of(admin_browser, path)
    assert "1 of 1 delivered profile is outdated" in page
    assert page.count("profile outdated") == 1
    found = text_of(admin_browser, f"{path}?show=outdated")
    assert "laptop" in found
    assert "tablet" not in found


def test_fetching_it_again_clears_it(admin_browser: Client, instance: Instance, laptop: Peer) -> None:
    outdate(instance)
    path = f"/instances/{instance.pk}/"
    assert "profile outdated" in text_of(admin_browser, path)
    deliver_profile(laptop, by=BY)
    assert "profile outdated" not in text_of(admin_browser, path)
    assert "Every delivered profile is current." in text_of(admin_browser, f"{path}?show=outdated")


def test_a_change_that_does_not_concern_it_marks_nothing(
    admin_browser: Client, instance: Instance, laptop: Peer
) -> None:
    update_instance(instance, public_dns=["1.1.1.1"], firewall_policy="deny", by=BY)
    assert "outdated" not in text_of(admin_browser, f"/instances/{instance.pk}/").replace("Outdated", "")


def test_whose_it_is_sees_what_to_do(member_browser: Client, instance: Instance, laptop: Peer) -> None:
    outdate(instance)
    assert "Fetch it again and import it in place of the old one." in text_of(member_browser, "/my/")
    assert "Fetch it again" in text_of(member_browser, f"/peers/{laptop.pk}/")


def test_a_disabled_device_is_not_told_to_fetch_again(
    admin_browser: Client, member_browser: Client, instance: Instance, laptop: Peer
) -> None:
    outdate(instance)
    Peer.objects.filter(pk=laptop.pk).update(enabled=False)
    for browser, path in ((member_browser, "/my/"), (member_browser, f"/peers/{laptop.pk}/")):
        page = text_of(browser, path)
        assert "Disabled" in page
        assert "Fetch it again" not in page
        assert "Its profile is outdated" not in page
    page = text_of(admin_browser, f"/instances/{instance.pk}/")
    assert "outdated" not in page.replace("Outdated", "")
    assert "Mail these people" not in page


def test_the_page_that_counts_them_leads_to_mailing_the_people(
    admin_browser: Client, auditor_browser: Client, instance: Instance, laptop: Peer
) -> None:
    outdate(instance)
    path = f"/instances/{instance.pk}/"
    found = re.search(r'href="(/plans/[^"]+/mail/)">Mail these people', admin_browser.get(path).content.decode())
    assert found
    assert "Mail these people" not in text_of(auditor_browser, path)
    assert "laptop" in text_of(admin_browser, found[1])
    admin_browser.post(found[1])
    assert "Mail these people" not in text_of(admin_browser, path)


def test_a_key_that_is_gone_is_to_be_renewed(admin_browser: Client, instance: Instance, laptop: Peer) -> None:
    outdate(instance)
    Peer.objects.filter(pk=laptop.pk).update(key_custody=KeyCustody.DESTROYED)
    assert "Renew its keys" in text_of(admin_browser, f"/peers/{laptop.pk}/")


def test_mail_is_not_offered_where_a_site_alone_is_outdated(
    admin_browser: Client, instance: Instance, site: Site
) -> None:
    peer = make_site_peer(instance, site, ["10.1.0.0/24"])
    settle(instance)
    deliver_profile(peer, by=BY)
    outdate(instance)
    page = text_of(admin_browser, f"/instances/{instance.pk}/")
    assert "1 of 1 delivered profile is outdated" in page
    assert "Mail these people" not in page


def test_another_router_outdates_the_file_that_was_made_for_the_former_one(
    admin_browser: Client, admin: Membership, instance: Instance, site: Site
) -> None:
    peer = make_site_peer(instance, site, ["10.1.0.0/24"])
    settle(instance)
    deliver_profile(peer, by=BY)
    path = f"/instances/{instance.pk}/"
    former: dict[str, Any] = {"platform": site.platform, "platform_version": site.platform_version}
    others: list[dict[str, Any]] = [{"platform": "openwrt", "platform_version": ""}, {"platform_version": "23.05.3"}]
    for changes in others:
        assert planned(partial(update_site, site, by=BY, **changes)).outdated == (
            [peer.pk] if "platform" in changes else []
        )
        update_site(site, by=BY, **changes)
        assert "1 of 1 delivered profile is outdated" in text_of(admin_browser, path)
    update_site(site, place="Rue de la Paix", by=BY)
    update_site(site, by=BY, **former)
    assert "outdated" not in text_of(admin_browser, path).replace("Outdated", "")
    asked = Caller.of(admin).put(f"/sites/{site.pk}?plan=true", {"platform_version": "24.10"})
    assert told(asked, 200)["outdated"] == [str(peer.pk)]


def test_a_file_delivered_before_routers_were_noted_is_not_called_outdated(
    admin_browser: Client, instance: Instance, site: Site
) -> None:
    peer = make_site_peer(instance, site, ["10.1.0.0/24"])
    settle(instance)
    deliver_profile(peer, by=BY)
    digest = wireguard.configuration_digest(profile_of(peer, with_key=False))
    Peer.objects.filter(pk=peer.pk).update(delivered_digest=digest)
    assert "profile outdated" not in text_of(admin_browser, f"/instances/{instance.pk}/")


@pytest.fixture
def comparing(laptop: Peer, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Profiles are many, fetched an hour ago: a worker compares them. Which instances it was asked for."""
    asked: list[str] = []
    Peer.objects.filter(pk=laptop.pk).update(delivered_at=timezone.now() - timedelta(hours=1))
    monkeypatch.setattr("vpn.presenters.profiles.outdated._AT_ONCE", 0)
    monkeypatch.setattr("vpn.doorbell.enqueue_outdated", lambda pk, _: asked.append(str(pk)))
    return asked


def test_many_profiles_are_compared_by_a_worker_once_for_all_who_look(
    admin_browser: Client, auditor_browser: Client, instance: Instance, laptop: Peer, comparing: list[str]
) -> None:
    path = f"/instances/{instance.pk}/"
    assert "Comparing 1 delivered profile" in text_of(admin_browser, path)
    find_outdated_profiles(comparing[0])
    outdate(instance)
    page = text_of(admin_browser, path)
    assert "Comparing 1 delivered profile" in page
    assert "profile outdated" not in page
    find_outdated_profiles(comparing[1])
    for browser in (admin_browser, auditor_browser):
        page = text_of(browser, path)
        assert "1 of 1 delivered profile is outdated" in page
        assert "Comparing" not in page
    assert comparing == [str(instance.pk)] * 2
    deliver_profile(laptop, by=BY)
    assert "profile outdated" not in text_of(admin_browser, path)
    assert len(comparing) == 2


def test_until_the_last_change_is_compared_the_answer_of_the_one_before_is_shown(
    admin_browser: Client, instance: Instance, laptop: Peer, comparing: list[str]
) -> None:
    path = f"/instances/{instance.pk}/"
    outdate(instance)
    find_outdated_profiles(str(instance.pk))
    update_instance(instance, pushed_routes=[], by=BY)
    page = text_of(admin_browser, path)
    assert "1 of 1 delivered profile is outdated" in page
    assert "Comparing 1 delivered profile" in page
    find_outdated_profiles(comparing[0])
    assert "outdated" not in text_of(admin_browser, path).replace("Outdated", "")
    find_outdated_profiles("00000000-0000-0000-0000-000000000000")  # its instance was deleted meanwhile
