"""The safety net rings for what lags: a bounded number at a time, with a constant number of queries, in turns."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from portal.models import Organization
from tests.factories import BY, make_instance, make_organization, observe_hubs, settle
from vpn.actions.instances.instance import delete_instance
from vpn.choices import InstanceState, PlanState
from vpn.desired import compile_spec
from vpn.jobs import reconcile
from vpn.jobs.reconcile import reconcile_all
from vpn.jobs.waiting import WAITING
from vpn.models import ChangePlan, Instance, InstanceObservation, Peer, Tick

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def make_old(organization: Organization, count: int, state: str = InstanceState.PENDING) -> list[Instance]:
    """Instances that were requested a minute ago, one after the other, and whose rings were lost."""
    Organization.objects.filter(pk=organization.pk).update(most_provisioning=100)
    made = [make_instance(organization, state=state) for _ in range(count)]
    for number, instance in enumerate(made):
        then = timezone.now() - timedelta(minutes=1) + timedelta(milliseconds=number)
        Instance.objects.filter(pk=instance.pk).update(created_at=then)
    return made


def run() -> int:
    """The job, five seconds later; how many queries it takes."""
    Tick.objects.all().delete()
    with CaptureQueriesContext(connection) as asked:
        reconcile_all()
    return len(asked)


def test_each_organization_is_rung_for_before_any_has_its_next(
    organization: Organization, rung: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "_RUNG_AT_ONCE", 4)
    loud, quiet = make_old(organization, 6), make_old(make_organization("Quiet"), 1)
    rung.clear()
    run()
    first = {loud[0].pk, quiet[0].pk}
    assert {ring[2] for ring in rung[:2]} == {str(pk) for pk in first}
    assert [ring[2] for ring in rung[2:]] == [str(loud[1].pk), str(loud[2].pk)]
    # Those are being created now.
    Instance.objects.filter(pk__in=[one.pk for one in (*loud[:3], *quiet)]).update(state=InstanceState.READY)
    Instance.objects.update(lagging_since=None)
    rung.clear()
    run()
    new = [ring[2] for ring in rung if ring[0] == "provision"]
    assert new == [str(one.pk) for one in loud[3:]], "the next ones follow"


@pytest.mark.parametrize("state", [InstanceState.PENDING, InstanceState.DELETING])
def test_more_that_wait_take_no_more_queries(
    organization: Organization, rung: list[tuple[str, ...]], state: InstanceState
) -> None:
    def make(count: int) -> None:
        made = make_old(organization, count, InstanceState.PENDING)
        if state == InstanceState.DELETING:
            for instance in made:
                delete_instance(settle(instance), by=BY)

    make(2)
    few = run()
    make(5)
    rung.clear()
    assert run() == few
    assert len(rung) == 7


def test_specifications_are_compared_as_far_as_the_time_suffices(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    hubs = [make_instance(organization) for _ in range(8)]
    for hub in hubs:
        Instance.objects.filter(pk=hub.pk).update(applied_digest=compile_spec(hub.pk).digest)
    observe_hubs(*hubs, verify_at=None)
    compared = InstanceObservation.objects.exclude(verify_at=None)
    monkeypatch.setattr(reconcile, "_VERIFY_SECONDS", 0.0)
    run()
    assert compared.count() == 1
    run()
    assert compared.count() == 2, "the next one continues"
    monkeypatch.setattr(reconcile, "_VERIFY_SECONDS", 600.0)
    run()
    assert compared.count() == len(hubs)
    assert run() < 20, "each is compared once a minute"


def test_a_large_hub_is_compared_less_often(organization: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = make_instance(organization)
    Instance.objects.filter(pk=hub.pk).update(applied_digest=compile_spec(hub.pk).digest)
    observe_hubs(hub, verify_at=None)
    # As if the comparison had taken a thousand times as long.
    monkeypatch.setattr(reconcile, "_VERIFY_SHARE", 1e-6)
    run()
    next_one = InstanceObservation.objects.values_list("verify_at", flat=True).get()
    assert next_one is not None
    assert next_one > timezone.now() + timedelta(minutes=1)


def test_nothing_that_waits_takes_one_question(instance: Instance, rung: list[tuple[str, ...]]) -> None:
    settle(instance)
    InstanceObservation.objects.note([instance.pk], verify_at=timezone.now() + timedelta(hours=1))
    run()
    rung.clear()
    with CaptureQueriesContext(connection) as asked:
        reconcile_all.__wrapped__()  # type: ignore[attr-defined]
    assert len(asked) == 1
    assert not rung


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("instances", lambda one: Instance.objects.update(state=InstanceState.DELETING)),
        ("instances", lambda one: Instance.objects.update(desired_generation=one.desired_generation + 1)),
        ("instances", lambda one: Instance.objects.update(epoch=one.epoch + 1)),
        ("instances", lambda one: Instance.objects.update(lagging_since=timezone.now())),
        ("expiry", lambda one: Peer.objects.update(expires_at=timezone.now() - timedelta(seconds=1))),
        ("verify", lambda one: InstanceObservation.objects.update(verify_at=None)),
        ("plans", lambda one: ChangePlan.objects.update(state=PlanState.WAITING)),
        ("mail", lambda one: ChangePlan.objects.update(mail_requested_at=timezone.now(), mail_finished_at=None)),
    ],
)
def test_each_kind_of_work_is_found(
    instance: Instance, client_peer: Peer, kind: str, make: Callable[[Instance], object]
) -> None:
    settle(instance)
    ChangePlan.objects.create(instance=instance, generation=1)
    InstanceObservation.objects.note([instance.pk], verify_at=timezone.now() + timedelta(hours=1))
    assert WAITING.ask() == set()
    make(Instance.objects.get())
    assert WAITING.ask() == {kind}
