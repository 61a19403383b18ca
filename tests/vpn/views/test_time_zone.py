"""Times on pages are the reader's: typed and shown in their zone, which is named beside them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from portal.models import Membership
from vpn.models import Instance, Peer

# Summer and winter differ in Berlin; Kathmandu is off by 45 minutes.
BERLIN, KATHMANDU = "Europe/Berlin", "Asia/Kathmandu"


def next_year(month: int, day: int, hour: int, minute: int = 0) -> datetime:
    """A moment that has not come yet, in UTC."""
    return datetime(timezone.now().year + 1, month, day, hour, minute, tzinfo=UTC)


def zone_of(page: str) -> tuple[str, str]:
    """What stands beside the field, and what the form sends along."""
    beside = re.search(r'field__suffix">([^<]*)<', page)
    sent = re.search(r'name="expires_at_zone" value="([^"]*)"', page)
    assert beside
    assert sent
    return beside[1], sent[1]


@pytest.mark.parametrize(
    ("zone", "typed", "month", "hour", "minute"),
    [
        (BERLIN, "07-15T18:00", 7, 16, 0),
        (BERLIN, "01-15T18:00", 1, 17, 0),
        (KATHMANDU, "07-15T18:00", 7, 12, 15),
        ("", "07-15T18:00", 7, 18, 0),
        ("Mars/Olympus", "07-15T18:00", 7, 18, 0),
    ],
)
def test_an_expiry_is_read_in_the_readers_zone_and_stored_in_utc(
    admin_browser: Client,
    instance: Instance,
    member: Membership,
    zone: str,
    typed: str,
    month: int,
    hour: int,
    minute: int,
) -> None:
    admin_browser.cookies["zone"] = zone
    url = f"/instances/{instance.pk}/peers/new-client/"
    known = zone if zone in {BERLIN, KATHMANDU} else "UTC"
    assert zone_of(admin_browser.get(url).content.decode()) == (known, known)
    wanted = next_year(month, 15, hour, minute)
    values = {"user_id": str(member.pk), "expires_at": f"{wanted.year}-{typed}"}
    assert admin_browser.post(url, values).status_code == 302
    assert Peer.objects.get().expires_at == wanted


def test_it_is_shown_in_that_zone_and_saving_it_again_changes_nothing(admin_browser: Client, client_peer: Peer) -> None:
    moment = next_year(7, 15, 16) + timedelta(seconds=42)
    Peer.objects.update(expires_at=moment)
    url = f"/peers/{client_peer.pk}/"
    assert f"15 July {moment.year}, 16:00 UTC" in admin_browser.get(url).content.decode()
    admin_browser.cookies["zone"] = BERLIN
    assert f"15 July {moment.year}, 18:00 CEST" in admin_browser.get(url).content.decode()
    form = admin_browser.get(f"{url}edit/").content.decode()
    assert f'value="{moment.year}-07-15T18:00"' in form
    values = {"device": "laptop", "route_all": "false", "expires_at": f"{moment.year}-07-15T18:00"}
    admin_browser.post(f"{url}edit/", {**values, "expires_at_zone": BERLIN})
    assert Peer.objects.get().expires_at == moment


def test_a_form_that_was_opened_in_another_zone_means_that_one(admin_browser: Client, client_peer: Peer) -> None:
    wanted = next_year(7, 15, 18)
    values = {"device": "laptop", "route_all": "false", "expires_at": f"{wanted.year}-07-15T18:00"}
    admin_browser.cookies["zone"] = BERLIN
    admin_browser.post(f"/peers/{client_peer.pk}/edit/", {**values, "expires_at_zone": "UTC"})
    assert Peer.objects.get().expires_at == wanted
    refused = admin_browser.post(f"/peers/{client_peer.pk}/edit/", {**values, "device": "", "expires_at": "x"})
    assert refused.status_code == 200


def test_an_hour_that_the_clock_skips_is_refused_beside_the_field(admin_browser: Client, client_peer: Peer) -> None:
    year = timezone.now().year + 1
    sunday = max(day for day in range(25, 32) if datetime(year, 3, day, tzinfo=UTC).weekday() == 6)
    admin_browser.cookies["zone"] = BERLIN
    values = {"device": "laptop", "route_all": "false", "expires_at": f"{year}-03-{sunday}T02:30"}
    page = admin_browser.post(f"/peers/{client_peer.pk}/edit/", values).content.decode()
    assert 'id="id_expires_at_error"' in page
    assert "Europe/Berlin" in page
    assert f'value="{year}-03-{sunday}T02:30"' in page
