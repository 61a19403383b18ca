"""The audit log: who did what, from where; it holds no secret, and no input can forge a line."""

from __future__ import annotations

import json
import logging
import os
import pwd
import re
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from django.conf import settings as portal_settings
from django.core.management import call_command
from django.test import Client, RequestFactory, override_settings
from pytest_django import Settings

from portal.actions.member import add_member
from portal.actions.sign_in_link import one_time_link
from portal.audit.line import JsonLine
from portal.audit.log import note
from portal.models import ApiToken, Membership, Organization, Principal, Role
from tests.factories import BY, PASSWORD, settle
from tests.fixtures import signed_in
from tests.mail_server import MailServer
from tests.portal.mailbox import send_what_waits
from tests.vpn.api.caller import Caller, told
from vpn.actions.activity.planning import preview
from vpn.actions.peers.keys import rotate_keys
from vpn.actions.peers.peer import update_peer
from vpn.actions.profiles.profile import issue_link
from vpn.models import Instance, Peer

FROM = "203.0.113.7"


class Log:
    """The logged lines, as a program reads them."""

    def __init__(self) -> None:
        self.stream = StringIO()

    @property
    def text(self) -> str:
        """The text of the file."""
        return self.stream.getvalue()

    def lines(self, event: str = "") -> list[dict[str, Any]]:
        """The lines of one event, or all."""
        found: list[dict[str, Any]] = [json.loads(line) for line in self.text.splitlines()]
        return [line for line in found if not event or line["event"] == event]

    def only(self, event: str) -> dict[str, Any]:
        """The one line of this event."""
        [line] = self.lines(event)
        return line


@pytest.fixture
def log() -> Iterator[Log]:
    """The audit log of one test, formatted as the portal's is."""
    found, logger = Log(), logging.getLogger("audit")
    handler = logging.StreamHandler(found.stream)
    handler.setFormatter(JsonLine())
    logger.addHandler(handler)
    yield found
    logger.removeHandler(handler)


def is_by(line: dict[str, Any], member: Membership) -> bool:
    """Does the line say that this member did it, in their organization?"""
    return (line["user"], line["email"], line["organization"]) == (
        str(member.user_id),
        member.user.email,
        str(member.organization_id),
    )


def test_the_portal_writes_it_as_lines_of_json() -> None:
    logging_of: dict[str, Any] = portal_settings.LOGGING
    assert logging_of["loggers"]["audit"] == {"handlers": ["audit"], "level": "INFO", "propagate": False}
    assert logging_of["formatters"]["audit"] == {"()": "portal.audit.line.JsonLine"}


def test_signing_in_out_and_failing_say_who_and_from_where(client: Client, member: Membership, log: Log) -> None:
    email = member.user.email
    client.post("/accounts/login/", {"login": email, "password": "my wrong secret"}, REMOTE_ADDR=FROM)
    client.post("/accounts/login/", {"login": email, "password": PASSWORD}, REMOTE_ADDR=FROM)
    client.post("/accounts/logout/", REMOTE_ADDR=FROM)
    assert log.only("sign_in_failed")["email"] == email
    for event in ("sign_in", "sign_out"):
        assert log.only(event)["user"] == str(member.user_id)
    assert {line["address"] for line in log.lines()} == {"203.0.113.7"}
    assert len(log.lines()) == 3
    assert PASSWORD not in log.text
    assert "my wrong secret" not in log.text


def test_being_refused_for_too_many_attempts_is_noted_once_a_minute(member: Membership, log: Log) -> None:
    for _ in range(12):
        Client().post("/accounts/login/", {"login": member.user.email, "password": "wrong"}, REMOTE_ADDR=FROM)
    assert len(log.lines("sign_in_failed")) == 5
    assert len(log.lines("sign_in_refused")) == 1


def test_passwords_are_noted_when_they_are_set_and_changed(
    client: Client, organization: Organization, log: Log
) -> None:
    invited = add_member(organization, email="anna@example.org", role=Role.MEMBER, by=BY)
    token = urlsplit(one_time_link(invited)).path
    client.get(token)
    client.post(
        "/accounts/link/", {"password1": "a brand new password", "password2": "a brand new password"}, REMOTE_ADDR=FROM
    )
    assert log.only("password_set") | {"at": ""} == {
        "at": "",
        "event": "password_set",
        "user": str(invited.user_id),
        "email": "anna@example.org",
        "member": str(invited.pk),
        "organization": str(organization.pk),
        "address": "203.0.113.7",
        "mailed": False,
    }
    data = {"password1": "another new password", "password2": "another new password"}
    client.post("/accounts/password/change/", {"oldpassword": "a brand new password", **data}, REMOTE_ADDR=FROM)
    assert log.only("password_changed")["email"] == "anna@example.org"
    for secret in ("brand new", "another new", token.split("/")[-2]):
        assert secret not in log.text


