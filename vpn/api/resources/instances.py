"""Instances: the hubs, their settings and their background work."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import UUID

from django.db.models import Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Query, Router

from portal.access import require_admin
from vpn.access import get_instance, instances_of
from vpn.actions.activity.planning import preview
from vpn.actions.firewall.rules import prepare_rules
from vpn.actions.instances.instance import create_instance, delete_instance, retry_instance
from vpn.actions.instances.settings import update_instance
from vpn.actions.instances.trial import FIELD, keep_change, return_change
from vpn.actions.revisions.notes import noted
from vpn.api.protocol.answers import many, many_rows, one, plain
from vpn.api.protocol.auth import member_of
from vpn.api.protocol.bodies import read, read_change
from vpn.api.protocol.documentation import answers, takes
from vpn.api.protocol.errors import invalid
from vpn.api.protocol.etag import refuse_stale, unless_changed
from vpn.api.protocol.idempotency import idempotent
from vpn.api.protocol.paging import Page, page_of
from vpn.api.protocol.plans import plan_of, wants_plan
from vpn.api.resources.status import statuses
from vpn.api.schemas.instance import (
    BandwidthOut,
    DnsRecordOut,
    FirewallRuleOut,
    Found,
    InstanceChange,
    InstanceCreate,
    InstanceOut,
    OperationOut,
    TrialOut,
    instance_values,
    show_instance,
    show_operation,
)
from vpn.api.schemas.plan import PlanOut
from vpn.models import ChangeTrial, DnsRecord, FirewallRule, Instance, Operation, Region, Traffic
from vpn.models.peer import with_compat
from vpn.needs import proofs_of_all, reachable_in
from vpn.presenters.findings import names_in
from vpn.presenters.needs import notices_of_all

router = Router(tags=["Instances"])
PATH = "/instances/{uuid:instance_id}"


def show(instance: Instance) -> InstanceOut:
    """The representation of one instance."""
    return show_instance(instance, _found([instance])[instance.pk])


def _found(instances: Sequence[Instance]) -> dict[UUID, Found]:
    """What the representations of several need, with a constant number of queries."""
    ids = [instance.pk for instance in instances]
    words, compat = statuses(instances), with_compat(ids)
    proofs = proofs_of_all(instances)
    reachable, needs = reachable_in(proofs, ids), notices_of_all(instances, proofs=proofs)
    rules, records, trials = _rules_of_all(ids), _records_of_all(ids), _trials_of_all(ids)
    return {
        pk: Found(words[pk], pk in compat, reachable[pk], needs[pk], rules[pk], records[pk], trials.get(pk))
        for pk in ids
    }


def _rules_of_all(ids: Sequence[UUID]) -> dict[UUID, list[dict[str, Any]]]:
    """The rules of several instances in their order, as values: a thousand models take four times as long."""
    rules: dict[UUID, list[dict[str, Any]]] = {pk: [] for pk in ids}
    rows = FirewallRule.objects.filter(instance__among=ids)
    columns = [field for field in FirewallRuleOut.model_fields if field != "hits"]
    for row in rows.values("instance_id", *columns, hits=Coalesce("observation__hits", 0)):
        rules[row.pop("instance_id")].append(row)
    return rules


def _trials_of_all(ids: Sequence[UUID]) -> dict[UUID, dict[str, Any]]:
    """The running trials of several instances."""
    rows = ChangeTrial.objects.running().filter(instance__among=ids).values("instance_id", *TrialOut.model_fields)
    return {row.pop("instance_id"): row for row in rows}


def _records_of_all(ids: Sequence[UUID]) -> dict[UUID, list[dict[str, Any]]]:
    """The DNS records of several instances in their order, as values."""
    records: dict[UUID, list[dict[str, Any]]] = {pk: [] for pk in ids}
    for row in DnsRecord.objects.filter(instance__among=ids).values("instance_id", *DnsRecordOut.model_fields):
        records[row.pop("instance_id")].append(row)
    return records


@router.get("/instances", response=answers({200: list[InstanceOut]}, 403, 422), summary="List instances")
def list_instances(request: HttpRequest, page: Query[Page]) -> HttpResponse:
    """The organization's instances, oldest first."""
    # Of the region only the id is shown. Many instances have the same server: a join makes a model for each of them.
    rows = instances_of(member_of(request)).select_related(None).select_related("observation", "public_name")
    rows = rows.prefetch_related("server")
    # Of these it is shown that they are there.
    rows = rows.without_keys(keep=("server_certificate", "tls_crypt_key_sealed", "revocation_list"))
    page_rows, link = page_of(request, rows, page)
    found = _found(page_rows)
    return many_rows([instance_values(one, found[one.pk]) for one in page_rows], link)


