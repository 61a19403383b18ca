"""The journal: one line for each act, in the same transaction, with who, from where, what, and before and after.

That each page and call of the API leaves its line is walked over in tests/test_access_walk.py.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from portal.actions.group import create_group
from portal.actions.member import add_member, change_member, remove_member
from portal.actions.reset_mail import _link as reset_link
from portal.actions.sign_in_link import one_time_link
from portal.audit.fields import FIELDS, MOST_ITEMS, cut
from portal.models import JournalEntry, Membership, Organization, Role, User
from portal.models.journal import PORTAL_JOURNAL, AppendOnly, first_id_at, journal_id
from portal.told import sentences
from tests.factories import BY, PASSWORD, make_client_peer, make_member, make_site, make_site_peer, settle
from tests.fixtures import signed_in
from tests.portal.journal_lines import only, since
from tests.vpn.api.caller import Caller, told
from vpn.actions.instances.settings import update_instance
from vpn.actions.peers.admission import expire_peers
from vpn.actions.peers.peer import update_peer
from vpn.actions.profiles.profile import issue_link
from vpn.actions.sites.site import update_site
from vpn.models import Instance, Peer

pytestmark = pytest.mark.django_db


# What a line says -----------------------------------------------------------------------------------------------------


def test_a_line_says_who_did_what_to_what_and_from_where(
    admin_browser: Client, admin: Membership, client_peer: Peer
) -> None:
    line = only(
        lambda: admin_browser.post(
            f"/peers/{client_peer.pk}/edit/",
            {"device": "tablet", "route_all": "true"},
            headers={"User-Agent": "curl/8"},
        )
    )
    assert line.organization_id == admin.organization_id
    assert line.actor == admin.principal
    assert (line.address, line.user_agent) == ("127.0.0.1", "curl/8")
    assert (line.code, line.object_kind, line.object_id) == ("peer.changed", "peer", str(client_peer.pk))
    assert line.changes == {"device": ["laptop", "tablet"], "route_all": [False, True]}
    assert line.instance_id == client_peer.instance_id
    assert line.generation == Instance.objects.get(pk=client_peer.instance_id).desired_generation


def test_the_api_names_its_token(admin: Membership, instance: Instance) -> None:
    api = Caller.of(admin)
    admin.api_tokens.update(name="deploy")
    line = only(lambda: told(api.put(f"/instances/{instance.pk}", {"mtu": 1300}), 200))
    assert (line.actor_kind, line.actor_name) == ("token", "deploy")
    assert line.changes == {"mtu": [instance.mtu, 1300]}
    assert sentences(line.details) == {"changed": ["MTU changed"]}


def test_what_is_rolled_back_leaves_no_line_and_what_has_no_line_is_rolled_back(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: Any) -> None:
        raise RuntimeError

    with suppress(RuntimeError), transaction.atomic():
        update_instance(instance, mtu=1300, by=BY)
        fail()
    assert not JournalEntry.objects.filter(code="instance.settings_changed").exists()
    monkeypatch.setattr(JournalEntry.objects, "create", fail)
    with pytest.raises(RuntimeError):
        update_instance(instance, mtu=1300, by=BY)
    assert Instance.objects.get(pk=instance.pk).mtu == instance.mtu


def test_what_changes_nothing_leaves_no_line(organization: Organization, instance: Instance) -> None:
    site, anna = make_site(organization), make_member(organization)
    assert since(lambda: update_site(site, name=site.name, by=BY)) == []
    assert since(lambda: update_instance(instance, name=instance.name, by=BY)) == []
    assert since(lambda: change_member(anna, role=anna.role, groups=[], by=BY)) == []


def test_consequences_name_their_cause(organization: Organization, instance: Instance) -> None:
    anna = make_member(organization, email="anna@example.org")
    peer = make_client_peer(instance, anna)
    lines = since(lambda: remove_member(anna, by=BY))
    main = next(line for line in lines if line.cause is None)
    assert (main.code, main.object_name, main.changes["email"]) == (
        "member.deleted",
        "anna@example.org",
        ["anna@example.org", None],
    )
    [consequence] = [line for line in lines if line.cause == main.pk]
    assert (consequence.code, consequence.object_id) == ("peer.deleted", str(peer.pk))


def test_a_group_says_who_joined_and_left(organization: Organization) -> None:
    anna = make_member(organization, email="anna@example.org")
    line = only(lambda: create_group(organization, name="Sales", members=[anna.pk], by=BY))
    assert (line.code, line.changes, line.details) == (
        "group.created",
        {"name": [None, "Sales"]},
        {"added": ["anna@example.org"]},
    )
    changed = only(lambda: change_member(anna, role=Role.AUDITOR, name="Anna", groups=[], by=BY))
    assert changed.changes == {"name": ["", "Anna"], "role": ["member", "auditor"]}
    assert changed.details == {"groups": []}


def test_subnets_that_follow_a_site_are_consequences(organization: Organization, instance: Instance) -> None:
    site = make_site(organization, subnets=["10.1.0.0/24"])
    make_site_peer(instance, site, ["10.1.0.0/24"])
    lines = since(lambda: update_site(site, subnets=["10.2.0.0/24"], by=BY))
    assert [(line.code, line.cause is None) for line in lines] == [
        ("site.changed", True),
        ("peer.subnets_changed", False),
    ]
    assert all(line.changes == {"subnets": [["10.1.0.0/24"], ["10.2.0.0/24"]]} for line in lines)


def test_a_change_behind_the_first_hundred_subnets_is_told(organization: Organization) -> None:
    subnets = [f"10.{number}.0.0/24" for number in range(200)]
    site = make_site(organization, subnets=subnets)
    [line] = since(lambda: update_site(site, subnets=[*subnets[:-1], "172.16.0.0/24"], by=BY))
    assert line.changes == {"subnets": [["10.199.0.0/24"], ["172.16.0.0/24"]]}
    assert since(lambda: update_site(site, subnets=[*subnets[:-1], "172.16.0.0/24"], by=BY)) == []


def test_long_lists_are_cut() -> None:
    assert cut(range(MOST_ITEMS)) == list(range(MOST_ITEMS))
    assert cut(range(MOST_ITEMS + 5))[-1] == "and 5 more"


def test_no_field_of_a_line_is_secret() -> None:
    """The list of allowed fields names no column that is sealed, hashed, or a key."""
    # A limit is a number.
    named = {path for paths in FIELDS.values() for path in paths} - {"most_api_tokens"}
    assert [path for path in named if re.search(r"sealed|secret|key|digest|password|token|certificate", path)] == []


def test_lines_cannot_be_changed_or_deleted_by_accident(instance: Instance) -> None:
    line = JournalEntry.objects.get(code="instance.created", object_id=str(instance.pk))
    for attempt in (
        line.save,
        line.delete,
        JournalEntry.objects.all().delete,
        lambda: JournalEntry.objects.update(code="x"),
        lambda: JournalEntry.objects.bulk_update([line], ["code"]),
    ):
        with pytest.raises(AppendOnly):
            attempt()


def test_ids_sort_by_time() -> None:
    ids = [journal_id() for _ in range(5000)]
    assert ids == sorted(set(ids))
    assert {one.version for one in ids} == {7}


def test_the_first_id_of_a_time() -> None:
    at = timezone.now()
    assert first_id_at(at) <= journal_id() < first_id_at(at + timedelta(hours=1))


# Sign-in --------------------------------------------------------------------------------------------------------------


def test_signing_in_and_failing_to(client: Client, admin: Membership) -> None:
    form = {"login": admin.user.email, "password": PASSWORD}
    line = only(lambda: client.post("/accounts/login/", form))
    assert (line.code, line.actor, line.address) == ("user.signed_in", admin.principal, "127.0.0.1")
    failed = only(lambda: Client().post("/accounts/login/", {**form, "password": "wrong"}))
    assert (failed.code, failed.actor_kind, failed.object_id) == ("user.sign-in_failed", "device", str(admin.user_id))
    assert failed.organization_id == admin.organization_id
    assert "wrong" not in failed.document


def test_a_failed_sign_in_of_an_unknown_address_is_in_the_portals_own_journal(client: Client, db: None) -> None:
    line = only(lambda: client.post("/accounts/login/", {"login": "nobody@example.org", "password": "wrong"}))
    assert (line.organization_id, line.object_name) == (PORTAL_JOURNAL, "nobody@example.org")


def test_each_organization_of_an_account_has_the_line(
    client: Client, admin: Membership, other_organization: Organization
) -> None:
    second = Membership.objects.create(organization=other_organization, user=admin.user, state="active")
    lines = since(lambda: client.post("/accounts/login/", {"login": admin.user.email, "password": PASSWORD}))
    assert {(line.organization_id, line.actor_id) for line in lines} == {
        (admin.organization_id, str(admin.pk)),
        (other_organization.pk, str(second.pk)),
    }


def test_a_wrong_password_is_told_to_each_account_of_the_address_and_to_no_former_organization(
    client: Client, admin: Membership, other_organization: Organization
) -> None:
    """A line that depended on another account would tell an organization that there is one."""
    address = admin.user.email
    second = User.objects.create(email=address, proven=False)
    Membership.objects.create(organization=other_organization, user=second, state="active")
    lines = since(lambda: client.post("/accounts/login/", {"login": address, "password": "wrong"}))
    assert {line.organization_id for line in lines} == {admin.organization_id, other_organization.pk}
    Membership.objects.filter(user=second).update(state="deactivated")
    lines = since(lambda: client.post("/accounts/login/", {"login": address, "password": "wrong"}))
    assert other_organization.pk not in {line.organization_id for line in lines}


def test_changing_the_password(admin: Membership) -> None:
    browser, new = signed_in(admin.user), "another correct battery"
    form = {"oldpassword": PASSWORD, "password1": new, "password2": new}
    line = only(lambda: browser.post("/accounts/password/change/", form))
    assert (line.code, line.actor) == ("user.password_changed", admin.principal)


def test_a_new_password_by_a_mailed_link(client: Client, admin: Membership, settings: Settings) -> None:
    settings.EMAIL_CONFIGURED = True
    page = client.get(urlsplit(reset_link(admin.user)).path, follow=True)
    form = {"password1": "another correct battery", "password2": "another correct battery"}
    lines = since(lambda: client.post(page.request["PATH_INFO"], form))
    assert "user.password_reset" in [line.code for line in lines]
    assert {line.organization_id for line in lines} == {admin.organization_id}


def test_joining_by_a_link(client: Client, organization: Organization) -> None:
    invited = add_member(organization, email="new@example.org", role=Role.MEMBER, by=BY)
    client.get(one_time_link(invited).removeprefix("http://localhost:8000"), follow=True)
    form = {"password1": PASSWORD, "password2": PASSWORD}
    codes = [line.code for line in since(lambda: client.post("/accounts/link/", form)) if line.cause is None]
    assert codes[0] == "member.password_set"
    assert codes[1:] in ([], ["user.signed_in"])


# Profiles -------------------------------------------------------------------------------------------------------------


def test_a_share_link_that_is_used_says_by_whom(client_peer: Peer) -> None:
    settle(client_peer.instance)
    token, _ = issue_link(client_peer, by=BY)
    line = only(lambda: Client().get("/api/v1/vpn/client", headers={"Authorization": f"Bearer {token}"}))
    assert (line.code, line.actor_kind) == ("peer.delivered_by_link", "device")
    assert line.details["custody"] == "portal"


def test_the_shared_page_leaves_a_line_for_each_time_it_is_opened(client: Client, client_peer: Peer) -> None:
    settle(client_peer.instance)
    token, _ = issue_link(client_peer, by=BY)
    client.get(f"/p/{token}/")
    line = only(lambda: client.post(f"/p/{token}/"))
    assert (line.code, line.actor_name) == ("peer.delivered_by_link", client_peer.label)


def test_an_expired_peer_is_journalled_once(client_peer: Peer) -> None:
    settle(client_peer.instance)
    update_peer(client_peer, enabled=False, by=BY)
    assert only(lambda: update_peer(client_peer, enabled=True, by=BY)).changes == {"enabled": [False, True]}
    settle(client_peer.instance)
    Peer.objects.filter(pk=client_peer.pk).update(expires_at="2020-01-01T00:00Z")
    line = only(lambda: expire_peers(by=BY))
    assert (line.code, line.actor_kind, line.object_id) == ("peer.expired", "portal", str(client_peer.pk))
    assert since(lambda: expire_peers(by=BY)) == []
