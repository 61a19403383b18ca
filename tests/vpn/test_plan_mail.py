"""Writing to the people whom a change concerns."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from uuid import UUID

import pytest
from django.core import mail
from django.test import Client, override_settings
from django.utils import timezone

from portal.models import Mail, Membership, MembershipState, Organization
from tests.factories import make_client_peer, make_instance, make_member, make_organization, settle
from vpn.actions.instance_settings import update_instance
from vpn.actions.plan_mail import request_mail
from vpn.actions.profile import deliver_profile
from vpn.jobs import queue
from vpn.jobs.mail import mail_plan
from vpn.models import ChangePlan, Instance, PlanMail

pytestmark = pytest.mark.django_db


@pytest.fixture
def organization() -> Organization:
    return make_organization()


@pytest.fixture
def anna(organization: Organization) -> Membership:
    return make_member(organization, name="Anna", email="anna@example.org")


@pytest.fixture
def instance(organization: Organization, anna: Membership) -> Instance:
    """Anna has two devices with profiles, Ben one, and so has one who is deactivated later."""
    made = make_instance(organization)
    ben = make_member(organization, name="Ben", email="ben@example.org")
    carl = make_member(organization, name="Carl", email="carl@example.org")
    peers = [make_client_peer(made, anna, name) for name in ("laptop", "phone")]
    peers += [make_client_peer(made, ben, "tablet"), make_client_peer(made, carl, "desktop")]
    settle(made)
    for peer in peers:
        deliver_profile(peer)
    carl.state = MembershipState.DEACTIVATED
    carl.save()
    return made


@pytest.fixture
def plan(instance: Instance) -> ChangePlan:
    """A change that outdates them all, with its mail asked for."""
    update_instance(instance, pushed_routes=["10.99.0.0/16"])
    settle(instance)
    noted = ChangePlan.objects.get()
    request_mail(noted)
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
        deliver_profile(peer)
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
    monkeypatch.setattr(queue, "enqueue_plan_mail", rung.append)
    ChangePlan.objects.update(mail_requested_at=None)
    admin = organization.memberships.get(role="admin")
    client.force_login(admin.user)
    with django_capture_on_commit_callbacks(execute=True):
        page = client.post(f"/plans/{plan.pk}/mail/", follow=True).content.decode()
    assert "being written to" in page
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


class _MailServer(socketserver.ThreadingTCPServer):
    """As much of SMTP (RFC 5321) as a client needs to hand over its mail."""

    daemon_threads = True

    def __init__(self) -> None:
        self.received: list[tuple[str, str]] = []
        super().__init__(("127.0.0.1", 0), _Conversation)


class _Conversation(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, _MailServer)
        recipient = ""
        self.wfile.write(b"220 mail.example\r\n")
        while line := self.rfile.readline().decode().strip():
            verb = line.split(" ", 1)[0].upper()
            if verb == "RCPT":
                recipient = line.partition("<")[2].rstrip(">")
                self.wfile.write(b"550 nobody\r\n" if recipient.startswith("ben") else b"250 ok\r\n")
            elif verb == "DATA":
                self.wfile.write(b"354 go on\r\n")
                text = "".join(iter(lambda: self.rfile.readline().decode(), ".\r\n"))
                self.server.received.append((recipient, text))
                self.wfile.write(b"250 ok\r\n")
            elif verb == "QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            else:
                self.wfile.write(b"250 ok\r\n")


@pytest.fixture
def mail_server() -> Iterator[_MailServer]:
    with _MailServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join(5)


def test_a_real_mail_server_gets_it_and_a_refused_address_stops_nobody(
    plan: ChangePlan, mail_server: _MailServer
) -> None:
    host, port = mail_server.server_address[:2]
    real = {"EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend", "EMAIL_HOST": host, "EMAIL_PORT": port}
    with override_settings(**real):
        mail_plan(str(plan.pk))
        mail_plan(str(plan.pk))
    [(recipient, text)] = mail_server.received
    assert recipient == "anna@example.org"
    assert "Subject: Frankfurt: fetch your VPN profiles again" in text
    plan.refresh_from_db()
    assert plan.mail_finished_at is not None


def test_a_mail_server_that_is_away_is_tried_again(plan: ChangePlan) -> None:
    real = {"EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend", "EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": 9}
    with override_settings(**real):
        mail_plan(str(plan.pk))
    assert not PlanMail.objects.exists()
    mail_plan(str(plan.pk))
    assert len(mail.outbox) == 2
