"""Writing to the people whom a change concerns."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.core import mail
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from portal.exceptions import NotPossible
from portal.models import Mail, Membership, MembershipState, Organization
from tests.factories import BY, make_client_peer, make_instance, make_member, make_organization, settle, work_out_plans
from tests.mail_server import MailServer
from vpn import doorbell
from vpn.actions.activity import plan_mail
from vpn.actions.activity.plan_mail import request_mail
from vpn.actions.instances.settings import update_instance
from vpn.actions.profiles.profile import deliver_profile
from vpn.jobs.mail import mail_plan
from vpn.jobs.reconcile import reconcile_all
from vpn.models import ChangePlan, Instance, Operation, PlanMail
from vpn.plan.explaining import Plan

pytestmark = pytest.mark.django_db


@pytest.fixture
def organization() -> Organization:
    return make_organization()


@pytest.fixture
def anna(organization: Organization) -> Membership:
    return make_member(organization, name="Anna", email="anna@example.org")


@pytest.fixture
def instance(organization: Organization, anna: Membership) -> Instance:
    """Anna has two devices with profiles, Ben one, Carl (deactivated later) one, and Dora (still invited) one."""
    made = make_instance(organization)
    ben = make_member(organization, name="Ben", email="ben@example.org")
    carl = make_member(organization, name="Carl", email="carl@example.org")
    peers = [make_client_peer(made, anna, name) for name in ("laptop", "phone")]
    dora = make_member(organization, name="Dora", email="dora@example.org", state=MembershipState.INVITED)
    peers += [make_client_peer(made, ben, "tablet"), make_client_peer(made, carl, "desktop")]
    peers.append(make_client_peer(made, dora, "laptop"))
    settle(made)
    for peer in peers:
        deliver_profile(peer, by=BY)
    carl.state = MembershipState.DEACTIVATED
    carl.save()
    return made


@pytest.fixture
def plan(instance: Instance) -> ChangePlan:
    """A change that outdates them all, with its mail asked for."""
    update_instance(instance, pushed_routes=["198.51.100.0/24"], by=BY)
    settle(work_out_plans(instance))
    noted = ChangePlan.objects.get()
    request_mail(noted, by=BY)
    noted.refresh_from_db()
    return noted


def test_each_person_is_written_to_once_with_all_devices(plan: ChangePlan) -> None:
    mail_plan(str(plan.pk))
    mail_plan(str(plan.pk))
    assert sorted(message.to[0] for message in mail.outbox) == ["anna@example.org", "ben@example.org"]
    to_anna = next(message for message in mail.outbox if message.to == ["anna@example.org"])
    assert "- laptop: fetch its profile again" in to_anna.body
    assert "- phone: fetch its profile again" in to_anna.body
    assert "/my/" in to_anna.body
    plan.refresh_from_db()
    assert plan.mail_finished_at is not None


def test_whoever_has_fetched_it_meanwhile_is_left_alone(plan: ChangePlan, anna: Membership) -> None:
    for peer in anna.peers.all():
        deliver_profile(peer, by=BY)
    mail_plan(str(plan.pk))
    assert [message.to for message in mail.outbox] == [["ben@example.org"]]


def test_nobody_is_written_to_unasked(plan: ChangePlan) -> None:
    ChangePlan.objects.update(mail_requested_at=None)
    mail_plan(str(plan.pk))
    assert mail.outbox == []


def test_another_worker_at_the_same_moment_does_not_write_twice(plan: ChangePlan, anna: Membership) -> None:
    PlanMail.objects.create(plan=plan, member=anna, claimed_at=timezone.now())
    mail_plan(str(plan.pk))
    assert [message.to for message in mail.outbox] == [["ben@example.org"]]
    plan.refresh_from_db()
    assert plan.mail_finished_at is None


def test_the_button_asks_in_the_background(
    client: Client,
    plan: ChangePlan,
    organization: Organization,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: type,
) -> None:
    rung: list[UUID] = []
    monkeypatch.setattr(doorbell, "enqueue_plan_mail", lambda pk, _: rung.append(pk))
    ChangePlan.objects.update(mail_requested_at=None)
    admin = organization.memberships.get(role="admin")
    client.force_login(admin.user)
    with django_capture_on_commit_callbacks(execute=True):
        page = client.post(f"/plans/{plan.pk}/mail/", follow=True).content.decode()
    assert "are being mailed" in page
    assert rung == [plan.pk]


@override_settings(EMAIL_BACKEND="portal.mail.ShownMail")
def test_without_a_mail_server_staff_read_it_on_a_page(plan: ChangePlan, client: Client) -> None:
    mail_plan(str(plan.pk))
    assert set(Mail.objects.values_list("to", flat=True)) == {"anna@example.org", "ben@example.org"}
    staff = make_member(make_organization("Operators"), role="admin").user
    staff.is_staff = staff.is_superuser = True
    staff.save()
    client.force_login(staff)
    shown = Mail.objects.get(to="anna@example.org")
    assert "laptop" in client.get(f"/admin/portal/mail/{shown.pk}/change/").content.decode()
    assert client.post(f"/admin/portal/mail/{shown.pk}/change/", {"subject": "other"}).status_code == 403
    assert client.get("/admin/portal/mail/add/").status_code == 403


def _mail_over(server: MailServer, plan: ChangePlan) -> None:
    with override_settings(**server.settings):
        mail_plan(str(plan.pk))


@pytest.mark.parametrize(("answering", "answer"), [("to_recipient", b"550 nobody"), ("to_message", b"554 no")])
def test_a_real_mail_server_gets_it_and_a_refused_address_stops_nobody(
    plan: ChangePlan, mail_server: MailServer, client: Client, answering: str, answer: bytes
) -> None:
    setattr(mail_server, answering, answer)
    _mail_over(mail_server, plan)
    _mail_over(mail_server, plan)
    [(recipient, text)] = mail_server.received
    assert recipient == "anna@example.org"
    assert "Subject: Frankfurt: fetch your VPN profiles again" in text
    plan.refresh_from_db()
    assert plan.mail_finished_at is not None
    words = "1 person was mailed. The mail server refused to write to 1 person."
    assert words in _activity(client, plan)


@pytest.mark.parametrize(("answering", "answer"), [("to_recipient", b"450 later"), ("to_message", b"451 later")])
def test_who_is_refused_for_now_is_tried_again_and_stops_nobody(
    plan: ChangePlan, mail_server: MailServer, answering: str, answer: bytes
) -> None:
    setattr(mail_server, answering, answer)
    _mail_over(mail_server, plan)
    assert [recipient for recipient, _ in mail_server.received] == ["anna@example.org"]
    plan.refresh_from_db()
    assert plan.mail_finished_at is None
    setattr(mail_server, answering, b"250 ok")
    PlanMail.objects.filter(sent_at=None).update(claimed_at=timezone.now() - timedelta(minutes=6))
    _mail_over(mail_server, plan)
    assert [recipient for recipient, _ in mail_server.received] == ["anna@example.org", "ben@example.org"]
    plan.refresh_from_db()
    assert plan.mail_finished_at is not None


def test_a_mail_server_that_is_away_is_tried_again(plan: ChangePlan) -> None:
    real = {"EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend", "EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": 9}
    with override_settings(**real):
        mail_plan(str(plan.pk))
    assert not PlanMail.objects.exists()
    mail_plan(str(plan.pk))
    assert len(mail.outbox) == 2


def test_plans_that_are_stuck_do_not_starve_others(plan: ChangePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[UUID] = []
    monkeypatch.setattr(doorbell, "enqueue_plan_mail", lambda pk, _: rung.append(pk))
    now = timezone.now()
    asked = {"instance": plan.instance, "mail_requested_at": now - timedelta(hours=1)}
    for generation in range(25):
        ChangePlan.objects.create(generation=generation, mail_tried_at=now - timedelta(minutes=5), **asked)
    ChangePlan.objects.create(generation=25, mail_tried_at=now, **asked)
    waiting = ChangePlan.objects.create(generation=9999, **asked)
    reconcile_all()
    assert rung[0] == waiting.pk
    assert len(rung) == 20


def _activity(client: Client, plan: ChangePlan) -> str:
    """The page as an admin reads it."""
    operation = Operation.objects.create(instance=plan.instance, kind="apply", state="succeeded")
    ChangePlan.objects.update(operation=operation)
    client.force_login(plan.instance.organization.memberships.get(role="admin").user)
    return client.get(f"/instances/{plan.instance_id}/activity/").content.decode()


def test_activity_says_how_many_were_written_to(plan: ChangePlan, client: Client) -> None:
    assert "The people affected are being mailed: none so far." in _activity(client, plan)
    mail_plan(str(plan.pk))
    assert "2 people were mailed." in _activity(client, plan)


def test_activity_says_that_nobody_had_to_be_written_to(plan: ChangePlan, client: Client) -> None:
    for peer in plan.instance.peers.admitted():
        deliver_profile(peer, by=BY)
    mail_plan(str(plan.pk))
    assert mail.outbox == []
    assert "No mail was needed." in _activity(client, plan)


@override_settings(EMAIL_BACKEND="portal.mail.ShownMail")
def test_activity_says_where_messages_are_without_a_mail_server(plan: ChangePlan, client: Client) -> None:
    mail_plan(str(plan.pk))
    assert "The messages to 2 people are with the portal&#x27;s staff" in _activity(client, plan)


def test_the_button_is_there_only_where_somebody_can_be_written_to(plan: ChangePlan, client: Client) -> None:
    ChangePlan.objects.update(mail_requested_at=None)
    assert "Mail these people" in _activity(client, plan)
    Membership.objects.filter(role="member").update(state=MembershipState.INVITED)
    assert "Mail these people" not in _activity(client, plan)


def test_whom_it_will_write_to_is_named_before(plan: ChangePlan, client: Client) -> None:
    ChangePlan.objects.update(mail_requested_at=None)
    client.force_login(plan.instance.organization.memberships.get(role="admin").user)
    page = client.get(f"/plans/{plan.pk}/mail/").content.decode()
    assert "Mail 2 people?" in page
    for words in ("Anna", "anna@example.org", "laptop, phone", "Ben", "ben@example.org", "tablet"):
        assert words in page
    assert "Carl" not in page, "deactivated"
    assert "Dora" not in page, "never came"
    assert mail.outbox == []
    mail_plan(str(plan.pk))
    assert [message.to for message in mail.outbox] == []
    client.post(f"/plans/{plan.pk}/mail/")
    mail_plan(str(plan.pk))
    assert sorted(message.to[0] for message in mail.outbox) == ["anna@example.org", "ben@example.org"]
    assert "No recipients" in client.get(f"/plans/{plan.pk}/mail/").content.decode()


def test_an_organization_causes_so_much_mail_in_a_day(
    plan: ChangePlan, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_mail, "most_in_a_day", lambda organization_id: 1)
    mail_plan(str(plan.pk))
    mail_plan(str(plan.pk))
    assert len(mail.outbox) == 1
    ChangePlan.objects.update(mail_requested_at=None)
    client.force_login(plan.instance.organization.memberships.get(role="admin").user)
    page = client.post(f"/plans/{plan.pk}/mail/", follow=True).content.decode()
    assert "may send 1 such mails in a day" in page
    plan.refresh_from_db()
    assert plan.mail_requested_at is None
    PlanMail.objects.update(claimed_at=timezone.now() - timedelta(hours=25))
    request_mail(plan, by=BY)
    mail_plan(str(plan.pk))
    assert len(mail.outbox) == 2


def test_thousands_of_outdated_profiles_are_not_read_for_activity(plan: ChangePlan, client: Client) -> None:
    many = [str(uuid4()) for _ in range(1000)]
    noted = Plan(outdated=[UUID(pk) for pk in many], pushed=[UUID(pk) for pk in many]).document(most_lines=1)
    assert (len(noted["outdated"]), noted["outdated_count"]) == (200, 1000)
    assert (len(noted["told"]), noted["told_count"]) == (200, 1000)
    ChangePlan.objects.update(plan=noted, outdated=many, mail_requested_at=None)
    with CaptureQueriesContext(connection) as asked:
        page = _activity(client, plan)
    assert "1,000 of 0 delivered profiles become outdated" in page
    assert not any(
        '"vpn_changeplan"."outdated"' in query["sql"] for query in asked if query["sql"].startswith("SELECT")
    )


@pytest.mark.parametrize("is_cut", [True, False])
def test_a_plan_that_names_not_all_profiles_says_so_on_its_page_and_in_its_mails(
    plan: ChangePlan, client: Client, organization: Organization, is_cut: bool
) -> None:
    size = {"peers": 10_000, "rules": 1000, "networks": 3500}
    ChangePlan.objects.update(plan=plan.plan | {"cut": ["profiles", "reach"] if is_cut else ["lines"], "size": size})
    client.force_login(organization.memberships.get(role="admin").user)
    page = client.get(f"/plans/{plan.pk}/mail/").content.decode()
    sentence = (
        "10,000 peers, 1,000 rules and 3,500 networks of sites are too many to compute which profiles become outdated."
    )
    assert (sentence in page) is is_cut
    mail_plan(str(plan.pk))
    to_anna = next(message for message in mail.outbox if message.to == ["anna@example.org"])
    assert ("whether more of yours are outdated" in to_anna.body) is is_cut
    assert "10,000" not in to_anna.body


def test_no_page_says_that_a_plan_without_names_outdated_nothing(
    plan: ChangePlan, client: Client, organization: Organization
) -> None:
    size = {"peers": 10_000, "rules": 1000, "networks": 3500}
    noted = plan.plan | {"cut": ["profiles"], "size": size}
    ChangePlan.objects.update(plan=noted, outdated=[], mail_requested_at=None)
    client.force_login(organization.memberships.get(role="admin").user)
    page = client.get(f"/plans/{plan.pk}/mail/").content.decode()
    assert "too many to compute" in page
    assert "belong to sites, were fetched again" not in page
    assert "No recipients" not in page


def test_old_lists_of_outdated_profiles_are_emptied_and_nobody_is_mailed_about_them(
    plan: ChangePlan, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vpn.actions.activity.plan_work._MOST_LISTED", 4)
    ChangePlan.objects.update(mail_requested_at=None)
    moved = ChangePlan.objects.create(
        instance=plan.instance, generation=1, plan={"address": {}, "outdated_count": 1}, outdated=[str(uuid4())]
    )

    def another_change(route: str) -> ChangePlan:
        for peer in plan.instance.peers.admitted():
            deliver_profile(peer, by=BY)
        update_instance(plan.instance, pushed_routes=[route], by=BY)
        settle(work_out_plans(plan.instance))
        return plan.instance.change_plans.latest("generation")

    newer = another_change("192.0.2.0/24")
    plan.refresh_from_db()
    moved.refresh_from_db()
    assert (plan.outdated, plan.outdated_dropped) == ([], True)
    assert len(newer.outdated) == newer.plan["outdated_count"] == 4
    assert moved.outdated, "until the devices have the new address, their users may be mailed"
    page = _activity(client, plan)
    assert f"/plans/{newer.pk}/mail/" in page
    assert f"/plans/{plan.pk}/mail/" not in page
    assert "no longer stores" in client.get(f"/plans/{plan.pk}/mail/").content.decode()
    with pytest.raises(NotPossible, match="no longer stores"):
        request_mail(plan, by=BY)


def test_a_list_is_not_emptied_while_its_people_are_mailed(plan: ChangePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vpn.actions.activity.plan_work._MOST_LISTED", 0)
    for peer in plan.instance.peers.admitted():
        deliver_profile(peer, by=BY)
    update_instance(plan.instance, pushed_routes=["192.0.2.0/24"], by=BY)
    settle(work_out_plans(plan.instance))
    plan.refresh_from_db()
    assert len(plan.outdated) == 5
