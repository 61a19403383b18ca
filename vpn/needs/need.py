"""A need: a problem of a hub that a person has to solve. Facts only: `vpn.presenters.needs` has the words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import models

from vpn.models import Instance, ListenerProof
from vpn.needs.facts import Facts


class Code(models.TextChoices):
    """The kinds of problems of a hub, or of the portal itself."""

    LOST = "lost"
    PROVISIONING_FAILED = "provisioning-failed"
    PROVISIONING_STUCK = "provisioning-stuck"
    DELETION_STUCK = "deletion-stuck"
    AGENT_DIFFERS = "agent-differs"
    APPLY_FAILED = "apply-failed"
    APPLY_STUCK = "apply-stuck"
    HUB_SILENT = "hub-silent"
    HUB_LATE = "hub-late"
    HUB_UNREACHABLE = "hub-unreachable"
    HUB_UNPROVEN = "hub-unproven"
    ADDRESS_UNREACHABLE = "address-unreachable"
    RESOLVER_SILENT = "resolver-silent"
    SITE_SILENT = "site-silent"
    ROUTE_NOWHERE = "route-nowhere"
    ADDRESS_CHANGED = "address-changed"
    NAME_UNPUBLISHED = "name-unpublished"
    FORMER_SERVER_SILENT = "former-server-silent"
    DRIFT_RECURRING = "drift-recurring"
    PORTAL_DEGRADED = "portal-degraded"


@dataclass(frozen=True)
class Need:
    """A problem of a hub that needs a person.

    `since` is when it began, if known. `proofs` are those of the affected listeners; `is_partial` says that other
    listeners are reachable.
    """

    code: Code
    instance: Instance
    facts: Facts
    since: datetime | None = None
    proofs: Sequence[ListenerProof] = ()
    is_partial: bool = False
