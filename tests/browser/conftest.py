"""A browser, and what looks at its pages."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.core.signals import request_finished, request_started
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright
from pytest_django.live_server_helper import LiveServer

from portal.models import User
from tests.fixtures import signed_in
from tests.lab.waiting import wait_until
from tests.shared_portal import Tenant

# Debian's Chromium without windows: it starts in a third of the processor time of the whole browser.
CHROMIUM = "/usr/bin/chromium-headless-shell"
# A browser in a sandbox, without its own traffic to the outside.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SCREENSHOTS = Path(__file__).parent / "screenshots"
# Pictures are for people, and one takes 0.2 s of processor time, so they are taken where SCREENSHOTS=1 asks for them.
IS_FILMED = bool(os.environ.get("SCREENSHOTS"))
WIDTHS = {1280: 900, 390: 844}
# Milliseconds that a click, a page, or what a test expects of it may take on a busy machine. Playwright gives 5,000.
PATIENCE = 20_000
expect.set_options(timeout=PATIENCE)
# axe takes a while: it sees every page in both themes and both widths, though not in all four combinations.
ASKED = {("light", 1280), ("dark", 390)}
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
# Playwright's loop makes Django take the tests' thread for an asynchronous one, until its database is taken away.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
# A page may come with a refusal on purpose; the browser logs that as an error.
# The tools that look at a page put styles of their own into it, which its policy refuses; `look` finds the page's own.
# htmx logs a request that a newer one replaces (hx-sync) as an error; one that failed has `htmx:sendError`, too.
_EXPECTED = ("503", "422", "409", "404", "403", "Applying inline style", "htmx:sendAbort", "htmx:afterRequest")

# A page that polls may change each time that axe looks.
_LOOKS = 5
_COUNT_CHANGES = """() => {
    window.changesWhileAsked?.observer.disconnect();
    const changes = window.changesWhileAsked = {count: 0};
    changes.observer = new MutationObserver(records => {
        changes.count += records.filter(record => record.removedNodes.length).length;
    });
    changes.observer.observe(document, {childList: true, subtree: true});
}"""


class Camera:
    """Looks at a page in every theme and width, and asks axe about both themes; SCREENSHOTS=1 keeps pictures."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def look(self, name: str) -> None:
        """Note what is wrong with the page."""
        if styled := re.findall(r"<style|<[^>]* style=", self.page.content()):
            self.complaints.append(f"{name} has a style of its own in the page: {styled}")
        for theme in THEMES:
            self.page.emulate_media(color_scheme=theme)
            for width, height in WIDTHS.items():
                self.page.set_viewport_size({"width": width, "height": height})
                if IS_FILMED:
                    picture = SCREENSHOTS / f"{name}-{theme}-{width}.png"
                    self.page.screenshot(path=picture, full_page=True, caret="initial")
                overflow = self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
                if overflow > 0:
                    self.complaints.append(f"{name} at {width} px is {overflow} px too wide")
                if (theme, width) in ASKED:
                    self._ask_axe(f"{name}, {theme}, {width} px")
        self.page.emulate_media(color_scheme="light")
        self.page.set_viewport_size({"width": 1280, "height": 900})

    def _ask_axe(self, where: str) -> None:
        # What waits for an answer is pale until it comes.
        expect(self.page.locator(".htmx-request, .htmx-swapping, .htmx-settling")).to_have_count(0)
        for violation in self._violations():
            targets = [node["target"] for node in violation["nodes"]]
            self.complaints.append(f"{where}: {violation['id']}: {violation['help']} {targets}")

    def _violations(self) -> list[dict[str, Any]]:
        """What axe finds. A page that answers meanwhile takes elements from under it, and axe judges them unstyled."""
        for _ in range(_LOOKS):
            self.page.evaluate(_COUNT_CHANGES)
            found: list[dict[str, Any]] = Axe().run(self.page).response["violations"]
            if not found or not self.page.evaluate("window.changesWhileAsked.count"):
                break
        return found

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not any(code in message.text for code in _EXPECTED):
            self.complaints.append(f"{self.page.url}: {message.text}")


def sign_in(page: Page, tenant: Tenant) -> None:
    """Sign in as the organization's admin."""
    page.goto("/accounts/login/")
    page.get_by_label("Email").fill(tenant.email)
    page.get_by_label("Password", exact=True).fill(tenant.password)
    page.get_by_role("button", name="Sign in").click()
    # The form has a heading, too: whoever goes on while it is sent is not signed in.
    expect(page).not_to_have_url(re.compile("/accounts/login/"))
    expect(page.get_by_role("heading", level=1)).to_be_visible()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    with (
        sync_playwright() as playwright,
        contextlib.closing(playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)) as chromium,
    ):
        yield chromium


@pytest.fixture(scope="module")
def page(browser: Browser, tenant: Tenant) -> Iterator[Page]:
    """One tab, where nobody is signed in yet."""
    context = browser.new_context(base_url=tenant.portal.url, accept_downloads=True, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="module")
def camera(page: Page) -> Camera:
    """Looks at every page that the story comes to."""
    return Camera(page)


@pytest.fixture
def answered(live_server: LiveServer) -> Iterator[None]:
    """Waits at the end for all answers: a request under way locks a table, so that the test's rows would stay."""
    under_way: list[None] = []

    def begin(**_: Any) -> None:
        under_way.append(None)

    def end(**_: Any) -> None:
        under_way.pop()

    request_started.connect(begin)
    request_finished.connect(end)
    yield
    try:
        wait_until(lambda: not under_way, PATIENCE / 1000, "the answers to all requests")
    finally:
        request_started.disconnect(begin)
        request_finished.disconnect(end)


@pytest.fixture
def visit(
    browser: Browser, live_server: LiveServer, answered: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Page]]:
    """Opens tabs of pages alone: Django's own server, no hub and no jobs. `visit(user, **options)`, None: nobody."""
    monkeypatch.setattr("vpn.doorbell._enqueue", lambda *_, **__: None)
    contexts: list[BrowserContext] = []

    def open_tab(user: User | None = None, **options: Any) -> Page:
        context = browser.new_context(base_url=live_server.url, **{"reduced_motion": "reduce", **options})
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        if user is not None:
            session = signed_in(user).cookies["sessionid"].value
            context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])
        return context.new_page()

    yield open_tab
    for context in contexts:
        context.close()
