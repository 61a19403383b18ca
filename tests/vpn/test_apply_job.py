"""The outcome of an apply: confirmed, refused with a reason that people read, or confirmed as another state."""

from __future__ import annotations

import dataclasses
import uuid

import pytest
from django.test import Client

from portal.models import Membership
from tests.factories import BY
from tests.vpn.confirming_server import REFUSALS, Server, applied, refuse
from vpn import failures
from vpn.actions.peers.peer import create_client_peer
from vpn.choices import OperationState, StepState
from vpn.drivers.base import AgentError, Unreachable, errors
from vpn.models import Instance
from vpn.presenters.findings import sentence_of
from vpn.wire.report import HubReport

pytestmark = pytest.mark.both_databases


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
    server.answer = refuse(Unreachable(failures.AGENT_SILENT.of(), "broken pipe"))
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
    server.answer = refuse(Unreachable(failures.AGENT_SILENT.of(), "broken pipe"))
    step = applied(behind).steps.get()
    assert step.refusal == failures.AGENT_SILENT.of().document()
    assert step.message == sentence_of(failures.AGENT_SILENT.of())
    behind.refresh_from_db()
    assert behind.refusal == step.refusal
    assert "broken pipe" not in behind.failure, "the detail is for the log"


def test_a_failure_of_an_earlier_version_is_shown_as_it_is(behind: Instance, admin_browser: Client) -> None:
    Instance.objects.filter(pk=behind.pk).update(failure="The moon is in the way.", refusal=None)
    assert "The moon is in the way." in admin_browser.get(f"/instances/{behind.pk}/").content.decode()


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
        raise Unreachable(failures.AGENT_SILENT.of())

    rung.clear()
    server.answer = refuse(Unreachable(failures.AGENT_SILENT.of()))
    applied(behind)
    assert rung == [], "it waits for its next try"
    server.answer = change_and_refuse
    applied(behind)
    assert rung == [("apply", "vpn.jobs.apply.apply_instance", str(behind.pk))]
