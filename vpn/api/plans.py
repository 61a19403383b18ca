"""`?plan=true`: what a change would mean, in place of the change."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from vpn.actions.planning import planned
from vpn.api.answers import plain
from vpn.api.errors import invalid
from vpn.api.schemas.plan import DifferenceOut, PlanOut, TakenOut

_WORDS = {"": False, "false": False, "0": False, "true": True, "1": True}


def wants_plan(request: HttpRequest) -> bool:
    """Does the caller only ask? Raises the refusal where that is not clear, lest something changes unasked."""
    asked = _WORDS.get(request.GET.get("plan", "").lower())
    if asked is None:
        raise invalid({"plan": ["Say true or false."]})
    return asked


def plan_of(change: Callable[[], object]) -> HttpResponse:
    """What the change would mean; refuses what the change itself would refuse."""
    plan = planned(change)
    return plain(
        PlanOut(
            reachability=[DifferenceOut.model_validate(line, from_attributes=True) for line in plan.reachability],
            outdated=plan.outdated,
            truncated=plan.truncated,
            nowhere=plan.nowhere,
            taken=[TakenOut.model_validate(taken, from_attributes=True) for taken in plan.taken],
        )
    )
