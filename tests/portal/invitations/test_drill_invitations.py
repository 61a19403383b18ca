"""Inviting an address does not tell whether it has an account, and gives the inviter no access to that account."""

from __future__ import annotations

import os
import statistics
import time

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from portal.actions.member import add_member, remove_member
from portal.models import Membership, MembershipState, Organization, Role, User
from tests.factories import BY, PASSWORD, make_organization
from tests.portal.invitations.visitors import KNOWN, NEW, UNKNOWN, USE, blurred, by_hand, sign_in
from tests.vpn.api.caller import Caller, told

DRILL = bool(os.environ.get("DRILL"))
ROUNDS = 40 if DRILL else 4


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
    """The same number of statements for both; the times are printed."""
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
    """An admin who creates an account for an address cannot tell from response times whether there is another."""
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
