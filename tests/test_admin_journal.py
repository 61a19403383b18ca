"""Django admin: each save, addition, deletion and action of staff leaves exactly one line in the right journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib import admin as django_admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Model
from django.http import HttpRequest
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone
from django_rq.models import Dashboard
from redis import Redis

from portal.audit.reading import document_of
from portal.models import ApiToken, JournalEntry, Mail, MailKind, Membership, Organization, QueuedMail, User
from portal.models.journal import PORTAL_JOURNAL
from portal.models.membership import MembershipState
from tests.factories import BY, make_instance
from tests.portal.journal_lines import only, since
from tests.vpn.ssh_servers import server_access
from vpn.actions.servers.server import note_host_key
from vpn.choices import Driver, InstanceState
from vpn.keys import generate_ssh_key
from vpn.models import CloudAccount, Instance, Peer, Region, Server, StrayNode

pytestmark = pytest.mark.django_db

# What an organization's page once sent along for its list of members.
INLINE = {"memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0"}
CLOUD = {"location": "fsn1", "size": "cx22", "image": "debian-12"}
# By the model and what staff can do with it: the code of its line, or where it is tested. A new one needs a row.
ACTS = {
    ("apitoken", "delete"): "apitoken.deleted",
    ("apitoken", "delete_selected"): "apitoken.deleted",
    ("mail", "delete"): "mail.deleted",
    ("mail", "delete_selected"): "mail.deleted",
    ("queuedmail", "delete"): "queuedmail.cancelled",
    ("queuedmail", "delete_selected"): "queuedmail.cancelled",
    ("queuedmail", "again"): "- see tests/test_admin_pages.py",
    ("membership", "mail_again"): "- see tests/test_admin_pages.py",
    ("organization", "add"): "organization.created",
    ("organization", "change"): "organization.changed",
    ("user", "change"): "user.changed",
    ("user", "reset_factors"): "- see tests/portal/test_factor_journal.py",
    ("instance", "apply_again"): "instance.apply_requested",
    ("instance", "retry"): "instance.retried",
    ("instance", "forget"): "instance.deleted",
    ("region", "add"): "region.added",
    ("region", "change"): "region.changed",
    ("server", "add"): "server.added",
    ("server", "change"): "server.networks_allowed",
    ("server", "look_at_host_key"): "server.host_key_asked",
    ("server", "confirm"): "server.host_key_confirmed",
    ("server", "prepare"): "server.preparation_begun",
    ("server", "cordon"): "server.cordoned",
    ("server", "uncordon"): "server.uncordoned",
    ("server", "drain"): "server.cordoned",
    ("server", "forget"): "server.forgotten",
    ("cloudaccount", "add"): "cloudaccount.cloud_account_set",
    ("cloudaccount", "change"): "cloudaccount.cloud_account_set",
    ("cloudaccount", "test"): "cloudaccount.test_requested",
    ("cloudaccount", "remove"): "cloudaccount.removed",
    ("straynode", "remove"): "straynode.removal_requested",
    ("dashboard", "change"): "dashboard.jobs_handled",
}


def acts_of(model: type[Model], page: django_admin.ModelAdmin[Any], request: HttpRequest) -> Iterator[str]:
    """What staff with all rights can do on a page."""
    allowed = {"add": page.has_add_permission, "change": page.has_change_permission}
    yield from (name for name, is_allowed in allowed.items() if is_allowed(request))
    if page.has_delete_permission(request):
        yield "delete"
    yield from page.get_actions(request)


def test_each_save_and_action_of_django_admin_has_a_row(staff: User, rf: RequestFactory) -> None:
    """A new ModelAdmin, or a new action, without a row fails here."""
    request = rf.get("/admin/")
    request.user = staff
    pages = django_admin.site._registry.items()
    found = {(model._meta.model_name, name) for model, page in pages for name in acts_of(model, page, request)}
    assert found == set(ACTS)


def test_no_page_saves_or_deletes_past_the_actions(staff: User, rf: RequestFactory) -> None:
    """Django's own ways to save and delete write no line."""
    request = rf.get("/admin/")
    request.user = staff
    for model, page in django_admin.site._registry.items():
        acts = set(acts_of(model, page, request))
        for way, name in (("save_model", "add"), ("save_model", "change"), ("delete_model", "delete"),
                          ("delete_queryset", "delete_selected")):  # fmt: skip
            if name in acts and model is not Dashboard:
                assert getattr(type(page), way) is not getattr(django_admin.ModelAdmin, way), (model, way)


