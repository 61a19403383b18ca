"""Django admin for the day's work: lists that stay quick, links that lead somewhere, what failed, and the load."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib import admin as django_admin
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_rq.models import Dashboard
from pytest_django import Settings

from portal.actions.group import create_group
from portal.models import ApiToken, JournalEntry, MailKind, Membership, Organization, QueuedMail, User
from tests.crowds import add_members, add_sites
from tests.factories import BY, an_admin, make_client_peer, make_instance, make_organization, make_site, make_site_peer
from tests.vpn.ssh_servers import make_server
from vpn import failures
from vpn.actions.servers.server import cordon_server
from vpn.choices import Driver, InstanceState, OperationKind, OperationState, PeerType, StepName, StepState
from vpn.models import ChangePlan, Instance, Operation, OperationStep, Peer, PlanMail, PublicName, Region, Server

pytestmark = pytest.mark.django_db

MODELS = [model for model in django_admin.site._registry if model is not Dashboard]


def list_of(model: type[Model], **chosen: object) -> str:
    """The address of a model's list, with filters."""
    found = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return found + ("?" + "&".join(f"{name}={value}" for name, value in chosen.items()) if chosen else "")


def page_of(row: Model) -> str:
    """The address of a row's page."""
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def populate(number: int) -> Organization:
    """An organization with a failed operation, mail that failed, and all other rows that staff see."""
    organization = make_organization(f"Tenant {number}")
    admin = an_admin(organization)
    create_group(organization, name="Sales", members=[admin.pk], by=BY)
    ApiToken.issue(admin)
    instance = make_instance(organization, name=f"Hub {number}")
    make_client_peer(instance, admin)
    make_site_peer(instance, make_site(organization))
    failed_operation(instance)
    plan = ChangePlan.objects.create(instance=instance, generation=1)
    now = timezone.now()
    PlanMail.objects.create(plan=plan, member=admin, claimed_at=now, refused=True)
    QueuedMail.objects.create(kind=MailKind.LINK, membership=admin, requested_at=now, fault="Refused (550).")
    PublicName.objects.get_or_create(instance=instance, defaults={"name": f"hub{number}.example.net"})
    return organization


def failed_operation(instance: Instance) -> Operation:
    """An operation that failed at its first step."""
    made = Operation.objects.create(
        instance=instance, kind=OperationKind.APPLY, state=OperationState.FAILED, finished_at=timezone.now()
    )
    OperationStep.objects.create(
        operation=made,
        position=0,
        name=StepName.APPLY,
        state=StepState.FAILED,
        refusal=failures.SERVER_UNREACHABLE.of().document(),
    )
    return made


# Lists ----------------------------------------------------------------------------------------------------------------


def test_each_list_asks_as_many_queries_for_many_rows_as_for_few(staff_browser: Client, region: Region) -> None:
    asked: list[dict[str, int]] = []
    for numbers in ((1,), range(2, 6)):
        for number in numbers:
            populate(number)
            make_server(
                Region.objects.get_or_create(pk="fra", name="Frankfurt", driver=Driver.SSH)[0],
                f"fra{number}",
                number=number + 10,
            )
        asked.append({})
        for model in MODELS:
            with CaptureQueriesContext(connection) as queries:
                assert staff_browser.get(list_of(model)).status_code == 200
            asked[-1][model.__name__] = len(queries)
    assert asked[0] == asked[1]
    assert max(asked[1].values()) < 20


def test_lists_are_paged_and_no_page_has_a_choice_of_all_peers_or_members(staff_browser: Client) -> None:
    organization = populate(1)
    instance = organization.instances.get()
    people = add_members(organization, 300)
    add_sites(organization, 300)
    Peer.objects.bulk_create(
        Peer(
            instance=instance,
            type=PeerType.CLIENT,
            member=person,
            device="phone",
            host=number + 100,
            public_key=f"{number:043}=",
            changed_generation=1,
        )
        for number, person in enumerate(people)
    )
    pages = [list_of(Peer), list_of(Peer, instance=instance.pk), list_of(Membership, organization=organization.pk)]
    rows: list[Any] = [organization, instance, instance.peers.first(), people[0].user]
    for page in (*pages, *map(page_of, rows)):
        shown = staff_browser.get(page).content.decode()
        assert len(set(re.findall(r"user\d{3}@", shown))) <= 100, page
        assert shown.count("<option") < 20, page
        assert len(shown) < 200_000, page


