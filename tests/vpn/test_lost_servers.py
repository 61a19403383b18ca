"""A server that has not answered for long is lost: its instances say so, staff are mailed, and it may come back."""

from __future__ import annotations

from datetime import timedelta
from smtplib import SMTPServerDisconnected

import pytest
from django.core.mail import EmailMessage
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from portal.exceptions import InvalidInput
from portal.models import Membership, Organization, User
from tests.factories import BY, make_client_peer, make_instance, make_region
from tests.vpn.api.caller import Caller, refused, told
from tests.vpn.ssh_servers import make_server
from vpn import failures
from vpn.actions.instances.instance import delete_instance, retry_instance
from vpn.actions.instances.placement import place_instance
from vpn.actions.servers.condition import note_answer, note_silence
from vpn.actions.servers.preparation import begin_preparation, conclude_preparation
from vpn.actions.servers.region import add_region, set_loss_policy
from vpn.choices import InstanceState, ServerState, StepName, StepState
from vpn.drivers.base import Unreachable
from vpn.jobs.availability import ring_for_servers
from vpn.jobs.mail import mail_loss
from vpn.jobs.provision import destroy_instance
from vpn.jobs.servers import driver_for
from vpn.models import Instance, Region, RetiredHub, Server

pytestmark = pytest.mark.django_db
WHY = failures.SERVER_SILENT.of("fra1.example.net:22")


@pytest.fixture
def region() -> Region:
    """A region without servers."""
    return add_region("fra", "Frankfurt", by=BY)


@pytest.fixture
def server(region: Region) -> Server:
    """A ready server in it."""
    return make_server(region)


@pytest.fixture
def instance(organization: Organization, server: Server) -> Instance:
    """An instance whose hub runs on the server."""
    made = make_instance(organization)
    Instance.objects.filter(pk=made.pk).update(region=server.region, server=server)
    made.refresh_from_db()
    return made


def check(server: Server, *, after: float) -> Server:
    """A failed check, so many seconds after the one before."""
    earlier = timedelta(seconds=after)
    row = Server.objects.get(pk=server.pk)
    if row.silent_since is not None:
        Server.objects.filter(pk=server.pk).update(silent_since=row.silent_since - earlier, check_at=timezone.now())
    note_silence(server, WHY, by=BY)
    row.refresh_from_db()
    return row


def fall_silent(server: Server, seconds: float = 300) -> Server:
    """Checks fail for so many seconds."""
    for after in (0, 4, 4):
        check(server, after=after)
    return check(server, after=seconds)


def test_a_server_is_lost_after_the_set_time_and_not_before(server: Server) -> None:
    row = fall_silent(server, 280)
    assert row.state == ServerState.UNREACHABLE
    assert row.check_at is not None
    assert row.silent_since is not None
    assert row.check_at <= row.silent_since + timedelta(seconds=300), "it is checked when it is due to be lost"
    row = check(server, after=15)
    assert (row.state, row.shown_state, row.state_reason) == (ServerState.LOST, "lost", WHY.document())
    with pytest.raises(Unreachable) as raised:
        driver_for(row)
    assert raised.value.finding == failures.SERVER_UNREACHABLE.of()


def test_a_region_may_have_a_time_of_its_own(server: Server, settings: Settings) -> None:
    settings.SERVER_LOST_SECONDS = 3600
    set_loss_policy(server.region, rebuild_lost=False, lost_after=60, by=BY)
    assert fall_silent(server, 40).state == ServerState.UNREACHABLE
    assert check(server, after=20).state == ServerState.LOST


def test_the_time_in_which_the_portal_did_not_run_does_not_count(server: Server) -> None:
    fall_silent(server, 60)
    long_ago = timezone.now() - timedelta(hours=5)
    Server.objects.filter(pk=server.pk).update(silent_since=long_ago, check_at=long_ago)
    note_silence(server, WHY, by=BY)
    assert Server.objects.get(pk=server.pk).state == ServerState.UNREACHABLE
    assert check(server, after=301).state == ServerState.LOST


def test_its_instances_say_so(
    server: Server, instance: Instance, admin: Membership, admin_browser: Client, member: Membership
) -> None:
    peer = make_client_peer(instance, member)
    fall_silent(server)
    instance.refresh_from_db()
    assert instance.state == InstanceState.LOST
    page = admin_browser.get(f"/instances/{instance.pk}/").content.decode()
    assert "no longer answers" in page
    assert "Hub lost" in admin_browser.get(f"/peers/{peer.pk}/").content.decode()
    api = Caller.of(admin)
    assert told(api.get(f"/instances/{instance.pk}"), 200)["state"] == "lost"
    wanted = {"type": "client", "protocol": "wireguard", "user_id": str(member.pk), "route_all": False}
    refused(api.post(f"/instances/{instance.pk}/peers", wanted), 409)


def test_it_comes_back_with_its_instances(
    server: Server, instance: Instance, rung: list[tuple[str, ...]], django_capture_on_commit_callbacks: object
) -> None:
    fall_silent(server)
    Instance.objects.filter(pk=instance.pk).update(failure="No room.", retry_at=timezone.now())
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        note_answer(server, by=BY)
    row = Server.objects.get(pk=server.pk)
    assert (row.state, row.state_reason, row.silent_since, row.loss_mailed_at) == (ServerState.READY, None, None, None)
    instance.refresh_from_db()
    assert (instance.state, instance.failure) == (InstanceState.READY, "")
    assert ("apply", "vpn.jobs.apply.apply_instance", str(instance.pk)) in rung


