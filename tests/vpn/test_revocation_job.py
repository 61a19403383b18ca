"""A revocation is urgent: it reaches the hub before anything else, and does not wait for another worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from portal.models import Membership, Organization
from tests.factories import BY, make_instance, settle
from tests.vpn.confirming_server import REFUSALS, Server, applied, refuse
from vpn.actions.instances.instance import delete_instance
from vpn.actions.instances.recovery import apply_again
from vpn.actions.instances.settings import update_instance
from vpn.actions.peers.keys import rotate_keys
from vpn.actions.peers.peer import create_client_peer, delete_peer, update_peer
from vpn.choices import OperationState
from vpn.drivers.base import AgentError, errors
from vpn.jobs import ahead, lease
from vpn.jobs.apply import apply_urgently
from vpn.jobs.reconcile import reconcile_all
from vpn.models import Instance, Tick
from vpn.presenters.findings import failure_of, sentence_of
from vpn.wire import codes
from vpn.wire.report import HubReport

pytestmark = pytest.mark.both_databases


def test_a_revocation_asks_again_while_another_apply_is_under_way(
    behind: Instance, server: Server, rung: list[tuple[str, ...]]
) -> None:
    rung.clear()
    token = lease.claim(behind.pk)
    assert token is not None
    apply_urgently(str(behind.pk))
    assert server.asked == 0
    assert rung == [("urgent", "vpn.jobs.apply.apply_urgently", str(behind.pk))]
    lease.release(behind.pk, token)
    apply_urgently(str(behind.pk))
    behind.refresh_from_db()
    assert behind.is_up_to_date
    apply_urgently(str(behind.pk))
    assert (server.asked, len(rung)) == (1, 1), "what is done already is not done again"


def test_what_takes_something_away_is_rung_for_as_urgent(
    instance: Instance, admin: Membership, rung: list[tuple[str, ...]], django_capture_on_commit_callbacks: Any
) -> None:
    peer = create_client_peer(instance, member=admin, device="laptop", by=BY)
    settle(instance)
    urgent = ("urgent", "vpn.jobs.apply.apply_urgently", str(instance.pk))
    acts: list[Callable[[], object]] = [
        lambda: update_peer(peer, enabled=False, by=BY),
        lambda: rotate_keys(peer, by=BY),
        lambda: update_instance(instance, firewall_policy="deny", by=BY),
        lambda: delete_peer(peer, by=BY),
    ]
    for act in acts:
        rung.clear()
        with django_capture_on_commit_callbacks(execute=True):
            act()
        assert [ring for ring in rung if ring[1].startswith("vpn.jobs.apply.")] == [urgent], "once, not by two workers"
    rung.clear()
    with django_capture_on_commit_callbacks(execute=True):
        delete_instance(instance, by=BY)
    assert rung == [("destroy", "vpn.jobs.provision.destroy_instance", str(instance.pk))]


def test_a_lost_ring_for_a_revocation_is_rung_again_as_urgent(
    instance: Instance, admin: Membership, rung: list[tuple[str, ...]]
) -> None:
    peer = create_client_peer(instance, member=admin, device="laptop", by=BY)
    settle(instance)
    create_client_peer(instance, member=admin, device="phone", by=BY)
    rung.clear()
    reconcile_all()
    assert rung == [("apply", "vpn.jobs.apply.apply_instance", str(instance.pk))]
    delete_peer(peer, by=BY)
    Tick.objects.all().delete()
    rung.clear()
    reconcile_all()
    assert rung == [("urgent", "vpn.jobs.apply.apply_urgently", str(instance.pk))]


@pytest.fixture
def revoked(behind: Instance, server: Server, rung: list[tuple[str, ...]]) -> Instance:
    """An instance whose hub has a peer that was deleted a moment ago."""
    applied(behind)
    assert behind.is_up_to_date
    delete_peer(behind.peers.get(), by=BY)
    server.asked = 0
    rung.clear()
    return behind


def test_a_revocation_reaches_the_hub_before_anything_is_written(revoked: Instance, server: Server) -> None:
    """A write waits for as long as another organization's transaction lasts."""

    def note(report: HubReport) -> HubReport:
        before.extend(query["sql"] for query in queries.captured_queries)
        return report

    before: list[str] = []
    server.answer = note
    with CaptureQueriesContext(connection) as queries:
        apply_urgently(str(revoked.pk))
    assert before
    assert all(sql.startswith("SELECT") for sql in before), before
    revoked.refresh_from_db()
    assert revoked.server_ready
    operation = revoked.operations.filter(kind="apply").first()
    assert operation is not None
    assert operation.state == OperationState.SUCCEEDED
    assert "removed" in operation.summary


