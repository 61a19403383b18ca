"""Where a quota is reached, the form says so and keeps what was typed."""

from __future__ import annotations

import pytest
from django.test import Client

from portal.models import Membership, Organization, Quota
from portal.quotas import quota_use
from tests.factories import BY
from tests.visitor import Form, forms_in
from vpn.actions.instances.settings import update_instance
from vpn.models import Instance, Peer, Region, Site


def reached(organization: Organization, quota: Quota) -> str:
    """Leave no room; the words that the refusal has to have."""
    used = quota_use(organization, quota).used
    Organization.objects.filter(pk=organization.pk).update(**{f"most_{quota.value}": used})
    return f"Quota reached: {used} of {used}"


def refused(browser: Client, path: str, words: str, **typed: str) -> Form:
    """Send a form; the form that comes back."""
    answer = browser.post(path, typed)
    assert answer.status_code == 200
    page = answer.content.decode()
    assert words in page
    form: Form = forms_in(page)[0]
    for field, value in typed.items():
        # A text area begins with a newline, which browsers leave out.
        assert "TOTAL" in field or [text.strip() for text in form.fields[field]] == [value], field
    return form


def test_an_instance(admin_browser: Client, organization: Organization, region: Region) -> None:
    typed = {"name": "Paris", "hostname": "paris", "region": "local", "pool_prefix": "22"}
    refused(admin_browser, "/instances/new/", reached(organization, Quota.INSTANCES), **typed)
    Organization.objects.update(most_instances=None)
    words = (
        reached(organization, Quota.PROVISIONING)
        + " instances are being provisioned. Ask the portal&#x27;s staff for a higher limit."
    )
    refused(admin_browser, "/instances/new/", words, **typed)
    assert not Instance.objects.exists()


def test_a_failed_instance_is_not_tried_again_beside_too_many(
    admin_browser: Client, instance: Instance, organization: Organization
) -> None:
    Instance.objects.update(state="failed")
    words = reached(organization, Quota.PROVISIONING)
    page = admin_browser.post(f"/instances/{instance.pk}/retry/", follow=True).content.decode()
    assert words in page
    assert Instance.objects.get().state == "failed"


def test_a_device(
    admin_browser: Client, instance: Instance, client_peer: Peer, member: Membership, organization: Organization
) -> None:
    words = reached(organization, Quota.PEERS)
    typed = {"user_id": str(member.pk), "device": "My phone", "route_all": "true", "protocol": "wireguard"}
    refused(admin_browser, f"/instances/{instance.pk}/peers/new-client/", words, **typed)


def test_a_site_in_place_leaves_nothing_behind(
    admin_browser: Client, instance: Instance, organization: Organization
) -> None:
    typed = {"site_name": "Oslo", "site_platform": "linux", "subnets": "10.9.0.0/24", "protocol": "wireguard"}
    path = f"/instances/{instance.pk}/peers/new-site/"
    for quota in (Quota.PEERS, Quota.SUBNETS, Quota.SITES):
        refused(admin_browser, path, reached(organization, quota), **typed)
        assert not Site.objects.exists()
        assert not Peer.objects.exists()
        Organization.objects.update(**{f"most_{quota.value}": None})


def test_a_site_and_its_subnets(admin_browser: Client, organization: Organization) -> None:
    typed = {"name": "Oslo", "platform": "linux", "place": "Oslo", "subnets": "10.9.0.0/24"}
    refused(admin_browser, "/sites/new/", reached(organization, Quota.SUBNETS), **typed)
    Organization.objects.update(most_subnets=None)
    refused(admin_browser, "/sites/new/", reached(organization, Quota.SITES), **typed)
    assert not Site.objects.exists()


def test_more_subnets_of_a_site(admin_browser: Client, site_peer: Peer, organization: Organization) -> None:
    words = reached(organization, Quota.SUBNETS)
    site = Site.objects.get()
    typed = {"name": site.name, "platform": "linux", "subnets": "10.1.0.0/24\n10.9.0.0/24"}
    refused(admin_browser, f"/sites/{site.pk}/", words, **typed)
    assert Site.objects.get().subnets == ["10.1.0.0/24"]


@pytest.mark.parametrize(
    ("page", "quota", "typed"),
    [
        ("firewall", Quota.RULES, {"firewall-0-name": "one", "firewall-1-name": "two"}),
        (
            "dns",
            Quota.DNS_RECORDS,
            {
                "public_dns": "9.9.9.9",
                "dns_custom-TOTAL_FORMS": "1",
                "dns_custom-0-name": "nas",
                "dns_custom-0-type": "A",
                "dns_custom-0-value": "10.1.0.9",
            },
        ),
    ],
)
def test_rows_of_a_table(
    page: str,
    quota: Quota,
    typed: dict[str, str],
    admin_browser: Client,
    instance: Instance,
    organization: Organization,
) -> None:
    words = reached(organization, quota)
    refused(admin_browser, f"/instances/{instance.pk}/{page}/", words, **typed)
    assert not instance.firewall_rules.exists()
    assert not instance.dns_records.exists()


def test_a_preview_says_so_too(admin_browser: Client, site_peer: Peer, organization: Organization) -> None:
    update_instance(site_peer.instance, firewall=[{"name": "one"}], by=BY)
    words = reached(organization, Quota.RULES)
    typed = {"preview": "true", "firewall-0-name": "one", "firewall-1-name": "two", "firewall_policy": "allow"}
    path = f"/instances/{site_peer.instance_id}/firewall/"
    assert words in admin_browser.post(path, typed).content.decode()