@router.post(
    "/instances",
    response=answers({201: InstanceOut}, 400, 403, 409, 413, 415, 422),
    openapi_extra=takes(InstanceCreate, "Idempotency-Key"),
    summary="Create an instance",
)
@idempotent
def post_instance(request: HttpRequest) -> HttpResponse:
    """Create an instance. Provisioning goes on in the background: see its operations."""
    member = member_of(request)
    require_admin(member)
    body = read(request, InstanceCreate)
    region = Region.objects.filter(pk=body.region).first()
    if region is None:
        raise invalid({"region": ["There is no such region."]})
    given = body.model_dump(include={"name", "hostname", "pool_prefix", "pool"})
    instance = create_instance(member.organization, by=member.principal, region=region, **given)
    return one(show(instance), status=201)


@router.get(PATH, response=answers({200: InstanceOut}, 403, 404), summary="Read an instance")
def read_instance(request: HttpRequest, instance_id: UUID) -> HttpResponse:
    """One instance. `status` lists the work in progress."""
    return one(show(get_instance(member_of(request), instance_id)))


@router.put(
    PATH,
    response=answers({200: InstanceOut | PlanOut}, 400, 403, 404, 409, 412, 413, 415, 422),
    openapi_extra=takes(InstanceChange, "If-Match", "plan", FIELD),
    summary="Change an instance",
)
def put_instance(request: HttpRequest, instance_id: UUID) -> HttpResponse:
    """Change the fields that the body names; the hub follows in the background. With `?plan=true` nothing changes.

    With `?confirm_within=SECONDS`, the hub takes a change of `firewall`, `firewall_policy`, `management_services`,
    `management_sources` or `pushed_routes` back by itself unless it is confirmed.
    """
    member, is_preview, seconds = member_of(request), wants_plan(request), _confirm_within(request)
    seen = get_instance(member, instance_id, write=True)
    shown = show(seen)
    # A thousand rules are parsed before the transaction, since other changes wait for it.
    refuse_stale(request, lambda: shown)
    changes = _with_one_pool(read_change(request, InstanceChange, shown), seen)
    note = changes.pop("note", "")
    prepare_rules(changes.get("firewall", ()))
    fetch = partial(get_instance, member, instance_id, write=True)
    with noted(note), unless_changed(request, fetch, show) as present:
        if is_preview:
            found = preview(lambda: update_instance(present, by=member.principal, **changes)) if changes else []
        else:
            by = member.principal
            saved = update_instance(present, by=by, confirm_within=seconds, **changes) if changes else present
    return plan_of(request, found) if is_preview else one(show(saved))


def _confirm_within(request: HttpRequest) -> int | None:
    """The seconds in `?confirm_within=`. Raises the refusal for anything else, so that nothing is applied untried."""
    text = request.GET.get(FIELD)
    if text is not None and not (text.isdecimal() and text.isascii() and len(text) < 10):
        raise invalid({FIELD: ["Enter a number of seconds."]})
    return None if text is None else int(text)


