"""The Activity page of the organization, in both themes and widths: lines, their values, filters."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from portal.actions.group import create_group
from tests.browser.conftest import Camera
from tests.factories import (
    BY,
    an_admin,
    make_client_peer,
    make_instance,
    make_member,
    make_organization,
    make_site,
    make_site_peer,
)
from vpn.actions.instances.settings import update_instance
from vpn.models import Connection
from vpn.observed.connections import Begin, Turns, journal_connections

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_who_did_what_is_read_and_filtered_at_any_width(visit: Callable[..., Page]) -> None:
    organization = make_organization()
    admin = an_admin(organization)
    boss = make_member(organization, "admin", email="a.very.long.address.of.somebody@department.acme.example")
    instance = make_instance(organization)
    update_instance(instance, mtu=1300, public_dns=["9.9.9.9", "1.1.1.1", "8.8.8.8"], by=boss.principal)
    create_group(organization, name="Sales", by=BY)
    page = visit(admin.user)
    camera = Camera(page)
    page.goto("/activity/")
    line = page.locator("details", has_text="Settings of the instance changed")
    line.locator("summary").click()
    expect(line).to_contain_text("1300")
    camera.look("activity-journal")
    page.get_by_role("searchbox").fill("sales")
    expect(page.locator(".journal-line")).to_have_count(1)
    page.goto("/activity/")
    page.locator("details", has_text="Settings of the instance changed").locator("summary").click()
    page.get_by_role("link", name="all by them").click()
    expect(page.locator(".journal-line")).to_have_count(1)
    camera.look("activity-journal-filtered")
    page.goto("/activity/?q=nothing-such")
    expect(page.get_by_role("heading", name="No match")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export as CSV").click()
    assert download.value.suggested_filename.endswith(".csv")
    began = timezone.now() - timedelta(days=1)
    for peer in (make_client_peer(instance, boss), make_site_peer(instance, make_site(organization, name="Berlin"))):
        row = Begin(peer.pk, began, "", "[2001:db8:1234:5678:9abc:def0:1234:5678]:51820", 0, 0)
        journal_connections([Turns(begins=[row])])
    Connection.objects.filter(site_id=None).update(
        ended_at=began + timedelta(hours=3), reason="revoked", endpoint_changes=3, received_to=5 << 30, sent_to=7 << 20
    )
    page.get_by_role("link", name="Connections").click()
    expect(page.get_by_role("row", name="Berlin")).to_contain_text("Open")
    camera.look("connections")
    page.get_by_label("Tunnel address").fill("100.64.0.2")
    page.get_by_label("Tunnel address").press("Tab")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Person").click()
    expect(page.get_by_role("link", name=f"Person {boss.user.email}")).to_be_visible()
    assert camera.complaints == []
