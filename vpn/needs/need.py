"""A need: what is wrong, what it means, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from django.db import models


class Code(models.TextChoices):
    """Why a hub, or the portal itself, needs someone."""

    LOST = "lost"
    PROVISIONING_FAILED = "provisioning-failed"
    PROVISIONING_STUCK = "provisioning-stuck"
    DELETION_STUCK = "deletion-stuck"
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
    """Something that waits for a person, in words for an admin.

    `title` is a short heading, `message` says what is so and what it means, `next_step` what to do. `tone` is bad or
    waiting. `chip` is the word that replaces "Ready" on the hub, "" where the hub itself is well. `since` is when it
    began, where that is known.
    """

    code: Code
    title: str
    message: str
    next_step: str
    tone: Literal["bad", "waiting"] = "bad"
    chip: str = ""
    since: datetime | None = None

    @property
    def text(self) -> str:
        """What is so and what to do, as one text."""
        return " ".join(part for part in (self.message, self.next_step) if part)
