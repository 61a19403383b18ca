"""Rows that have ended are removed, batch by batch; what an admin still looks at stays."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models import Model
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from portal.actions.member import remove_member
from portal.models import ApiToken, Mail, Membership, Organization, Receipt
from tests.factories import BY, make_client_peer, make_instance, make_member
from vpn.jobs import tidy as module
from vpn.jobs.tidy import TIDY_SECONDS, remove_ended
from vpn.models import (
    ChangePlan,
    EarlierCertificate,
    EndedTunnel,
    IdempotencyKey,
    Instance,
    Operation,
    PlanMail,
    ProfileLink,
    RevokedCertificate,
    Router,
    Traffic,
)

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

_ALL = 60.0
# Tables whose rows do not end by time, and what bounds each of them.
BOUNDED = {
    "portal.Organization": "staff, or sign-up",
    "portal.User": "memberships",
    "portal.Membership": "quota",
    "portal.Group": "quota",
    "portal.FactorSecret": "two for each account, and removed with their factor",
    "portal.SignInProvider": "one for each organization",
    "portal.ProviderGroup": "200 of each provider",
    "portal.ProviderIdentity": "one for each member",
    "portal.QueuedMail": "one for each member and requested password; removed when sent or after an hour",
    "portal.WriteMark": "one row",
    "portal.JournalEntry": "retention of each organization (tests/portal/test_journal_retention.py)",
    "portal.JournalHead": "one for each organization; removed with the last line of a deleted one",
    "vpn.Region": "staff",
    "vpn.Server": "staff",
    "vpn.Instance": "quota",
    "vpn.ListenerProof": "one for each listener and address",
    "vpn.OperationStep": "removed with its operation",
    "vpn.PlanMail": "removed with its plan",
    "vpn.ChangeTrial": "one for each instance",
    "vpn.AskedPlan": "one for each member; removed after minutes",
    "vpn.Connection": "retention of each organization (tests/vpn/connections/test_reading.py)",
    "vpn.ConnectionSubnet": "removed with the last connection of a deleted peer",
    "vpn.PeerTombstone": "removed once the hub has confirmed",
    "vpn.CompromisedHub": "one for each instance that was on a compromised server; removed with the instance",
    "vpn.EndedTunnel": "removed with its receipt",
    "vpn.Peer": "quota",
    "vpn.PeerNetwork": "quota",
    "vpn.Site": "quota",
    "vpn.SshAccess": "one for each server",
    "vpn.Preparation": "one for each server",
    "vpn.PreparationStep": "one for each server and step",
    "vpn.Move": "one for each instance, until it has switched",
    "vpn.FormerHub": "one for each server that an instance was on before; removed with either, or once it has new keys",
    "vpn.RetiredHub": "one for each server that an instance left; removed when nothing is left there",
    "vpn.PublicName": "one for each instance; removed when its records have been taken out of the zone",
    "vpn.FirewallRule": "quota",
    "vpn.DnsRecord": "quota",
    "vpn.Tick": "one for each scheduled job",
    "vpn.CloudAccount": "staff",
    "vpn.CloudNode": "one for each server",
    "vpn.PortalTag": "one row",
    "vpn.StrayNode": "what a cloud has; each sweep removes what is gone",
    "auth.Permission": "one for each model",
    "auth.Group": "staff",
    "contenttypes.ContentType": "one for each model",
    "account.EmailAddress": "one for each user",
    "mfa.Authenticator": "one app, one set of recovery codes and 20 passkeys for each account",
    "account.EmailConfirmation": "not used: addresses are proven by links that are not stored",
    "django_rq.Dashboard": "no table",
}


def ago(**amount: float) -> Any:
    return timezone.now() - timedelta(**amount)


def aged(row: Model, **columns: Any) -> Model:
    """The row with other times than those that it got when it was created."""
    type(row)._default_manager.filter(pk=row.pk).update(**columns)
    return row


def those_left(rows: list[Model]) -> list[Model]:
    return [row for row in rows if type(row)._default_manager.filter(pk=row.pk).exists()]


def test_every_table_is_bounded_or_tidied() -> None:
    tidied = {ended.rows.model._meta.label for ended in module._ended(timezone.now())}
    labels = {model._meta.label for model in apps.get_models()}
    assert labels == tidied | set(BOUNDED), "say what bounds a new table, or remove its ended rows"


def test_ended_rows_go_and_the_others_stay(instance: Instance, admin: Membership) -> None:
    peers = [make_client_peer(instance, admin, f"device {number}") for number in range(2)]
    made: list[Callable[[bool], Model]] = [
        lambda old: Session.objects.create(session_key=f"{old}", expire_date=ago(hours=1 if old else -1)),
        lambda old: ApiToken.objects.create(membership=admin, digest=f"{old}", expires_at=ago(days=31 if old else 29)),
        lambda old: aged(Mail.objects.create(to="a@example.org"), created_at=ago(days=31 if old else 29)),
        lambda old: aged(
            LogEntry.objects.create(user=admin.user, action_flag=1), action_time=ago(days=401 if old else 399)
        ),
        lambda old: aged(Router.objects.create(digest=f"{old}"), checked_in_at=ago(days=401 if old else 399)),
        lambda old: ProfileLink.objects.create(
            peer=peers[old], digest=f"{old}", expires_at=ago(minutes=1 if old else -1)
        ),
        lambda old: aged(
            IdempotencyKey.objects.create(membership=admin, key=f"{old}"), created_at=ago(hours=25 if old else 23)
        ),
        lambda old: EarlierCertificate.objects.create(
            peer=peers[0], serial=f"{old}", expires_at=ago(hours=1 if old else -1)
        ),
        lambda old: RevokedCertificate.objects.create(
            instance=instance, serial=f"{old}", revoked_at=ago(days=9), expires_at=ago(days=3 if old else 1)
        ),
        lambda old: RevokedCertificate.objects.create(
            instance=instance, serial=f"{old} of before", revoked_at=ago(days=1829 if old else 1827)
        ),
        lambda old: Traffic.objects.create(instance=instance, day=ago(days=402 if old else 399).date()),
        lambda old: aged(
            ChangePlan.objects.create(instance=instance, generation=1), created_at=ago(days=401 if old else 399)
        ),
    ]
    ended, others = [make(True) for make in made], [make(False) for make in made]
    assert remove_ended(_ALL)
    assert those_left(ended) == []
    assert those_left(others) == others


def test_a_receipt_goes_with_the_line_of_its_act(organization: Organization, instance: Instance) -> None:
    kept, old = make_member(organization), make_member(organization)
    make_client_peer(instance, kept)
    make_client_peer(instance, old)
    kept_receipt, old_receipt = (remove_member(person, by=BY) for person in (kept, old))
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM portal_journalentry WHERE object_id = %s", [str(old_receipt.person_id)])
    assert remove_ended(_ALL)
    assert list(Receipt.objects.all()) == [kept_receipt]
    assert [tunnel.receipt for tunnel in EndedTunnel.objects.all()] == [kept_receipt]


def run_of(instance: Instance, kind: str, **columns: Any) -> Operation:
    made = Operation.objects.create(instance=instance, kind=kind, state="succeeded")
    aged(made, **columns)
    return made


@pytest.fixture
def instance(instance: Instance) -> Instance:
    """Without the operation that created it."""
    instance.operations.all().delete()
    return instance


def test_an_old_operation_goes_with_its_plan_unless_it_is_the_last_of_its_kind(
    instance: Instance, admin: Membership
) -> None:
    created = run_of(instance, "provision", started_at=ago(days=500))
    old = run_of(instance, "apply", started_at=ago(days=450))
    plan = ChangePlan.objects.create(instance=instance, operation=old, generation=1, outdated=[str(uuid4())])
    PlanMail.objects.create(plan=plan, member=admin, claimed_at=ago(days=450))
    running = run_of(instance, "destroy", started_at=ago(days=450), state="running")
    last = run_of(instance, "apply", started_at=ago(days=440))
    with CaptureQueriesContext(connection) as queries:
        assert remove_ended(_ALL)
    assert set(instance.operations.all()) == {created, running, last}
    assert not ChangePlan.objects.exists()
    assert not [query for query in queries if '"outdated"' in query["sql"]], "long columns are not read"


def test_each_instance_keeps_its_newest_operations_and_plans(
    organization: Organization, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_OPERATIONS_KEPT", 2)
    monkeypatch.setattr(module, "_PLANS_KEPT", 2)
    other = make_instance(organization, name="Other")
    other.operations.all().delete()
    for one, number in ((instance, 4), (other, 2)):
        for hours in range(number):
            run_of(one, "apply", started_at=ago(hours=hours))
            aged(ChangePlan.objects.create(instance=one, generation=hours), created_at=ago(hours=hours))
    assert remove_ended(_ALL)
    for one in (instance, other):
        assert [run.started_at > ago(hours=1.5) for run in one.operations.all()] == [True, True]
        assert [plan.generation for plan in one.change_plans.all()] == [0, 1]


def test_a_run_that_is_out_of_time_leaves_the_rest_to_the_next(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(10_000))
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(clock), sleep=lambda seconds: None))
    monkeypatch.setattr(module, "_ended", lambda now, of=module._ended: [one._replace(batch=2) for one in of(now)])
    rows = [Session(session_key=f"{number}", expire_date=ago(hours=1)) for number in range(7)]
    Session.objects.bulk_create(rows)
    Traffic.objects.bulk_create(Traffic(instance=instance, day=ago(days=500 + n).date()) for n in range(7))
    runs, begin = 0, timezone.now()
    while Session.objects.exists() or Traffic.objects.exists():
        before = Session.objects.count() + Traffic.objects.count()
        now = begin + timedelta(seconds=TIDY_SECONDS * runs)
        monkeypatch.setattr(module, "timezone", SimpleNamespace(now=lambda now=now: now))
        remove_ended(5)
        runs += 1
        assert before - Session.objects.count() - Traffic.objects.count() <= 10
        assert runs < 100, "no table waits for ever"
    assert runs > 1