def test_every_link_of_every_page_leads_somewhere(staff_browser: Client) -> None:
    populate(1)
    make_server(Region.objects.create(pk="fra", name="Frankfurt", driver=Driver.SSH))
    waiting, seen = ["/admin/", *map(list_of, MODELS)], set()
    while waiting:
        page = waiting.pop()
        if page in seen:
            continue
        seen.add(page)
        answer = staff_browser.get(page)
        assert answer.status_code == 200, page
        if page.count("?") == 0 or page.startswith("/admin/"):
            waiting += links_in(answer.content.decode(), page) if len(seen) < 250 else []
    assert len(seen) > 60


def links_in(shown: str, page: str) -> list[str]:
    """The links of a page to rows and to lists of rows."""
    found = (unescape(address) for address in re.findall(r'href="(/admin/(?:portal|vpn)/[^"#]*)"', shown))
    plain = (re.sub(r"[?&]_changelist_filters=.*", "", address) for address in found)
    return [address for address in plain if not re.search(r"/history/|/delete/|[?&]o=|\.csv$", address)]


def test_links_lead_from_organization_to_instance_peer_operation_and_server(staff_browser: Client) -> None:
    organization = populate(1)
    populate(2)
    instance = organization.instances.get()
    server = instance.server
    assert server is not None
    peer = instance.peers.filter(type=PeerType.CLIENT).get()
    way: Iterable[tuple[str, str]] = (
        (page_of(organization), list_of(Instance, organization=organization.pk)),
        (list_of(Instance, organization=organization.pk), list_of(Peer, instance=instance.pk)),
        (list_of(Peer, instance=instance.pk), page_of(peer)),
        (page_of(peer), list_of(Operation, instance=instance.pk)),
        (list_of(Operation, instance=instance.pk), page_of(server)),
        (page_of(server), list_of(Instance, server=server.pk)),
        (list_of(Instance, server=server.pk), page_of(organization)),
    )
    for page, onward in way:
        assert onward in links_in(staff_browser.get(page).content.decode(), page), (page, onward)
    shown = staff_browser.get(list_of(Instance, organization=organization.pk)).content.decode()
    assert "Hub 1" in shown
    assert "Hub 2" not in shown


def test_a_link_with_a_wrong_key_shows_the_whole_list(staff_browser: Client, instance: Instance) -> None:
    answer = staff_browser.get(list_of(Peer, instance="nope"))
    assert (answer.status_code, answer["Location"]) == (302, list_of(Peer) + "?e=1")
    assert staff_browser.get(list_of(Peer, instance=instance.organization_id)).status_code == 200


@pytest.mark.parametrize(
    ("model", "words"),
    [("organization", "Tenant"), ("instance", "hub"), ("peer", "laptop"), ("operation", "Hub"), ("server", "This"),
     ("queuedmail", "Tenant"), ("planmail", "Hub"), ("membership", "Tenant"), ("site", "Tenant")],
)  # fmt: skip
def test_lists_are_searched(staff_browser: Client, model: str, words: str) -> None:
    populate(1)
    [found] = [one for one in MODELS if one._meta.model_name == model]
    assert staff_browser.get(list_of(found, q=words)).context["cl"].result_count > 0
    assert staff_browser.get(list_of(found, q="zzzz")).context["cl"].result_count == 0


# What failed, and the load --------------------------------------------------------------------------------------------


def test_failed_operations_have_their_sentence_the_next_step_and_links(staff_browser: Client) -> None:
    instance = populate(1).instances.get()
    assert list_of(Operation, state__exact="failed") in links_in(staff_browser.get("/admin/").content.decode(), "")
    Instance.objects.update(state=InstanceState.FAILED)
    shown = staff_browser.get(list_of(Operation, state__exact="failed")).content.decode()
    assert "does not answer" in shown
    assert "choose “Retry”" in shown
    assert page_of(instance) in shown
    assert page_of(instance.server) in shown  # type: ignore[arg-type]
    Instance.objects.update(state=InstanceState.READY)
    assert "None: the instance is ready now." in staff_browser.get(list_of(Operation)).content.decode()


def test_servers_are_sorted_by_load(staff_browser: Client, organization: Organization, admin: Membership) -> None:
    busy = make_instance(organization)
    make_client_peer(busy, admin)
    idle = make_server(Region.objects.create(pk="fra", name="Frankfurt", driver=Driver.SSH), "aaa-idle")
    Server.objects.filter(pk=idle.pk).update(silent_since=timezone.now() - timedelta(hours=1))
    answer = staff_browser.get(list_of(Server))
    rows = list(answer.context["cl"].result_list)
    assert [row.pk for row in rows] == [busy.server_id, idle.pk]
    assert [(row.instance_count, row.peer_count) for row in rows] == [(1, 1), (0, 0)]
    assert "silent since" in answer.content.decode()


