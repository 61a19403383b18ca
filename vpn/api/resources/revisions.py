"""Revisions of instances: read, compared, and returned to."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from ninja import Query, Router

from portal.models import Membership
from vpn.access import get_instance
from vpn.actions.activity.plan_turn import PlanBusy, compare_in_turn
from vpn.actions.activity.planning import MOST_NOTED_LINES, preview
from vpn.actions.revisions.notes import noted
from vpn.actions.revisions.returning import return_to, wanted_subnets
from vpn.api.protocol.answers import many, plain
from vpn.api.protocol.auth import member_of
from vpn.api.protocol.bodies import read
from vpn.api.protocol.documentation import answers, takes
from vpn.api.protocol.errors import Refusal
from vpn.api.protocol.etag import unless_changed
from vpn.api.protocol.idempotency import idempotent
from vpn.api.protocol.limits import check_site
from vpn.api.protocol.paging import Page, page_of
from vpn.api.protocol.plans import plan_of, wants_plan
from vpn.api.resources.instances import PATH, show
from vpn.api.schemas.plan import DifferenceOut, NameChangeOut, PlanOut
from vpn.api.schemas.revision import (
    ReachChangeOut,
    ReturnedOut,
    RevisionContentOut,
    RevisionDifferenceOut,
    RevisionLineOut,
    RevisionOut,
    RevisionReturn,
    RevisionSectionOut,
    show_content,
    values_of,
)
from vpn.desired import ConcurrentChange
from vpn.models import Instance, Revision
from vpn.presenters.revisions import sections_of
from vpn.revisions.comparing import Difference
from vpn.revisions.rows import lost_sites
from vpn.revisions.sections import document_of

router = Router(tags=["Revisions"])
LIST = f"{PATH}/revisions"
ONE = f"{LIST}/{{int:number}}"


@router.get(LIST, response=answers({200: list[RevisionOut]}, 403, 404, 422), summary="List revisions")
def list_revisions(request: HttpRequest, instance_id: UUID, page: Query[Page]) -> HttpResponse:
    """The instance's revisions, newest first, without their content."""
    instance = get_instance(member_of(request), instance_id)
    rows = Revision.objects.filter(instance=instance).defer("settings")
    found, link = page_of(request, rows, page, by="at", newest_first=True)
    return many(RevisionOut, [RevisionOut.model_validate(values_of(one)) for one in found], link)


@router.get(ONE, response=answers({200: RevisionContentOut}, 403, 404), summary="Read a revision")
def read_revision(request: HttpRequest, instance_id: UUID, number: int) -> HttpResponse:
    """One revision with its content: settings, rules, records, and the subnets of connected sites."""
    revision = _revision(get_instance(member_of(request), instance_id), number)
    return plain(show_content(revision, document_of(revision)))


@router.get(
    f"{ONE}/difference", response=answers({200: RevisionDifferenceOut}, 403, 404, 422), summary="Compare two revisions"
)
def read_difference(request: HttpRequest, instance_id: UUID, number: int, before: int = 0) -> HttpResponse:
    """What differs from the revision `before` (0: the one before this), and who reaches whom differently."""
    instance = get_instance(member_of(request), instance_id)
    after = _revision(instance, number)
    other = _revision(instance, before or _number_before(instance, number))
    sides = document_of(other), document_of(after)
    try:
        plan = compare_in_turn(instance.pk, *sides, in_full=True)
    except (ConcurrentChange, PlanBusy):
        message = "Another large plan is being worked out. Try again in a few seconds."
        raise Refusal(503, "plan-busy", message, headers={"Retry-After": "2"}) from None
    lines = plan.reachability[:MOST_NOTED_LINES] if plan is not None else []
    reach = ReachChangeOut(
        reachability=[DifferenceOut.model_validate(line, from_attributes=True) for line in lines],
        truncated=plan is None or plan.truncated or len(plan.reachability) > len(lines) or bool(plan.cut),
        names=[NameChangeOut.model_validate(one, from_attributes=True) for one in (plan.names if plan else ())],
        lost=lost_sites(instance, sides),
    )
    sections = _sections(other, after)
    return plain(RevisionDifferenceOut(before=other.number, after=after.number, sections=sections, reach=reach))


@router.post(
    f"{ONE}/return",
    response=answers({200: ReturnedOut | PlanOut}, 400, 403, 404, 409, 412, 413, 415, 422),
    openapi_extra=takes(RevisionReturn, "Idempotency-Key", "If-Match", "plan"),
    summary="Return to a revision",
)
@idempotent
def post_return(request: HttpRequest, instance_id: UUID, number: int) -> HttpResponse:
    """Give the instance the content of this revision. `If-Match` takes the instance's ETag.

    What does not exist any more is left out, and named. With `?plan=true` nothing changes.
    """
    member = member_of(request)
    fetch = partial(get_instance, member, instance_id, write=True)
    revision = _revision(fetch(), number)
    body = read(request, RevisionReturn) if request.body else RevisionReturn(note="")
    left_out: list[str] = []
    with noted(body.note), unless_changed(request, fetch, show) as instance:
        _check_sites(member, instance, revision)
        change = partial(return_to, instance, revision, by=member.principal, left_out=left_out)
        found = preview(change) if wants_plan(request) else None
        if found is None:
            change()
    if found is not None:
        return plan_of(request, found)
    made = Revision.objects.filter(instance=instance_id, returned_to=number)[0]
    return plain(ReturnedOut.model_validate(values_of(made) | {"left_out": left_out}))


def _check_sites(member: Membership, instance: Instance, revision: Revision) -> None:
    """A site's subnets change on every instance: raise the refusal of a token that may not change all of them."""
    for peer, _ in wanted_subnets(instance, document_of(revision)):
        if peer.site_id is not None:
            check_site(member, peer.site_id)


def _revision(instance: Instance, number: int) -> Revision:
    found = Revision.objects.with_parts().filter(instance=instance, number=number).first()
    if found is None:
        raise Http404
    return found


def _number_before(instance: Instance, number: int) -> int:
    earlier = Revision.objects.filter(instance=instance, number__lt=number).values_list("number", flat=True)
    return earlier.first() or number


def _sections(before: Revision, after: Revision) -> list[RevisionSectionOut]:
    return [
        RevisionSectionOut(
            title=section.title,
            lines=[
                RevisionLineOut(
                    label=line.label,
                    difference=line.difference.value,  # type: ignore[arg-type]
                    before=list(line.before),
                    after=list(line.after),
                )
                for line in section.lines
                if line.difference is not Difference.SAME
            ],
        )
        for section in sections_of(before, after)
        if section.differs
    ]
