"""A member signs in by a SAML provider, whose page posts from another site: the browser sends no cookie there."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.conf import LazySettings
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from portal.models import Membership, SignInProvider
from tests.browser.conftest import Camera
from tests.portal.providers import connected
from tests.portal.saml_providers import MAIL, BentSaml, asked_of, encoded, metadata_of

pytestmark = pytest.mark.browser
Visit = Callable[..., Page]


@contextmanager
def provider_page() -> Iterator[str]:
    """The provider's page on loopback, which posts its answer when the button is pressed; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = asked_of(self.path)
            document = encoded(BentSaml().document(asked))
            page = (
                f'<!DOCTYPE html><html lang="en"><title>Provider</title><form method="post" action="{asked.back}">'
                f'<input type="hidden" name="SAMLResponse" value="{document}">'
                f'<input type="hidden" name="RelayState" value="{asked.state}"><button>Continue</button></form></html>'
            )
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/sso"
        finally:
            server.shutdown()


def test_a_saml_provider_is_set_up_and_used(
    visit: Visit,
    live_server: LiveServer,
    transactional_db: None,
    admin: Membership,
    member: Membership,
    settings: LazySettings,
) -> None:
    # Beside 127.0.0.1, this is another site.
    assert live_server.url.startswith("http://localhost:")
    settings.PUBLIC_URL = live_server.url
    posts: list[dict[str, str]] = []
    with provider_page() as address:
        boss, fresh = visit(admin.user), visit()
        for tab in (boss, fresh):
            tab.on("request", lambda one: posts.append(one.all_headers()) if one.method == "POST" else None)
        camera = Camera(boss)
        boss.goto("/settings/sign-in/")
        boss.get_by_role("link", name="Use SAML instead").click()
        boss.get_by_label("Name on the button").fill("Acme account")
        boss.get_by_role("button", name="Save").click()
        expect(boss.get_by_text("Enter the metadata of the provider, then try it.")).to_be_visible()
        boss.get_by_label("Or its file").set_input_files(
            {"name": "idp.xml", "mimeType": "application/xml", "buffer": metadata_of().encode()}
        )
        boss.get_by_label("Attribute with the mail address").fill(MAIL)
        boss.get_by_role("button", name="Save changes").click()
        expect(boss.get_by_role("link", name="Try it")).to_be_visible()
        # Metadata names HTTPS alone.
        SignInProvider.objects.update(sign_in_page=address)
        boss.get_by_role("link", name="Try it").click()
        boss.get_by_role("button", name="Continue").click()
        expect(boss.get_by_text("It works")).to_be_visible()
        camera.look("saml-provider-settings")
        boss.get_by_role("button", name="Switch on").click()
        expect(boss.get_by_text("Sign-in is switched on.")).to_be_visible()
        connected(SignInProvider.objects.get(), member)

        fresh.goto("/sign-in/acme/")
        fresh.get_by_role("link", name="Sign in by Acme account").click()
        posts.clear()
        fresh.get_by_role("button", name="Continue").click()
        expect(fresh).to_have_url(re.compile("/my/"))
    assert len(posts) == 1
    assert "cookie" not in posts[0], "from another site: the session's cookie stays at home"
    assert camera.complaints == []
