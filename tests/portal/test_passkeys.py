"""Passkeys: what is refused. tests/browser/test_passkeys.py uses real ones."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from allauth.account.utils import user_pk_to_url_str
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.internal import auth
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import Aaguid, AttestationObject, AttestedCredentialData, AuthenticatorData, CollectedClientData

from portal.models import Membership, User
from tests.factories import PASSWORD
from tests.fixtures import signed_in
from tests.portal.codes import ACCOUNT, LOGIN, STEP, enter_code, enter_password, is_signed_in, recovery_codes

pytestmark = pytest.mark.django_db
ADD, SIGN_IN = "/accounts/passkeys/add/", "/accounts/passkeys/sign-in/"
AJAX = {"accept": "application/json"}


def made_up() -> dict[str, Any]:
    """What a browser says about a new passkey, which nobody has."""
    public = ES256.from_cryptography_key(ec.generate_private_key(ec.SECP256R1()).public_key())  # type: ignore[no-untyped-call]
    known = AttestedCredentialData.create(Aaguid(bytes(16)), b"nobody's", public)
    flags = AuthenticatorData.FLAG.UP | AuthenticatorData.FLAG.UV | AuthenticatorData.FLAG.AT
    data = AuthenticatorData.create(hashlib.sha256(b"localhost").digest(), flags, 0, known)
    client = CollectedClientData.create("webauthn.create", b"challenge", "http://localhost")
    return {
        "id": websafe_encode(b"nobody's"),
        "rawId": websafe_encode(b"nobody's"),
        "type": "public-key",
        "response": {
            "clientDataJSON": websafe_encode(client),
            "attestationObject": websafe_encode(AttestationObject.create("none", data, {})),
        },
        "clientExtensionResults": {},
    }


CREDENTIAL = made_up()
NONSENSE = (
    "", "x", "[]", "1", "null", '"x"', "{}", '{"response": 1}', '{"id": "AAAA", "response": {"userHandle": 5}}',
    '{"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": {}}',
    json.dumps(CREDENTIAL),
    json.dumps({**CREDENTIAL, "response": {"clientDataJSON": "e30", "authenticatorData": "AAAA", "signature": "AA"}}),
    json.dumps(
        {
            **CREDENTIAL,
            "response": {"clientDataJSON": "e30", "authenticatorData": "AAAA", "signature": "AA", "userHandle": "eA"},
        }
    ),
)  # fmt: skip


def give_passkey(user: User, name: str = "Phone") -> Authenticator:
    """A row of a passkey that nobody has, with recovery codes."""
    from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes

    RecoveryCodes.activate(user)
    return Authenticator.objects.create(
        user=user, type=Authenticator.Type.WEBAUTHN, data={"name": name, "credential": CREDENTIAL}
    )


@pytest.mark.parametrize("answer", NONSENSE)
def test_what_no_authenticator_says_is_refused_in_a_sentence(member: Membership, answer: str) -> None:
    browser = enter_password(member.user)
    assert browser.get(ADD).status_code == 200
    page = browser.post(ADD, {"credential": answer, "name": "x", "passwordless": "on"})
    assert page.status_code == 200
    assert b"field__error" in page.content or b"not accepted" in page.content
    stranger = Client()
    assert stranger.get(SIGN_IN, headers=AJAX).status_code == 200
    page = stranger.post(SIGN_IN, {"credential": answer}, follow=True)
    assert page.status_code == 200
    assert not is_signed_in(stranger)
    assert not Authenticator.objects.exists()


@pytest.mark.parametrize("answer", NONSENSE)
def test_the_second_step_and_confirming_refuse_it_too(member: Membership, answer: str) -> None:
    give_passkey(member.user)
    step = enter_password(member.user)
    assert b"data-passkey" in step.get(STEP).content
    assert step.post(STEP, {"credential": answer}).status_code == 200
    assert not is_signed_in(step)
    left_open = signed_in(member.user)
    assert b"data-passkey" in left_open.get("/accounts/confirm/passkey/").content
    assert left_open.post("/accounts/confirm/passkey/", {"credential": answer}).status_code == 302
    assert left_open.get(ADD).status_code == 302


def test_the_password_alone_does_not_suffice_and_a_recovery_code_helps(member: Membership) -> None:
    give_passkey(member.user)
    browser = enter_password(member.user)
    assert not is_signed_in(browser)
    assert enter_code(browser, recovery_codes(member.user)[0])


def test_who_has_a_passkey_confirms_with_it_first(member: Membership) -> None:
    give_passkey(member.user)
    browser = signed_in(member.user)
    assert browser.get(ADD)["Location"].startswith("/accounts/confirm/passkey/")
    assert b"Use a code instead" in browser.get(f"/accounts/confirm/passkey/?next={ADD}").content


def test_nobody_names_or_removes_anothers(member: Membership, admin: Membership) -> None:
    passkey = give_passkey(member.user)
    browser = enter_password(admin.user)
    for page in (f"/accounts/passkeys/{passkey.pk}/", f"/accounts/passkeys/{passkey.pk}/remove/"):
        assert browser.get(page).status_code == 404
        assert browser.post(page, {"name": "mine"}).status_code == 404
    assert str(Authenticator.objects.get(pk=passkey.pk)) == "Phone"


def test_the_last_one_is_not_removed_where_it_is_required(member: Membership) -> None:
    passkey = give_passkey(member.user)
    member.organization.second_factor_required = True
    member.organization.save()
    browser = enter_password(member.user)
    assert enter_code(browser, recovery_codes(member.user)[0])
    page = f"/accounts/passkeys/{passkey.pk}/remove/"
    assert b"Acme requires a second factor" in browser.post(page).content
    other = give_passkey(member.user, "Key")
    assert browser.post(page)["Location"] == ACCOUNT
    assert list(Authenticator.objects.exclude(type="recovery_codes")) == [other]


def test_there_are_20_at_most(member: Membership) -> None:
    for number in range(20):
        give_passkey(member.user, str(number))
    browser = enter_password(member.user)
    assert enter_code(browser, recovery_codes(member.user)[0])
    page = browser.post(ADD, {"credential": json.dumps(CREDENTIAL), "name": "x"})
    assert b"You have 20 passkeys" in page.content


def test_an_answer_without_end_is_not_stored(member: Membership) -> None:
    browser = enter_password(member.user)
    browser.get(ADD)
    answer = json.dumps({**CREDENTIAL, "more": "x" * 20_000})
    assert b"not accepted" in browser.post(ADD, {"credential": answer, "name": "x"}).content


def test_challenges_for_strangers_are_limited_and_short() -> None:
    answers = [Client().get(SIGN_IN, headers=AJAX).status_code for _ in range(21)]
    assert answers == [200] * 20 + [429]
    assert Session.objects.count() == 20
    assert all((row.expire_date - timezone.now()).total_seconds() <= 600 for row in Session.objects.all())


def test_signing_in_with_passkeys_is_limited() -> None:
    answers = [Client().post(SIGN_IN, {"credential": "{}"}).status_code for _ in range(21)]
    assert answers == [302] * 20 + [429]


def test_a_short_session_becomes_a_usual_one_by_signing_in(member: Membership) -> None:
    browser = Client()
    browser.get(SIGN_IN, headers=AJAX)
    browser.post(LOGIN, {"login": member.user.email, "password": PASSWORD})
    [row] = Session.objects.all()
    assert (row.expire_date - timezone.now()).days >= 13


# A key that a thief found ---------------------------------------------------------------------------------------------


class FoundKey:
    """A security key without fingerprint or PIN: whoever has it can answer, and it verifies nobody."""

    def __init__(self, user: User, *, is_passwordless: bool | None = None) -> None:
        self.user, self.private = user, ec.generate_private_key(ec.SECP256R1())
        public = ES256.from_cryptography_key(self.private.public_key())  # type: ignore[no-untyped-call]
        known = AttestedCredentialData.create(Aaguid(bytes(16)), b"found", public)
        flags = AuthenticatorData.FLAG.UP | AuthenticatorData.FLAG.UV | AuthenticatorData.FLAG.AT
        data = AuthenticatorData.create(RP, flags, 0, known)
        said = {**made_up(), "id": websafe_encode(b"found"), "rawId": websafe_encode(b"found")}
        said["response"]["attestationObject"] = websafe_encode(AttestationObject.create("none", data, {}))
        if is_passwordless is not None:
            said["clientExtensionResults"] = {"credProps": {"rk": is_passwordless}}
        Authenticator.objects.create(
            user=user, type=Authenticator.Type.WEBAUTHN, data={"name": "Key", "credential": said}
        )

    def answer(self, browser: Client, *, is_verified: bool = False) -> str:
        """The answer to the challenge that the browser's session has."""
        challenge = browser.session[auth.STATE_SESSION_KEY]["challenge"]
        flags = AuthenticatorData.FLAG.UP | (AuthenticatorData.FLAG.UV if is_verified else AuthenticatorData.FLAG(0))
        data = AuthenticatorData.create(RP, flags, 1)
        client = CollectedClientData.create("webauthn.get", challenge, "http://localhost")
        signature = self.private.sign(data + client.hash, ec.ECDSA(hashes.SHA256()))
        response = {
            "clientDataJSON": websafe_encode(client),
            "authenticatorData": websafe_encode(data),
            "signature": websafe_encode(signature),
            "userHandle": websafe_encode(user_pk_to_url_str(self.user).encode()),
        }
        both = {"id": websafe_encode(b"found"), "rawId": websafe_encode(b"found")}
        return json.dumps({**both, "type": "public-key", "response": response, "clientExtensionResults": {}})


