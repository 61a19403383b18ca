"""The pages of API tokens: a person's own, those of the organization, making and revoking."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from portal.models import ApiToken, JournalEntry, Membership, Organization
from portal.models.api_token import PREFIX, Ceiling
from tests.factories import make_instance
from tests.fixtures import signed_in
from tests.portal.codes import ACCOUNT, enter_password
from tests.vpn.api.caller import Caller, refused, told
from vpn.models import Instance

pytestmark = pytest.mark.django_db
OWN, NEW, ALL = "/accounts/tokens/", "/accounts/tokens/new/", "/settings/tokens/"
TEXT = re.compile(re.escape(PREFIX) + r"[\w-]{43}")


def form(**changes: Any) -> dict[str, Any]:
    """What the form sends for a token that reads for a week."""
    last = timezone.localdate() + timedelta(days=7)
    return {"name": "Backup", "ceiling": "read", "reach": "all", "last_day": last.isoformat(), **changes}


def revoke_page(token: ApiToken) -> str:
    """The page that revokes a token."""
    return f"/accounts/tokens/{token.pk}/revoke/"


def test_a_token_is_made_shown_once_used_and_revoked(admin: Membership, instance: Instance) -> None:
    browser = enter_password(admin.user)
    assert OWN.encode() in browser.get(ACCOUNT).content
    answer = browser.post(NEW, form(reach="some", instances=[str(instance.pk)]))
    assert "no-store" in answer["Cache-Control"]
    assert answer.status_code == 200  # no redirect, so that the token is in no address
    (text,) = set(TEXT.findall(answer.content.decode()))
    caller = Caller(text)
    told(caller.get(f"/instances/{instance.pk}"), 200)
    refused(caller.put(f"/instances/{instance.pk}", {"name": "New"}), 403, "token-reads-only")
    page = browser.get(OWN).content.decode()
    for shown in ("Backup", instance.name, "127.0.0.1"):
        assert shown in page
    assert not TEXT.search(page)
    token = ApiToken.objects.get()
    assert token.expires_at is not None
    assert timedelta(days=6) < token.expires_at - timezone.now() < timedelta(days=8)
    assert b"Revoke Backup?" in browser.get(revoke_page(token)).content
    assert browser.post(revoke_page(token))["Location"] == OWN
    refused(caller.get("/instances"), 401, "token-invalid")


def test_making_and_revoking_leave_one_line_each(admin: Membership) -> None:
    browser = enter_password(admin.user)
    browser.post(NEW, form())
    browser.post(revoke_page(ApiToken.objects.get()))
    lines = JournalEntry.objects.filter(code__startswith="apitoken.").order_by("id")
    assert [(line.code, line.actor_id) for line in lines] == [
        ("apitoken.created", str(admin.pk)),
        ("apitoken.deleted", str(admin.pk)),
    ]
    assert "read" in str(lines[0].changes)


def test_a_browser_that_was_left_open_makes_none(admin: Membership) -> None:
    browser = signed_in(admin.user)
    for answer in (browser.get(NEW), browser.post(NEW, form())):
        assert answer["Location"].startswith("/accounts/confirm/password/")
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize(
    ("changes", "told_so"),
    [
        ({"name": ""}, "This field is required"),
        ({"name": "x" * 61}, "at most 60 characters"),
        ({"ceiling": "all"}, "Select a valid choice"),
        ({"reach": "some"}, "Tick at least one instance"),
        ({"reach": "some", "instances": ["nonsense"]}, "is not a valid"),
        ({"last_day": ""}, "This field is required"),
        ({"last_day": "2020-01-31"}, "Choose a day from today to"),
        ({"last_day": "2999-01-31"}, "Choose a day from today to"),
    ],
)
def test_a_fault_is_told_and_nothing_made(admin: Membership, changes: dict[str, Any], told_so: str) -> None:
    assert told_so in enter_password(admin.user).post(NEW, form(**changes)).content.decode()
    assert not ApiToken.objects.exists()


def test_the_form_asks_for_a_token_of_ninety_days_that_reads(admin: Membership) -> None:
    page = enter_password(admin.user).get(NEW).content.decode()
    assert (timezone.localdate() + timedelta(days=90)).isoformat() in page
    assert re.search(r'value="read"[^>]*checked', page)


def test_an_instance_of_another_organization_is_not_offered(admin: Membership, stranger: Membership) -> None:
    theirs = make_instance(stranger.organization, name="Theirs")
    browser = enter_password(admin.user)
    assert b"Theirs" not in browser.get(NEW).content
    page = browser.post(NEW, form(reach="some", instances=[str(theirs.pk)])).content.decode()
    assert "Select a valid choice" in page
    assert not ApiToken.objects.exists()


def test_an_auditor_makes_one_that_reads(auditor: Membership) -> None:
    browser = enter_password(auditor.user)
    assert b"Read and change" not in browser.get(NEW).content
    assert b"Select a valid choice" in browser.post(NEW, form(ceiling="manage")).content
    browser.post(NEW, form())
    assert ApiToken.objects.get().ceiling == Ceiling.READ


def test_a_member_limits_none_to_instances(member: Membership, instance: Instance) -> None:
    browser = enter_password(member.user)
    assert instance.name.encode() not in browser.get(NEW).content
    browser.post(NEW, form(ceiling="manage", reach="some", instances=[str(instance.pk)]))
    assert ApiToken.objects.get().instances is None


def test_the_quota_is_told(admin: Membership, organization: Organization) -> None:
    organization.most_api_tokens = 0
    organization.save()
    assert b"0 of 0 API tokens are in use" in enter_password(admin.user).post(NEW, form()).content


def test_each_sees_their_own_and_admins_all(
    admin_browser: Client, member_browser: Client, member: Membership, stranger: Membership
) -> None:
    ApiToken.issue(member, name="Of the member")
    ApiToken.issue(stranger, name="Of a stranger")
    assert b"Of the member" in member_browser.get(OWN).content
    assert b"Of the member" not in admin_browser.get(OWN).content
    page = admin_browser.get(ALL).content
    assert b"Of the member" in page
    assert b"Of a stranger" not in page
    assert ALL.encode() in admin_browser.get("/settings/").content


def test_an_admin_revokes_anyones_and_an_auditor_nobodys(
    admin_browser: Client, auditor_browser: Client, member: Membership
) -> None:
    token, text = ApiToken.issue(member, name="Lost")
    assert revoke_page(token).encode() not in auditor_browser.get(ALL).content
    assert auditor_browser.post(revoke_page(token)).status_code == 403
    told(Caller(text).get("/tokens"), 200)
    assert admin_browser.post(revoke_page(token))["Location"] == ALL
    refused(Caller(text).get("/tokens"), 401, "token-invalid")


def test_nobody_else_revokes_one(member_browser: Client, stranger_browser: Client, admin: Membership) -> None:
    token, _ = ApiToken.issue(admin)
    for browser in (member_browser, stranger_browser):
        assert browser.post(revoke_page(token)).status_code == 404
    assert ApiToken.objects.exists()


def test_a_long_list_has_pages_and_takes_few_queries(
    admin_browser: Client, admin: Membership, instance: Instance, django_assert_max_num_queries: Any
) -> None:
    for _ in range(51):
        ApiToken.issue(admin, name="One of many", instances=[instance.pk])
    with django_assert_max_num_queries(12):
        page = admin_browser.get(ALL).content
    assert page.count(b"One of many</span>") == 50
    assert b"1\xe2\x80\x9350 of 51 tokens" in page
