"""The progress page: how far, how long still, can I leave?"""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from portal.models import Organization
from tests.factories import BY, make_instance, settle
from vpn.actions.activity.operation import assumed_seconds, expected_seconds
from vpn.actions.instances.instance import retry_instance
from vpn.choices import InstanceState, OperationKind, OperationState, StepState
from vpn.models import Instance, Operation, OperationStep
from vpn.needs.hub import needs_of
from vpn.views.activity.progress import progress_of

pytestmark = pytest.mark.django_db
FRAGMENT = {"HX-Request": "true", "HX-Target": "progress"}


@pytest.fixture
def young(organization: Organization) -> Instance:
    """An instance whose hub is being set up: the first step is done, the second runs."""
    instance = make_instance(organization, state=InstanceState.PROVISIONING)
    now = timezone.now()
    Operation.objects.filter(instance=instance).update(started_at=now - timedelta(seconds=60))
    steps = OperationStep.objects.filter(operation__instance=instance)
    steps.filter(position=0).update(
        state=StepState.SUCCEEDED, started_at=now - timedelta(seconds=60), finished_at=now - timedelta(seconds=48)
    )
    steps.filter(position=1).update(state=StepState.RUNNING, started_at=now - timedelta(seconds=48))
    return instance


def fail(instance: Instance) -> None:
    """Stop at the second step."""
    now = timezone.now()
    OperationStep.objects.filter(operation__instance=instance, position=1).update(
        state=StepState.FAILED, finished_at=now, message="The server's disk is full. Free some space."
    )
    Operation.objects.filter(instance=instance).update(state=OperationState.FAILED, finished_at=now)
    Instance.objects.filter(pk=instance.pk).update(state=InstanceState.FAILED)


def test_it_shows_steps_times_and_what_is_expected(
    admin_browser: Client, young: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    minute_later = young.operations.get().started_at + timedelta(seconds=60)
    monkeypatch.setattr("django.utils.timezone.now", lambda: minute_later)
    page = admin_browser.get(f"/instances/{young.pk}/progress/").content.decode()
    for words in ("Prepare the server", "12 s", "48 s", "1 min so far", "up to 9 min left", "You can leave this page"):
        assert words in page


def test_it_asks_every_second_while_it_runs(admin_browser: Client, young: Instance) -> None:
    fragment = admin_browser.get(f"/instances/{young.pk}/progress/", headers=FRAGMENT).content.decode()
    assert "<html" not in fragment
    assert 'hx-trigger="every 1s"' in fragment


def test_it_stops_asking_once_ready_and_opens_the_instance(admin_browser: Client, young: Instance) -> None:
    settle(young)
    fragment = admin_browser.get(f"/instances/{young.pk}/progress/", headers=FRAGMENT).content.decode()
    assert "hx-trigger" not in fragment
    assert "Open instance" in fragment


def test_a_failed_step_says_what_happened_and_offers_both_ways_on(admin_browser: Client, young: Instance) -> None:
    fail(young)
    fragment = admin_browser.get(f"/instances/{young.pk}/progress/", headers=FRAGMENT).content.decode()
    assert "hx-trigger" not in fragment
    for words in ("The server&#x27;s disk is full.", "Try again", f"/instances/{young.pk}/delete/"):
        assert words in fragment


def test_an_auditor_sees_the_failure_without_the_buttons(auditor_browser: Client, young: Instance) -> None:
    fail(young)
    page = auditor_browser.get(f"/instances/{young.pk}/progress/").content.decode()
    assert "The server&#x27;s disk is full." in page
    assert "Try again" not in page
    assert "/delete/" not in page


def test_trying_again_goes_on_from_the_failed_step(admin_browser: Client, young: Instance) -> None:
    fail(young)
    answer = admin_browser.post(f"/instances/{young.pk}/retry/")
    assert answer["Location"] == f"/instances/{young.pk}/progress/"
    young.refresh_from_db()
    assert young.state == InstanceState.PROVISIONING
    assert young.operations.get().state == OperationState.RUNNING


def test_trying_again_where_nothing_failed_says_so(admin_browser: Client, instance: Instance) -> None:
    page = admin_browser.post(f"/instances/{instance.pk}/retry/", follow=True).content.decode()
    assert "there is nothing to retry" in page


def test_the_time_of_a_run_that_is_tried_again_counts_from_then(young: Instance) -> None:
    fail(young)
    yesterday = timezone.now() - timedelta(days=1)
    young.operations.update(started_at=yesterday, finished_at=yesterday)
    young.operations.get().steps.exclude(started_at=None).update(started_at=yesterday, finished_at=yesterday)
    retry_instance(young, by=BY)
    run = young.operations.get()
    assert progress_of(run).elapsed < timedelta(hours=1)
    assert not needs_of(Instance.objects.get(pk=young.pk)), "it is not stuck"
    # What was left of it tells nothing about the time of a whole run.
    run.steps.filter(state=StepState.FAILED).update(state=StepState.SUCCEEDED)
    young.operations.update(state=OperationState.SUCCEEDED, finished_at=timezone.now())
    assert expected_seconds(young, OperationKind.PROVISION) == assumed_seconds(OperationKind.PROVISION)


def test_only_admins_try_again(auditor_browser: Client, stranger_browser: Client, young: Instance) -> None:
    fail(young)
    assert auditor_browser.post(f"/instances/{young.pk}/retry/").status_code == 403
    assert stranger_browser.post(f"/instances/{young.pk}/retry/").status_code == 404
    assert stranger_browser.get(f"/instances/{young.pk}/progress/").status_code == 404


def test_the_bar_follows_clock_and_steps_and_ends_only_at_the_end(young: Instance) -> None:
    operation = young.operations.get()
    assert progress_of(operation).percent == 25
    operation.expected_seconds = 10
    assert progress_of(operation).percent == 95
    assert not progress_of(operation).remaining
    operation.state = OperationState.SUCCEEDED
    assert progress_of(operation).percent == 100
