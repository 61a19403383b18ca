"""Inviting an address tells nothing about it, and gives nobody its account: by mail, and from hand to hand."""

from __future__ import annotations

import os
import re
import statistics
import time
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.apps import apps
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core.mail import EmailMessage
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from portal.actions.link_mail import MOST_IN_AN_HOUR, TOO_MANY
from portal.actions.member import add_member, remove_member
from portal.actions.sign_in_link import one_time_link
from portal.models import ApiToken, Membership, MembershipState, Organization, Role, User
from tests.factories import BY, PASSWORD, make_member, make_organization, make_user
from tests.fixtures import signed_in
from tests.portal.mailbox import Mailbox
from tests.vpn.api.caller import Caller, told

NEW = {"password1": "a brand new password", "password2": "a brand new password"}
USE = "/accounts/link/"
KNOWN, UNKNOWN = "known@example.org", "empty@example.org"
DRILL = bool(os.environ.get("DRILL"))
ROUNDS = 40 if DRILL else 4


@pytest.fixture
def known(organization: Organization) -> Membership:
    """Somebody with an account, in another organization than the one that invites."""
    return make_member(organization, email=KNOWN, name="Karla Known")


@pytest.fixture
def stranger_api(stranger: Membership) -> Caller:
    """The API as the admin of the organization that invites."""
    return Caller.of(stranger)


@pytest.fixture
def mail(settings: Settings, mailoutbox: list[EmailMessage]) -> Mailbox:
    """The portal sends mail; what it sent."""
    settings.EMAIL_CONFIGURED = True
    return Mailbox(mailoutbox)


def path_in(message: EmailMessage) -> str:
    """The path of the link in a mail."""
    found = re.search(r"https?://\S+", str(message.body))
    assert found
    return urlsplit(found[0]).path


def by_hand(membership: Membership) -> str:
    """The path of a link that an admin was shown."""
    return urlsplit(one_time_link(membership)).path


def sign_in(email: str, password: str) -> Client | None:
    """A browser that signed in; None where it was refused."""
    browser = Client()
    answer = browser.post("/accounts/login/", {"login": email, "password": password})
    return browser if answer.status_code == 302 else None


def blurred(page: bytes) -> str:
    """A page without what differs by itself: ids, addresses, tokens, the time."""
    text = page.decode().replace(KNOWN, "EMAIL").replace(UNKNOWN, "EMAIL")
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", text)
    text = re.sub(r"\b[A-Za-z0-9]{64}\b", "TOKEN", text)
    text = re.sub(r"<time.*?</time>", "TIME", text, flags=re.DOTALL)
    text = re.sub(r"\b(known|empty)\b", "SLUG", text)
    return re.sub(r"/accounts/link/\S+/", "LINK", text)


# Inviting tells nothing -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mailed", [False, True])
def test_every_page_says_the_same_of_an_address_with_an_account_and_without(
    known: Membership, stranger_browser: Client, stranger: Membership, settings: Settings, mailed: bool
) -> None:
    settings.EMAIL_CONFIGURED = mailed
    seen: dict[str, list[str]] = {}
    for email in (KNOWN, UNKNOWN):
        pages = []
        answer = stranger_browser.post("/people/new/", {"email": email, "name": "", "role": "member"}, follow=True)
        added = Membership.objects.get(organization=stranger.organization, user__email=email)
        pages.append(answer.content)
        pages += [
            stranger_browser.get(path).content for path in (f"/people/{added.pk}/", f"/people/{added.pk}/remove/")
        ]
        pages += [stranger_browser.get("/people/", {"q": email}).content]
        change = {"name": "Called Here", "role": "auditor", "active": "false"}
        pages += [stranger_browser.post(f"/people/{added.pk}/", change, follow=True).content]
        pages += [stranger_browser.post(f"/people/{added.pk}/", {**change, "active": "true"}, follow=True).content]
        Membership.objects.filter(pk=added.pk).update(link_mailed_at=None)
        pages += [stranger_browser.post(f"/people/{added.pk}/link/", follow=True).content]
        seen[email] = [blurred(page) for page in pages]
        stranger_browser.post(f"/people/{added.pk}/remove/", follow=True)
    for known_page, unknown_page in zip(seen[KNOWN], seen[UNKNOWN], strict=True):
        assert known_page == unknown_page
        assert "Karla" not in known_page
    known.user.refresh_from_db()
    assert known.user.name == "Karla Known"


@pytest.mark.parametrize("mailed", [False, True])
def test_the_api_says_the_same(known: Membership, stranger_api: Caller, settings: Settings, mailed: bool) -> None:
    settings.EMAIL_CONFIGURED = mailed
    seen = []
    for email in (KNOWN, UNKNOWN):
        body = told(stranger_api.post("/users", {"email": email, "role": "member"}), 201)
        changed = told(stranger_api.put(f"/users/{body['id']}", {"name": "Called Here"}), 200)
        seen.append(
            [
                {key: value for key, value in each.items() if key not in {"id", "created_at", "email"}}
                for each in (body, changed)
            ]
        )
    assert seen[0] == seen[1]


