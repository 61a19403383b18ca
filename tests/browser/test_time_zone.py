"""The browser's time zone reaches the form, whichever page comes first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from portal.models import Membership
from tests.browser.conftest import Camera
from tests.factories import make_client_peer, make_instance
from vpn.models import Peer

pytestmark = pytest.mark.browser
Visit = Callable[..., Page]


@pytest.mark.parametrize("zone", ["Australia/Adelaide", "America/New_York"])
def test_an_expiry_is_typed_and_shown_in_the_browsers_zone(
    visit: Visit, transactional_db: None, admin: Membership, zone: str
) -> None:
    peer = make_client_peer(make_instance(admin.organization), admin)
    year = timezone.now().year + 1
    Peer.objects.update(expires_at=datetime(year, 7, 15, 16, tzinfo=UTC))
    page = visit(admin.user, timezone_id=zone)
    camera = Camera(page)
    there = {"Australia/Adelaide": f"{year}-07-16T01:30", "America/New_York": f"{year}-07-15T12:00"}[zone]
    # The very first page: the server cannot know the zone yet.
    page.goto(f"/peers/{peer.pk}/edit/")
    for _ in range(2):
        expect(page.locator("#id_expires_at")).to_have_value(there)
        expect(page.locator(".field__suffix")).to_have_text(zone)
        page.reload()
    camera.look(f"peer-edit-{zone.partition('/')[0].lower()}")
    page.locator("#id_expires_at").fill(f"{year}-01-15T12:00")
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_text("was saved")).to_be_visible()
    hour = {"Australia/Adelaide": (1, 30), "America/New_York": (17, 0)}[zone]
    assert Peer.objects.get().expires_at == datetime(year, 1, 15, *hour, tzinfo=UTC)
    assert camera.complaints == []
