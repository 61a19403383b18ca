"""The first tunnel, clicked: every page looked at in light and dark, narrow and wide, and by axe."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote_plus

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import Camera
from tests.lab.lab import Lab
from tests.lab.nodes import Node, Site
from tests.shared_portal import Tenant

pytestmark = [pytest.mark.browser, pytest.mark.network]


@pytest.fixture(autouse=True)
def nothing_to_complain_about(camera: Camera) -> Iterator[None]:
    """Each page: no error in the console (so no breach of the content security policy), nothing from axe."""
    yield
    complaints, camera.complaints = camera.complaints, []
    assert complaints == []


@pytest.fixture(scope="module")
def berlin(lab: Lab) -> Site:
    """A branch."""
    return lab.add_site("berlin", lan_v4="10.1.0.0/24", lan_v6="fd10:1::/64")


@pytest.fixture(scope="module")
def phone(lab: Lab) -> Node:
    """A device."""
    return lab.add_client("phone")


@pytest.fixture(scope="module")
def tablet(lab: Lab) -> Node:
    """Another device."""
    return lab.add_client("tablet")


def open_form(page: Page, kind: str) -> None:
    """Go to the form that adds a peer to the hub."""
    page.goto("/")
    page.get_by_role("link", name="Frankfurt hub").first.click()
    page.goto(f"{page.url}peers/{kind}/")


def download(page: Page) -> str:
    """Press the download button; the file's text."""
    with page.expect_download() as caught:
        page.get_by_role("button", name=re.compile("Download")).first.click()
    return Path(caught.value.path()).read_text()


def test_sign_in(page: Page, camera: Camera, tenant: Tenant) -> None:
    page.goto("/")
    camera.look("login")
    page.get_by_label("Email").fill(tenant.email)
    page.get_by_label("Password", exact=True).fill(tenant.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("link", name="New instance").first).to_be_visible()
    camera.look("instances-empty")


def test_a_hostname_is_checked_while_it_is_typed(page: Page, camera: Camera) -> None:
    page.get_by_role("link", name="New instance").first.click()
    page.get_by_label("Name", exact=True).fill("Frankfurt hub")
    hostname = page.get_by_label("Hostname", exact=True)
    page.keyboard.press("Tab")
    expect(hostname).to_have_value("frankfurt-hub")
    hostname.fill("www")
    expect(page.get_by_text(re.compile("is reserved"))).to_be_visible()
    hostname.fill("fra")
    expect(page.get_by_text("fra.vpn.example.net").first).to_be_visible()
    expect(page.get_by_text(re.compile("is reserved"))).to_have_count(0)
    camera.look("instance-new")


def test_the_progress_page_follows_until_the_hub_is_ready(page: Page, camera: Camera) -> None:
    page.get_by_role("button", name="Create instance").click()
    page.wait_for_url("**/progress/")
    expect(page.get_by_role("link", name="Open instance")).to_be_visible(timeout=30_000)
    camera.look("progress")
    page.get_by_role("link", name="Open instance").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Frankfurt hub")
    camera.look("instance-empty")


def test_a_site_made_in_place_is_connected(page: Page, camera: Camera, lab: Lab, berlin: Site) -> None:
    page.goto(page.url + "peers/new-site/")
    page.get_by_label("Name of the new site").fill("Berlin")
    page.get_by_label("Its router runs").select_option("linux")
    subnets = page.get_by_label("Subnets behind the router")
    subnets.fill("10.1.0.7/24")
    page.get_by_role("button", name="Add peer").click()
    expect(page.get_by_text(re.compile("the network is 10.1.0.0/24"))).to_be_visible()
    camera.look("peer-new-site-refused")
    subnets.fill(f"{berlin.lan_v4}\n{berlin.lan_v6}")
    page.get_by_role("button", name="Add peer").click()
    page.wait_for_url("**/peers/*/")
    page.get_by_role("button", name="Show profile").first.click()
    camera.look("profile-site")
    lab.wg_quick_up(berlin.router, download(page))


def test_a_phone_scans_its_code_and_reaches_the_site(
    page: Page, camera: Camera, lab: Lab, berlin: Site, phone: Node, tmp_path: Path
) -> None:
    open_form(page, "new-client")
    page.get_by_label("Member").select_option(index=1)
    page.get_by_label(re.compile("^Device")).fill("phone")
    camera.look("peer-new-client")
    page.get_by_role("button", name="Add peer").click()
    page.wait_for_url("**/peers/*/")
    camera.look("peer-undelivered")
    peer = page.url
    sent: list[str] = []
    page.on("request", lambda request: sent.append(f"{request.url} {request.post_data or ''}"))
    page.get_by_role("link", name="Make the key here").click()
    camera.look("own-key")
    page.get_by_role("button", name="Make the key").click()
    code = page.locator("img.qr[src]").first
    expect(code).to_be_visible()
    camera.look("profile-own-key")
    picture = tmp_path / "code.png"
    code.screenshot(path=picture)
    read = subprocess.run(["zbarimg", "--quiet", "--raw", "-Sbinary", str(picture)], capture_output=True, text=True)
    profile = download(page)
    assert read.stdout.strip() == profile.strip()
    private_key = re.search(r"^PrivateKey = (\S+)$", profile, re.MULTILINE)
    assert private_key
    assert any("public_key=" in each for each in sent)
    assert not any(private_key[1] in unquote_plus(each) for each in sent)
    lab.wg_quick_up(phone, read.stdout)
    lab.wait_ping(phone, berlin.lan.v4)
    page.get_by_role("link", name="It is on the device").click()
    page.wait_for_url(peer)
    expect(page.get_by_text(re.compile(r"^Connected")).first).to_be_visible(timeout=15_000)
    camera.look("peer-connected")