def test_a_repaired_one_is_no_longer_lost(server: Server, instance: Instance) -> None:
    fall_silent(server)
    conclude_preparation(begin_preparation(server, by=BY), by=BY)
    instance.refresh_from_db()
    assert (Server.objects.get(pk=server.pk).state, instance.state) == (ServerState.READY, InstanceState.READY)


def test_an_instance_that_is_being_deleted_stays_so(server: Server, instance: Instance) -> None:
    Instance.objects.filter(pk=instance.pk).update(state=InstanceState.DELETING)
    fall_silent(server)
    note_answer(server, by=BY)
    instance.refresh_from_db()
    assert instance.state == InstanceState.DELETING


def test_staff_are_mailed_once(
    server: Server, instance: Instance, staff: User, admin: Membership, mailoutbox: list[EmailMessage]
) -> None:
    mail_loss(str(server.pk))
    assert not mailoutbox, "it is not lost"
    fall_silent(server)
    for _ in range(2):
        mail_loss(str(server.pk))
    (mail,) = mailoutbox
    assert mail.to == [staff.email]
    assert "fra1" in mail.subject
    assert "1 instance" in str(mail.body)
    note_answer(server, by=BY)
    fall_silent(server)
    mail_loss(str(server.pk))
    assert len(mailoutbox) == 2, "another loss is told again"


def test_mail_that_is_not_taken_is_tried_again(
    server: Server, staff: User, monkeypatch: pytest.MonkeyPatch, rung: list[tuple[str, ...]]
) -> None:
    def refuse(mail: EmailMessage) -> int:
        raise SMTPServerDisconnected

    fall_silent(server)
    with monkeypatch.context() as patched:
        patched.setattr(EmailMessage, "send", refuse)
        mail_loss(str(server.pk))
    ring_for_servers()
    assert ("mail", "vpn.jobs.mail.mail_loss", str(server.pk)) in rung
    mail_loss(str(server.pk))
    rung.clear()
    ring_for_servers()
    assert not [ring for ring in rung if ring[0] == "mail"]


def test_a_lost_server_is_still_checked(server: Server, rung: list[tuple[str, ...]]) -> None:
    row = fall_silent(server)
    assert row.check_at is not None
    assert row.check_at <= timezone.now() + timedelta(seconds=61)
    Server.objects.filter(pk=server.pk).update(check_at=timezone.now() - timedelta(seconds=1))
    ring_for_servers()
    assert ("observe", "vpn.jobs.runtime.looks.begin_check", str(server.pk)) in rung


def test_staff_choose_what_happens_to_lost_hubs(region: Region, staff_browser: Client) -> None:
    call_command("region", "set", "fra", "--rebuild-lost", "yes", "--lost-after", "120")
    region.refresh_from_db()
    assert (region.rebuild_lost, region.lost_seconds) == (True, 120)
    call_command("region", "set", "fra", "--lost-after", "0")
    region.refresh_from_db()
    assert (region.rebuild_lost, region.lost_seconds) == (True, 300)
    for wrong in ("5", "100000"):
        with pytest.raises(CommandError):
            call_command("region", "set", "fra", "--lost-after", wrong)
    with pytest.raises(CommandError, match="no region"):
        call_command("region", "set", "xyz", "--rebuild-lost", "no")
    with pytest.raises(InvalidInput):
        set_loss_policy(make_region(), rebuild_lost=True, lost_after=None, by=BY)
    values = {"name": "Frankfurt", "country": "", "available": "on", "lost_after": "90"}
    assert staff_browser.post("/admin/vpn/region/fra/change/", values).status_code == 302
    region.refresh_from_db()
    assert (region.rebuild_lost, region.lost_seconds) == (False, 90)


def test_an_instance_that_was_never_ready_is_created_on_another_server(server: Server, instance: Instance) -> None:
    fall_silent(server, 20)
    other = make_server(server.region, "fra2", number=8)
    Instance.objects.filter(pk=instance.pk).update(state=InstanceState.FAILED, configured=False)
    operation = instance.operations.get()
    operation.steps.update(state=StepState.SUCCEEDED, started_at=timezone.now(), finished_at=timezone.now())
    operation.steps.filter(name=StepName.HUB).update(state=StepState.FAILED)
    retry_instance(instance, by=BY)
    assert set(operation.steps.values_list("state", "started_at")) == {(StepState.WAITING, None)}
    placed = place_instance(instance.pk, by=BY)
    assert placed.server == other
    assert placed.epoch > instance.epoch, "the server that was left refuses this one"
    retired = RetiredHub.objects.get(hub=instance.hub)
    assert (retired.server, retired.epoch, retired.forwards_to) == (server, instance.epoch, [])


def test_an_instance_on_it_can_be_deleted_and_its_hub_goes_once_it_answers(server: Server, instance: Instance) -> None:
    fall_silent(server)
    hub, epoch = instance.hub, instance.epoch
    delete_instance(instance, by=BY)
    destroy_instance(str(instance.pk))
    assert not Instance.objects.filter(pk=instance.pk).exists()
    retired = RetiredHub.objects.get(hub=hub)
    assert (retired.server, retired.epoch, retired.instance) == (server, epoch, None)
    RetiredHub.objects.update(due_at=timezone.now() + timedelta(hours=1))
    note_answer(server, by=BY)
    assert RetiredHub.objects.get(hub=hub).due_at <= timezone.now(), "it is removed at once"


def test_one_that_was_ready_stays_where_it_is(server: Server, instance: Instance) -> None:
    make_server(server.region, "fra2", number=8)
    fall_silent(server)
    assert place_instance(instance.pk, by=BY).server == server
