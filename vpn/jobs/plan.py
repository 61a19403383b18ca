"""Compute plans, in a separate process: for saved changes, and for previews."""

from __future__ import annotations

import logging
from uuid import UUID

from django.utils.translation import gettext_noop

from portal.models import Principal
from vpn import doorbell
from vpn.actions.activity.plan_work import compute_preview, work_out_next
from vpn.desired import ConcurrentChange
from vpn.models import AskedPlan, Instance
from vpn.profiles.outdated import find_outdated, last_found

logger = logging.getLogger(__name__)
_BY = Principal.portal(gettext_noop("working out what a change means"))


def work_out_plans(instance_id: str) -> None:
    """Compute the plan of an instance's oldest change; its next one waits behind those of other instances."""
    instance = Instance.objects.filter(pk=UUID(instance_id)).only("organization").first()
    if instance is None:
        return
    try:
        more = work_out_next(instance.pk, by=_BY)
    except ConcurrentChange:
        more = True
    if more:
        doorbell.enqueue_plans(instance.pk, instance.organization_id)


def answer_asked_plan(asked_id: str) -> None:
    """Compute the plan of a preview."""
    try:
        compute_preview(UUID(asked_id), by=_BY)
    except ConcurrentChange:
        row = AskedPlan.objects.filter(pk=UUID(asked_id)).only("organization").first()
        if row is not None:
            doorbell.enqueue_asked_plan(row.pk, row.organization_id)


def find_outdated_profiles(instance_id: str) -> None:
    """Find out which delivered profiles of an instance are outdated, unless that is known already."""
    instance = Instance.objects.select_related("server").filter(pk=UUID(instance_id)).first()
    if instance is None:
        return
    found = last_found(instance)
    if found is None or not found.is_newest:
        find_outdated(instance)
