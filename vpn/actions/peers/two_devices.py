"""Noting that a profile is used on two devices at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from django.db import transaction

from portal.actions.acting import acted
from portal.models import Principal
from vpn.models import Peer


def note_two_devices(found: Mapping[UUID, Sequence[str]], *, by: Principal) -> None:
    """Write a line of the journal for each of these peers, with the addresses between which it goes back and forth."""
    if not found:
        return
    with transaction.atomic():
        for peer in Peer.objects.filter(pk__in=found).select_related("instance", "site", "member__user"):
            acted(by, "used on two devices", peer, details={"addresses": list(found[peer.pk])})
