"""Signing in by a SAML provider: pysaml2's identity provider, and answers of another kind."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from portal.actions.group import create_group
from portal.actions.member import add_member
from portal.models import JournalEntry, Membership, ProviderIdentity, Role, SignInProvider
from tests.factories import BY
from tests.fixtures import signed_in
from tests.portal.providers import connected
from tests.portal.saml_providers import (
    AUDIENCE,
    CONDITIONS,
    CONFIRM,
    DATA,
    GO,
    MAIL,
    NAME,
    SAML,
    SAMLP,
    TRY,
    BentSaml,
    a_saml_provider,
    asked_by,
    fault_of,
    metadata_of,
    posted,
    pysaml2_server,
    refusal,
    removing,
    setting,
    writing,
)

pytestmark = pytest.mark.django_db


# pysaml2 as the provider ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "signs", [{"sign_assertion": True}, {"sign_response": True}, {"sign_assertion": True, "sign_response": True}]
)
def test_a_member_connects_pysaml2_and_signs_in_by_it(
    admin: Membership, member: Membership, tmp_path: Path, signs: dict[str, bool]
) -> None:
    from saml2 import BINDING_HTTP_REDIRECT
    from saml2.saml import NAMEID_FORMAT_PERSISTENT, NameID

    boss, sales = signed_in(admin.user), create_group(admin.organization, name="Sales", by=BY)
    page = "/settings/sign-in/?kind=saml"
    form = {"name": "Acme account", "groups_claim": "groups", "mapping": "vpn-sales | Sales"}
    boss.post(page, form)
    provider = SignInProvider.objects.get()
    own = Client().get(f"/accounts/provider/saml/{provider.pk}/metadata/")
    assert own["Content-Type"] == "application/samlmetadata+xml"
    idp = pysaml2_server(tmp_path, own.content.decode())
    boss.post("/settings/sign-in/", {**form, "metadata": metadata_of()})

    def come(browser: Client, begin: str) -> Any:
        asked = asked_by(browser, begin)
        packed = browser.session["provider_flow"]
        assert packed["provider"] == str(provider.pk)
        query = f"{browser.get(begin)['Location'].partition('?')[2]}"
        fields = {name: value for name, _, value in (one.partition("=") for one in query.split("&"))}
        from urllib.parse import unquote

        request = idp.parse_authn_request(unquote(fields["SAMLRequest"]), BINDING_HTTP_REDIRECT)
        found = idp.response_args(request.message)
        assert found["destination"] == asked.back
        document = idp.create_authn_response(
            {"groups": ["vpn-sales"], "mail": ["anna@example.org"]},
            in_response_to=found["in_response_to"],
            destination=found["destination"],
            sp_entity_id=found["sp_entity_id"],
            name_id=NameID(format=NAMEID_FORMAT_PERSISTENT, text="anna"),
            sign_alg="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
            digest_alg="http://www.w3.org/2001/04/xmlenc#sha256",
            authn={"class_ref": "urn:oasis:names:tc:SAML:2.0:ac:classes:Password"},
            **signs,
        )
        return posted(browser, found["destination"], str(document), unquote(fields["RelayState"]))

    assert come(boss, TRY)["Location"] == "/settings/sign-in/"
    shown = boss.get("/settings/sign-in/").content.decode()
    assert "It works" in shown, [line for line in shown.splitlines() if "notice--bad" in line]
    assert "vpn-sales" in shown
    boss.post("/settings/sign-in/switch/", {"enabled": "true"})
    connected(SignInProvider.objects.get(), member)
    browser = Client()
    assert come(browser, GO)["Location"] == "/my/"
    assert browser.get("/my/").status_code == 200
    assert list(sales.members.all()) == [member]


# What is taken --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signs", ["assertion", "response", "both"])
def test_a_signed_answer_signs_in(bent: BentSaml, known: Membership, signs: str) -> None:
    bent.signs = signs
    browser = Client()
    assert bent.sign_in(browser)["Location"] == "/my/"
    assert browser.get("/my/").status_code == 200
    assert browser.get("/accounts/")["Location"] == "/accounts/own-means/"


@pytest.mark.parametrize(("method", "digest"), [("rsa-sha512", "sha512"), ("sha256-rsa-MGF1", "sha256")])
def test_other_safe_algorithms_are_taken(bent: BentSaml, known: Membership, method: str, digest: str) -> None:
    bent.method, bent.digest = method, digest
    assert bent.sign_in(Client())["Location"] == "/my/"


def test_the_address_counts_in_the_named_domains_alone(bent: BentSaml, member: Membership) -> None:
    a_saml_provider(member.organization, may_join=True, domains=["example.org"])
    bent.subject, bent.attributes = "new", {MAIL: ["new@elsewhere.example"], "displayName": ["New Person"]}
    browser = Client()
    assert bent.sign_in(browser)["Location"] == CONFIRM
    browser.post(CONFIRM)
    assert not ProviderIdentity.objects.exists()
    bent.attributes[MAIL] = ["New@Example.org"]
    assert bent.sign_in(browser)["Location"] == CONFIRM
    assert browser.post(CONFIRM)["Location"] == "/my/"
    joined = ProviderIdentity.objects.get().membership
    assert (joined.user.email, joined.user.name, joined.role) == ("new@example.org", "New Person", Role.MEMBER)


def test_an_address_connects_nobody_by_itself(bent: BentSaml, provider: SignInProvider, member: Membership) -> None:
    bent.attributes = {MAIL: [member.user.email]}
    browser = Client()
    assert bent.sign_in(browser)["Location"] == CONFIRM
    assert browser.post(CONFIRM).status_code == 200
    assert "_auth_user_id" not in browser.session
    assert not ProviderIdentity.objects.exists()


def test_an_invitation_is_accepted_in_the_named_domains(bent: BentSaml, provider: SignInProvider) -> None:
    invited = add_member(provider.organization, email="anna@example.org", role=Role.AUDITOR, by=BY)
    browser = Client()
    bent.sign_in(browser)
    browser.post(CONFIRM)
    assert ProviderIdentity.objects.get().membership == invited


def test_mapped_groups_follow(bent: BentSaml, member: Membership) -> None:
    sales = create_group(member.organization, name="Sales", by=BY)
    connected(a_saml_provider(member.organization, mapping=("s | Sales",)), member)
    bent.attributes = {"groups": ["t", "s"]}
    bent.sign_in(Client())
    assert list(member.groups.all()) == [sales]
    bent.attributes = {}
    bent.sign_in(Client())
    assert not member.groups.exists()


def test_identity_is_issuer_and_name(bent: BentSaml, known: Membership) -> None:
    bent.subject = "berta"
    assert bent.sign_in(Client())["Location"] == CONFIRM


# Whose answer, for whom, until when -----------------------------------------------------------------------------------

_STATEMENT = f"{SAML}Assertion/{SAML}AuthnStatement"


@pytest.mark.parametrize(
    ("before", "fault"),
    [
        (writing(AUDIENCE, "https://other.example.com"), "for another service"),
        (removing(f"{CONDITIONS}/{SAML}AudienceRestriction"), "for another service"),
        (removing(CONDITIONS), "no conditions"),
        (setting(DATA, Recipient="https://other.example.com"), "for another address"),
        (setting(DATA, Recipient=None), "for another address"),
        (setting("", Destination="https://other.example.com"), "for another address"),
        (setting(DATA, InResponseTo="_another"), "belongs to another sign-in"),
        (setting(DATA, InResponseTo=None), "belongs to another sign-in"),
        (setting(DATA, NotOnOrAfter=None), "until when"),
        (setting(DATA, NotOnOrAfter="2020-01-01T00:00:00Z"), "has expired"),
        (setting(DATA, NotOnOrAfter="soon"), "a time that is none"),
        (setting(CONDITIONS, NotOnOrAfter="2020-01-01T00:00:00Z"), "has expired"),
        (setting(CONDITIONS, NotBefore="2999-01-01T00:00:00Z"), "does not count yet"),
        (setting(_STATEMENT, SessionNotOnOrAfter="2020-01-01T00:00:00Z"), "has ended"),
        (removing(_STATEMENT), "did not sign you in"),
        (removing(f"{SAML}Assertion/{SAML}Subject/{SAML}SubjectConfirmation"), "for whom it is"),
        (setting(f"{SAML}Assertion/{SAML}Subject/{SAML}SubjectConfirmation", Method="urn:other"), "for whom it is"),
        (writing(f"{SAML}Assertion/{SAML}Issuer", "https://evil.example"), "another issuer"),
        (writing(f"{SAML}Issuer", "https://evil.example"), "another issuer"),
        (removing(f"{SAML}Assertion/{SAML}Issuer"), "another issuer"),
        (
            setting(f"{SAMLP}Status/{SAMLP}StatusCode", Value="urn:oasis:names:tc:SAML:2.0:status:Responder"),
            "did not sign",
        ),
        (removing(NAME), "names nobody"),
        (writing(NAME, " "), "names nobody"),
        (writing(NAME, "a" * 256), "names nobody"),
        (writing(NAME, "a\u202eb"), "names nobody"),
        (writing(NAME, "anna\u00a0"), "names nobody"),
        (setting(NAME, NameQualifier="https://evil.example"), "of another provider"),
        (setting(NAME, SPNameQualifier="https://other.example"), "for another service"),
        (setting(NAME, Format="urn:oasis:names:tc:SAML:2.0:nameid-format:transient"), "anew at each sign-in"),
        (setting(NAME, Format="urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"), "not persistent"),
        (setting(NAME, Format=None), "not persistent"),
        (setting("", Version="1.1"), "no answer of SAML 2.0"),
        (setting("", InResponseTo=None), "Nobody asked"),
        (setting(f"{SAML}Assertion", ID=""), "has no ID"),
    ],
)
def test_an_answer_of_another_kind_is_refused(
    bent: BentSaml, known: Membership, before: Callable[[Any], None], fault: str
) -> None:
    if fault == "has no ID":
        bent.after = before
    else:
        bent.before = before
    assert fault in refusal(bent)


def test_an_answer_that_has_expired_is_refused_after_a_minute_of_grace(bent: BentSaml, known: Membership) -> None:
    bent.minutes = -2
    assert "has expired" in refusal(bent)


def test_an_unknown_condition_is_refused(bent: BentSaml, known: Membership) -> None:
    from lxml import etree

    bent.before = lambda root: etree.SubElement(root.find(CONDITIONS), f"{SAML}Condition")
    assert "does not know" in refusal(bent)


def test_an_answer_to_another_request_of_the_same_browser_is_refused(bent: BentSaml, known: Membership) -> None:
    browser = Client()
    former = asked_by(browser, GO)
    asked = asked_by(browser, GO)
    assert "belongs to another sign-in" in fault_of(
        posted(browser, asked.back, bent.document(former), asked.state), browser
    )


# Replays, other browsers, and what nobody asked for -------------------------------------------------------------------


def test_an_answer_counts_once(bent: BentSaml, known: Membership) -> None:
    browser = Client()
    asked = asked_by(browser, GO)
    document = bent.document(asked)
    assert posted(browser, asked.back, document, asked.state)["Location"] == "/my/"
    browser.post("/accounts/logout/")
    assert posted(browser, asked.back, document, asked.state).status_code == 403
    # Also where the request still waits: another answer with the same assertion.
    other = Client()
    again = asked_by(other, GO)
    assert "was used before" in fault_of(posted(other, again.back, document, again.state), other)


def test_another_browser_is_not_signed_in(bent: BentSaml, known: Membership) -> None:
    """Login CSRF: somebody posts their own answer in the browser of another."""
    mine, other = Client(), Client()
    asked = asked_by(mine, GO)
    document = bent.document(asked)
    assert posted(other, asked.back, document, asked.state).status_code == 403
    assert "_auth_user_id" not in other.session
    begun = asked_by(other, GO)
    answer = posted(other, asked.back, bent.document(asked), begun.state)
    assert "belongs to another sign-in" in fault_of(answer, other)


def test_the_visit_counts_once_and_in_its_time(bent: BentSaml, provider: SignInProvider) -> None:
    browser = Client()
    asked = asked_by(browser, GO)
    form = {"SAMLResponse": base64.b64encode(bent.document(asked)).decode(), "RelayState": asked.state}
    went = Client().post(asked.back.partition("//")[2].partition("/")[2].join(["/", ""]), form)["Location"]
    assert browser.get(went)["Location"] == CONFIRM
    assert browser.get(went).status_code == 403
    again = asked_by(browser, GO)
    form = {"SAMLResponse": base64.b64encode(bent.document(again)).decode(), "RelayState": again.state}
    went = Client().post(f"/accounts/provider/saml/{provider.pk}/", form)["Location"]
    cache.clear()
    assert "not there any more" in fault_of(browser.get(went))


@pytest.mark.parametrize("state", ["", "made-up", "x" * 5000])
def test_what_nobody_asked_for_is_refused_and_fills_no_journal(bent: BentSaml, known: Membership, state: str) -> None:
    asked = asked_by(Client(), GO)
    browser = Client()
    answer = posted(browser, asked.back, bent.document(asked), state)
    assert answer.status_code == 403
    assert "does not belong to a sign-in" in answer.content.decode()
    assert "_auth_user_id" not in browser.session
    assert not JournalEntry.objects.filter(code="signinprovider.sign-in_refused").exists()


def test_the_post_itself_makes_no_session(bent: BentSaml, known: Membership) -> None:
    asked = asked_by(Client(), GO)
    form = {"SAMLResponse": base64.b64encode(bent.document(asked)).decode(), "RelayState": asked.state}
    answer = Client().post(f"/accounts/provider/saml/{SignInProvider.objects.get().pk}/", form)
    assert answer.status_code == 302
    assert not answer.cookies
    assert answer["Location"].startswith("/accounts/provider/return/")


def test_only_the_answer_takes_a_post_of_another_site(provider: SignInProvider) -> None:
    browser = Client(enforce_csrf_checks=True)
    assert browser.post(f"/accounts/provider/saml/{provider.pk}/").status_code == 302
    for url in (CONFIRM, "/settings/sign-in/", "/accounts/login/"):
        assert browser.post(url).status_code == 403


def test_an_answer_at_the_address_of_another_provider_is_refused(
    bent: BentSaml, known: Membership, stranger: Membership
) -> None:
    other = a_saml_provider(stranger.organization)
    browser = Client()
    asked = asked_by(browser, GO)
    answer = posted(browser, f"https://x/accounts/provider/saml/{other.pk}/", bent.document(asked), asked.state)
    assert answer.status_code == 403
    assert "_auth_user_id" not in browser.session


def test_who_speaks_openid_connect_has_no_such_address(member: Membership) -> None:
    from tests.portal.providers import a_provider

    provider = a_provider(member.organization)
    assert Client().post(f"/accounts/provider/saml/{provider.pk}/").status_code == 404
    assert Client().get(f"/accounts/provider/saml/{provider.pk}/metadata/").status_code == 404


def test_attempts_are_limited(provider: SignInProvider) -> None:
    browser, page = Client(), f"/accounts/provider/saml/{provider.pk}/"
    assert [browser.post(page).status_code for _ in range(61)] == [302] * 60 + [429]