@router.post(
    f"{PATH}/confirm",
    response=answers({200: InstanceOut}, 403, 404, 409, 422),
    openapi_extra=takes(None, "Idempotency-Key"),
    summary="Confirm a change",
)
@idempotent
def confirm(request: HttpRequest, instance_id: UUID) -> HttpResponse:
    """Keep a change that was saved with `?confirm_within=`. 409 before the hub runs it, and after its time."""
    member = member_of(request)
    return one(show(keep_change(get_instance(member, instance_id, write=True), by=member.principal)))


@router.post(
    f"{PATH}/return",
    response=answers({200: InstanceOut}, 403, 404, 409, 422),
    openapi_extra=takes(None, "Idempotency-Key"),
    summary="Take a change back",
)
@idempotent
def take_back(request: HttpRequest, instance_id: UUID) -> HttpResponse:
    """Return to the settings before a change that was saved with `?confirm_within=`, without waiting for its end."""
    member = member_of(request)
    return one(show(return_change(get_instance(member, instance_id, write=True), by=member.principal)))


def _with_one_pool(changes: dict[str, Any], instance: Instance) -> dict[str, Any]:
    """The changes with the IPv4 pool as a text.

    A read has a list of it and the IPv6 pool, which cannot be changed.
    """
    pool = changes.get("pool")
    if isinstance(pool, list):
        if len(pool) != 2 or pool[1] != instance.pool_v6:
            raise invalid({"pool": ["Enter the IPv4 network, or the list as it was read with another first one."]})
        changes["pool"] = pool[0]
    return changes


@router.delete(
    PATH,
    response=answers({202: InstanceOut}, 403, 404, 409, 412),
    openapi_extra=takes(None, "If-Match"),
    summary="Delete an instance",
)
def remove_instance(request: HttpRequest, instance_id: UUID) -> HttpResponse:
    """Revoke everything and delete the hub in the background; then the instance is gone (404)."""
    member = member_of(request)
    with unless_changed(request, lambda: get_instance(member, instance_id, write=True), show) as instance:
        return one(show(delete_instance(instance, by=member.principal)), status=202)


@router.post(
    f"{PATH}/retry",
    response=answers({202: InstanceOut}, 403, 404, 409, 422),
    openapi_extra=takes(None, "Idempotency-Key"),
    summary="Try again",
)
@idempotent
def retry(request: HttpRequest, instance_id: UUID) -> HttpResponse:
    """Resume at the step that failed."""
    member = member_of(request)
    instance = get_instance(member, instance_id, write=True)
    return one(show(retry_instance(instance, by=member.principal)), status=202)


@router.get(f"{PATH}/operations", response=answers({200: list[OperationOut]}, 403, 404, 422), summary="List operations")
def list_operations(request: HttpRequest, instance_id: UUID, page: Query[Page]) -> HttpResponse:
    """Runs of background work, newest first."""
    instance = get_instance(member_of(request), instance_id)
    rows = Operation.objects.filter(instance=instance).prefetch_related("steps")
    found, link = page_of(request, rows, page, by="started_at", newest_first=True)
    names = names_in(undone for operation in found for undone in operation.undone)
    return many(OperationOut, [show_operation(operation, names) for operation in found], link)


@router.get(f"{PATH}/bandwidth", response=answers({200: BandwidthOut}, 403, 404), summary="Read the traffic")
def read_bandwidth(request: HttpRequest, instance_id: UUID) -> HttpResponse:
    """Bytes in the current calendar month (UTC), as the hub counts them."""
    instance = get_instance(member_of(request), instance_id)
    today = timezone.now().date()
    month = Traffic.objects.filter(instance=instance, day__gte=today.replace(day=1), day__lte=today)
    sums = month.aggregate(incoming=Sum("incoming_bytes", default=0), outgoing=Sum("outgoing_bytes", default=0))
    return plain(BandwidthOut(incoming_bytes=sums["incoming"], outgoing_bytes=sums["outgoing"], date=today))