def change(staff_browser: Client, row: Model, **values: Any) -> None:
    """Save a row's page with these values, as its form has them."""
    url = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
    shown = staff_browser.get(url).context["adminform"].form
    initial = {name: shown.get_initial_for_field(field, name) for name, field in shown.fields.items()}
    sent = {name: value for name, value in (initial | values).items() if value not in (None, False)}
    assert staff_browser.post(url, sent | INLINE).status_code == 302


def act(staff_browser: Client, row: Model, action: str, **more: str) -> None:
    """Choose an action for a row of its list."""
    url = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_changelist")
    assert staff_browser.post(url, {"action": action, ACTION_CHECKBOX_NAME: str(row.pk), **more}).status_code == 302


def delete(staff_browser: Client, row: Model) -> None:
    """Delete a row on its page."""
    url = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_delete", args=[row.pk])
    assert staff_browser.post(url, {"post": "yes"}).status_code == 302


def line_of(staff: User, code: str, do: Callable[[], object]) -> JournalEntry:
    """The one line that an act leaves, with its code, in the name of the member of staff."""
    assert code in {*ACTS.values(), "user.staff_rights_changed"}
    line = only(do)
    assert (line.code, line.actor) == (code, staff.staff_principal)
    return line


# Organizations and accounts -------------------------------------------------------------------------------------------


def test_quotas_have_a_line_with_both_values_in_the_organizations_journal(
    staff_browser: Client, staff: User, admin: Membership, organization: Organization
) -> None:
    line = line_of(
        staff, "organization.changed", lambda: change(staff_browser, organization, most_peers=7, most_instances=3)
    )
    assert line.organization_id == organization.pk
    assert line.changes == {"most_instances": [None, 3], "most_peers": [None, 7]}
    told = document_of(line)
    assert "staff@example.org" not in str(told)
    assert told["address"] == ""


def test_what_is_saved_without_a_change_leaves_no_line(
    staff_browser: Client, staff: User, admin: Membership, organization: Organization, region: Region
) -> None:
    for row in (organization, staff, region):
        assert since(partial(change, staff_browser, row)) == []


def test_a_new_organization_has_a_line_that_names_its_first_admin(staff_browser: Client, staff: User) -> None:
    sent = {"name": "Weber", "slug": "weber", "admin_email": "anna@example.org", "most_peers": 5}
    line = line_of(
        staff, "organization.created", lambda: staff_browser.post("/admin/portal/organization/add/", sent | INLINE)
    )
    assert line.organization_id == Organization.objects.get(slug="weber").pk
    assert line.changes == {"name": [None, "Weber"], "slug": [None, "weber"], "most_peers": [None, 5]}
    assert line.details == {"invited": ["anna@example.org"]}
    [invited] = JournalEntry.objects.filter(cause=line.pk)
    assert invited.code == "member.created"


def test_a_closed_account_has_a_line_in_the_journal_of_each_of_its_organizations(
    staff_browser: Client, staff: User, client_peer: Peer, member: Membership, other_organization: Organization
) -> None:
    Membership.objects.create(organization=other_organization, user=member.user, state=MembershipState.ACTIVE)
    lines = [line for line in since(lambda: change(staff_browser, member.user, is_active=False)) if line.cause is None]
    assert {line.organization_id for line in lines} == {member.organization_id, other_organization.pk}
    for line in lines:
        assert (line.code, line.actor, line.changes) == (
            "user.changed", staff.staff_principal, {"is_active": [True, False]}
        )  # fmt: skip


def test_rights_of_staff_are_in_the_portals_own_journal_alone(
    staff_browser: Client, staff: User, member: Membership
) -> None:
    line = line_of(staff, "user.staff_rights_changed", lambda: change(staff_browser, member.user, is_staff=True))
    assert line.organization_id == PORTAL_JOURNAL
    assert line.changes == {"is_staff": [False, True]}


@pytest.mark.parametrize("way", ["delete", "delete_selected"])
def test_a_deleted_token_or_mail_has_a_line(staff_browser: Client, staff: User, admin: Membership, way: str) -> None:
    token, _ = ApiToken.issue(admin, name="deploy")
    kept = Mail.objects.create(to="anna@example.org", subject="Join", body="secret words")
    now = timezone.now()
    queued = QueuedMail.objects.create(kind=MailKind.LINK, membership=admin, requested_at=now)
    expected: tuple[tuple[Model, str, UUID, str], ...] = (
        (token, "apitoken.deleted", admin.organization_id, "deploy"),
        (kept, "mail.deleted", PORTAL_JOURNAL, "Join"),
        (queued, "queuedmail.cancelled", admin.organization_id, admin.user.email),
    )
    for row, code, journal, name in expected:

        def do(row: Model = row) -> None:
            if way == "delete":
                delete(staff_browser, row)
            else:
                act(staff_browser, row, "delete_selected", post="yes")

        line = line_of(staff, code, do)
        assert line.organization_id == journal
        assert name in line.object_name
        assert "secret words" not in line.document
        assert not type(row)._default_manager.filter(pk=row.pk).exists()


