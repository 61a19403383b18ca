"""An admin sets up a SAML provider, also where the portal does not have the extra for it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from django.test import Client

from portal.actions.sign_in_provider import save_saml_provider, switch_provider
from portal.models import JournalEntry, Membership, SignInProvider
from tests.factories import BY
from tests.portal.saml_providers import (
    GO,
    IDP,
    MAIL,
    PAGE,
    PERSISTENT,
    TRY,
    BentSaml,
    a_key,
    a_saml_provider,
    asked_by,
    fault_of,
    metadata_of,
)

pytestmark = pytest.mark.django_db


# Setting it up --------------------------------------------------------------------------------------------------------

_PAGE = "/settings/sign-in/"
FORM = {"name": "Acme account", "mail_attribute": MAIL, "domains": "example.org"}


def test_it_is_saved_first_and_gets_the_metadata_later(admin_browser: Client, bent: BentSaml) -> None:
    assert "?kind=saml" in admin_browser.get(_PAGE).content.decode()
    admin_browser.post(f"{_PAGE}?kind=saml", FORM)
    provider = SignInProvider.objects.get()
    shown = admin_browser.get(_PAGE).content.decode()
    assert f"/accounts/provider/saml/{provider.pk}/metadata/" in shown
    assert TRY not in shown
    admin_browser.get(TRY)
    assert "Enter the metadata of the provider first" in admin_browser.get(_PAGE).content.decode()
    admin_browser.post(_PAGE, {**FORM, "metadata": metadata_of()})
    provider.refresh_from_db()
    assert (provider.issuer, provider.sign_in_page, provider.certificates) == (IDP, PAGE, [a_key().body])
    bent.attributes = {MAIL: ["boss@example.org"], "title": ["x"]}
    assert bent.sign_in(admin_browser, TRY)["Location"] == _PAGE
    said = admin_browser.get(_PAGE).content.decode()
    for words in ("It works", "in your mail domains", "Attributes:", "title"):
        assert words in said
    admin_browser.post(_PAGE, {**FORM, "name": "Other"})
    provider.refresh_from_db()
    assert (provider.name, provider.issuer) == ("Other", IDP), "empty metadata keeps the former"
    assert provider.tried_at is not None


def test_a_try_says_what_is_wrong(admin_browser: Client, admin: Membership, bent: BentSaml) -> None:
    a_saml_provider(admin.organization, enabled=False)
    bent.form = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
    bent.sign_in(admin_browser, TRY)
    assert "Set its name ID to persistent there" in admin_browser.get(_PAGE).content.decode()
    assert SignInProvider.objects.get().tried_at is None


def test_metadata_comes_as_a_file(admin_browser: Client) -> None:
    from django.core.files.uploadedfile import SimpleUploadedFile

    page = f"{_PAGE}?kind=saml"
    latin = SimpleUploadedFile("m.xml", b"\xe9")
    assert "not UTF-8" in admin_browser.post(page, {**FORM, "metadata_file": latin}).content.decode()
    file = SimpleUploadedFile("m.xml", b"\xef\xbb\xbf" + metadata_of().encode())
    assert admin_browser.post(page, {**FORM, "metadata_file": file})["Location"] == _PAGE
    assert SignInProvider.objects.get().issuer == IDP


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ("<a/>", "of one identity provider; here are 0"),
        ("hello", "not XML"),
        ('<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r>&x;</r>', "document type"),
        (metadata_of().replace(PAGE, "http://idp.example.com/sso"), "begin with https"),
        (metadata_of().replace(PAGE, "javascript:alert(1)"), "not a web address"),
        (metadata_of().replace("HTTP-Redirect", "HTTP-POST"), "HTTP-Redirect"),
        (metadata_of(more='WantAuthnRequestsSigned="true"'), "wants signed requests"),
        (metadata_of(issuer=""), "no usable entity ID"),
        (metadata_of().replace("SAML:2.0:protocol", "SAML:1.1:protocol"), "does not speak SAML 2.0"),
        (metadata_of().replace('use="signing"', 'use="encryption"'), "no certificate"),
        (metadata_of().replace(a_key().body, "AAAA"), "damaged"),
        (metadata_of(a_key("old", days=-1)), "has expired"),
        (metadata_of(a_key("weak", bits=1024)), "too weak"),
    ],
)
def test_metadata_that_cannot_be_used_is_refused_beside_its_field(
    admin_browser: Client, metadata: str, words: str
) -> None:
    answer = admin_browser.post(f"{_PAGE}?kind=saml", {**FORM, "metadata": metadata})
    assert words in answer.content.decode()
    assert not SignInProvider.objects.exists()


def test_who_may_join_needs_an_attribute_and_domains(admin_browser: Client) -> None:
    page = f"{_PAGE}?kind=saml"
    form = {**FORM, "may_join": "on", "metadata": metadata_of()}
    assert "Enter the attribute" in admin_browser.post(page, {**form, "mail_attribute": ""}).content.decode()
    assert "Enter the mail domains" in admin_browser.post(page, {**form, "domains": ""}).content.decode()


def test_a_provider_keeps_its_kind(admin: Membership, provider: SignInProvider) -> None:
    from portal.exceptions import InvalidInput
    from tests.portal.providers import a_provider

    with pytest.raises(InvalidInput):
        a_provider(admin.organization)


def test_the_journal_has_the_fingerprints_and_a_new_issuer_is_tried_anew(
    admin_browser: Client, known: Membership
) -> None:
    other = metadata_of(a_key("other"))
    admin_browser.post(_PAGE, {**FORM, "name": "Acme account", "name_attribute": "displayName", "metadata": other})
    line = JournalEntry.objects.filter(code="signinprovider.changed").get()
    assert line.changes.keys() == {"fingerprints"}
    provider = SignInProvider.objects.get()
    assert provider.enabled
    moved = metadata_of(issuer="https://moved.example.com")
    admin_browser.post(_PAGE, {**FORM, "metadata": moved})
    provider.refresh_from_db()
    assert (provider.enabled, provider.tried_at) == (False, None)


def test_switching_it_off_ends_its_sessions(bent: BentSaml, known: Membership, provider: SignInProvider) -> None:
    browser = Client()
    bent.sign_in(browser)
    switch_provider(provider, enabled=False, by=BY)
    assert browser.get("/my/")["Location"] == "/accounts/own-means/"
    assert Client().get(GO).status_code == 404


# The extra ------------------------------------------------------------------------------------------------------------


def test_without_the_extra_only_openid_connect_is_offered(
    admin_browser: Client, admin: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    from portal.web import safe_xml

    safe_xml.is_installed.cache_clear()
    monkeypatch.setattr(safe_xml, "find_spec", lambda name: None)
    try:
        page = admin_browser.get(f"{_PAGE}?kind=saml").content.decode()
        assert "kind=saml" not in page
        assert "OpenID Connect" in page
        with pytest.raises(Exception, match="has no SAML"):
            save_saml_provider(
                admin.organization,
                by=BY,
                values={**FORM, "may_join": False, "domains": []},
                metadata=metadata_of(),
                mapping=(),
            )
    finally:
        safe_xml.is_installed.cache_clear()


def test_a_provider_from_before_says_that_the_extra_is_missing(
    provider: SignInProvider, bent: BentSaml, monkeypatch: pytest.MonkeyPatch
) -> None:
    from portal.web import safe_xml

    safe_xml.is_installed.cache_clear()
    monkeypatch.setattr(safe_xml, "find_spec", lambda name: None)
    try:
        browser = Client()
        assert "has no SAML" in fault_of(browser.get(GO), browser)
        assert Client().post(f"/accounts/provider/saml/{provider.pk}/", {"SAMLResponse": "AAAA"}).status_code == 302
    finally:
        safe_xml.is_installed.cache_clear()


def test_the_extra_is_imported_at_first_use_alone() -> None:
    """A portal whose organizations use no SAML keeps its memory."""
    code = (
        "import django, sys; django.setup(); import portal.urls, portal.sign_in.saml; "
        "sys.exit(any(name in sys.modules for name in ('lxml', 'signxml', 'saml2')))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0


def test_the_name_of_a_request_is_an_xml_name(provider: SignInProvider) -> None:
    asked = asked_by(Client(), GO)
    assert asked.identifier.startswith("_")
    assert asked.me.endswith("/metadata/")
    assert PERSISTENT
