"""Signing in by an organization's provider: a real one, and each refusal."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import LazySettings
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import translation
from django.utils.translation import trans_real

from portal.actions.group import create_group
from portal.actions.member import add_member, change_member
from portal.actions.provider_identity import disconnect_identity
from portal.actions.sign_in_provider import delete_provider, switch_provider
from portal.configuration.networks import parse_networks
from portal.models import JournalEntry, Membership, ProviderIdentity, Role, SignInProvider, User
from portal.told import in_words
from tests.factories import BY, PASSWORD, make_member
from tests.fixtures import signed_in
from tests.portal.codes import code_of, give_app
from tests.portal.providers import (
    ISSUER,
    BentProvider,
    a_provider,
    allow_at_real,
    connected,
    real_provider,
    sign_in_by,
)

pytestmark = pytest.mark.django_db
GO = "/sign-in/acme/go/"
CONFIRM = "/accounts/provider/confirm/"
OWN_MEANS = "/accounts/own-means/"


@pytest.fixture
def bent(monkeypatch: pytest.MonkeyPatch) -> BentProvider:
    """A provider that answers without a network."""
    bent = BentProvider()
    monkeypatch.setattr("portal.sign_in.oidc.fetch", bent.fetch)
    return bent


@pytest.fixture
def provider(member: Membership) -> SignInProvider:
    """The provider of the member's organization."""
    return a_provider(member.organization)


@pytest.fixture
def through(bent: BentProvider, provider: SignInProvider, member: Membership) -> Client:
    """The browser of a member whom the provider has signed in."""
    connected(provider, member)
    browser = Client()
    assert sign_in_by(bent, browser, GO)["Location"] == "/my/"
    return browser


def just_signed_in(user: User) -> Client:
    """A browser in which somebody entered their password a moment ago."""
    browser = Client()
    browser.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    return browser


def codes() -> list[str]:
    """The codes of the journal, by time."""
    return list(JournalEntry.objects.order_by("id").values_list("code", flat=True))


def refusal(bent: BentProvider, browser: Client | None = None) -> str:
    """Why the provider signs in nobody; nobody is signed in."""
    browser = browser or Client()
    answer = sign_in_by(bent, browser, GO)
    assert answer.status_code == 403
    assert "_auth_user_id" not in browser.session
    assert CONFIRM not in answer.headers.get("Location", "")
    line = JournalEntry.objects.order_by("id").last()
    assert line is not None
    assert line.code == "signinprovider.sign-in_refused"
    return in_words(line.details["fault"])


# A real provider ------------------------------------------------------------------------------------------------------


