"""Inviting by mail: the link reaches the mailbox alone, and the worker sends it."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.db import connection
from django.test import Client

from portal.actions.link_mail import MOST_IN_AN_HOUR, TOO_MANY
from portal.models import Membership, Organization, User
from tests.factories import PASSWORD, make_organization, make_user
from tests.fixtures import signed_in
from tests.portal.invitations.visitors import KNOWN, NEW, UNKNOWN, USE, path_in
from tests.portal.mailbox import Mailbox
from tests.vpn.api.caller import Caller, told


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
    """Only the worker talks to the mail server, outside of transactions: otherwise all writers would wait for it."""
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
