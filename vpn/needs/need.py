"""A need: a hub needs someone, and why. Facts alone: `vpn.presenters.needs` puts them into words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import models

from vpn.models import Instance, ListenerProof
from vpn.needs.facts import Facts


class Code(models.TextChoices):
    """Why a hub, or the portal itself, needs someone."""

    LOST = "lost"
    PROVISIONING_FAILED = "provisioning-failed"
    PROVISIONING_STUCK = "provisioning-stuck"
    DELETION_STUCK = "deletion-stuck"
    AGENT_DIFFERS = "agent-differs"
    APPLY_FAILED = "apply-failed"
    APPLY_STUCK = "apply-stuck"
    HUB_SILENT = "hub-silent"
    HUB_UNREACHABLE = "hub-unreachable"
    HUB_UNPROVEN = "hub-unproven"
    ADDRESS_UNREACHABLE = "address-unreachable"
    RESOLVER_SILENT = "resolver-silent"
    SITE_SILENT = "site-silent"
    ROUTE_NOWHERE = "route-nowhere"
    ADDRESS_CHANGED = "address-changed"
    DRIFT_RECURRING = "drift-recurring"
    PORTAL_DEGRADED = "portal-degraded"


@dataclass(frozen=True)
class Need:
    """Something of a hub that waits for a person.

    `since` is when it began, where that is known. `proofs` are those of the listeners concerned; `is_partial` says that
    others are reached.
    """

    code: Code
    instance: Instance
    facts: Facts
    since: datetime | None = None
    proofs: Sequence[ListenerProof] = ()
    is_partial: bool = False