def test_a_revocation_reaches_a_hub_that_another_worker_has_claimed(
    revoked: Instance, server: Server, rung: list[tuple[str, ...]]
) -> None:
    token = lease.claim(revoked.pk)
    assert token is not None
    apply_urgently(str(revoked.pk))
    assert server.asked == 1
    assert rung == [("apply", "vpn.jobs.apply.apply_instance", str(revoked.pk))], "it is noted in a turn of its own"
    lease.release(revoked.pk, token)
    assert applied(revoked).state == OperationState.SUCCEEDED
    assert revoked.server_ready


def test_a_busy_server_that_removes_a_peer_early_is_not_asked_again(
    revoked: Instance, admin: Membership, server: Server, rung: list[tuple[str, ...]]
) -> None:
    """The worker that has claimed the instance sends the rest. Other urgent changes have to be sent again."""
    server.answer = refuse(AgentError(errors.BUSY, "", codes.SERVER_BUSY.of()))
    token = lease.claim(revoked.pk)
    assert token is not None
    apply_urgently(str(revoked.pk))
    assert (server.asked, server.was_ahead) == (1, True)
    assert rung == [("apply", "vpn.jobs.apply.apply_instance", str(revoked.pk))]
    update_instance(revoked, firewall_policy="deny", by=BY)
    rung.clear()
    apply_urgently(str(revoked.pk))
    assert rung == [("urgent", "vpn.jobs.apply.apply_urgently", str(revoked.pk))]
    lease.release(revoked.pk, token)
    revoked.refresh_from_db()
    assert not revoked.is_up_to_date
    server.answer = lambda report: report
    assert applied(revoked).state == OperationState.SUCCEEDED
    assert (revoked.server_ready, server.was_ahead) == (True, False)


def test_a_peer_that_a_spec_under_way_brings_first_is_removed_too(
    behind: Instance, admin: Membership, server: Server, rung: list[tuple[str, ...]]
) -> None:
    applied(behind)
    update_instance(behind, mtu=1300, by=BY)
    new = create_client_peer(behind, member=admin, device="new", by=BY)
    token = lease.claim(behind.pk)
    assert token is not None
    disabled = create_client_peer(behind, member=admin, device="another", by=BY)
    update_peer(disabled, enabled=False, by=BY)
    deleted = str(new.pk)
    delete_peer(new, by=BY)
    server.answer = refuse(AgentError(errors.BUSY, "", codes.SERVER_BUSY.of()))
    apply_urgently(str(behind.pk))
    assert set(server.document["remove"]) == {deleted, str(disabled.pk)}
    lease.release(behind.pk, token)
    behind.refresh_from_db()
    server.answer = lambda report: report
    assert applied(behind).state == OperationState.SUCCEEDED
    assert behind.server_ready


def test_what_changes_while_a_revocation_is_sent_is_not_lost(
    revoked: Instance, admin: Membership, server: Server, rung: list[tuple[str, ...]]
) -> None:
    def change(report: HubReport) -> HubReport:
        if server.asked == 1:
            create_client_peer(revoked, member=admin, device="another", by=BY)
        return report

    server.answer = change
    apply_urgently(str(revoked.pk))
    revoked.refresh_from_db()
    assert revoked.desired_generation == revoked.applied_generation + 1
    assert rung == [("apply", "vpn.jobs.apply.apply_instance", str(revoked.pk))]
    assert applied(revoked).state == OperationState.SUCCEEDED
    assert revoked.server_ready


def test_a_revocation_that_the_server_refuses_is_told(revoked: Instance, server: Server) -> None:
    server.answer = refuse(AgentError(errors.DISK_FULL, "", REFUSALS[errors.DISK_FULL]))
    apply_urgently(str(revoked.pk))
    revoked.refresh_from_db()
    assert failure_of(revoked) == sentence_of(REFUSALS[errors.DISK_FULL])


