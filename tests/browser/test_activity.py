"""An instance's activity: what changes by itself while somebody reads it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from portal.told import told
from tests.factories import BY, an_admin, make_instance, make_organization
from vpn.actions.activity.operation import begin_operation
from vpn.choices import OperationKind, PlanState
from vpn.jobs.progress import finish_operation
from vpn.models import ChangePlan

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_plan_appears_in_the_line_that_was_unfolded_by_hand(visit: Callable[..., Page]) -> None:
    organization = make_organization()
    instance = make_instance(organization)
    changed = [told("settings-changed", names=["firewall_policy"], begins=True)]
    operation = begin_operation(instance, OperationKind.APPLY, changed, by=BY)
    finish_operation(operation)
    plan = ChangePlan.objects.create(instance=instance, operation=operation, generation=1, state=PlanState.WAITING)
    page = visit(an_admin(organization).user)
    page.goto(f"/instances/{instance.pk}/activity/")
    summary = page.locator("summary", has_text="Policy between peers changed")
    summary.click()
    expect(summary).to_be_focused()
    expect(page.get_by_text("A worker has to be running to work it out.")).to_be_visible()
    ChangePlan.objects.filter(pk=plan.pk).update(state=PlanState.READY, plan={"reachability": [], "outdated": []})
    expect(page.get_by_text("Nothing changes for any peer")).to_be_visible()
    expect(summary).to_be_focused()
