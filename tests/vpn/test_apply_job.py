"""What becomes of an apply: confirmed, refused with a reason that people read, or confirmed as something else."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from portal.models import Membership
from tests.factories import BY, settle
from vpn.actions.instances.instance import delete_instance
from vpn.actions.instances.settings import update_instance
from vpn.actions.peers.keys import rotate_keys
from vpn.actions.peers.peer import create_client_peer, delete_peer, update_peer
from vpn.choices import OperationState, StepState
from vpn.drivers.base import AgentError, Unreachable, errors
from vpn.jobs import lease
from vpn.jobs.apply import apply_instance, apply_urgently
from vpn.jobs.reconcile import reconcile_all
from vpn.models import Instance, Operation, Tick
from vpn.presenters.findings import failure_of, sentence_of
from vpn.wire import codes
from vpn.wire.report import HubReport

pytestmark = pytest.mark.both_databases

REFUSALS = {
    errors.PORT_TAKEN: codes.WIREGUARD_PORT_TAKEN.of(20000),
    errors.PACKAGE_MISSING: codes.SERVER_PACKAGE_MISSING.of("nftables"),
    errors.DISK_FULL: codes.SERVER_DISK_FULL.of(),
    errors.NO_RIGHT: codes.SERVER_RIGHT_MISSING.of("CAP_NET_ADMIN"),
}


class Server:
    """Plays the server: confirms what it is sent, or what `answer` makes of that."""

    def __init__(self) -> None:
        self.answer: Callable[[HubReport], HubReport] = lambda report: report
        self.asked = 0
        self.was_delta = False

    def apply(self, document: dict[str, Any], *, delta: bool) -> HubReport:
        """Confirm."""
        from vpn.wire.digests import digest

        self.asked += 1
        self.was_delta = delta
        wanted = document["digest"] if delta else digest(document)
        report = HubReport(document["hub"], document["epoch"], document["generation"], wanted, True, 0.0)
        return self.answer(report)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()
    monkeypatch.setattr("vpn.jobs.apply.driver_for", lambda name: made)
    return made


@pytest.fixture
def behind(instance: Instance, admin: Membership) -> Instance:
    """An instance with a change that its hub does not have yet."""
    settle(instance)
    create_client_peer(instance, member=admin, device="laptop", by=BY)
    return instance


def applied(instance: Instance) -> Operation:
    apply_instance(str(instance.pk))
    instance.refresh_from_db()
    operation = instance.operations.filter(kind="apply").first()
    assert operation is not None
    return operation


def refuse(error: Exception) -> Callable[[HubReport], HubReport]:
    def answer(report: HubReport) -> HubReport:
        raise error

    return answer


def test_a_change_is_confirmed_once(behind: Instance, server: Server) -> None:
    assert applied(behind).state == OperationState.SUCCEEDED
    assert behind.server_ready
    assert server.asked == 1


@pytest.mark.parametrize("code", REFUSALS)
def test_a_refusal_says_why_and_what_to_do_wherever_people_look(
    behind: Instance, server: Server, code: str, admin_browser: Client
) -> None:
    server.answer = refuse(AgentError(code, "", REFUSALS[code]))
    operation, words = applied(behind), sentence_of(REFUSALS[code])
    assert operation.state == OperationState.FAILED
    assert operation.steps.get(state=StepState.FAILED).refusal == REFUSALS[code].document()
    assert not behind.server_ready
    for page in ("", "activity/"):
        text = admin_browser.get(f"/instances/{behind.pk}/{page}").content.decode().replace("&#x27;", "'")
        assert words in text
        assert "What was there before goes on working." in text
        assert "Try again" in text


def test_a_sentence_of_an_agent_of_the_release_before_is_shown_as_it_came(
    behind: Instance, server: Server, admin_browser: Client
) -> None:
    server.answer = refuse(AgentError(errors.DISK_FULL, "No room is left on the server: make some."))
    assert applied(behind).steps.get(state=StepState.FAILED).refusal is None
    assert "No room is left on the server: make some." in admin_browser.get(f"/instances/{behind.pk}/").content.decode()


def test_what_is_in_the_way_now_replaces_what_was_before(
    behind: Instance, server: Server, admin_browser: Client
) -> None:
    server.answer = refuse(AgentError(errors.DISK_FULL, "", REFUSALS[errors.DISK_FULL]))
    applied(behind)
    server.answer = refuse(Unreachable("The agent on this machine does not answer."))
    applied(behind)
    for page in ("", "activity/"):
        text = admin_browser.get(f"/instances/{behind.pk}/{page}").content.decode().replace("&#x27;", "'")
        assert "The agent on this machine does not answer." in text
        assert sentence_of(REFUSALS[errors.DISK_FULL]) not in text


def test_the_whole_is_sent_where_a_change_leads_elsewhere(behind: Instance, server: Server, admin: Membership) -> None:
    applied(behind)
    create_client_peer(behind, member=admin, device="phone", by=BY)
    refusals = [AgentError(errors.BASE_MISMATCH, "Send the whole spec.")]

    def answer(report: HubReport) -> HubReport:
        if refusals:
            raise refusals.pop()
        return report

    server.answer = answer
    assert applied(behind).state == OperationState.SUCCEEDED
    assert (refusals, server.asked) == ([], 3)


def test_a_server_that_does_not_answer_is_said_too(behind: Instance, server: Server) -> None:
    server.answer = refuse(Unreachable("The agent on this machine does not answer."))
    assert applied(behind).steps.get().message == "The agent on this machine does not answer."


def test_the_next_try_goes_on_with_the_same_operation(behind: Instance, server: Server) -> None:
    server.answer = refuse(AgentError(errors.DISK_FULL, "", REFUSALS[errors.DISK_FULL]))
    failed = applied(behind)
    assert behind.retry_at is not None
    server.answer = lambda report: report
    operation = applied(behind)
    assert operation.pk == failed.pk
    assert operation.state == OperationState.SUCCEEDED
    assert behind.server_ready


def test_a_server_that_confirms_something_else_is_not_believed(behind: Instance, server: Server) -> None:
    server.answer = lambda report: dataclasses.replace(report, digest="e" * 64)
    operation = applied(behind)
    assert operation.state == OperationState.FAILED
    assert "another state" in operation.steps.get().message
    assert not behind.is_up_to_date
    assert server.asked == 1, "it is not asked again and again"


def test_a_worker_that_lost_its_claim_notes_nothing(behind: Instance, server: Server) -> None:
    def taken_over(report: HubReport) -> HubReport:
        Instance.objects.filter(pk=behind.pk).update(lease_token=uuid.uuid4())
        return report

    server.answer = taken_over
    assert applied(behind).state == OperationState.RUNNING, "it is the other worker's to end"
    assert not behind.failure


def test_what_comes_meanwhile_has_another_turn(
    behind: Instance, admin: Membership, server: Server, rung: list[tuple[str, ...]]
) -> None:
    """A hub that changes all the time would keep the worker for as long as it changes."""

    def change(report: HubReport) -> HubReport:
        create_client_peer(behind, member=admin, device=f"another {server.asked}", by=BY)
        return report

    server.answer = change
    rung.clear()
    applied(behind)
    assert server.asked == 1
    assert not behind.is_up_to_date
    assert rung == [("apply", "vpn.jobs.apply.apply_instance", str(behind.pk))]


def test_a_failure_does_not_hold_up_what_came_meanwhile(
    behind: Instance, admin: Membership, server: Server, rung: list[tuple[str, ...]]
) -> None:
    def change_and_refuse(report: HubReport) -> HubReport:
        create_client_peer(behind, member=admin, device="another", by=BY)
        raise Unreachable("No answer.")

    rung.clear()
    server.answer = refuse(Unreachable("No answer."))
    applied(behind)
    assert rung == [], "it waits for its next try"
    server.answer = change_and_refuse
    applied(behind)
    assert rung == [("apply", "vpn.jobs.apply.apply_instance", str(behind.pk))]


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
    assert rung == [("urgent", "vpn.jobs.provision.destroy_instance", str(instance.pk))]


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
