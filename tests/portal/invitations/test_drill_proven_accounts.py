"""An address has one proven account: its owner can take the address back by a new password."""

from __future__ import annotations

import re
from importlib import import_module
from urllib.parse import urlsplit

from django.apps import apps
from django.db import connection
from django.test import Client
from pytest_django import Settings

from portal.actions.member import add_member, remove_member
from portal.actions.sign_in_link import one_time_link
from portal.models import ApiToken, Membership, MembershipState, Organization, Role, User
from tests.factories import BY, make_user
from tests.portal.invitations.visitors import KNOWN, NEW, UNKNOWN, USE, blurred, by_hand, path_in, sign_in
from tests.portal.mailbox import Mailbox


def test_an_account_that_belongs_nowhere_any_more_goes_unless_its_owner_has_proven_it(
    known: Membership, other_organization: Organization
) -> None:
    guest = add_member(other_organization, email=KNOWN, role=Role.MEMBER, by=BY)
    remove_member(guest, by=BY)
    remove_member(known, by=BY)
    assert list(User.objects.of_address(KNOWN)) == [known.user]


def reset(email: str, mail: Mailbox, password: str = "the owner's own words") -> Client:
    """A browser of the mailbox owner, who set a new password by the mailed link."""
    browser = Client()
    assert browser.post("/accounts/password/reset/", {"email": email}).status_code == 302
    page = browser.get(path_in(mail[-1]), follow=True)
    answer = browser.post(page.redirect_chain[-1][0], {"password1": password, "password2": password})
    assert answer.status_code == 302, answer.content
    return browser


def test_the_owner_takes_an_address_back_from_who_was_handed_it(organization: Organization, mail: Mailbox) -> None:
    holder = Client()
    taken = add_member(organization, email=UNKNOWN, role=Role.AUDITOR, by=BY)
    holder.get(by_hand(taken))
    holder.post(USE, NEW)
    assert holder.get("/people/").status_code == 200
    ApiToken.issue(taken)
    owner = reset(UNKNOWN, mail)
    assert owner.get("/people/").status_code == 200
    assert holder.get("/people/").status_code == 302
    assert sign_in(UNKNOWN, NEW["password1"]) is None
    assert not ApiToken.objects.exists()
    assert User.objects.get(email=UNKNOWN).proven


def test_taking_it_back_signs_every_other_account_of_the_address_out(
    known: Membership, other_organization: Organization, mail: Mailbox
) -> None:
    holder, guest = Client(), add_member(other_organization, email=KNOWN, role=Role.AUDITOR, by=BY)
    holder.get(by_hand(guest))
    holder.post(USE, NEW)
    owner = reset(KNOWN, mail)
    assert owner.get("/my/").status_code == 200
    assert holder.get("/people/").status_code == 302
    guest.refresh_from_db()
    assert (guest.state, guest.user.has_usable_password()) == (MembershipState.INVITED, False)
    assert User.objects.sign_in_candidates(KNOWN) == [known.user]


def test_asking_for_a_new_password_says_the_same_for_every_address(
    known: Membership, organization: Organization, mail: Mailbox
) -> None:
    add_member(organization, email=UNKNOWN, role=Role.MEMBER, by=BY)
    pages = [
        blurred(Client().post("/accounts/password/reset/", {"email": email}, follow=True).content)
        for email in (KNOWN, UNKNOWN, "never@example.org")
    ]
    assert len(set(pages)) == 1
    assert [message.to[0] for message in mail] == [KNOWN, UNKNOWN, "never@example.org"]
    assert [bool(re.search("https?://", str(message.body))) for message in mail] == [True, False, False]


def test_the_mails_link_leads_to_the_portals_own_name(known: Membership, mail: Mailbox, settings: Settings) -> None:
    settings.PUBLIC_URL = "https://vpn.example.org"
    Client().post("/accounts/password/reset/", {"email": KNOWN}, headers={"Host": "127.0.0.1"})
    assert "https://vpn.example.org/accounts/password/reset/key/" in str(mail[0].body)


def test_the_mails_link_works_once(known: Membership, mail: Mailbox) -> None:
    reset(KNOWN, mail)
    assert b"This link has ended" in Client().get(path_in(mail[0]), follow=True).content


def test_two_accounts_of_one_address_are_never_both_proven(known: Membership, other_organization: Organization) -> None:
    guest = add_member(other_organization, email=KNOWN.upper(), role=Role.MEMBER, by=BY)
    link = urlsplit(one_time_link(guest, mailed=True)).path
    browser = Client()
    assert b"Sign in" in browser.get(link, follow=True).content
    browser.post(USE, NEW)
    assert User.objects.of_address(KNOWN).filter(proven=True).count() == 1


def test_invitations_of_before_get_accounts_of_their_own(known: Membership, other_organization: Organization) -> None:
    """The migration finds invitations that are bound to an account which has not accepted them."""
    guest = Membership.objects.create(organization=other_organization, user=known.user)
    User.objects.update(proven=False)
    operator = make_user("operator@example.org", is_staff=True, proven=False)
    migration = import_module("portal.migrations.0008_prove_accounts")
    migration.prove_staff(apps, connection.schema_editor())
    migration.separate_invitations(apps, connection.schema_editor())
    guest.refresh_from_db()
    assert guest.user_id != known.user_id
    assert (guest.user.email, guest.user.name, guest.user.has_usable_password()) == (KNOWN, "", False)
    known.refresh_from_db()
    assert known.user.name == "Karla Known"
    assert list(User.objects.filter(proven=True)) == [operator]
