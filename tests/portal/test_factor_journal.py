"""The journal's lines about second factors and sessions: one for each act, with who did it and no secret."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from portal.actions.second_factor import reset_second_factor
from portal.models import BrowserSession, JournalEntry, Membership, Principal
from portal.models.journal import journal_id
from portal.web.sessions import digest_of
from tests.portal.codes import (
    APP,
    REMOVE,
    STEP,
    code_of,
    enter_code,
    enter_password,
    give_app,
    is_signed_in,
    shown_key,
    wrong_code,
)
from tests.portal.test_passkeys import give_passkey

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def started(member: Membership, admin: Membership) -> Any:
    """Lines since the fixtures."""
    begun = journal_id()
    return lambda: list(JournalEntry.objects.filter(id__gt=begun, cause=None).order_by("id"))


def codes(lines: list[JournalEntry]) -> list[str]:
    """Their codes, without sign-ins."""
    return [line.code for line in lines if line.code != "user.signed_in"]


def test_an_app_from_its_beginning_to_its_end(member: Membership, started: Any) -> None:
    browser = enter_password(member.user)
    key = shown_key(browser.get(APP).content)
    browser.post(APP, {"code": code_of(key)})
    browser.post("/accounts/recovery-codes/new/")
    browser.post(REMOVE)
    lines = started()
    assert codes(lines) == ["user.factor_added", "user.recovery_codes_renewed", "user.factor_removed"]
    assert {(line.actor_id, line.organization_id) for line in lines} == {(str(member.pk), member.organization_id)}
    assert [line.details for line in lines if line.code == "user.factor_added"] == [{"factor": "totp"}]
    assert key not in "".join(line.document for line in lines)


def test_a_wrong_code_is_an_unknown_clients(member: Membership, started: Any) -> None:
    key = give_app(member.user)
    browser = enter_password(member.user)
    browser.post(STEP, {"code": wrong_code(key)})
    [line] = started()
    assert (line.code, line.actor_kind) == ("user.factor_refused", "device")


def test_a_passkey_that_is_renamed_and_removed(member: Membership, started: Any) -> None:
    passkey = give_passkey(member.user)
    secret = give_app(member.user)
    browser = enter_password(member.user)
    assert enter_code(browser, code_of(secret))
    browser.post(f"/accounts/passkeys/{passkey.pk}/", {"name": "Blue"})
    browser.post(f"/accounts/passkeys/{passkey.pk}/remove/")
    lines = [line for line in started() if line.code != "user.signed_in"]
    assert [(line.code, line.details) for line in lines] == [
        ("user.factor_renamed", {"factor": "Blue"}),
        ("user.factor_removed", {"factor": "Blue"}),
    ]


def test_sessions_that_are_ended(member: Membership, started: Any) -> None:
    browser, other = enter_password(member.user), enter_password(member.user)
    browser.post("/accounts/sessions/end/")
    browser.post("/accounts/sessions/end/")
    assert codes(started()) == ["user.signed_out_elsewhere"]
    assert other.get("/my/").status_code == 302


def test_one_session_that_is_ended(member: Membership, started: Any) -> None:
    browser, other = enter_password(member.user), enter_password(member.user)
    other.get("/my/")
    session = BrowserSession.objects.exclude(digest=digest_of(str(browser.session.session_key))).get()
    browser.post(f"/accounts/sessions/{session.pk}/end/")
    assert codes(started()) == ["user.signed_out_elsewhere"]
    assert other.get("/my/").status_code == 302


def test_an_admins_reset_is_one_line_of_theirs(member: Membership, admin: Membership, started: Any) -> None:
    give_app(member.user)
    enter_password(admin.user).post(f"/people/{member.pk}/second-factor/")
    [line] = [line for line in started() if line.code != "user.signed_in"]
    assert (line.code, line.actor, line.object_name) == (
        "user.second_factor_reset",
        admin.principal,
        member.user.email,
    )
    reset_second_factor(member.user, by=Principal.portal("a test"))
    assert codes(started()) == ["user.second_factor_reset"]


def test_the_rule_of_an_organization(admin: Membership, started: Any) -> None:
    secret = give_app(admin.user)
    browser = enter_password(admin.user)
    assert enter_code(browser, code_of(secret))
    for chosen in ({"second_factor_required": "on"}, {}):
        browser.post("/settings/", {"name": admin.organization.name, **chosen})
    assert codes(started()) == [
        "organization.second_factor_required",
        "organization.second_factor_made_optional",
    ]


def test_the_command_for_staff_who_lost_theirs(admin: Membership, started: Any) -> None:
    give_app(admin.user)
    browser = enter_password(admin.user)
    call_command("reset_second_factor", admin.user.email.upper(), stdout=StringIO())
    [line] = started()
    assert (line.code, line.actor_kind) == ("user.second_factor_reset", "staff")
    assert not is_signed_in(browser)
    assert is_signed_in(enter_password(admin.user))
    with pytest.raises(CommandError, match="has a second factor"):
        call_command("reset_second_factor", admin.user.email)