def test_who_opens_a_link_from_hand_to_hand_learns_nothing(known: Membership, other_organization: Organization) -> None:
    pages = []
    for email in (KNOWN, UNKNOWN):
        browser = Client()
        guest = add_member(other_organization, email=email, role=Role.MEMBER, by=BY)
        opened = browser.get(by_hand(guest), follow=True)
        weak = browser.post(USE, {"password1": "short", "password2": "short"})
        taken = browser.post(USE, NEW, follow=True)
        pages.append([opened.redirect_chain, *(blurred(page.content) for page in (opened, weak, taken))])
    assert pages[0] == pages[1]


def test_inviting_takes_the_same_steps(known: Membership, other_organization: Organization) -> None:
    """The same statements, so the same time; the figures are printed."""
    steps: dict[str, int] = {}
    times: dict[str, list[float]] = {KNOWN: [], UNKNOWN: []}
    for _ in range(ROUNDS):
        for email, spent in times.items():
            with CaptureQueriesContext(connection) as queries:
                begun = time.perf_counter()
                guest = add_member(other_organization, email=email, role=Role.MEMBER, by=BY)
                spent.append(time.perf_counter() - begun)
            assert steps.setdefault(email, len(queries)) == len(queries)
            remove_member(guest, by=BY)
    print({email: f"{statistics.median(spent) * 1000:.2f} ms" for email, spent in times.items()})
    assert steps[KNOWN] == steps[UNKNOWN]


