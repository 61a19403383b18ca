"""Cloud accounts: test their credentials, and find what is paid for and not known."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_noop

from portal.models import Principal
from portal.sealing import UnsealError
from vpn import doorbell, failures
from vpn.actions.servers.account import note_test
from vpn.actions.servers.strays import Stray, known_requests, note_stray, note_strays
from vpn.drivers.cloud.base import CloudError, Tag
from vpn.drivers.cloud.cloud import Cloud
from vpn.jobs.nodes import login_of
from vpn.models import CloudAccount, CloudNode, StrayNode, portal_tag
from vpn.wire.finding import Finding

logger = logging.getLogger(__name__)
_BY: Final = Principal.portal(gettext_noop("looking at what the clouds have"))
_SWEEP_EVERY: Final = timedelta(minutes=10)
_REMOVE_AGAIN: Final = timedelta(seconds=30)


def ring_for_clouds() -> None:
    """Ring for accounts whose sweep is due, and for removals that have not ended."""
    now = timezone.now()
    due = CloudAccount.objects.filter(Q(swept_at=None) | Q(swept_at__lt=now - _SWEEP_EVERY))
    for ids in due.values_list("pk", "region"):
        doorbell.enqueue_sweep(*ids)
    asked = StrayNode.objects.filter(removal_asked_at__lt=now - _REMOVE_AGAIN)
    for ids in asked.values_list("pk", "account__region"):
        doorbell.enqueue_stray(*ids)


def test_cloud(account_id: str) -> None:
    """Test the credentials of an account, and whether its image (at Hetzner also its size there) exists."""
    account = CloudAccount.objects.filter(pk=UUID(account_id)).first()
    if account is None:
        return
    finding: Finding | None = None
    try:
        Cloud(login_of(account)).test(account.image, account.size)
    except CloudError as error:
        logger.warning("The credentials of %s: %s", account, error)
        finding = error.finding
    except UnsealError as error:
        finding = failures.SECRET_UNREADABLE.of(str(error).partition(" ")[0])
    note_test(account, finding, by=_BY)


def sweep_cloud(account_id: str) -> None:
    """List what a cloud has with the portal's tag, and note what no row knows."""
    account = CloudAccount.objects.filter(pk=UUID(account_id)).first()
    if account is None:
        return
    # A row is there before its node, and after it: both lists of rows count.
    known = known_requests()
    try:
        cloud = Cloud(login_of(account))
        nodes, groups = cloud.of_portal(portal_tag()), cloud.groups_of_portal(portal_tag())
    except (CloudError, UnsealError) as error:
        logger.warning("%s could not be swept: %s", account, error)
        CloudAccount.objects.filter(pk=account.pk).update(swept_at=timezone.now())
        return
    known |= known_requests()
    found = [
        *(Stray(node.tag.request, node.node_id, address="".join(node.addresses[:1])) for node in nodes),
        *(Stray(group.tag.request, group.group_id, is_group=True) for group in groups),
    ]
    note_strays(account, [stray for stray in found if stray.request not in known], by=_BY)


def remove_stray(stray_id: str) -> None:
    """Remove what staff asked for; nothing that a row knows."""
    stray = (
        StrayNode.objects.select_related("account").filter(pk=UUID(stray_id), removal_asked_at__isnull=False).first()
    )
    if stray is None or CloudNode.objects.filter(pk=stray.request).exists():
        return
    tag = Tag(portal_tag(), stray.request)
    try:
        cloud = Cloud(login_of(stray.account))
        if not stray.is_group and not cloud.remove(tag):
            return  # It is ending.
        cloud.remove_group(tag)
    except CloudError as error:
        logger.warning("%s could not be removed: %s", stray, error)
        note_stray(stray, error.finding, by=_BY)
    except UnsealError as error:
        note_stray(stray, failures.SECRET_UNREADABLE.of(str(error).partition(" ")[0]), by=_BY)
    else:
        note_stray(stray, None, by=_BY)