def test_reveals_and_share_links_say_whose_profile(
    member: Membership, instance: Instance, client_peer: Peer, log: Log
) -> None:
    settle(instance)
    browser = signed_in(member.user)
    path = f"/peers/{client_peer.pk}/profile/"
    page = browser.post(path, REMOTE_ADDR=FROM)
    file = browser.post(path, headers={"Accept": "text/plain"}, REMOTE_ADDR=FROM)
    browser.post(f"/peers/{client_peer.pk}/link/", REMOTE_ADDR=FROM)
    assert (page.status_code, file.status_code) == (200, 200)
    assert [line["form"] for line in log.lines("reveal")] == ["page with its QR code", "file"]
    for line in (*log.lines("reveal"), log.only("share_link")):
        assert is_by(line, member)
        assert line["peer"] == str(client_peer.pk)
    key = re.search(rb"PrivateKey = (\S+)", file.content)
    assert key
    assert key[1].decode() not in log.text


def test_a_share_links_reveal_is_noted_without_its_token(
    member: Membership, instance: Instance, client_peer: Peer, log: Log
) -> None:
    settle(instance)
    token, _ = issue_link(client_peer, sender=member, by=BY)
    assert Client().post(f"/p/{token}/", REMOTE_ADDR=FROM).status_code == 200
    again, _ = issue_link(client_peer, sender=member, by=BY)
    assert Caller(again).get("/client").status_code == 200
    assert [line["form"] for line in log.lines("reveal")] == ["share link", "share token"]
    assert {line["peer"] for line in log.lines("reveal")} == {str(client_peer.pk)}
    assert token not in log.text
    assert again not in log.text


def test_a_tokens_use_is_noted_once_a_minute_and_each_of_its_acts(admin: Membership, log: Log) -> None:
    token, text = ApiToken.issue(admin)
    api = Caller(text)
    for _ in range(5):
        told(api.get("/sites"), 200)
    made = told(api.post("/sites", {"name": "Berlin", "platform": "linux", "subnets": []}), 201)
    assert api.delete(f"/sites/{made['id']}").status_code == 204
    use, acts = log.only("token_use"), log.lines("act")
    assert is_by(use, admin)
    assert use["token"] == str(token.pk)
    assert [(line["method"], line["status"]) for line in acts] == [("POST", 201), ("DELETE", 204)]
    assert acts[0]["made"] == acts[1]["site_id"] == made["id"]
    assert all(is_by(line, admin) and line["token"] == str(token.pk) for line in acts)
    assert text not in log.text
    Caller("vpn_wrong").get("/sites")
    Caller("vpn_wrong").get("/sites")
    assert "vpn_wrong" not in log.text
    assert log.only("token_refused")["address"] == "127.0.0.1"


def test_what_admins_and_staff_do_is_noted_with_what_it_was_done_to(
    admin_browser: Client, admin: Membership, member: Membership, staff_browser: Client, log: Log
) -> None:
    admin_browser.post(
        f"/people/{member.pk}/", {"name": "Anna Secret", "role": "auditor", "active": "true"}, REMOTE_ADDR=FROM
    )
    act = log.only("act")
    assert is_by(act, admin)
    assert (act["view"], act["pk"], act["method"], act["status"]) == ("person", str(member.pk), "POST", 302)
    assert act["address"] == "203.0.113.7"
    assert "Anna Secret" not in log.text, "what was typed is not in it"
    staff_browser.post(f"/admin/portal/user/{member.user_id}/change/", {"name": "Anna", "is_active": "on"})
    staffs = log.lines("act")[-1]
    assert staffs["view"] == "admin:portal_user_change"
    assert UUID(staffs["object_id"]) == member.user_id
    assert staffs["email"] == "staff@example.org"


def test_what_only_asks_what_a_change_would_mean_is_no_act(
    admin_browser: Client, admin: Membership, instance: Instance, log: Log
) -> None:
    settle(instance)
    page, api = f"/instances/{instance.pk}/firewall/", Caller(ApiToken.issue(admin)[1])
    form = {"firewall_policy": "deny", "firewall-TOTAL_FORMS": "0", "firewall-INITIAL_FORMS": "0"}
    assert "What this change means" in admin_browser.post(page, {**form, "preview": "true"}).content.decode()
    told(api.put(f"/instances/{instance.pk}?plan=true", {"firewall_policy": "deny"}), 200)
    assert log.lines("act") == []
    admin_browser.post("/people/new/", {"email": "new", "role": "member", "preview": "true"})
    api.post("/groups?plan=true", {"name": "Staff"})
    admin_browser.post(page, form)
    assert [line["view"] for line in log.lines("act")] == ["person_new", "api:list_groups", "instance_firewall"]