def test_a_wrong_password_takes_the_same_steps_however_many_accounts_there_are(
    known: Membership, other_organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An admin who makes an account of their own for an address cannot tell by the clock whether there is another."""
    hashed: list[str] = []
    encode = MD5PasswordHasher.encode

    def note(self: MD5PasswordHasher, password: str, salt: str) -> str:
        hashed.append(salt)
        return encode(self, password, salt)

    monkeypatch.setattr(MD5PasswordHasher, "encode", note)
    counts = []
    for email in (KNOWN, UNKNOWN, "never@example.org"):
        if email != "never@example.org":
            browser = Client()
            browser.get(by_hand(add_member(other_organization, email=email, role=Role.MEMBER, by=BY)))
            browser.post(USE, NEW)
        hashed.clear()
        assert sign_in(email, "wrong") is None
        counts.append(len(hashed))
    assert len(set(counts)) == 1, counts


# By mail --------------------------------------------------------------------------------------------------------------


def test_the_link_goes_to_the_mailbox_and_who_invites_never_sees_it(stranger_browser: Client, mail: Mailbox) -> None:
    answer = stranger_browser.post("/people/new/", {"email": UNKNOWN, "name": "", "role": "member"}, follow=True)
    assert b"A link is on its way to" in answer.content
    assert b"/accounts/link/" not in answer.content
    [message] = mail
    assert message.to == [UNKNOWN]
    browser = Client()
    browser.get(path_in(message))
    assert browser.post(USE, NEW)["Location"] == "/my/"
    assert User.objects.get(email=UNKNOWN).proven


@pytest.mark.django_db(transaction=True)
def test_the_api_and_staff_mail_it_too_and_nobody_waits_for_the_mail_server(
    stranger_api: Caller, staff_browser: Client, mail: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker alone speaks to it, outside of any transaction: all that write would wait with it."""
    is_inside: list[bool] = []

    def send(message: EmailMessage, *arguments: Any) -> int:
        is_inside.append(connection.in_atomic_block)
        return send_message(message, *arguments)

    send_message = EmailMessage.send
    monkeypatch.setattr(EmailMessage, "send", send)
    for _ in range(2):
        told(stranger_api.post("/users", {"email": UNKNOWN, "role": "member"}, Idempotency_Key="once"), 201)
    form = {"memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0", "name": "Weber", "slug": "weber"}
    answer = staff_browser.post("/admin/portal/organization/add/", {**form, "admin_email": KNOWN}, follow=True)
    assert b"A link is on its way to" in answer.content
    assert b"/accounts/link/" not in answer.content
    assert is_inside == []
    assert [message.to for message in mail] == [[UNKNOWN], [KNOWN]]
    assert is_inside == [False, False]


def test_an_account_that_is_there_joins_by_the_mailed_link_and_then_its_name_is_known(
    known: Membership, other_organization: Organization, stranger_browser: Client, mail: Mailbox
) -> None:
    stranger_browser.post("/people/new/", {"email": KNOWN, "name": "", "role": "member"})
    assert b"Karla" not in stranger_browser.get("/people/").content
    browser = Client()
    answer = browser.get(path_in(mail[0]), follow=True)
    assert answer.redirect_chain[-1][0] == f"/accounts/login/?next={USE}"
    browser.post("/accounts/login/", {"login": KNOWN, "password": PASSWORD})
    assert browser.post(USE).status_code == 302
    assert b"Karla Known" in stranger_browser.get("/people/").content
    assert Membership.objects.filter(user=known.user).count() == 2


def test_a_second_press_of_the_button_sends_no_second_mail(stranger_browser: Client, mail: Mailbox) -> None:
    stranger_browser.post("/people/new/", {"email": UNKNOWN, "name": "", "role": "member"})
    person = Membership.objects.get(user__email=UNKNOWN)
    assert b"Wait a minute" in stranger_browser.post(f"/people/{person.pk}/link/", follow=True).content
    assert len(mail) == 1


# From hand to hand ----------------------------------------------------------------------------------------------------


def test_an_account_made_by_hand_cannot_be_joined_to_another_organization_by_its_holder(
    organization: Organization, other_organization: Organization
) -> None:
    holder = Client()
    holder.get(by_hand(add_member(organization, email=UNKNOWN, role=Role.ADMIN, by=BY)))
    holder.post(USE, NEW)
    guest = add_member(other_organization, email=UNKNOWN, role=Role.ADMIN, by=BY)
    holder.get(by_hand(guest))
    assert holder.post(USE).status_code == 200
    guest.refresh_from_db()
    assert (guest.state, guest.user.has_usable_password()) == (MembershipState.INVITED, False)
    assert holder.post("/organization/", {"organization": str(other_organization.pk)}).status_code == 404


def test_signing_in_leads_to_the_account_whose_password_it_is(
    known: Membership, other_organization: Organization
) -> None:
    browser = Client()
    browser.get(by_hand(add_member(other_organization, email=KNOWN, role=Role.AUDITOR, by=BY)))
    browser.post(USE, NEW)
    local, owner = sign_in(KNOWN, NEW["password1"]), sign_in(KNOWN, PASSWORD)
    assert local is not None
    assert owner is not None
    assert local.get("/people/").status_code == 200
    assert owner.get("/people/").status_code == 403


def test_nobody_makes_an_address_slow_by_many_accounts_of_it(known: Membership) -> None:
    for number in range(4):
        browser = Client()
        browser.get(by_hand(add_member(make_organization(f"Squatter {number}"), email=KNOWN, role=Role.MEMBER, by=BY)))
        last = browser.post(USE, NEW)
    assert b"several accounts" in last.content
    candidates = User.objects.sign_in_candidates(KNOWN)
    assert (len(candidates), candidates[0]) == (3, known.user)
    assert sign_in(KNOWN, PASSWORD) is not None


def test_an_account_that_belongs_nowhere_any_more_goes_unless_its_owner_has_proven_it(
    known: Membership, other_organization: Organization
) -> None:
    guest = add_member(other_organization, email=KNOWN, role=Role.MEMBER, by=BY)
    remove_member(guest, by=BY)
    remove_member(known, by=BY)
    assert list(User.objects.of_address(KNOWN)) == [known.user]


# The owner takes the address back -------------------------------------------------------------------------------------


def reset(email: str, mail: Mailbox, password: str = "the owner's own words") -> Client:
    """What the owner of a mailbox does."""
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


def test_who_signed_up_and_opens_a_mailed_link_joins_with_that_account(
    other_organization: Organization, mail: Mailbox, stranger_browser: Client
) -> None:
    signed_up = make_user(UNKNOWN, proven=False)
    make_organization("Their own").memberships.update(user=signed_up)
    stranger_browser.post("/people/new/", {"email": UNKNOWN, "name": "", "role": "member"})
    browser = signed_in(signed_up)
    browser.get(path_in(mail[0]))
    assert browser.post(USE).status_code == 302
    signed_up.refresh_from_db()
    assert signed_up.proven
    assert signed_up.memberships.count() == 2


def test_invitations_of_before_get_accounts_of_their_own(known: Membership, other_organization: Organization) -> None:
    """As the migration finds them: bound to an account that has not accepted."""
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


@pytest.mark.django_db(transaction=True)
def test_adding_and_removing_a_person_fills_no_mailbox(stranger_api: Caller, mail: Mailbox) -> None:
    body = {"email": UNKNOWN, "role": "member"}
    for _ in range(MOST_IN_AN_HOUR + 5):
        added = told(stranger_api.post("/users", body), 201)
        sent = len(mail)
        last = Membership.objects.get(pk=added["id"])
        assert stranger_api.delete(f"/users/{added['id']}").status_code == 204
    assert sent == MOST_IN_AN_HOUR
    assert last.link_fault == TOO_MANY
