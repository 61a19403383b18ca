"""What a cloud has with the portal's tag although no row knows it: staff decide what becomes of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from portal.actions.acting import acted
from portal.models import Principal
from vpn import doorbell
from vpn.models import CloudAccount, CloudNode, StrayNode
from vpn.wire.finding import Finding


@dataclass(frozen=True)
class Stray:
    """A node or firewall that was found; `request` is the one in its tag."""

    request: UUID
    found_id: str
    is_group: bool = False
    address: str = ""


def known_requests() -> set[UUID]:
    """The requests that the portal knows."""
    return set(CloudNode.objects.values_list("pk", flat=True))


def note_strays(account: CloudAccount, found: Collection[Stray], *, by: Principal) -> None:
    """Record what a sweep of an account found and no row knows; what was not found any more is gone."""
    now = timezone.now()
    with transaction.atomic():
        CloudAccount.objects.filter(pk=account.pk).update(swept_at=now)
        kept = []
        for stray in found:
            row, created = StrayNode.objects.update_or_create(
                account=account,
                is_group=stray.is_group,
                found_id=stray.found_id[:200],
                defaults={"request": stray.request, "address": stray.address, "seen_at": now},
                create_defaults={
                    "request": stray.request,
                    "address": stray.address,
                    "seen_at": now,
                    "first_seen_at": now,
                },
            )
            kept.append(row.pk)
            if created:
                acted(by, "found", row)
        gone, _ = StrayNode.objects.filter(account=account).exclude(pk__in=kept).delete()
        if gone or found:
            acted(by, "swept", account)


def ask_removal(stray: StrayNode, *, by: Principal) -> None:
    """Let a worker remove it from the cloud."""
    with transaction.atomic():
        StrayNode.objects.filter(pk=stray.pk).update(removal_asked_at=timezone.now(), finding=None)
        acted(by, "removal requested", stray)
        transaction.on_commit(partial(doorbell.enqueue_stray, stray.pk, stray.account.region_id))


def note_stray(stray: StrayNode, finding: Finding | None, *, by: Principal) -> None:
    """Record that a removal failed, or with None that the cloud has nothing left of it."""
    with transaction.atomic():
        if finding is None:
            acted(by, "removed", stray)
            StrayNode.objects.filter(pk=stray.pk).delete()
        else:
            StrayNode.objects.filter(pk=stray.pk).update(finding=finding.document())
            acted(by, "removal failed", stray)
