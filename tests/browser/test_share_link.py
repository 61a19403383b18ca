"""A share link in a real browser: seen before it is spent, opened again in the same one, its code large enough."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from portal.models import Membership
from tests.browser.conftest import Camera
from tests.factories import BY, make_client_peer, make_instance, make_site, make_site_peer, settle
from vpn.actions.profiles.profile import issue_link
from vpn.models import Peer

pytestmark = pytest.mark.browser
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1"
Visit = Callable[..., Page]
# Rectangle of the code, and how many modules it has.
MODULE_PIXELS = "code => code.getBoundingClientRect().width / code.naturalWidth"


@pytest.fixture
def phone_peer(transactional_db: None, admin: Membership) -> Peer:
    """The admin's phone, on a hub with fourteen sites that fill a code as far as it goes."""
    instance = make_instance(admin.organization, name="Frankfurt hub")
    for number in range(14):
        make_site_peer(instance, make_site(admin.organization), [f"10.{number}.0.0/16"])
    peer = make_client_peer(instance, admin, "phone")
    settle(instance)
    return Peer.objects.get(pk=peer.pk)


def test_a_link_on_a_phone_survives_the_way_to_the_app_store(
    visit: Visit, admin: Membership, phone_peer: Peer, tmp_path: Path
) -> None:
    token, _ = issue_link(phone_peer, sender=admin, by=BY, passphrase="seven green kites")
    phone = visit(viewport={"width": 390, "height": 844}, user_agent=IPHONE, accept_downloads=True)
    camera = Camera(phone)
    phone.goto(f"/p/{token}/")
    expect(phone.get_by_text(admin.organization.name).first).to_be_visible()
    expect(phone.get_by_role("link", name=re.compile("App Store"))).to_be_visible()
    expect(phone.get_by_role("link", name=re.compile("Google Play"))).to_be_hidden()
    camera.look("link-offer")
    phone.set_viewport_size({"width": 390, "height": 844})
    passphrase = phone.get_by_label("Passphrase from the sender")
    passphrase.fill("seven blue kites")
    phone.get_by_role("button", name="Show profile").click()
    expect(phone.get_by_text("That is not the passphrase.")).to_be_visible()
    camera.look("link-passphrase")
    phone.set_viewport_size({"width": 390, "height": 844})
    passphrase.fill("seven green kites")
    phone.get_by_role("button", name="Show profile").click()
    download = phone.get_by_role("button", name=re.compile(r"^Download .*\.conf$"))
    phone.wait_for_load_state("load")
    above, below = download.bounding_box(), phone.locator("img.qr").bounding_box()
    assert above
    assert below
    assert above["y"] < below["y"], "on a phone the download comes first"
    assert phone.locator("img.qr").evaluate(MODULE_PIXELS) >= 3
    expect(phone.get_by_text("10.0.0.0/12")).to_be_hidden()
    camera.look("link-profile")
    phone.reload()
    expect(download).to_be_visible()
    with phone.expect_download() as caught:
        download.click()
    assert "PrivateKey = " in Path(caught.value.path()).read_text()
    phone.goto("about:blank")
    phone.goto(f"/p/{token}/")
    expect(download).to_be_visible()
    other = visit()
    other.goto(f"/p/{token}/")
    expect(other.get_by_role("heading", name="This link has ended")).to_be_visible()
    assert camera.complaints == []


def test_a_passphrase_is_chosen_on_the_links_page(visit: Visit, admin: Membership, phone_peer: Peer) -> None:
    page = visit(admin.user)
    camera = Camera(page)
    page.goto(f"/peers/{phone_peer.pk}/")
    page.get_by_role("button", name="Make a link").click()
    camera.look("link-made")
    page.get_by_role("textbox", name="Passphrase").fill("seven green kites")
    page.get_by_role("button", name="Make a new link").click()
    expect(page.get_by_text("It asks for the passphrase that you chose.")).to_be_visible()
    camera.look("link-made-passphrase")
    assert camera.complaints == []


def test_a_link_whose_hub_is_not_ready_shows_its_profile_by_itself_once_it_is(
    visit: Visit, admin: Membership, phone_peer: Peer
) -> None:
    late = make_client_peer(phone_peer.instance, admin, "tablet")
    token, _ = issue_link(late, sender=admin, by=BY)
    page = visit()
    page.goto(f"/p/{token}/")
    page.get_by_role("button", name="Show profile").click()
    expect(page.get_by_role("heading", name="The profile is not ready yet")).to_be_visible()
    settle(late.instance)
    expect(page.locator("img.qr")).to_be_visible(timeout=60_000)


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_a_code_has_three_pixels_a_module_and_a_larger_view(
    visit: Visit, admin: Membership, phone_peer: Peer, width: int
) -> None:
    page = visit(admin.user, viewport={"width": width, "height": 800})
    page.goto(f"/peers/{phone_peer.pk}/")
    page.get_by_role("button", name="Show profile").click()
    code = page.locator("img.qr")
    small = code.evaluate(MODULE_PIXELS)
    assert small >= 3
    box = code.bounding_box()
    assert box
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    page.get_by_text("Larger").click()
    large = code.evaluate(MODULE_PIXELS)
    assert large >= small
    assert width < 500 or large > small
    page.get_by_text("Smaller").click()
    assert code.evaluate(MODULE_PIXELS) == small
