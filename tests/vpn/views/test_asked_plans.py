"""A preview that takes longer than a moment: a worker answers, the panel asks for it, and saving does not wait."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from portal.models import Organization
from tests.factories import BY, make_client_peer, make_member, settle, work_out_plans
from tests.vpn.views.test_previews import PANEL, text_of
from vpn.actions.activity import planning
from vpn.actions.instances.settings import update_instance
from vpn.actions.profiles.profile import deliver_profile
from vpn.choices import PlanState
from vpn.jobs.plan import answer_asked_plan
from vpn.models import AskedPlan, ChangePlan, Instance, Operation, Peer

pytestmark = pytest.mark.django_db
CHANGE = {"pushed_routes": "198.51.100.0/24", "preview": "true"}


@pytest.fixture(autouse=True)
def _every_hub_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "_FEW_PEERS", -1)


@pytest.fixture(autouse=True)
def _served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vpn.views.activity.preview.is_served", lambda queue: True)


@pytest.fixture
def laptop(instance: Instance, organization: Organization) -> Peer:
    """Anna's laptop, with its profile fetched."""
    peer = make_client_peer(instance, make_member(organization, name="Anna"), "laptop")
    work_out_plans(settle(instance))
    deliver_profile(peer, by=BY)
    return peer


def ask(browser: Client, instance: Instance, **values: str) -> str:
    return browser.post(f"/instances/{instance.pk}/routing/", {**CHANGE, **values}, headers=PANEL).content.decode()


def test_the_panel_waits_and_then_shows_the_answer(admin_browser: Client, instance: Instance, laptop: Peer) -> None:
    waiting = ask(admin_browser, instance)
    found = re.search(r'"asked": "([0-9a-f-]+)"', waiting)
    assert found
    assert "You can save without waiting" in waiting
    assert found[1] in ask(admin_browser, instance, asked=found[1])
    answer_asked_plan(found[1])
    assert "becomes outdated: Anna (laptop)." in text_of(ask(admin_browser, instance, asked=found[1]))
    instance.refresh_from_db()
    assert instance.pushed_routes == []


def test_nobody_else_sees_the_answer_and_it_expires(
    admin_browser: Client, instance: Instance, laptop: Peer, organization: Organization
) -> None:
    ask(admin_browser, instance)
    row = AskedPlan.objects.get()
    answer_asked_plan(str(row.pk))
    other = Client()
    other.force_login(make_member(organization, role="admin").user)
    assert "laptop" not in ask(other, instance, asked=str(row.pk))
    AskedPlan.objects.update(created_at=timezone.now() - timedelta(minutes=11))
    assert "laptop" not in ask(admin_browser, instance, asked=str(row.pk))


def test_a_newer_question_takes_the_place_of_the_older_one_and_holds_no_secret(
    admin_browser: Client, instance: Instance, laptop: Peer
) -> None:
    ask(admin_browser, instance)
    first = AskedPlan.objects.get()
    ask(admin_browser, instance, pushed_routes="192.0.2.0/24")
    row = AskedPlan.objects.get()
    assert row.pk != first.pk
    assert not re.search("sealed|private|preshared|token", str(row.question))


def test_without_a_worker_the_panel_says_so_and_saving_works(
    admin_browser: Client, instance: Instance, laptop: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vpn.views.activity.preview.is_served", lambda queue: False)
    assert "No worker is running for previews" in ask(admin_browser, instance)
    saved = {"pushed_routes": "198.51.100.0/24"}
    assert admin_browser.post(f"/instances/{instance.pk}/routing/", saved).status_code == 302
    instance.refresh_from_db()
    assert instance.pushed_routes == ["198.51.100.0/24"]
    operation = Operation.objects.create(instance=instance, kind="apply", state="succeeded")
    ChangePlan.objects.update(operation=operation)
    page = text_of(admin_browser.get(f"/instances/{instance.pk}/activity/").content.decode())
    assert "A worker has to be running to work it out" in page


def test_changes_that_followed_are_taken_back_before_a_plan_is_worked_out(instance: Instance, laptop: Peer) -> None:
    make_client_peer(instance, make_member(instance.organization, name="Ben"), "tablet")
    update_instance(instance, firewall_policy="deny", by=BY)
    update_instance(instance, firewall_policy="allow", pushed_routes=["198.51.100.0/24"], by=BY)
    work_out_plans(instance)
    first, second = ChangePlan.objects.filter(instance=instance).order_by("-generation")[:2][::-1]
    assert {line["after"] for line in first.plan["reachability"]} == {False}
    assert first.plan["outdated_count"] == 0
    assert {line["after"] for line in second.plan["reachability"]} == {True}
    assert second.plan["outdated"] == [str(laptop.pk)]


def test_a_plan_at_which_workers_died_is_given_up_and_the_next_one_is_not(instance: Instance, laptop: Peer) -> None:
    update_instance(instance, mtu=1300, by=BY)
    ChangePlan.objects.filter(state=PlanState.WAITING).update(attempts=3)
    update_instance(instance, mtu=1310, by=BY)
    work_out_plans(instance)
    states = list(ChangePlan.objects.order_by("generation").values_list("state", flat=True))
    assert states[-2:] == [PlanState.FAILED, PlanState.READY]
    assert not ChangePlan.objects.exclude(delta=None).exists()
