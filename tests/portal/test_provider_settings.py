"""An admin sets up the sign-in provider: what is refused, what the journal gets, and what a try says."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from portal.actions.group import create_group
from portal.models import JournalEntry, Membership, SignInProvider
from portal.reseal import reseal_all
from portal.web.public_fetch import Answer
from tests.factories import BY
from tests.fixtures import signed_in
from tests.portal.providers import ISSUER, SECRET, BentProvider, a_provider, connected, sign_in_by

pytestmark = pytest.mark.django_db
PAGE = "/settings/sign-in/"
FORM = {"name": "Acme account", "issuer": ISSUER, "client_id": "the-portal", "client_secret": SECRET}


@pytest.fixture
def bent(monkeypatch: pytest.MonkeyPatch) -> BentProvider:
    """A provider that answers without a network."""
    bent = BentProvider()
    monkeypatch.setattr("portal.sign_in.oidc.fetch", bent.fetch)
    return bent


def test_the_secret_is_sealed_and_never_shown(admin_browser: Client) -> None:
    assert admin_browser.post(PAGE, FORM)["Location"] == PAGE
    provider = SignInProvider.objects.get()
    assert provider.client_secret == SECRET
    assert SECRET not in provider.client_secret_sealed
    assert SECRET not in admin_browser.get(PAGE).content.decode()
    assert SECRET not in admin_browser.post(PAGE, {**FORM, "issuer": "http://x"}).content.decode()
    admin_browser.post(PAGE, {**FORM, "client_secret": "", "name": "Other"})
    provider.refresh_from_db()
    assert (provider.name, provider.client_secret) == ("Other", SECRET)
    assert SECRET not in "".join(entry.document for entry in JournalEntry.objects.all())
    assert not reseal_all().closed


def test_the_journal_has_fields_before_and_after(admin_browser: Client, admin: Membership) -> None:
    create_group(admin.organization, name="Sales", by=BY)
    admin_browser.post(PAGE, FORM)
    admin_browser.post(PAGE, {**FORM, "client_secret": "", "mapping": "vpn | sales", "client_id": "other"})
    line = JournalEntry.objects.filter(code="signinprovider.changed").get()
    assert line.changes == {"client_id": ["the-portal", "other"], "mapping": [[], ["vpn | Sales"]]}
    assert line.actor_id == str(admin.pk)
    admin_browser.post(PAGE, {**FORM, "client_id": "other", "mapping": "vpn | sales"})
    codes = list(JournalEntry.objects.order_by("id").values_list("code", flat=True))
    assert codes[-1] == "signinprovider.secret_replaced"
    admin_browser.post(f"{PAGE}delete/")
    assert JournalEntry.objects.filter(code="signinprovider.deleted").exists()
    assert not SignInProvider.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"issuer": "http://login.example.com"}, "begins with https://"),
        ({"issuer": "ftp://login.example.com"}, "begins with https://"),
        ({"issuer": "https://user:pw@login.example.com"}, "without a user name"),
        ({"issuer": "https://login.example.com/#a"}, "without a user name"),
        ({"issuer": "https://127.0.0.1"}, "private network"),
        ({"issuer": "https://[::1]:8443"}, "private network"),
        ({"issuer": "https://[::ffff:10.0.0.1]"}, "private network"),
        ({"issuer": "https://169.254.169.254"}, "private network"),
        ({"issuer": "https://exa mple.com"}, "not a web address"),
        ({"issuer": "https://example.com:99999"}, "not a web address"),
        ({"client_secret": ""}, "Enter the client secret"),
        ({"may_join": "on"}, "Enter the mail domains"),
        ({"domains": "not a domain!"}, "is not a mail domain"),
        ({"mapping": "vpn"}, "Write a group of the provider"),
        ({"mapping": "vpn | Nobody"}, "You have no group"),
    ],
)
def test_what_cannot_be_is_refused_beside_its_field(admin_browser: Client, wrong: dict[str, Any], words: str) -> None:
    assert words in admin_browser.post(PAGE, FORM | wrong).content.decode()
    assert not SignInProvider.objects.exists()


def test_another_organizations_groups_are_not_there(admin_browser: Client, stranger: Membership) -> None:
    create_group(stranger.organization, name="Theirs", by=BY)
    assert "You have no group" in admin_browser.post(PAGE, {**FORM, "mapping": "vpn | Theirs"}).content.decode()


def test_a_new_client_is_tried_before_it_is_switched_on(
    admin_browser: Client, admin: Membership, bent: BentProvider
) -> None:
    admin_browser.post(PAGE, FORM)
    switch = f"{PAGE}switch/"
    admin_browser.post(switch, {"enabled": "true"})
    assert not SignInProvider.objects.get().enabled
    assert sign_in_by(bent, admin_browser, f"{PAGE}try/")["Location"] == PAGE
    assert "It works" in admin_browser.get(PAGE).content.decode()
    admin_browser.post(switch, {"enabled": "true"})
    assert SignInProvider.objects.get().enabled
    admin_browser.post(PAGE, {**FORM, "issuer": "https://other.example.com"})
    changed = SignInProvider.objects.get()
    assert (changed.enabled, changed.tried_at) == (False, None)
    assert Client().get(f"/sign-in/{admin.organization.slug}/").status_code == 404


@pytest.mark.parametrize(
    ("discovery", "words"),
    [
        ({"issuer": "https://other.example.com"}, "calls itself “https://other.example.com”"),
        ({"issuer": f"{ISSUER}/"}, "Enter exactly that"),
        ({"response_types_supported": ["id_token"]}, "does not offer the authorization code flow"),
        ({"id_token_signing_alg_values_supported": ["HS256", "none"]}, "signs with no algorithm of a public key"),
        ({"token_endpoint_auth_methods_supported": ["private_key_jwt"]}, "does not accept a client secret"),
        ({"token_endpoint": ""}, "has no “token_endpoint”"),
        ({"jwks_uri": None}, "has no “jwks_uri”"),
        ({"token_endpoint": "https://10.0.0.1/token"}, "token_endpoint: This address belongs to a private network"),
        ({"jwks_uri": "https://[fd00::1]/keys"}, "jwks_uri: This address belongs to a private network"),
        ({"userinfo_endpoint": "http://login.example.com/me"}, "userinfo_endpoint: Enter an address that begins"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "authorization_endpoint: Enter an address"),
    ],
)
def test_a_try_says_in_a_sentence_what_is_wrong(
    admin_browser: Client, bent: BentProvider, discovery: dict[str, Any], words: str
) -> None:
    bent.discovery = discovery
    admin_browser.post(PAGE, FORM)
    assert admin_browser.get(f"{PAGE}try/")["Location"] == PAGE
    assert words in admin_browser.get(PAGE).content.decode()
    assert SignInProvider.objects.get().tried_at is None


def test_a_try_says_that_discovery_or_the_client_was_not_found(admin_browser: Client, bent: BentProvider) -> None:
    admin_browser.post(PAGE, FORM)
    bent.answers[f"{ISSUER}/token"] = Answer(401, {"error": "invalid_client", "error_description": "<b>no</b>"})
    sign_in_by(bent, admin_browser, f"{PAGE}try/")
    assert "did not accept client id, secret or code (invalid_client)" in admin_browser.get(PAGE).content.decode()
    SignInProvider.objects.update(issuer="https://nothing.example.com")
    admin_browser.get(f"{PAGE}try/")
    assert "was not found (404)" in admin_browser.get(PAGE).content.decode()


def test_a_try_connects_nobody_and_belongs_to_its_admin(
    admin: Membership, stranger: Membership, bent: BentProvider
) -> None:
    a_provider(admin.organization, enabled=False)
    browser = signed_in(admin.user)
    bent.claims = {"email": admin.user.email}
    sign_in_by(bent, browser, f"{PAGE}try/")
    assert not hasattr(admin, "provider_identity")
    assert signed_in(stranger.user).get(f"{PAGE}try/").status_code == 404
    browser.logout()
    assert browser.get(f"{PAGE}try/").status_code == 302


def test_a_refused_sign_in_of_a_switched_off_provider_is_not_there(admin: Membership, bent: BentProvider) -> None:
    provider = a_provider(admin.organization, enabled=False)
    assert Client().get(f"/accounts/provider/return/{provider.pk}/").status_code == 404
    assert Client().get("/sign-in/acme/go/").status_code == 404


def test_an_auditor_reads_and_changes_nothing(auditor_browser: Client, admin: Membership) -> None:
    a_provider(admin.organization)
    assert auditor_browser.get(PAGE).status_code == 200
    for url in (PAGE, f"{PAGE}switch/", f"{PAGE}delete/"):
        assert auditor_browser.post(url, FORM).status_code == 403
    assert auditor_browser.get(f"{PAGE}try/").status_code == 403


def test_removing_it_says_how_many_sign_in_by_it(admin_browser: Client, admin: Membership, member: Membership) -> None:
    connected(a_provider(admin.organization), member)
    assert "1 person signs in by it" in admin_browser.get(f"{PAGE}delete/").content.decode()


def test_the_chooser_leads_to_the_page_of_the_organization(admin: Membership) -> None:
    a_provider(admin.organization)
    browser = Client()
    assert browser.get("/sign-in/").status_code == 200
    assert browser.get("/sign-in/", {"organization": "ACME"})["Location"] == "/sign-in/acme/"
    assert browser.get("/sign-in/acme/").status_code == 200
    assert browser.get("/sign-in/nobody/").status_code == 404


def test_a_new_issuer_is_not_told_the_former_secret(admin_browser: Client) -> None:
    admin_browser.post(PAGE, FORM)
    other = {**FORM, "issuer": "https://other.example.com", "client_secret": ""}
    assert "Enter the client secret for the new issuer" in admin_browser.post(PAGE, other).content.decode()
    assert SignInProvider.objects.get().issuer == ISSUER


def test_a_try_reads_what_the_provider_says_now(admin_browser: Client, bent: BentProvider) -> None:
    admin_browser.post(PAGE, FORM)
    bent.discovery = {"issuer": "https://other.example.com"}
    admin_browser.get(f"{PAGE}try/")
    bent.discovery = {}
    assert admin_browser.get(f"{PAGE}try/")["Location"].startswith(f"{ISSUER}/authorize?")


def test_a_try_shows_what_is_no_text(admin_browser: Client, bent: BentProvider) -> None:
    admin_browser.post(PAGE, {**FORM, "groups_claim": "groups"})
    bent.claims = {"email": "a\ud800", "groups": ["\udfff\x00"]}
    sign_in_by(bent, admin_browser, f"{PAGE}try/")
    assert "a�" in admin_browser.get(PAGE).content.decode()