def test_a_revocation_does_not_wait_for_the_whole_that_other_settings_need(
    revoked: Instance, admin: Membership, server: Server, rung: list[tuple[str, ...]]
) -> None:
    def note(report: HubReport) -> HubReport:
        sent.append((server.was_delta, report.digest))
        return report

    sent: list[tuple[bool, str]] = []
    server.answer = note
    create_client_peer(revoked, member=admin, device="new", by=BY)
    update_instance(revoked, mtu=1300, by=BY)
    apply_urgently(str(revoked.pk))
    revoked.refresh_from_db()
    assert [was_delta for was_delta, _ in sent] == [True], "those who are shut out leave first, and alone"
    assert revoked.applied_digest == sent[0][1]
    assert not revoked.is_up_to_date, "the rest is still to come"
    assert not revoked.peers.get().is_on_hub
    assert not revoked.tombstones.exists()
    assert rung == [("apply", "vpn.jobs.apply.apply_instance", str(revoked.pk))]
    assert applied(revoked).state == OperationState.SUCCEEDED
    assert [was_delta for was_delta, _ in sent] == [True, False]
    assert revoked.server_ready
    assert revoked.peers.get().is_on_hub


@pytest.fixture
def revoked_too(organization: Organization, admin: Membership, server: Server, rung: list[tuple[str, ...]]) -> Instance:
    """Another one."""
    other = make_instance(organization, name="Wien")
    create_client_peer(other, member=admin, device="tablet", by=BY)
    create_client_peer(other, member=admin, device="laptop", by=BY)
    applied(other)
    delete_peer(other.peers.all()[0], by=BY)
    rung.clear()
    return other


def test_all_that_wait_are_sent_before_the_first_is_recorded(
    revoked: Instance,
    revoked_too: Instance,
    server: Server,
    rung: list[tuple[str, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = str(revoked.pk), str(revoked_too.pk)
    again = ("urgent", "vpn.jobs.apply.apply_urgently", first)
    waiting = {revoked_too.pk}
    monkeypatch.setattr("vpn.doorbell.waiting_revocations", lambda: waiting)
    server.asked = 0
    apply_urgently(first)
    assert (server.asked, rung) == (1, [again]), "it is out, and recorded in a turn of its own"
    waiting = {revoked.pk}
    apply_urgently(second)
    apply_urgently(first)
    assert (server.asked, rung) == (2, [again]), "each was sent once"
    for instance in (revoked, revoked_too):
        instance.refresh_from_db()
        assert instance.server_ready


def test_a_revocation_that_waits_to_be_recorded_is_sent_again_if_another_follows(
    revoked_too: Instance, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vpn.doorbell.waiting_revocations", lambda: {uuid4()})
    apply_urgently(str(revoked_too.pk))
    left = revoked_too.peers.get()
    delete_peer(left, by=BY)
    apply_urgently(str(revoked_too.pk))
    assert str(left.pk) in server.document["remove"]


def test_what_another_worker_has_recorded_is_not_recorded_again(
    revoked: Instance, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = {uuid4()}
    monkeypatch.setattr("vpn.doorbell.waiting_revocations", lambda: waiting)
    apply_urgently(str(revoked.pk))
    applied(revoked)
    server.asked, recorded = 0, revoked.operations.count()
    apply_urgently(str(revoked.pk))
    assert (server.asked, revoked.operations.count()) == (0, recorded)


def test_what_was_sent_once_is_not_recorded_after_the_confirmation_was_discarded(
    revoked: Instance, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub may have lost it since, so the whole has to be sent and compared."""
    monkeypatch.setattr("vpn.doorbell.waiting_revocations", lambda: {uuid4()})
    apply_urgently(str(revoked.pk))
    applied(revoked)
    apply_again(revoked.pk, revoked.organization_id, by=BY)
    server.asked = 0
    apply_urgently(str(revoked.pk))
    revoked.refresh_from_db()
    assert server.asked == 1
    assert revoked.is_up_to_date


def test_a_confirmation_that_is_discarded_before_the_claim_is_not_recorded(revoked: Instance, server: Server) -> None:
    def discard(report: HubReport) -> HubReport:
        if server.asked == 1:
            apply_again(revoked.pk, revoked.organization_id, by=BY)
        return report

    server.answer = discard
    apply_urgently(str(revoked.pk))
    revoked.refresh_from_db()
    assert (server.asked, server.was_delta) == (2, False)
    assert revoked.is_up_to_date


def test_nothing_is_kept_of_a_hub_that_is_up_to_date(
    revoked: Instance, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vpn.doorbell.waiting_revocations", lambda: {uuid4()})
    apply_urgently(str(revoked.pk))
    applied(revoked)
    apply_urgently(str(revoked.pk))
    assert revoked.pk not in ahead._sent
