"""An account that was joined with a passkey has no password.

tests/browser/test_first_tunnel.py joins with a real one.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.internal import auth
from django.test import Client

from portal.actions.account import take_address_back
from portal.actions.member import add_member, change_member
from portal.actions.reset_mail import reset_message
from portal.actions.second_factor import reset_second_factor
from portal.actions.sign_in_link import find_link, join_with_passkey, one_time_link, set_password_by_link
from portal.exceptions import NotPossible
from portal.models import JournalEntry, Membership, MembershipState, ProviderIdentity, SignInProvider, User
from tests.factories import BY, make_organization, make_user
from tests.fixtures import signed_in
from tests.portal.test_passkeys import CREDENTIAL

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]
PASSWORD = "a long and new passphrase of anna"


def give_passkey(user: User, *, alone: bool = True) -> Authenticator:
    """Store a passkey that nobody has."""
    credential = {**CREDENTIAL, "clientExtensionResults": {"credProps": {"rk": alone}}}
    made: Authenticator = auth.WebAuthn.add(user, "Phone", credential).instance
    return made


@pytest.fixture
def confirmed(monkeypatch: pytest.MonkeyPatch) -> Browser:
    """Browsers in which the account was confirmed a moment ago."""
    record = [{"method": "mfa", "type": "webauthn", "at": time.time()}]
    monkeypatch.setattr("portal.sign_in.adapter.get_authentication_records", lambda *_: record)
    return signed_in


@pytest.fixture
def invited(admin: Membership) -> Membership:
    """Somebody who was invited."""
    return add_member(admin.organization, email="mia@example.org", role="member", by=BY)


@pytest.fixture
def joined(invited: Membership) -> Membership:
    """The same person, after joining with a passkey."""
    token = one_time_link(invited, mailed=True).split("/")[-2]
    member = join_with_passkey(token, give_passkey, by=BY)
    assert member is not None
    return Membership.objects.select_related("user", "organization").get(pk=member.pk)


def token_of(membership: Membership, *, mailed: bool = True) -> str:
    return one_time_link(membership, mailed=mailed).split("/")[-2]


def test_the_invitation_offers_a_passkey_first_and_a_password(invited: Membership) -> None:
    browser = Client()
    page = browser.get(f"/accounts/link/{token_of(invited)}/", follow=True).content.decode()
    assert "Join with a passkey" in page
    assert "Set password" in page
    assert 'data-passkey="create"' in page


def test_a_link_for_a_lost_password_offers_none(member: Membership) -> None:
    page = Client().get(f"/accounts/link/{token_of(member)}/", follow=True).content.decode()
    assert "passkey" not in page
    posted = join_with_passkey(token_of(member), lambda user: pytest.fail("stored"), by=BY)
    assert posted is None


@pytest.mark.parametrize("credential", ["", "x", "{}", json.dumps(CREDENTIAL)])
def test_what_is_no_new_passkey_is_refused(invited: Membership, credential: str) -> None:
    browser = Client()
    browser.get(f"/accounts/link/{token_of(invited)}/", follow=True)
    answer = browser.post("/accounts/link/", {"credential": credential})
    assert answer.status_code == 200
    assert not Authenticator.objects.exists()
    invited.refresh_from_db()
    assert invited.state == MembershipState.INVITED


@pytest.mark.parametrize("extensions", [3, [], {"credProps": 4}, {"credProps": None}, None])
def test_malformed_extensions_are_refused(
    invited: Membership, monkeypatch: pytest.MonkeyPatch, extensions: object
) -> None:
    done = SimpleNamespace(is_user_verified=lambda: True)
    monkeypatch.setattr(auth, "complete_registration", lambda credential: done)
    browser = Client()
    browser.get(f"/accounts/link/{token_of(invited)}/", follow=True)
    credential = json.dumps({**CREDENTIAL, "clientExtensionResults": extensions})
    answer = browser.post("/accounts/link/", {"credential": credential})
    assert answer.status_code == 200
    assert "was not accepted" in answer.content.decode()
    assert not Authenticator.objects.exists()


def test_whoever_joined_is_active_without_a_password(joined: Membership) -> None:
    assert joined.state == MembershipState.ACTIVE
    assert not joined.user.has_usable_password()
    assert joined.user.is_in_use
    assert joined.user.proven
    line = JournalEntry.objects.get(code="member.joined")
    assert json.loads(line.document)["details"] == {"with": "passkey"}


def test_a_link_is_used_once(invited: Membership) -> None:
    token = token_of(invited)
    assert join_with_passkey(token, give_passkey, by=BY)
    assert join_with_passkey(token, lambda user: pytest.fail("stored"), by=BY) is None
    assert find_link(token) is None


def test_a_link_that_sets_a_password_is_not_for_a_passkey_afterwards(invited: Membership) -> None:
    token = token_of(invited)
    assert set_password_by_link(token, PASSWORD, by=BY)
    assert join_with_passkey(token, lambda user: pytest.fail("stored"), by=BY) is None


def test_an_address_with_too_many_accounts_gets_no_other(invited: Membership) -> None:
    for _ in range(2):
        give_passkey(make_user("MIA@example.org", password=None))
    with pytest.raises(NotPossible):
        join_with_passkey(token_of(invited, mailed=False), lambda user: pytest.fail("stored"), by=BY)


def test_deactivated_and_activated_they_are_back_without_a_link(joined: Membership) -> None:
    change_member(joined, active=False, by=BY)
    assert change_member(joined, active=True, by=BY).state == MembershipState.ACTIVE


def test_a_forgotten_passkey_is_recovered_by_mail(joined: Membership) -> None:
    message = reset_message("mia@example.org")
    assert "/accounts/password/reset/key/" in message.body


def test_whose_only_passkey_was_reset_sets_a_password_by_mail(joined: Membership, settings: Any) -> None:
    settings.EMAIL_CONFIGURED = True
    reset_second_factor(joined.user, by=BY)
    message = reset_message("mia@example.org")
    link = re.search(r"/accounts/password/reset/key/\S+", str(message.body))
    assert link is not None
    browser = Client()
    form = browser.get(link[0], follow=True)
    browser.post(form.request["PATH_INFO"], {"password1": PASSWORD, "password2": PASSWORD})
    assert User.objects.get(pk=joined.user.pk).check_password(PASSWORD)


def test_nobody_without_a_way_to_sign_in_gets_one_by_mail(invited: Membership, joined: Membership) -> None:
    """Not those who never joined or were deactivated, whose address was not proven, or who have a provider."""
    reset_second_factor(joined.user, by=BY)
    provider = SignInProvider.objects.create(organization=joined.organization)
    identity = ProviderIdentity.objects.create(provider=provider, membership=joined, issuer="https://a", subject="1")
    assert "/reset/key/" not in reset_message("mia@example.org").body
    identity.delete()
    for fields in ({"state": MembershipState.INVITED}, {"state": MembershipState.DEACTIVATED}):
        Membership.objects.filter(pk=joined.pk).update(**fields)
        assert "/reset/key/" not in reset_message("mia@example.org").body
    Membership.objects.filter(pk=joined.pk).update(state=MembershipState.ACTIVE)
    assert "/reset/key/" in reset_message("mia@example.org").body
    User.objects.filter(pk=joined.user.pk).update(proven=False)
    assert "/reset/key/" not in reset_message("mia@example.org").body


def test_the_address_owner_ends_a_passkey_that_was_made_by_a_handed_link(invited: Membership) -> None:
    other = add_member(make_organization("Other"), email="mia@example.org", role="member", by=BY)
    join_with_passkey(token_of(other, mailed=False), give_passkey, by=BY)
    take_address_back(invited.user, by=BY)
    other.refresh_from_db()
    assert other.state == MembershipState.INVITED
    assert not Authenticator.objects.exists()
    assert find_link(token_of(other, mailed=False)).is_invitation  # type: ignore[union-attr]


def test_nobody_signs_up_with_the_address_again(joined: Membership, settings: Any) -> None:
    settings.ALLOW_SIGNUP = True
    form = {"email": "mia@example.org", "password1": PASSWORD, "password2": PASSWORD}
    answer = Client().post("/accounts/signup/", form)
    assert answer.status_code == 200
    assert User.objects.of_address("mia@example.org").count() == 1


def test_no_password_signs_in(joined: Membership) -> None:
    answer = Client().post("/accounts/login/", {"login": "mia@example.org", "password": ""})
    assert answer.status_code == 200
    answer = Client().post("/accounts/login/", {"login": "mia@example.org", "password": joined.user.password})
    assert "wrong" in answer.content.decode()


def test_pages_that_ask_for_a_password_ask_for_the_passkey(joined: Membership) -> None:
    browser = signed_in(joined.user)
    assert browser.get("/accounts/password/change/").headers["Location"] == "/accounts/password/set/"
    answer = browser.get("/accounts/password/set/", follow=True)
    assert "Confirm with your passkey" in answer.content.decode()
    page = browser.get("/accounts/").content.decode()
    assert "your passkey signs you in" in page
    assert "Change password" not in page


def test_a_password_is_set_after_confirming(confirmed: Browser, joined: Membership) -> None:
    browser = confirmed(joined.user)
    assert "Set password" in browser.get("/accounts/password/set/").content.decode()
    weak = browser.post("/accounts/password/set/", {"password1": "12345678", "password2": "12345678"})
    assert weak.status_code == 200
    answer = browser.post("/accounts/password/set/", {"password1": PASSWORD, "password2": PASSWORD})
    assert answer.status_code == 302
    user = User.objects.get(pk=joined.user.pk)
    assert user.check_password(PASSWORD)
    assert JournalEntry.objects.filter(code="user.password_changed").count() == 1
    assert browser.get("/my/").status_code == 200


def test_the_only_passkey_stays_until_there_is_another_way(confirmed: Browser, joined: Membership) -> None:
    browser = confirmed(joined.user)
    passkey = Authenticator.objects.get()
    remove = f"/accounts/passkeys/{passkey.pk}/remove/"
    assert "You sign in with it alone" in browser.post(remove).content.decode()
    give_passkey(joined.user, alone=False)  # a second step only
    assert "You sign in with it alone" in browser.post(remove).content.decode()
    joined.user.set_password(PASSWORD)
    joined.user.save()
    assert confirmed(joined.user).post(remove).status_code == 302


def test_an_account_with_a_password_is_not_asked_to_set_one(confirmed: Browser, member: Membership) -> None:
    browser = confirmed(member.user)
    assert browser.get("/accounts/password/set/").headers["Location"] == "/accounts/password/change/"