RP = hashlib.sha256(b"localhost").digest()
HERE = {"host": "localhost"}


def test_a_challenge_of_a_second_step_signs_nobody_in_alone(member: Membership, auditor: Membership) -> None:
    """Its challenge leaves it open whether the key verifies the person."""
    found = FoundKey(member.user)
    FoundKey(auditor.user)
    thief = enter_password(auditor.user, headers=HERE)
    thief.get(STEP)
    answer = found.answer(thief)
    session = thief.session
    session["account_login"]["initiated_at"] -= 3600  # the second step is over, and its challenge stays
    session.save()
    thief.post(SIGN_IN, {"credential": answer}, follow=True)
    assert not is_signed_in(thief)


@pytest.mark.parametrize(
    ("is_verified", "is_passwordless", "opens"), [(True, True, True), (False, True, False), (True, False, False)]
)
def test_a_passkey_alone_verifies_the_person_and_was_added_for_it(
    member: Membership, is_verified: bool, is_passwordless: bool, opens: bool
) -> None:
    key, browser = FoundKey(member.user, is_passwordless=is_passwordless), Client(headers=HERE)
    browser.get(SIGN_IN, headers=AJAX)
    browser.post(SIGN_IN, {"credential": key.answer(browser, is_verified=is_verified)}, follow=True)
    assert is_signed_in(browser) is opens
