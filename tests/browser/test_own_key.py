"""A key pair made in the browser of a phone: the private key stays on the page, in the file and in the code."""

from __future__ import annotations

import base64
import plistlib
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote_plus

import pytest
from playwright.sync_api import Dialog, Page, Request, ViewportSize, expect

from portal.models import Membership
from tests.browser.conftest import PATIENCE, Camera
from tests.factories import make_client_peer, make_instance, settle
from tests.lab.waiting import wait_until
from vpn import keys
from vpn.choices import KeyCustody
from vpn.models import Peer

pytestmark = pytest.mark.browser
SMALL: ViewportSize = {"width": 390, "height": 844}
WITHOUT_X25519 = "SubtleCrypto.prototype.generateKey = () => Promise.reject(new DOMException('', 'NotSupportedError'))"
Visit = Callable[..., Page]


@pytest.fixture
def peer(transactional_db: None, member: Membership) -> Peer:
    """A member's phone, whose profile was never fetched."""
    instance = make_instance(member.organization, name="Frankfurt hub")
    made = make_client_peer(instance, member, "phone")
    settle(instance)
    return made


class Watch:
    """Notes every request of a page: address, headers and body."""

    def __init__(self, page: Page) -> None:
        self.sent: list[str] = []
        page.on("request", self._note)

    def _note(self, request: Request) -> None:
        self.sent.append(f"{request.url}\n{request.all_headers()}\n{unquote_plus(request.post_data or '')}")

    def has(self, secret: str) -> bool:
        """Was this sent, in any of the ways in which a key may be written?"""
        raw = base64.b64decode(secret)
        written = {secret, secret.rstrip("="), base64.urlsafe_b64encode(raw).decode().rstrip("="), raw.hex()}
        return any(one in each for one in written for each in self.sent)


def scanned(page: Page, picture: Path) -> str:
    """What a camera reads from the page's code."""
    page.locator("img.qr[src]").screenshot(path=picture)
    read = subprocess.run(["zbarimg", "--quiet", "--raw", "-Sbinary", str(picture)], capture_output=True, text=True)
    return read.stdout


def make_key(page: Page, peer: Peer) -> None:
    """Press the button; the hub learns of the key while the page waits."""
    page.get_by_role("button", name="Make the key").click()
    expect(page.get_by_text("The hub learns of the key.")).to_be_visible()
    settle(peer.instance)
    expect(page.locator("img.qr[src]")).to_be_visible(timeout=60_000)


def test_the_private_key_never_leaves_the_phone(visit: Visit, peer: Peer, member: Membership, tmp_path: Path) -> None:
    page = visit(member.user, viewport=SMALL, accept_downloads=True)
    camera, watch = Camera(page), Watch(page)
    page.goto("/my/")
    camera.look("my-key")
    page.set_viewport_size(SMALL)
    page.get_by_role("link", name="Make the key here").click()
    camera.look("own-key-offer")
    page.set_viewport_size(SMALL)
    make_key(page, peer)
    camera.look("own-key-profile")
    profile = scanned(page, tmp_path / "code.png")
    found = re.search(r"^PrivateKey = (\S+)$", profile, re.MULTILINE)
    assert found
    assert keys.public_key(found[1]) == Peer.objects.get().public_key
    questions: list[str] = []

    def stay(dialog: Dialog) -> None:
        questions.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    page.get_by_role("link", name="page of this peer").click()
    wait_until(lambda: bool(questions), PATIENCE / 1000, "the question whether to leave")
    with page.expect_download() as caught:
        page.get_by_role("button", name=re.compile(r"^Download .*\.conf$")).first.click()
    assert Path(caught.value.path()).read_text().strip() == profile.strip()
    assert re.fullmatch(r"[a-zA-Z0-9_=+.-]{1,15}\.conf", caught.value.suggested_filename)
    page.get_by_label("iPhone, iPad").check()
    with page.expect_download() as caught:
        page.get_by_role("button", name=re.compile(r"^Download .*-ios\.mobileconfig$")).click()
    [tunnel] = plistlib.loads(Path(caught.value.path()).read_bytes())["PayloadContent"]
    assert tunnel["VendorConfig"]["WgQuickConfig"].strip() == profile.strip()
    page.get_by_role("link", name="page of this peer").click()
    expect(page.get_by_role("link", name="Renew key")).to_be_visible()
    assert questions == ["beforeunload"]
    assert found[1] not in page.evaluate("JSON.stringify([{...sessionStorage}, {...localStorage}])")
    assert not watch.has(found[1])
    assert watch.has(Peer.objects.get().public_key)
    assert camera.complaints == []


def test_a_browser_that_cannot_make_keys_is_offered_the_portals_way(
    visit: Visit, peer: Peer, member: Membership
) -> None:
    page = visit(member.user, viewport=SMALL, accept_downloads=True)
    camera = Camera(page)
    page.add_init_script(WITHOUT_X25519)
    page.goto(f"/peers/{peer.pk}/key/")
    expect(page.get_by_text("This browser cannot make WireGuard keys.")).to_be_visible()
    expect(page.get_by_role("button", name="Make the key")).to_be_hidden()
    camera.look("own-key-cannot")
    page.get_by_role("button", name="Show profile").click()
    expect(page.locator("img.qr")).to_be_visible()
    assert Peer.objects.get().key_custody == KeyCustody.PORTAL
    assert camera.complaints == []