# Hubs and servers -----------------------------------------------------------------------------------------------------


def test_what_staff_do_to_an_instance_has_a_line_in_its_organizations_journal(
    staff_browser: Client, staff: User, instance: Instance
) -> None:
    failed = make_instance(instance.organization, name="Failed", state=InstanceState.FAILED)
    for row, action, more in (
        (instance, "apply_again", {}),
        (failed, "retry", {}),
        (instance, "forget", {"confirmed": "true"}),
    ):
        code = ACTS["instance", action]
        line = line_of(staff, code, partial(act, staff_browser, row, action, **more))
        assert line.organization_id == instance.organization_id


def test_a_region_has_a_line_with_both_values(staff_browser: Client, staff: User, region: Region) -> None:
    line = line_of(
        staff, "region.changed", lambda: change(staff_browser, region, available=False, unavailable_reason="Full")
    )
    assert line.organization_id == PORTAL_JOURNAL
    assert line.changes == {"available": [True, False], "unavailable_reason": ["", "Full"]}
    sent = {"id": "fra", "name": "Frankfurt"}
    line_of(staff, "region.added", lambda: staff_browser.post("/admin/vpn/region/add/", sent))


def test_what_staff_do_to_a_server_has_a_line(staff_browser: Client, staff: User, region: Region) -> None:
    fra = Region.objects.create(pk="fra", name="Frankfurt", driver=Driver.SSH)
    sent = {"region": "fra", "name": "fra1", "ssh": "root@192.0.2.7", "address": "192.0.2.7"}
    line_of(staff, "server.added", lambda: staff_browser.post("/admin/vpn/server/add/", sent))
    added = Server.objects.get(region=fra)
    note_host_key(added, generate_ssh_key()[1], by=BY)
    key = {f"key-{added.pk}": server_access(added).seen_fingerprint, "confirmed": "true"}
    for action, more in (
        ("look_at_host_key", {}), ("confirm", key), ("prepare", {}), ("cordon", {}), ("uncordon", {}), ("drain", {}),
    ):  # fmt: skip
        code = ACTS["server", action]
        line = line_of(staff, code, partial(act, staff_browser, added, action, **more))
        assert line.organization_id == PORTAL_JOURNAL
    networks = line_of(staff, ACTS["server", "change"], lambda: change(staff_browser, added, networks="10.1.0.0/16"))
    assert networks.changes == {"networks": [[], ["10.1.0.0/16"]]}
    line_of(staff, "server.forgotten", lambda: act(staff_browser, added, "forget", confirmed="true"))


def test_cloud_accounts_and_stray_servers_have_lines(staff_browser: Client, staff: User) -> None:
    Region.objects.create(pk="fra", name="Frankfurt", driver=Driver.CLOUD)
    sent = {"region": "fra", "provider": "hetzner", "secret": "s3cret-token", "capacity": 5, **CLOUD}
    code = "cloudaccount.cloud_account_set"
    first = line_of(staff, code, lambda: staff_browser.post("/admin/vpn/cloudaccount/add/", sent))
    account = CloudAccount.objects.get()
    second = line_of(staff, code, lambda: change(staff_browser, account, **{**sent, "capacity": 6}))
    line_of(staff, "cloudaccount.test_requested", lambda: act(staff_browser, account, "test"))
    now = timezone.now()
    stray = StrayNode.objects.create(account=account, found_id="17", request=uuid4(), first_seen_at=now, seen_at=now)
    removed = {"confirmed": "true"}
    line_of(staff, "straynode.removal_requested", lambda: act(staff_browser, stray, "remove", **removed))
    stray.delete()
    line_of(staff, "cloudaccount.removed", lambda: act(staff_browser, account, "remove"))
    assert "s3cret" not in first.document + second.document


def test_jobs_handled_by_hand_have_a_line(staff_browser: Client, staff: User, redis: Redis) -> None:
    line = line_of(
        staff, "dashboard.jobs_handled", lambda: staff_browser.post(reverse("admin:django_rq_clear", args=[0]))
    )
    assert line.organization_id == PORTAL_JOURNAL
    assert line.details == {"did": "clear", "queue_index": "0"}
