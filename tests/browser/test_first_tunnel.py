"""The first tunnel, clicked: every page looked at in light and dark, narrow and wide, and by axe."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect

from tests.browser.conftest import PATIENCE, Camera
from tests.browser.test_own_key import Watch
from tests.browser.test_passkeys import plug_in
from tests.lab.lab import Lab
from tests.lab.nodes import Node, Site
from tests.lab.waiting import wait_until
from tests.shared_portal import Tenant
from vpn import keys

pytestmark = [pytest.mark.browser, pytest.mark.network]
# Seconds, as promised.
CUT_OFF_WITHIN: Final = 5.0
# What background work brings onto a page may take longer on a busy machine: nothing is promised of it.
WORK_PATIENCE: Final = 60_000
PHONE: ViewportSize = {"width": 390, "height": 844}
DESKTOP: ViewportSize = {"width": 1280, "height": 900}


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
def laptop(lab: Lab) -> Node:
    """The same person's second device."""
    return lab.add_client("laptop")


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
    expect(page.get_by_role("link", name="Open instance")).to_be_visible(timeout=WORK_PATIENCE)
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


def allow_members(page: Page) -> None:
    """Let members add devices on the hub."""
    page.goto("/")
    page.get_by_role("link", name="Frankfurt hub").first.click()
    page.goto(f"{page.url}settings/")
    page.get_by_label("Members add devices for themselves").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Members add devices for themselves")).to_be_checked()


def invite(page: Page, tenant: Tenant, email: str) -> tuple[str, str]:
    """Invite somebody; the link that their mailbox gets, and the address of their page."""
    page.goto("/people/new/")
    page.get_by_label("Email").fill(email)
    page.get_by_role("button", name="Add person").click()
    expect(page.get_by_text(f"A link is on its way to {email}")).to_be_visible()
    page.goto("/people/")
    page.get_by_role("link", name=email).first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(email)
    assert tenant.mail
    return tenant.mail.link_for(email), page.url


def join_with_passkey(page: Page, watch: Camera, link: str) -> None:
    """Open the link on a phone that makes a passkey."""
    plug_in(page)
    page.goto(link)
    watch.look("join-passkey")
    page.get_by_role("button", name="Join with a passkey").click()
    expect(page.get_by_text("they are not shown again")).to_be_visible()
    watch.look("join-recovery-codes")


def add_device(page: Page, name: str, watch: Camera | None = None) -> None:
    """Add a device of one's own, and have the browser make its key."""

    def look(at: str) -> None:
        if watch is not None:
            watch.look(at)

    page.goto("/my/")
    look("my-first-device")
    page.get_by_role("link", name="Add device").first.click()
    look("my-device-new")
    page.get_by_label("Name of the device").fill(name)
    page.get_by_role("button", name="Add device").click()
    look("own-key")
    page.get_by_role("button", name="Make the key").click()
    expect(page.locator("img.qr[src]").first).to_be_visible(timeout=WORK_PATIENCE)
    look("profile-own-key")


def key_in(profile: str) -> str:
    """The private key of a profile."""
    found = re.search(r"^PrivateKey = (\S+)$", profile, re.MULTILINE)
    assert found
    return found[1]


def scan(page: Page, picture: Path) -> str:
    """What a camera reads from the page's code."""
    page.locator("img.qr[src]").first.screenshot(path=picture)
    return subprocess.run(
        ["zbarimg", "--quiet", "--raw", "-Sbinary", str(picture)], capture_output=True, text=True
    ).stdout


def connect_phone(page: Page, watch: Camera, lab: Lab, phone: Node, picture: Path) -> str:
    """On a phone: a device whose code is scanned; its private key."""
    page.set_viewport_size(PHONE)
    add_device(page, "phone", watch)
    page.set_viewport_size(PHONE)
    scanned = scan(page, picture)
    assert scanned.strip() == download(page).strip()
    lab.wg_quick_up(phone, scanned)
    page.get_by_role("link", name="It is on the device").click()
    return key_in(scanned)


def connect_laptop(page: Page, lab: Lab, laptop: Node) -> str:
    """On a desktop: a second device, whose file is downloaded; its private key."""
    page.set_viewport_size(DESKTOP)
    add_device(page, "laptop")
    profile = download(page)
    lab.wg_quick_up(laptop, profile)
    page.get_by_role("link", name="It is on the device").click()
    return key_in(profile)


def test_somebody_joins_with_a_passkey_scans_a_code_connects_and_is_cut_off(
    page: Page,
    browser: Browser,
    camera: Camera,
    lab: Lab,
    tenant: Tenant,
    berlin: Site,
    phone: Node,
    laptop: Node,
    tmp_path: Path,
) -> None:
    allow_members(page)
    link, person = invite(page, tenant, "mia@example.org")
    # Passkeys belong to a host name; an address has none.
    options: dict[str, Any] = {"base_url": f"http://localhost:{tenant.portal.port}", "accept_downloads": True}
    with contextlib.closing(browser.new_context(reduced_motion="reduce", viewport=PHONE, **options)) as context:
        context.set_default_timeout(PATIENCE)
        hers = context.new_page()
        watch, requests = Camera(hers), Watch(hers)
        join_with_passkey(hers, watch, link)
        secrets = [
            connect_phone(hers, watch, lab, phone, tmp_path / "code.png"),
            connect_laptop(hers, lab, laptop),
        ]
        for secret in secrets:
            assert requests.has(keys.public_key(secret))
            assert not requests.has(secret)
        for device in (phone, laptop):
            lab.wait_ping(device, berlin.lan.v4, WORK_PATIENCE / 1000)
        expect(hers.get_by_text(re.compile(r"^Connected")).first).to_be_visible(timeout=WORK_PATIENCE)
        watch.look("peer-own-connected")
        hers.goto("/my/connections/")
        for device_name in ("phone", "laptop"):
            expect(hers.get_by_text(device_name).first).to_be_visible()
        watch.look("my-connections")
        page.goto(person)
        page.get_by_label("Access").select_option("false")
        page.get_by_role("button", name="Save changes").click()
        gone = lambda: not any(lab.ping(device, berlin.lan.v4, timeout=0.5) for device in (phone, laptop))  # noqa: E731
        wait_until(gone, CUT_OFF_WITHIN, "the end of her tunnels", tenant.logs)
        hers.goto("/my/")
        expect(hers).to_have_url(re.compile("/accounts/login/"))
        camera.complaints += watch.complaints


def test_a_link_brings_an_openvpn_profile_to_another_device(
    page: Page, browser: Browser, camera: Camera, lab: Lab, berlin: Site, tablet: Node, tmp_path: Path
) -> None:
    open_form(page, "new-client")
    page.get_by_label("Member").select_option(index=1)
    page.get_by_label(re.compile("^Device")).fill("tablet")
    camera.look("peer-new-client")
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
    lab.wait_ping(tablet, berlin.lan.v4, WORK_PATIENCE / 1000)
    page.goto(peer)
    expect(page.get_by_text(re.compile(r"^Connected$")).first).to_be_visible(timeout=WORK_PATIENCE)
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
    page.get_by_role("link", name=re.compile("tablet")).first.click()
    page.wait_for_url("**/peers/*/")
    page.goto(f"{page.url}{act}/")
    camera.look(f"peer-{act}")


def test_the_keyboard_reaches_the_content_first(page: Page) -> None:
    page.goto("/")
    page.keyboard.press("Tab")
    focused = page.evaluate("document.activeElement.textContent.trim()")
    assert focused == "Skip to the content"