def test_an_invitation_says_who_was_invited(admin_browser: Client, admin: Membership, log: Log) -> None:
    admin_browser.post("/people/new/", {"email": "new@example.org", "role": "auditor"}, REMOTE_ADDR=FROM)
    invited = log.only("invited")
    assert is_by(invited, admin)
    assert invited["invited"] == str(Membership.objects.get(user__email="new@example.org").pk)
    assert (invited["role"], invited["address"]) == ("auditor", FROM)
    assert "new@example.org" not in log.text


def test_refusals_are_noted_too_and_reading_is_not(auditor_browser: Client, member: Membership, log: Log) -> None:
    auditor_browser.get("/people/")
    auditor_browser.post(f"/people/{member.pk}/", {"name": "", "role": "admin", "active": "true"})
    assert log.only("act")["status"] == 403


def test_strangers_fill_no_log(client: Client, db: None, log: Log) -> None:
    for path in ("/people/new/", "/instances/new/", f"/peers/{uuid4()}/profile/", "/nothing/"):
        client.post(path, {"a": "b"})
    assert log.lines() == []


@pytest.mark.parametrize(
    "email",
    [
        'a"b\n{"event": "sign_in"}@example.org',
        "a\r\nb@example.org",
        "a\u2028b@example.org",
        "a\x1b[31mb@example.org",
        "x" * 9000,
    ],
)
def test_no_value_makes_a_line_or_moves_the_cursor(email: str, log: Log) -> None:
    note("sign_in_failed", RequestFactory().post("/"), email=email)
    assert len(log.text.splitlines()) == 1
    assert log.text.isascii()
    assert log.text.strip().isprintable()
    assert log.only("sign_in_failed")["email"] == email[:254]


def test_what_a_command_changes_says_which_account_ran_it(
    member: Membership, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = StringIO()
    call_command("api_token", member.user.email, stdout=printed)
    made = ApiToken.objects.get()
    call_command("api_tokens", "revoke", str(made.pk))
    call_command("rotate_secrets")
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    call_command("createsuperuser", "--no-input", "--email", "staff@example.org", stdout=StringIO())
    monkeypatch.setattr("getpass.getpass", lambda **_: PASSWORD + " anew")
    call_command("changepassword", member.user.email, stdout=StringIO())
    account = pwd.getpwuid(os.getuid()).pw_name
    assert {(line["who"], line["account"]) for line in log.lines()} == {("command", account)}
    assert [line["event"] for line in log.lines()] == [
        "token_made",
        "token_revoked",
        "resealed",
        "superuser_made",
        "password_changed",
    ]
    assert log.only("token_made")["token"] == log.only("token_revoked")["token"] == str(made.pk)
    assert log.only("superuser_made")["email"] == "staff@example.org"
    assert log.only("password_changed")["email"] == member.user.email
    assert printed.getvalue().strip() not in log.text
    assert PASSWORD not in log.text
    call_command("api_tokens", "list", member.user.email, stdout=StringIO())
    assert len(log.lines()) == 5, "to look changes nothing"


def test_the_first_admin_is_in_the_log_and_the_password_is_not(
    db: None, log: Log, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.management.commands.prepare._collect_static", lambda: None)
    settings.ADMIN_EMAIL, settings.ADMIN_PASSWORD = "First@example.org", ""
    printed = StringIO()
    for _ in range(2):
        call_command("prepare", stdout=printed, stderr=StringIO())
    assert log.only("superuser_made")["email"] == "first@example.org"
    password = re.search(r"the password (\S+) \(shown once", printed.getvalue())
    assert password is not None
    assert password[1] not in log.text


def test_what_the_portal_does_by_itself_has_a_line_once_it_is_committed(
    client_peer: Peer, admin: Membership, log: Log, django_capture_on_commit_callbacks: Callable[..., Any]
) -> None:
    expiry = Principal.portal("a peer's time is over")
    with django_capture_on_commit_callbacks() as waiting:
        preview(lambda: update_peer(client_peer, enabled=False, by=expiry))
        update_peer(client_peer, enabled=False, by=expiry)
        rotate_keys(client_peer, by=admin.principal)
    assert not log.lines()
    for callback in waiting:
        callback()
    lines = log.lines("own_act")
    assert {line["reason"] for line in lines} == {"a peer's time is over"}
    changed = [line for line in lines if line["object"] == "vpn.peer"]
    assert [(line["did"], line["id"]) for line in changed] == [("changed", str(client_peer.pk))]


@pytest.mark.django_db
def test_a_strangers_wish_for_a_new_password_has_one_line(
    log: Log, mail_server: MailServer, django_capture_on_commit_callbacks: Callable[..., Any]
) -> None:
    with django_capture_on_commit_callbacks(execute=True), override_settings(**mail_server.settings):
        Client().post("/accounts/password/reset/", {"email": "stranger@example.org"}, REMOTE_ADDR=FROM)
        send_what_waits()
    assert len(mail_server.received) == 1
    [line] = log.lines()
    assert (line["did"], line["object"], line["reason"]) == (
        "created",
        "portal.queuedmail",
        "a new password was asked for",
    )
