"""A page whose subject was deleted, or whose reader was deactivated, meanwhile does not go on as if nothing were."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from portal.models import Membership
from tests.browser.conftest import Camera
from tests.factories import make_client_peer, make_instance, settle
from vpn.models import Instance, Peer

pytestmark = pytest.mark.browser
Visit = Callable[..., Page]


def test_the_page_of_a_peer_that_was_deleted_elsewhere_says_so(
    visit: Visit, transactional_db: None, admin: Membership, member: Membership
) -> None:
    instance = make_instance(admin.organization, name="Frankfurt hub")
    peer = make_client_peer(instance, member)
    settle(instance)
    pages = {"Go to Frankfurt hub": visit(admin.user), "Go to My VPN": visit(member.user)}
    for page in pages.values():
        page.goto(f"/peers/{peer.pk}/")
        expect(page.get_by_role("button", name="Show profile")).to_be_visible()
    Peer.objects.all().delete()
    for link, page in pages.items():
        camera = Camera(page)
        expect(page.get_by_role("heading", level=1)).to_contain_text("was deleted")
        expect(page.get_by_role("button", name="Show profile")).to_have_count(0)
        expect(page.get_by_role("link", name=link)).to_be_visible()
        camera.look(f"peer-gone-{'admin' if 'hub' in link else 'member'}")
        assert camera.complaints == []


def test_the_page_of_an_instance_that_was_deleted_elsewhere_says_so(
    visit: Visit, transactional_db: None, admin: Membership, member: Membership
) -> None:
    instance = make_instance(admin.organization)
    make_client_peer(instance, member)
    page = visit(admin.user)
    page.goto(f"/instances/{instance.pk}/")
    expect(page.get_by_role("searchbox")).to_be_visible()
    Peer.objects.all().delete()
    Instance.objects.all().delete()
    expect(page.get_by_role("heading", level=1)).to_have_text("This instance was deleted", timeout=15_000)
    page.get_by_role("link", name="Go to the instances").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def test_a_member_who_is_deactivated_is_told_so_on_the_open_page(
    visit: Visit, transactional_db: None, member: Membership
) -> None:
    instance = make_instance(member.organization)
    make_client_peer(instance, member)
    page = visit(member.user)
    camera = Camera(page)
    page.goto("/my/")
    expect(page.get_by_role("heading", name="My VPN")).to_be_visible()
    Membership.objects.filter(pk=member.pk).update(state="deactivated")
    expect(page.get_by_role("heading", name="You are deactivated in Acme")).to_be_visible(timeout=15_000)
    camera.look("deactivated")
    assert camera.complaints == []