def test_a_member_connects_a_real_provider_and_signs_in_by_it(
    admin: Membership, member: Membership, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    settings.SIGN_IN_PROVIDER_NETWORKS = parse_networks("127.0.0.0/8")
    with real_provider() as issuer:
        group = create_group(admin.organization, name="Sales", by=BY)
        claims: dict[str, Any] = {"email": "anna@example.org", "email_verified": True, "groups": ["vpn-sales"]}
        requests.put(f"{issuer}/users/anna", json=claims, timeout=10).raise_for_status()
        boss = signed_in(admin.user)
        form = {"name": "Acme account", "issuer": issuer, "client_id": "portal", "client_secret": "s3cret"}
        boss.post("/settings/sign-in/", {**form, "groups_claim": "groups", "mapping": "vpn-sales | Sales"})
        assert "Try it first" in boss.get("/settings/sign-in/").content.decode()
        boss.get(allow_at_real(boss.get("/settings/sign-in/try/")["Location"], "anna"))
        shown = boss.get("/settings/sign-in/").content.decode()
        assert "It works" in shown
        assert "vpn-sales" in shown
        boss.post("/settings/sign-in/switch/", {"enabled": "true"})

        own = just_signed_in(member.user)
        begun = own.get(reverse("provider_connect", args=[member.pk]))["Location"]
        assert own.get(allow_at_real(begun, "anna"))["Location"] == CONFIRM
        assert "anna@example.org" in own.get(CONFIRM).content.decode()
        assert own.post(CONFIRM)["Location"] == "/my/"
        assert list(group.members.all()) == [member]

        browser = Client()
        assert browser.get(allow_at_real(browser.get(GO)["Location"], "anna"))["Location"] == "/my/"
        assert browser.get("/my/").status_code == 200
        browser.post("/accounts/logout/")
        assert "Sign in by Acme account" in browser.get("/accounts/login/").content.decode()
    wanted = ["signinprovider.created", "signinprovider.tried", "signinprovider.switched_on"]
    assert [code for code in codes() if code.startswith("signinprovider")] == wanted
    assert codes()[-2:] == ["member.signed_in_by_provider", "member.signed_out"]


def test_the_request_has_pkce_state_and_nonce(bent: BentProvider, provider: SignInProvider) -> None:
    page = Client().get(GO)["Location"]
    assert page.startswith(f"{ISSUER}/authorize?response_type=code&")
    for part in ("code_challenge_method=S256", "code_challenge=", "state=", "nonce=", "scope=openid+email+profile"):
        assert part in page


def test_the_verifier_and_the_secret_go_to_the_token_endpoint_alone(bent: BentProvider, through: Client) -> None:
    told = [(url, form) for url, form in bent.asked if form]
    assert [url for url, _ in told] == [f"{ISSUER}/token"]
    assert len(told[0][1]["code_verifier"]) > 40


# What is refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claims", "fault"),
    [
        ({"nonce": "another"}, "belongs to another sign-in"),
        ({"nonce": None}, "belongs to another sign-in"),
        ({"iss": "https://evil.example"}, "another issuer"),
        ({"aud": "another-client"}, "another client"),
        ({"aud": ["the-portal", "another-client"]}, "another client"),
        ({"azp": "another-client"}, "another client"),
        ({"exp": int(time.time()) - 3600}, "expired"),
        ({"exp": None}, "not signed"),
        ({"iat": int(time.time()) + 3600}, "not signed"),
        ({"sub": ""}, "names nobody"),
        ({"sub": "a" * 256}, "names nobody"),
        ({"sub": None}, "not signed"),
    ],
)
def test_a_token_of_another_kind_is_refused(
    bent: BentProvider, provider: SignInProvider, claims: dict[str, Any], fault: str
) -> None:
    bent.claims = claims
    assert fault in refusal(bent)


def test_a_token_without_a_signature_is_refused(bent: BentProvider, provider: SignInProvider) -> None:
    bent.algorithm, bent.signing_key = "none", None
    assert "not signed" in refusal(bent)


@pytest.mark.parametrize("secret", [b"x" * 32, b"a client secret of the provider"])
def test_a_token_signed_with_a_shared_secret_is_refused(
    bent: BentProvider, provider: SignInProvider, secret: bytes
) -> None:
    bent.algorithm, bent.signing_key = "HS256", secret
    assert "not signed" in refusal(bent)


def test_a_token_signed_with_the_text_of_the_public_key_is_refused(
    bent: BentProvider, provider: SignInProvider
) -> None:
    """HS256 with the public key as its secret: the classic confusion."""
    bent.algorithm, bent.signing_key = "HS256", bent.keys["keys"][0]["n"].encode()
    assert "not signed" in refusal(bent)


def test_a_key_set_with_a_shared_secret_signs_nothing(bent: BentProvider, provider: SignInProvider) -> None:
    bent.keys["keys"] = [{"kty": "oct", "k": "eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg", "kid": "one"}]
    bent.algorithm, bent.signing_key = "HS256", b"x" * 32
    assert "not signed" in refusal(bent)


def test_a_token_of_another_key_is_refused(bent: BentProvider, provider: SignInProvider) -> None:
    bent.signing_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert "not signed" in refusal(bent)
    bent.header = {"kid": "unknown"}
    assert "not signed" in refusal(bent)


@pytest.mark.parametrize(
    "key",
    [
        # With "d" alone, PyJWT factors the modulus: minutes, for one of 32768 bits.
        {"kty": "RSA", "n": "z" * 5461 + "w", "e": "AQAB", "d": "x" * 5461},
        {"kty": "RSA", "n": "z" * 1367, "e": "AQAB"},
        {"kty": "RSA", "n": "", "e": "AQAB"},
        {"kty": "RSA", "n": 5, "e": "AQAB"},
        {"kty": "RSA"},
        {"kty": "EC", "crv": ["P-256"], "x": "AA", "y": "AA"},
        {"kty": "OKP", "crv": "X25519", "x": "AA"},
    ],
)
def test_a_key_that_is_none_or_is_slow_to_use_signs_nothing(
    bent: BentProvider, provider: SignInProvider, key: dict[str, Any]
) -> None:
    bent.keys["keys"] = [{**key, "kid": "one"}]
    begun = time.process_time()
    assert "not signed" in refusal(bent)
    assert time.process_time() - begun < 5