def test_a_link_brings_an_openvpn_profile_to_another_device(
    page: Page, browser: Browser, camera: Camera, lab: Lab, berlin: Site, tablet: Node, tmp_path: Path
) -> None:
    open_form(page, "new-client")
    page.get_by_label("Member").select_option(index=1)
    page.get_by_label(re.compile("^Device")).fill("tablet")
    page.get_by_label("OpenVPN").check()
    page.get_by_role("button", name="Add peer").click()
    page.wait_for_url("**/peers/*/")
    peer = page.url
    page.get_by_role("button", name="Show profile").first.click()
    camera.look("profile-openvpn")
    page.get_by_role("button", name="Make a link").click()
    camera.look("peer-link")
    picture = tmp_path / "link.png"
    page.locator("img.qr").screenshot(path=picture)
    read = subprocess.run(["zbarimg", "--quiet", "--raw", str(picture)], capture_output=True, text=True)
    assert read.stdout.strip() == page.get_by_label("Link", exact=True).input_value()
    context = browser.new_context(accept_downloads=True, reduced_motion="reduce")
    with contextlib.closing(context):
        lab.openvpn_up(tablet, fetch_by_link(context, camera, read.stdout.strip()))
    lab.wait_ping(tablet, berlin.lan.v4)
    page.goto(peer)
    expect(page.get_by_text(re.compile(r"^Connected$")).first).to_be_visible(timeout=15_000)
    camera.look("peer-openvpn-connected")


def fetch_by_link(context: BrowserContext, camera: Camera, link: str) -> str:
    """Open a share link where nobody is signed in, and press its button; the file's text."""
    stranger = context.new_page()
    watch = Camera(stranger)
    stranger.goto(link)
    watch.look("link-offer")
    stranger.get_by_role("button", name="Show profile").click()
    expect(stranger.get_by_text("Shown in this browser alone")).to_be_visible()
    watch.look("link-profile")
    with stranger.expect_download() as caught:
        stranger.get_by_role("button", name=re.compile("Download")).click()
    text = Path(caught.value.path()).read_text()
    stranger.context.clear_cookies()
    stranger.goto(link)
    expect(stranger.get_by_role("heading", name="This link has ended")).to_be_visible()
    watch.look("link-ended")
    camera.complaints += watch.complaints
    return text


def test_a_router_is_offered_only_what_it_can_do(page: Page, camera: Camera) -> None:
    open_form(page, "new-site")
    page.get_by_label("Name of the new site").fill("Old plant")
    page.get_by_label("Its router runs").select_option("routeros6")
    expect(page.get_by_label(re.compile("^WireGuard"))).to_be_disabled()
    expect(page.get_by_text(re.compile("RouterOS 6 has no WireGuard"))).to_be_visible()
    expect(page.get_by_label(re.compile("^OpenVPN"))).to_be_checked()
    camera.look("peer-new-site-routeros6")
    page.get_by_label("Subnets behind the router").fill("10.66.0.0/24")
    page.get_by_role("button", name="Add peer").click()
    page.wait_for_url("**/peers/*/")
    page.get_by_role("button", name="Show profile").first.click()
    expect(page.get_by_text(re.compile("/import file-name="))).to_be_visible()
    camera.look("profile-routeros6")
    assert "/interface ovpn-client" in download(page)


@pytest.mark.parametrize("tab", ["", "routing/", "dns/", "settings/", "activity/", "delete/", "?q=nobody"])
def test_the_tabs_of_an_instance(page: Page, camera: Camera, tab: str) -> None:
    page.goto("/")
    page.get_by_role("link", name="Frankfurt hub").first.click()
    page.goto(page.url + tab)
    camera.look(f"instance-{tab.strip('/?').replace('=', '-') or 'peers'}")


@pytest.mark.parametrize("path", ["/", "/sites/", "/sites/new/", "/people/", "/people/new/", "/my/", "/no-such-page/"])
def test_the_other_rooms(page: Page, camera: Camera, path: str) -> None:
    page.goto(path)
    camera.look(f"room-{path.strip('/').replace('/', '-') or 'instances'}")


@pytest.mark.parametrize("act", ["edit", "disable", "rotate", "delete"])
def test_acts_on_a_peer_ask_once(page: Page, camera: Camera, act: str) -> None:
    page.goto("/my/")
    page.get_by_role("link", name=re.compile("phone")).first.click()
    page.wait_for_url("**/peers/*/")
    page.goto(f"{page.url}{act}/")
    camera.look(f"peer-{act}")


def test_the_keyboard_reaches_the_content_first(page: Page) -> None:
    page.goto("/")
    page.keyboard.press("Tab")
    focused = page.evaluate("document.activeElement.textContent.trim()")
    assert focused == "Skip to the content"