def test_use_stands_beside_the_limit(staff_browser: Client) -> None:
    organization = populate(1)
    Organization.objects.update(most_peers=7)
    shown = staff_browser.get(list_of(Organization)).content.decode()
    assert "2 of 7" in shown
    assert "1 of 50" in shown
    assert "In use: 2." in staff_browser.get(page_of(organization)).content.decode()


# Mail -----------------------------------------------------------------------------------------------------------------


def test_queued_mail_says_why_it_failed_and_is_sent_again(
    staff_browser: Client,
    staff: User,
    admin: Membership,
    rung: list[tuple[str, ...]],
    django_capture_on_commit_callbacks: Callable[..., AbstractContextManager[object]],
) -> None:
    long_ago = timezone.now() - timedelta(minutes=30)
    mail = QueuedMail.objects.create(
        kind=MailKind.LINK, membership=admin, requested_at=long_ago, claimed_at=long_ago, fault="Refused (421)."
    )
    assert "Refused (421)." in staff_browser.get(list_of(QueuedMail, last="failed")).content.decode()
    sent = {"action": "again", "_selected_action": str(mail.pk)}
    with django_capture_on_commit_callbacks(execute=True):
        told = staff_browser.post(list_of(QueuedMail), sent, follow=True).content.decode()
    assert "a worker sends it now" in told
    mail.refresh_from_db()
    assert (mail.fault, mail.claimed_at) == ("", None)
    assert mail.requested_at > long_ago
    assert rung[-1][-1] == str(mail.pk)
    line = JournalEntry.objects.get(code="queuedmail.requested_again")
    assert (line.organization_id, line.actor) == (admin.organization_id, staff.staff_principal)


def test_mail_that_a_worker_sends_now_is_not_sent_twice(staff_browser: Client, admin: Membership) -> None:
    now = timezone.now()
    mail = QueuedMail.objects.create(kind=MailKind.LINK, membership=admin, requested_at=now, claimed_at=now)
    sent = {"action": "again", "_selected_action": str(mail.pk)}
    assert "is being sent" in staff_browser.post(list_of(QueuedMail), sent, follow=True).content.decode()
    assert QueuedMail.objects.get().claimed_at == now


def test_a_refused_link_is_listed_and_mailed_again(
    staff_browser: Client, admin: Membership, settings: Settings
) -> None:
    Membership.objects.update(link_fault="The mail server did not take it (550).")
    assert "did not take it (550)" in staff_browser.get(list_of(Membership, mail="failed")).content.decode()
    sent = {"action": "mail_again", "_selected_action": str(admin.pk)}
    assert "no link is mailed" in staff_browser.post(list_of(Membership), sent, follow=True).content.decode()
    settings.EMAIL_CONFIGURED = True
    assert "on its way" in staff_browser.post(list_of(Membership), sent, follow=True).content.decode()
    assert QueuedMail.objects.filter(membership=admin).exists()
    assert JournalEntry.objects.filter(code="member.link_mailed", organization_id=admin.organization_id).count() == 1


def test_a_long_list_ends_early_and_says_so(staff_browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database reads all rows before a deep page: page 900 took 5 s."""
    monkeypatch.setattr("portal.admin.paging.MOST", 3)
    for number in range(3):
        make_organization(f"Tenant {number}")
    shown = staff_browser.get(list_of(Organization)).content.decode()
    assert "3 organizations" in shown
    make_organization("One more")
    with CaptureQueriesContext(connection) as asked:
        shown = staff_browser.get(list_of(Organization)).content.decode()
    assert "Only the first 3 are listed. Search or filter to find others." in shown
    counts = [query["sql"] for query in asked if "COUNT(" in query["sql"] and "portal_organization" in query["sql"]]
    assert all("LIMIT 4" in sql for sql in counts if "FROM (SELECT" in sql)
    assert "One more" in staff_browser.get(list_of(Organization, q="more")).content.decode()


def test_the_portals_own_journal_has_a_page_and_organizations_lines_are_not_on_it(
    staff_browser: Client, organization: Organization
) -> None:
    region = Region.objects.create(pk="fra", name="Frankfurt", driver=Driver.SSH)
    server = make_server(region)
    cordon_server(server, by=BY)
    create_group(organization, name="Secret sales", members=[], by=BY)
    shown = staff_browser.get(list_of(JournalEntry)).content.decode()
    assert "Server cordoned" in shown
    assert "Secret sales" not in shown
    line = JournalEntry.objects.get(code="server.cordoned")
    assert server.name in staff_browser.get(page_of(line)).content.decode()
    theirs = JournalEntry.objects.get(code="group.created")
    assert staff_browser.get(page_of(theirs)).status_code == 302
