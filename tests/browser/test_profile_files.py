"""The files of a profile's page in a real browser: named for wg-quick, and with the endpoint that was chosen."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from portal.models import Membership
from tests.browser.conftest import Camera
from tests.factories import make_client_peer, make_instance, make_site, make_site_peer, settle
from vpn.models import Server

pytestmark = pytest.mark.browser
Visit = Callable[..., Page]


def test_a_download_keeps_its_name_and_the_family_that_was_chosen(
    visit: Visit, transactional_db: None, admin: Membership, tmp_path: Path
) -> None:
    instance = make_instance(admin.organization, name="Frankfurt hub")
    Server.objects.update(address="203.0.113.1", address_v6="2001:db8::1")
    peer = make_client_peer(instance, admin, "phone")
    settle(instance)
    page = visit(admin.user, accept_downloads=True)
    camera = Camera(page)
    page.goto(f"/peers/{peer.pk}/")
    page.get_by_role("button", name=re.compile("profile", re.IGNORECASE)).first.click()
    page.get_by_role("button", name="Use IPv6").click()
    expect(page.get_by_role("button", name="Use IPv4")).to_be_visible()
    camera.look("profile-family")
    with page.expect_download() as caught:
        page.get_by_role("button", name=re.compile(r"^Download .*\.conf$")).click()
    assert re.fullmatch(r"[a-zA-Z0-9_=+.-]{1,15}\.conf", caught.value.suggested_filename)
    caught.value.save_as(tmp_path / "file")
    assert "Endpoint = [2001:db8::1]:" in (tmp_path / "file").read_text()
    assert camera.complaints == []


def test_the_steps_of_a_linux_router(visit: Visit, transactional_db: None, admin: Membership) -> None:
    instance = make_instance(admin.organization, name="Frankfurt hub")
    peer = make_site_peer(instance, make_site(admin.organization), ["10.1.0.0/16"])
    settle(instance)
    page = visit(admin.user)
    camera = Camera(page)
    page.goto(f"/peers/{peer.pk}/")
    page.get_by_role("button", name=re.compile("profile", re.IGNORECASE)).first.click()
    expect(page.get_by_text("systemctl restart wg-quick@").first).to_be_visible()
    camera.look("profile-linux-router")
    assert camera.complaints == []
