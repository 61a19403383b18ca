"""`?plan=true`: the answer is what a change would mean; the change is not made."""

from __future__ import annotations

from collections.abc import Sequence

from django.http import HttpRequest, HttpResponse

from portal.audit.log import leave_out
from vpn.actions.activity.plan_turn import PlanBusy, compute_in_turn
from vpn.actions.activity.planning import ChangePreview
from vpn.api.protocol.answers import plain
from vpn.api.protocol.errors import Refusal, invalid
from vpn.api.schemas.plan import DifferenceOut, DivertedOut, ExitChangeOut, NameChangeOut, PlanOut, SizeOut, TakenOut
from vpn.desired import ConcurrentChange
from vpn.plan.explaining import too_much

_WORDS = {"": False, "false": False, "0": False, "true": True, "1": True}


def wants_plan(request: HttpRequest) -> bool:
    """Does the caller only want a plan? Raises the refusal for an unclear value, so that nothing changes by mistake."""
    asked = _WORDS.get(request.GET.get("plan", "").lower())
    if asked is None:
        raise invalid({"plan": ["Say true or false."]})
    return asked


def plan_of(request: HttpRequest, found: Sequence[ChangePreview]) -> HttpResponse:
    """The plan of the previewed change.

    Called outside of any transaction, so that it blocks no other change. Raises the refusal if the rows change faster
    than they are read, or if another large plan is being computed.
    """
    leave_out(request)
    try:
        plan = compute_in_turn(found)
    except PlanBusy:
        message = "Another large plan of your organization is being worked out. Try again in a few seconds."
        raise Refusal(503, "plan-busy", message, headers={"Retry-After": "2"}) from None
    except ConcurrentChange:
        message = "Another change is in progress. Try again in a few seconds."
        raise Refusal(503, "unsettled", message, headers={"Retry-After": "2"}) from None
    return plain(
        PlanOut(
            reachability=[DifferenceOut.model_validate(line, from_attributes=True) for line in plan.reachability],
            outdated=plan.outdated,
            truncated=plan.truncated,
            nowhere=plan.nowhere,
            names=[NameChangeOut.model_validate(one, from_attributes=True) for one in plan.names],
            diverted=[DivertedOut.model_validate(one, from_attributes=True) for one in plan.diverted],
            exits=[ExitChangeOut.model_validate(one, from_attributes=True) for one in plan.exits],
            taken=[TakenOut.model_validate(taken, from_attributes=True) for taken in plan.taken],
            size=SizeOut.model_validate(plan.size, from_attributes=True),
            cut=sorted(plan.cut),
            note=too_much(plan.size, plan.cut) if plan.cut else "",
        ),
        without=None if plan.cut else {"size", "cut", "note"},
    )
