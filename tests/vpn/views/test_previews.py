"""What a change means, beside the form before it is saved, and with the operation afterwards."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from portal.models import Membership
from tests.factories import BY, make_client_peer, settle, work_out_plans
from vpn.actions.instances.settings import update_instance
from vpn.actions.profiles.profile import deliver_profile
from vpn.models import ChangePlan, Instance, Operation, Peer, Site

pytestmark = pytest.mark.django_db
PANEL = {"HX-Request": "true", "HX-Target": "plan"}


@pytest.fixture
def laptop(instance: Instance, member: Membership, site_peer: Peer) -> Peer:
    """A device with its profile delivered, and a site."""
    member.user.name = "Anna"
    member.user.save()
    peer = make_client_peer(instance, member, "laptop")
    settle(instance)
    deliver_profile(peer, by=BY)
    ChangePlan.objects.all().delete()
    return peer


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_the_panel_says_who_becomes_outdated(admin_browser: Client, instance: Instance, laptop: Peer) -> None:
    values = {"pushed_routes": "198.51.100.0/24", "preview": "true"}
    panel = admin_browser.post(f"/instances/{instance.pk}/routing/", values, headers=PANEL).content.decode()
    assert "1 of 1 delivered profile becomes outdated: Anna (laptop)." in text_of(panel)
    assert "<form" not in panel
    instance.refresh_from_db()
    assert instance.pushed_routes == []


def test_without_javascript_the_page_keeps_what_was_typed(
    admin_browser: Client, instance: Instance, laptop: Peer
) -> None:
    values = {"pushed_routes": "198.51.100.0/24\n192.0.2.0/24", "preview": "true"}
    page = admin_browser.post(f"/instances/{instance.pk}/routing/", values).content.decode()
    assert "198.51.100.0/24\n192.0.2.0/24" in page
    assert "becomes outdated: Anna (laptop)." in text_of(page)
    instance.refresh_from_db()
    assert instance.pushed_routes == []


def test_an_incomplete_form_says_what_is_to_be_put_right(admin_browser: Client, instance: Instance) -> None:
    values = {"pushed_routes": "198.51.100.1/24", "preview": "true"}
    panel = admin_browser.post(f"/instances/{instance.pk}/routing/", values, headers=PANEL).content.decode()
    assert "Correct these first: Networks:" in text_of(panel)
    assert "the network is 198.51.100.0/24" in text_of(panel)


def test_what_nobody_notices_is_said_so(admin_browser: Client, instance: Instance, laptop: Peer) -> None:
    values = {"name": "Another name", "mtu": str(instance.mtu), "preview": "true"}
    panel = admin_browser.post(f"/instances/{instance.pk}/settings/", values, headers=PANEL).content.decode()
    assert text_of(panel).startswith("Nothing changes for any peer")


def test_a_policy_is_told_in_a_sentence(admin_browser: Client, instance: Instance, laptop: Peer) -> None:
    values = {"firewall_policy": "deny", "preview": "true"}
    panel = admin_browser.post(f"/instances/{instance.pk}/firewall/", values, headers=PANEL).content.decode()
    assert "Closes Anna and Berlin no longer reach each other" in text_of(panel)


def test_a_refused_rule_is_named_in_the_panel(admin_browser: Client, instance: Instance, laptop: Peer) -> None:
    rule = {"name": "", "action": "accept", "protocol": "tcp", "port": "99999", "source": "any", "destination": "any"}
    values = {f"firewall-0-{field}": value for field, value in rule.items()} | {"firewall-TOTAL_FORMS": "1"}
    values |= {"firewall_policy": "allow", "preview": "true"}
    panel = admin_browser.post(f"/instances/{instance.pk}/firewall/", values, headers=PANEL).content.decode()
    assert "Correct these first: Row 1," in text_of(panel)


def test_the_resolvers_of_everything_else_concern_nobodys_profile(
    admin_browser: Client, instance: Instance, laptop: Peer
) -> None:
    values = {"public_dns": "1.1.1.1", "domains": "", "split_dns": "", "dns_custom-TOTAL_FORMS": "0", "preview": "true"}
    panel = admin_browser.post(f"/instances/{instance.pk}/dns/", values, headers=PANEL).content.decode()
    assert "Names unknown to the hub are forwarded to 1.1.1.1 instead of 9.9.9.9" in text_of(panel)
    assert "outdated" not in text_of(panel)
    values |= {"domains": "corp.example", "split_dns": "10.1.0.1"}
    panel = admin_browser.post(f"/instances/{instance.pk}/dns/", values, headers=PANEL).content.decode()
    assert "Anna (laptop)" in text_of(panel)


def test_editing_a_sites_subnets_is_previewed(
    admin_browser: Client, instance: Instance, laptop: Peer, site_peer: Peer
) -> None:
    values = {"subnets": "10.1.0.0/24\n10.7.0.0/24", "protocol": "wireguard", "preview": "true"}
    panel = admin_browser.post(f"/peers/{site_peer.pk}/edit/", values, headers=PANEL).content.decode()
    assert "Anna and 10.7.0.0/24 reach each other" in text_of(panel)
    assert "Anna (laptop)" in text_of(panel)
    site_peer.refresh_from_db()
    assert site_peer.subnets == ["10.1.0.0/24"]


def test_a_new_site_is_previewed_and_not_made(admin_browser: Client, instance: Instance, laptop: Peer) -> None:
    values = {"site_name": "Paris", "site_platform": "linux", "subnets": "10.8.0.0/24", "protocol": "wireguard"}
    path = f"/instances/{instance.pk}/peers/new-site/"
    panel = admin_browser.post(path, values | {"preview": "true"}, headers=PANEL).content.decode()
    assert "Opens" in panel
    assert "Anna (laptop)" in text_of(panel)
    assert not Site.objects.filter(name="Paris").exists()


def test_save_stays_the_forms_own_and_last_button(admin_browser: Client, instance: Instance) -> None:
    for tab in ("routing", "dns", "firewall", "settings"):
        page = admin_browser.get(f"/instances/{instance.pk}/{tab}/").content.decode()
        form = page.split('id="changes"')[1].split("</form>")[0]
        assert 'name="preview"' not in form
        assert 'form="changes" name="preview"' in page
        assert form.count("Save</button>") >= 1


def test_activity_shows_what_a_change_meant(
    admin_browser: Client, auditor_browser: Client, instance: Instance, laptop: Peer
) -> None:
    update_instance(instance, pushed_routes=["198.51.100.0/24"], by=BY)
    work_out_plans(instance)
    operation = Operation.objects.create(instance=instance, kind="apply", state="succeeded")
    ChangePlan.objects.update(operation=operation)
    page = admin_browser.get(f"/instances/{instance.pk}/activity/").content.decode()
    assert "1 of 1 delivered profile becomes outdated: Anna (laptop)." in text_of(page)
    assert "Mail these people" in page
    assert "Mail these people" not in auditor_browser.get(f"/instances/{instance.pk}/activity/").content.decode()


def test_a_new_site_is_called_by_the_name_that_was_typed(
    admin_browser: Client, instance: Instance, client_peer: Peer
) -> None:
    fields = {"site_name": "Köln", "site_platform": "linux", "subnets": "10.1.0.0/24", "preview": "true"}
    headers = {"HX-Request": "true", "HX-Target": "plan"}
    url = f"/instances/{instance.pk}/peers/new-site/"
    panel = admin_browser.post(url, fields, headers=headers).content.decode()
    assert "Köln" in panel
    assert "reach each other" in panel
    assert "the site" not in panel.lower()


def test_another_name_of_a_site_or_device_is_told(
    admin_browser: Client, instance: Instance, client_peer: Peer, site_peer: Peer
) -> None:
    headers = {"HX-Request": "true", "HX-Target": "plan"}
    fields = {"name": "Bonn", "platform": "linux", "subnets": "10.1.0.0/24", "preview": "true"}
    panel = admin_browser.post(f"/sites/{site_peer.site_id}/", fields, headers=headers).content.decode()
    hub = instance.full_hostname
    assert f"berlin.{hub} is no longer answered; the name becomes bonn.{hub}." in panel
    assert "Nothing changes for any peer" not in panel
    device = {"device": "Old laptop", "route_all": "false", "protocol": "wireguard", "preview": "true"}
    panel = admin_browser.post(f"/peers/{client_peer.pk}/edit/", device, headers=headers).content.decode()
    assert "the name becomes old-laptop." in panel
    same = {**device, "device": "laptop"}
    panel = admin_browser.post(f"/peers/{client_peer.pk}/edit/", same, headers=headers).content.decode()
    assert "Nothing changes for any peer" in panel
