"""Routing, settings, activity and deletion of an instance."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests.factories import make_site, make_site_peer
from vpn.choices import InstanceState, OperationKind
from vpn.models import Instance, Operation, Peer

pytestmark = pytest.mark.django_db


def post(browser: Client, instance: Instance, tab: str, **values: str) -> str:
    """Send a tab's form; the page that follows."""
    return browser.post(f"/instances/{instance.pk}/{tab}/", values, follow=True).content.decode()


def test_routes_are_saved_one_per_line(admin_browser: Client, instance: Instance) -> None:
    before = instance.desired_generation
    page = post(admin_browser, instance, "routing", pushed_routes="198.51.100.0/24\r\n\r\n 192.0.2.0/24 ")
    instance.refresh_from_db()
    assert "Saved." in page
    assert instance.pushed_routes == ["198.51.100.0/24", "192.0.2.0/24"]
    assert instance.desired_generation == before + 1


def test_every_faulty_line_is_named(admin_browser: Client, instance: Instance) -> None:
    page = post(admin_browser, instance, "routing", pushed_routes="198.51.100.1/24\nnonsense\n0.0.0.0/0")
    for words in ("the network is 198.51.100.0/24", "nonsense", "is the default route"):
        assert words in page
    instance.refresh_from_db()
    assert instance.pushed_routes == []


def test_routing_shows_pool_and_the_sites_subnets(admin_browser: Client, instance: Instance, site_peer: Peer) -> None:
    page = admin_browser.get(f"/instances/{instance.pk}/routing/").content.decode()
    for words in (instance.pool_v4, instance.pool_v6, "Berlin", "10.1.0.0/24"):
        assert words in page


def test_routing_names_some_of_many_sites_and_leads_to_all(
    admin_browser: Client, instance: Instance, django_assert_max_num_queries: Any
) -> None:
    for number in range(60):
        make_site_peer(instance, make_site(instance.organization, name=f"Branch {number:02}"))
    with django_assert_max_num_queries(12):
        page = admin_browser.get(f"/instances/{instance.pk}/routing/").content.decode()
    assert ("Branch 49" in page, "Branch 50" in page) == (True, False)
    assert "The first 50 of 60 sites" in page
    assert f'href="/instances/{instance.pk}/?show=sites"' in page


def test_renaming_asks_nothing_of_the_hub(admin_browser: Client, instance: Instance) -> None:
    before = instance.desired_generation
    page = post(admin_browser, instance, "settings", name="Frankfurt 2", mtu=str(instance.mtu))
    instance.refresh_from_db()
    assert "Frankfurt 2" in page
    assert (instance.name, instance.desired_generation) == ("Frankfurt 2", before)


def test_sending_what_is_there_changes_nothing(admin_browser: Client, instance: Instance) -> None:
    before = instance.desired_generation
    assert "nothing changed" in post(admin_browser, instance, "settings", name=instance.name, mtu=str(instance.mtu))
    instance.refresh_from_db()
    assert instance.desired_generation == before


def test_an_mtu_out_of_range_is_refused(admin_browser: Client, instance: Instance) -> None:
    assert "from 1280 to 1500" in post(admin_browser, instance, "settings", name=instance.name, mtu="900")


@pytest.mark.parametrize("tab", ["routing", "dns", "settings"])
def test_an_auditor_reads_but_does_not_save(auditor_browser: Client, instance: Instance, tab: str) -> None:
    page = auditor_browser.get(f"/instances/{instance.pk}/{tab}/").content.decode()
    assert ">Save<" not in page
    assert "Delete instance" not in page
    assert auditor_browser.post(f"/instances/{instance.pk}/{tab}/", {"name": "Mine"}).status_code == 403


@pytest.mark.parametrize("tab", ["routing", "dns", "settings", "activity", "delete"])
def test_another_organization_finds_nothing(stranger_browser: Client, instance: Instance, tab: str) -> None:
    assert stranger_browser.get(f"/instances/{instance.pk}/{tab}/").status_code == 404


def test_no_page_shows_a_secret(admin_browser: Client, instance: Instance, client_peer: Peer) -> None:
    secrets = [instance.private_key, client_peer.private_key, client_peer.preshared_key]
    for tab in ("", "routing/", "dns/", "settings/", "activity/", "progress/"):
        page = admin_browser.get(f"/instances/{instance.pk}/{tab}").content.decode()
        assert not [secret for secret in secrets if secret in page], tab


def test_deleting_says_first_what_stops_working(
    admin_browser: Client, instance: Instance, client_peer: Peer, site_peer: Peer
) -> None:
    page = admin_browser.get(f"/instances/{instance.pk}/delete/").content.decode()
    assert "2 peers" in page
    assert instance.full_hostname in page
    instance.refresh_from_db()
    assert instance.state == InstanceState.READY


def test_deleting_begins_to_take_the_hub_down(admin_browser: Client, instance: Instance) -> None:
    page = admin_browser.post(f"/instances/{instance.pk}/delete/", follow=True).content.decode()
    assert "is being deleted" in page
    instance.refresh_from_db()
    assert instance.state == InstanceState.DELETING
    assert instance.operations.filter(kind=OperationKind.DESTROY).exists()
    progress = admin_browser.get(f"/instances/{instance.pk}/progress/").content.decode()
    assert "Taking the hub down" in progress


def test_only_admins_delete(auditor_browser: Client, instance: Instance) -> None:
    assert auditor_browser.get(f"/instances/{instance.pk}/delete/").status_code == 403
    assert auditor_browser.post(f"/instances/{instance.pk}/delete/").status_code == 403


def test_activity_lists_operations_with_their_steps(
    auditor_browser: Client, instance: Instance, django_assert_max_num_queries: object
) -> None:
    for _ in range(30):
        Operation.objects.create(instance=instance, kind=OperationKind.APPLY, state="succeeded", summary="1 peer added")
    with django_assert_max_num_queries(13):  # type: ignore[operator]
        page = auditor_browser.get(f"/instances/{instance.pk}/activity/").content.decode()
    assert "1 peer added" in page
    assert "?page=2" in page
    assert (
        "Prove that packets flow" in auditor_browser.get(f"/instances/{instance.pk}/activity/?page=2").content.decode()
    )


def test_the_pool_is_widened_on_the_settings_page(admin_browser: Client, instance: Instance) -> None:
    given = {"name": instance.name, "mtu": str(instance.mtu)}
    refusal = post(admin_browser, instance, "settings", **given, pool="10.0.0.0/16")
    assert "10.0.0.0/16 does not contain the present pool, 100.64.0.0/20" in refusal
    post(admin_browser, instance, "settings", **given, pool="100.64.0.0/16")
    instance.refresh_from_db()
    assert instance.pool_v4 == "100.64.0.0/16"