def test_private_parts_of_a_key_are_not_read(bent: BentProvider, through: Client) -> None:
    bent.keys["keys"][0]["d"] = "AQAB"
    cache.clear()
    assert sign_in_by(bent, Client(), GO)["Location"] == "/my/"


def test_the_visitor_and_the_journal_have_languages_of_their_own(
    bent: BentProvider, provider: SignInProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    with translation.override("de"):
        catalogue: Any = trans_real.catalog()
    known = {"The provider did not sign you in.": "Der Anbieter hat Sie nicht angemeldet."}
    monkeypatch.setattr(catalogue._catalog, "_catalogs", [known, *catalogue._catalog._catalogs])
    browser = Client(headers={"accept-language": "de"})
    page = browser.get(GO)["Location"]
    asked = {name: values[0] for name, values in parse_qs(urlsplit(page).query).items()}
    back = {"error": "access_denied", "state": asked["state"]}
    answer = browser.get(urlsplit(asked["redirect_uri"]).path, back)
    assert "Der Anbieter hat Sie nicht angemeldet." in answer.content.decode()
    line = JournalEntry.objects.order_by("id").last()
    assert line is not None
    assert line.details["fault"] == {"code": "sentence", "text": "The provider did not sign you in."}
    with translation.override("de"):
        assert in_words(line.details["fault"]) == "Der Anbieter hat Sie nicht angemeldet."


def test_what_is_no_text_or_number_is_refused(bent: BentProvider, provider: SignInProvider) -> None:
    bent.claims = {"nonce": "\ud800"}
    assert "another sign-in" in refusal(bent)
    bent.claims = {"nbf": float("inf")}
    assert "not signed" in refusal(bent)
    cache.clear()
    bent.discovery = {"issuer": "\ud800\x00"}
    browser = Client()
    assert browser.get(GO).status_code == 403
    line = JournalEntry.objects.order_by("id").last()
    assert line is not None
    assert line.details["fault"] == {"code": "provider-other-issuer", "issuer": "��"}, "no language of the visitor's"
    assert "calls itself “��”" in in_words(line.details["fault"])


@pytest.mark.parametrize(
    ("site", "leaves"), [("cross-site", False), ("same-site", False), ("same-origin", True), ("none", True)]
)
def test_another_site_begins_no_sign_in(bent: BentProvider, through: Client, site: str, leaves: bool) -> None:
    """Otherwise an organization's provider that asks nobody would replace the account of a visitor by another one."""
    answer = Client().get(GO, headers={"sec-fetch-site": site})
    assert answer["Location"].startswith(f"{ISSUER}/authorize?" if leaves else "/sign-in/acme/")


def test_a_new_key_of_the_provider_is_read_once_more(bent: BentProvider, through: Client) -> None:
    fresh = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    bent.signing_key, bent.header = fresh, {"kid": "two"}
    public = jwt.algorithms.RSAAlgorithm.to_jwk(fresh.public_key(), as_dict=True)
    bent.keys["keys"] = [{**public, "kid": "two"}]
    assert sign_in_by(bent, Client(), GO)["Location"] == "/my/"


def test_an_answer_counts_once_and_in_the_browser_that_asked(bent: BentProvider, provider: SignInProvider) -> None:
    back = f"/accounts/provider/return/{provider.pk}/"
    browser = Client()
    for query in ({"code": "c"}, {"code": "c", "state": "made-up"}):
        browser.get(GO)
        assert browser.get(back, query).status_code == 403
    browser.get(GO)
    state = browser.session["provider_flow"]["state"]
    assert Client().get(back, {"code": "c", "state": state}).status_code == 403
    assert browser.get(back, {"error": "access_denied", "state": state}).status_code == 403
    assert browser.get(back, {"code": "c", "state": state}).status_code == 403
    assert not [url for url, _ in bent.asked if url.endswith("/token")]


def test_an_answer_of_another_provider_is_refused(
    bent: BentProvider, provider: SignInProvider, stranger: Membership
) -> None:
    browser = Client()
    browser.get(GO)
    query = {"code": "c", "state": browser.session["provider_flow"]["state"]}
    assert browser.get(f"/accounts/provider/return/{provider.pk}/", {**query, "iss": "https://x"}).status_code == 403
    other = a_provider(stranger.organization)
    browser.get(GO)
    query["state"] = browser.session["provider_flow"]["state"]
    assert browser.get(f"/accounts/provider/return/{other.pk}/", query).status_code == 403


def test_userinfo_of_another_person_is_refused(bent: BentProvider, provider: SignInProvider) -> None:
    bent.claims, bent.userinfo = {"email": None}, {"sub": "berta", "email": "berta@example.org"}
    assert "did not answer for this person" in refusal(bent)


def test_attempts_are_limited_and_the_journal_is_not_filled(bent: BentProvider, provider: SignInProvider) -> None:
    browser = Client()
    assert [browser.get(GO).status_code for _ in range(61)] == [302] * 60 + [429]
    back = f"/accounts/provider/return/{provider.pk}/"
    assert [browser.get(back).status_code for _ in range(61)] == [403] * 60 + [429]
    assert "signinprovider.sign-in_refused" not in codes()


# Existing accounts ----------------------------------------------------------------------------------------------------


def test_an_address_signs_in_nobody_without_that_persons_confirmation(
    bent: BentProvider, provider: SignInProvider, member: Membership
) -> None:
    bent.claims = {"email": member.user.email}
    browser = Client()
    assert sign_in_by(bent, browser, GO)["Location"] == CONFIRM
    page = browser.get(CONFIRM).content.decode()
    assert "A mail address alone connects nobody" in page
    assert browser.post(CONFIRM).status_code == 200
    assert "_auth_user_id" not in browser.session
    assert not ProviderIdentity.objects.exists()
    # By signing in as usual, and confirming.
    login = {"login": member.user.email, "password": PASSWORD, "next": CONFIRM}
    assert browser.post("/accounts/login/", login)["Location"] == CONFIRM
    assert "anna" in browser.get(CONFIRM).content.decode()
    assert not ProviderIdentity.objects.exists(), "looking is not confirming"
    browser.post(CONFIRM)
    assert ProviderIdentity.objects.get().membership == member
    assert codes()[-1] == "member.provider_connected"


def test_another_persons_account_is_not_connected_by_who_is_signed_in(
    bent: BentProvider, provider: SignInProvider, stranger: Membership
) -> None:
    bent.claims = {"email": "nobody@example.org"}
    browser = signed_in(stranger.user)
    sign_in_by(bent, browser, GO)
    assert browser.post(CONFIRM).status_code == 200
    assert not ProviderIdentity.objects.exists()


def test_an_identity_belongs_to_one_member(
    bent: BentProvider, provider: SignInProvider, member: Membership, admin: Membership
) -> None:
    connected(provider, member)
    change_member(member, active=False, by=BY)
    browser = just_signed_in(admin.user)
    sign_in_by(bent, browser, GO)
    assert "Another member is connected" in browser.post(CONFIRM).content.decode()


def test_staff_sign_in_by_their_own_means(bent: BentProvider, provider: SignInProvider, member: Membership) -> None:
    connected(provider, member)
    User.objects.filter(pk=member.user_id).update(is_staff=True)
    assert sign_in_by(bent, Client(), GO)["Location"] == CONFIRM


# Who is new -----------------------------------------------------------------------------------------------------------


def test_who_is_new_joins_with_the_least_role_if_the_admin_allows_it(bent: BentProvider, member: Membership) -> None:
    sales = create_group(member.organization, name="Sales", by=BY)
    a_provider(member.organization, may_join=True, domains=["example.org"], mapping=("vpn | Sales",))
    bent.claims = {"email": "new@example.org", "name": "Nina", "groups": ["vpn", "other"]}
    browser = Client()
    assert sign_in_by(bent, browser, GO)["Location"] == CONFIRM
    assert not User.objects.filter(email="new@example.org").exists(), "looking is not joining"
    assert browser.post(CONFIRM)["Location"] == "/my/"
    made = Membership.objects.get(user__email="new@example.org")
    assert (made.role, made.user.name, made.user.has_usable_password()) == (Role.MEMBER, "Nina", False)
    assert list(made.groups.all()) == [sales]
    assert browser.get("/my/").status_code == 200
    assert codes()[-1] == "member.signed_in_by_provider"
    assert "member.joined" in codes()


@pytest.mark.parametrize(
    "claims",
    [
        {"email": "new@example.org", "email_verified": False},
        {"email": "new@example.org", "email_verified": None},
        {"email": "new@example.org", "email_verified": "false"},
        {"email": "new@elsewhere.example"},
        {"email": "new@example.org.evil.example"},
        {"email": None},
    ],
)
def test_who_has_no_verified_address_of_the_domain_does_not_join(
    bent: BentProvider, member: Membership, claims: dict[str, Any]
) -> None:
    a_provider(member.organization, may_join=True, domains=["example.org"])
    bent.claims, browser = claims, Client()
    sign_in_by(bent, browser, GO)
    assert "cannot join" in browser.post(CONFIRM).content.decode()
    assert not User.objects.filter(email__startswith="new@").exists()


def test_userinfo_verifies_no_other_address_than_its_own(bent: BentProvider, member: Membership) -> None:
    a_provider(member.organization, may_join=True, domains=["example.org"], groups_claim="groups")
    bent.claims = {"email": "boss@example.org", "email_verified": None, "groups": None}
    bent.userinfo, browser = {"email": "new@example.org", "email_verified": True}, Client()
    sign_in_by(bent, browser, GO)
    assert "none that the provider has verified" in browser.get(CONFIRM).content.decode()
    bent.userinfo, browser = {"email": "boss@example.org", "email_verified": True}, Client()
    sign_in_by(bent, browser, GO)
    assert "none that the provider has verified" not in browser.get(CONFIRM).content.decode()


def test_a_member_without_any_means_is_not_taken_over_by_their_address(bent: BentProvider, member: Membership) -> None:
    """They joined by a provider that was removed, and have no password."""
    former = a_provider(member.organization, may_join=True, domains=["example.org"])
    bent.claims, browser = {"email": "new@example.org"}, Client()
    sign_in_by(bent, browser, GO)
    browser.post(CONFIRM)
    made = Membership.objects.get(user__email="new@example.org")
    change_member(made, role=Role.ADMIN, by=BY)
    delete_provider(former, by=BY)
    a_provider(member.organization, may_join=True, domains=["example.org"])
    bent.claims, browser = {"email": "new@example.org", "sub": "mallory"}, Client()
    sign_in_by(bent, browser, GO)
    assert "cannot join" in browser.post(CONFIRM).content.decode()
    assert not ProviderIdentity.objects.exists()


def test_nobody_joins_unless_the_admin_allows_it(bent: BentProvider, provider: SignInProvider) -> None:
    bent.claims, browser = {"email": "new@example.org"}, Client()
    sign_in_by(bent, browser, GO)
    assert "cannot join" in browser.post(CONFIRM).content.decode()


def test_joining_does_not_touch_an_account_of_another_organization(
    bent: BentProvider, member: Membership, stranger: Membership
) -> None:
    a_provider(member.organization, may_join=True, domains=["example.org"])
    bent.claims, browser = {"email": stranger.user.email}, Client()
    sign_in_by(bent, browser, GO)
    browser.post(CONFIRM)
    made = ProviderIdentity.objects.get().membership
    assert made.user_id != stranger.user_id
    assert stranger.user.memberships.count() == 1


def test_who_has_an_account_elsewhere_joins_with_it_once_signed_in(
    bent: BentProvider, member: Membership, stranger: Membership
) -> None:
    a_provider(member.organization, may_join=True, domains=["example.org"])
    bent.claims, browser = {"email": stranger.user.email}, signed_in(stranger.user)
    sign_in_by(bent, browser, GO)
    browser.post(CONFIRM)
    assert ProviderIdentity.objects.get().membership.user == stranger.user


def test_an_invitation_is_accepted_by_its_own_address(bent: BentProvider, provider: SignInProvider) -> None:
    invited = add_member(provider.organization, email="anna@example.org", role=Role.AUDITOR, by=BY)
    browser = Client()
    sign_in_by(bent, browser, GO)
    assert "invited as auditor" in browser.get(CONFIRM).content.decode()
    browser.post(CONFIRM)
    invited.refresh_from_db()
    assert (invited.state, invited.role) == ("active", Role.AUDITOR)
    assert browser.get("/activity/").status_code == 200


@pytest.mark.parametrize("address", ["\u212aim@example.org", "k\u0131m@example.org", "kim@\u0131nc.example"])
def test_an_address_that_only_looks_alike_accepts_no_invitation(
    bent: BentProvider, provider: SignInProvider, address: str
) -> None:
    """A Kelvin sign and a dotless i: in lower or upper case, and so to some databases, they are k and i."""
    for invited in ("kim@example.org", "kim@inc.example"):
        add_member(provider.organization, email=invited, role=Role.ADMIN, by=BY)
    bent.claims, browser = {"email": address}, Client()
    sign_in_by(bent, browser, GO)
    assert "cannot join" in browser.post(CONFIRM).content.decode()
    assert not ProviderIdentity.objects.exists()


def test_a_locked_account_stays_out(bent: BentProvider, provider: SignInProvider, member: Membership) -> None:
    connected(provider, member)
    User.objects.filter(pk=member.user_id).update(is_active=False)
    browser = Client()
    sign_in_by(bent, browser, GO)
    assert "_auth_user_id" not in browser.session
    assert browser.get("/my/")["Location"].startswith("/accounts/login/")
    assert "member.signed_in_by_provider" not in codes()


def test_who_is_deactivated_stays_out(bent: BentProvider, through: Client, member: Membership) -> None:
    change_member(member, active=False, by=BY)
    assert through.get("/my/")["Location"].startswith("/accounts/login/")
    browser = Client()
    sign_in_by(bent, browser, GO)
    assert "deactivated" in browser.get(CONFIRM).content.decode()
    assert browser.post(CONFIRM).status_code == 200
    assert "_auth_user_id" not in browser.session
    change_member(member, active=True, by=BY)
    member.refresh_from_db()
    assert member.state == "active"
    assert sign_in_by(bent, Client(), GO)["Location"] == "/my/"


# For that organization alone ------------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(member: Membership, stranger: Membership) -> Membership:
    """The same person as an admin of another organization, whose name comes first."""
    found = Membership.objects.create(
        organization=stranger.organization, user=member.user, role=Role.ADMIN, state="active"
    )
    stranger.organization.name = "Aaa"
    stranger.organization.save()
    return found


def test_the_session_is_of_that_organization_alone(elsewhere: Membership, through: Client) -> None:
    assert through.get("/people/").status_code == 403, "a plain member, though an admin elsewhere"
    other = {"organization": str(elsewhere.organization_id)}
    assert through.post("/organization/", other).status_code == 404
    assert "Aaa" not in through.get("/my/").content.decode()
    assert through.get(f"/people/{elsewhere.pk}/").status_code == 404
    assert signed_in(elsewhere.user).post("/organization/", other).status_code == 302


def test_the_other_organizations_journal_knows_nothing_of_it(elsewhere: Membership, through: Client) -> None:
    through.post("/accounts/logout/")
    theirs = JournalEntry.objects.filter(organization_id=elsewhere.organization_id, code__contains="signed")
    assert not theirs.exists()
    assert codes()[-2:] == ["member.signed_in_by_provider", "member.signed_out"]


ACCOUNT_PAGES = [
    *("mfa_index", "account_change_password", "mfa_activate_totp", "mfa_add_webauthn", "mfa_generate_recovery_codes"),
    *("sessions_end", "account_reauthenticate", "provider_confirm", "account_link_use"),
]


@pytest.mark.parametrize("name", ACCOUNT_PAGES)
def test_what_belongs_to_the_account_is_refused(through: Client, name: str) -> None:
    for answer in (through.get(reverse(name)), through.post(reverse(name))):
        assert answer.status_code == 302
        assert answer["Location"] == OWN_MEANS


def test_it_disconnects_and_makes_nothing_that_lasts(through: Client, member: Membership) -> None:
    for url in (reverse("provider_disconnect", args=[member.pk]), "/accounts/sessions/end/"):
        assert through.post(url)["Location"] == OWN_MEANS
    assert through.get(reverse("token_new"))["Location"].startswith("/accounts/confirm/password/")
    assert through.get("/accounts/confirm/password/")["Location"] == OWN_MEANS


def test_django_admin_is_closed_to_it(through: Client, member: Membership) -> None:
    User.objects.filter(pk=member.user_id).update(is_staff=True, is_superuser=True)
    assert through.get("/admin/")["Location"] == OWN_MEANS
    assert through.get("/admin/portal/user/")["Location"] == OWN_MEANS
    assert through.get("/my/")["Location"] == OWN_MEANS


def test_own_means_open_what_it_does_not(through: Client, member: Membership, elsewhere: Membership) -> None:
    page = through.get(OWN_MEANS).content.decode()
    assert "You signed in by Acme account" in page
    assert through.post(OWN_MEANS)["Location"] == "/accounts/login/?next=/accounts/"
    through.post("/accounts/login/", {"login": member.user.email, "password": PASSWORD})
    assert through.get("/accounts/").status_code == 200
    assert through.get("/people/").status_code == 200


def test_a_session_of_own_means_stays_one(bent: BentProvider, provider: SignInProvider, member: Membership) -> None:
    connected(provider, member)
    browser = signed_in(member.user)
    sign_in_by(bent, browser, GO)
    assert browser.get("/accounts/").status_code == 200


@pytest.mark.parametrize("end", ["disconnected", "switched off", "deleted", "other issuer"])
def test_its_sessions_end_with_it(through: Client, provider: SignInProvider, member: Membership, end: str) -> None:
    if end == "disconnected":
        disconnect_identity(member, by=BY)
    elif end == "switched off":
        switch_provider(provider, enabled=False, by=BY)
    elif end == "deleted":
        delete_provider(provider, by=BY)
    else:
        SignInProvider.objects.update(issuer="https://other.example.com")
    assert through.get("/my/")["Location"] == OWN_MEANS
    assert "does not count any more" in through.get(OWN_MEANS).content.decode()


def test_switching_it_on_again_revives_no_session(
    bent: BentProvider, through: Client, provider: SignInProvider
) -> None:
    for enabled in (False, True):
        switch_provider(provider, enabled=enabled, by=BY)
    assert through.get("/my/")["Location"] == OWN_MEANS
    assert sign_in_by(bent, Client(), GO)["Location"] == "/my/", "the connection stays"


def test_health_tells_it_no_details(through: Client, member: Membership) -> None:
    User.objects.filter(pk=member.user_id).update(is_staff=True)
    assert through.get("/healthz").json().keys() == Client().get("/healthz").json().keys()


def test_an_account_page_disconnects(bent: BentProvider, provider: SignInProvider, member: Membership) -> None:
    connected(provider, member)
    browser = signed_in(member.user)
    assert "connected as" in browser.get("/accounts/").content.decode()
    browser.post(reverse("provider_disconnect", args=[member.pk]))
    assert not ProviderIdentity.objects.exists()
    assert codes()[-1] == "member.provider_disconnected"


def test_who_signed_in_long_ago_confirms_to_connect(
    bent: BentProvider, provider: SignInProvider, member: Membership, settings: LazySettings
) -> None:
    browser = just_signed_in(member.user)
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = 0
    sign_in_by(bent, browser, GO)
    assert browser.post(CONFIRM)["Location"].startswith("/accounts/confirm/password/?next=")
    assert not ProviderIdentity.objects.exists()
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = 600
    answer = browser.post(f"/accounts/confirm/password/?next={CONFIRM}", {"password": PASSWORD, "next": CONFIRM})
    assert answer["Location"] == CONFIRM
    assert browser.post(CONFIRM)["Location"] == "/my/"
    assert ProviderIdentity.objects.get().membership == member


def test_another_persons_connection_is_not_there(
    provider: SignInProvider, member: Membership, admin: Membership
) -> None:
    connected(provider, member)
    assert signed_in(admin.user).post(reverse("provider_disconnect", args=[member.pk])).status_code == 404
    assert signed_in(admin.user).get(reverse("provider_connect", args=[member.pk])).status_code == 404


# Groups and second factors --------------------------------------------------------------------------------------------


def test_mapped_groups_follow_at_every_sign_in_and_others_stay(bent: BentProvider, member: Membership) -> None:
    sales, ops, own = (create_group(member.organization, name=name, by=BY) for name in ("Sales", "Ops", "Own"))
    own.members.add(member)
    ops.members.add(member)
    provider = a_provider(member.organization, mapping=("s | Sales", "o | ops"))
    connected(provider, member, "anna")
    ops.members.add(member)
    bent.claims = {"groups": ["s"]}
    sign_in_by(bent, Client(), GO)
    assert set(member.groups.all()) == {sales, own}
    assert codes().count("group.members_changed") >= 2
    line = JournalEntry.objects.filter(code="group.members_changed").last()
    assert line is not None
    assert line.actor_kind == "portal"
    bent.claims = {"groups": None}
    sign_in_by(bent, Client(), GO)
    assert set(member.groups.all()) == {own}, "a claim that is missing means none"


@pytest.mark.parametrize(
    ("claim", "said"),
    [("roles", {"roles": "s"}), ("realm.roles", {"realm": {"roles": ["s"]}}), ("a.b", {"a.b": ["s"]})],
)
def test_groups_are_found_by_the_claims_path(
    bent: BentProvider, member: Membership, claim: str, said: dict[str, Any]
) -> None:
    sales = create_group(member.organization, name="Sales", by=BY)
    connected(a_provider(member.organization, mapping=("s | Sales",), groups_claim=claim), member)
    bent.claims = said
    sign_in_by(bent, Client(), GO)
    assert list(member.groups.all()) == [sales]


def test_groups_come_from_userinfo_if_the_token_has_none(bent: BentProvider, member: Membership) -> None:
    sales = create_group(member.organization, name="Sales", by=BY)
    connected(a_provider(member.organization, mapping=("s | Sales",)), member)
    bent.claims, bent.userinfo = {"groups": None}, {"groups": ["s"]}
    sign_in_by(bent, Client(), GO)
    assert list(member.groups.all()) == [sales]


def test_an_own_second_factor_is_asked_for(bent: BentProvider, provider: SignInProvider, member: Membership) -> None:
    connected(provider, member)
    key, browser = give_app(member.user), Client()
    assert sign_in_by(bent, browser, GO)["Location"] == "/accounts/second-factor/"
    assert "_auth_user_id" not in browser.session
    browser.post("/accounts/second-factor/", {"code": code_of(key)})
    assert browser.get("/my/").status_code == 200
    assert browser.get("/accounts/")["Location"] == OWN_MEANS


def test_the_provider_is_a_second_factor_where_the_organization_says_so(bent: BentProvider, member: Membership) -> None:
    connected(a_provider(member.organization, is_second_factor=True), member)
    member.organization.second_factor_required = True
    member.organization.save()
    browser = Client()
    assert sign_in_by(bent, browser, GO)["Location"] == "/my/"
    assert browser.get("/my/").status_code == 200
    SignInProvider.objects.update(is_second_factor=False)
    assert browser.get("/my/")["Location"] == OWN_MEANS


def test_a_waiting_sign_in_by_the_provider_does_not_become_an_own_one(
    bent: BentProvider, provider: SignInProvider, member: Membership
) -> None:
    """The password of another account, entered meanwhile, opens that account and not this one."""
    other = make_member(provider.organization)
    connected(provider, member)
    key, browser = give_app(member.user), Client()
    sign_in_by(bent, browser, GO)
    browser.post("/accounts/login/", {"login": other.user.email, "password": PASSWORD})
    browser.post("/accounts/second-factor/", {"code": code_of(key)})
    assert browser.session.get("_auth_user_id") != str(member.user_id) or browser.get("/accounts/").status_code == 302


def test_a_waiting_sign_in_ends_with_the_connection(
    bent: BentProvider, provider: SignInProvider, member: Membership
) -> None:
    connected(provider, member)
    key, browser = give_app(member.user), Client()
    sign_in_by(bent, browser, GO)
    disconnect_identity(member, by=BY)
    answer = browser.post("/accounts/second-factor/", {"code": code_of(key)})
    assert answer["Location"] == "/accounts/login/"
    assert "_auth_user_id" not in browser.session
