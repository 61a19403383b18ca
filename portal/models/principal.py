"""Principals: each action gets one and passes it on to where rows change (portal.actions.acting)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Self

from django.db import models
from django.utils.translation import gettext_lazy as _


class PrincipalKind(models.TextChoices):
    """The kind of a principal."""

    MEMBER = "member", _("Member")
    STAFF = "staff", _("Staff")
    TOKEN = "token", _("API token")
    DEVICE = "device", _("Device")
    ROUTER = "router", _("Router")
    PORTAL = "portal", _("Portal")


@dataclass(frozen=True)
class Principal:
    """A principal by value, so that its name stays when its row is deleted.

    `id` is the id of its row as text, or "". `name` is a person's address, a token's or a device's name. `reason` is
    why the portal acted by itself; it is "" for the others.
    """

    kind: PrincipalKind
    id: str
    name: str
    reason: str = ""

    @classmethod
    def portal(cls, reason: str) -> Self:
        """The portal itself; `reason` reads well after "by the portal: ", such as "renewing certificates"."""
        return cls(PrincipalKind.PORTAL, "", "", reason)

    @classmethod
    def command(cls, account: str) -> Self:
        """Staff at the command line, named by the system account that ran `manage.py`."""
        return cls(PrincipalKind.STAFF, "", account)

    @classmethod
    def device(cls, pk: object = "", name: str = "a share link") -> Self:
        """A device, or the holder of its share link; their identity is not known."""
        return cls(PrincipalKind.DEVICE, str(pk), name)

    @classmethod
    def router(cls, pk: object, name: str) -> Self:
        """The router of a site."""
        return cls(PrincipalKind.ROUTER, str(pk), name)

    @classmethod
    def from_document(cls, document: dict[str, str]) -> Self:
        """Return a principal from the result of `document`; unknown keys are ignored."""
        kind = PrincipalKind(document["kind"])
        return cls(kind, document["id"], document["name"], document.get("reason", ""))

    def document(self) -> dict[str, str]:
        """Return the principal as JSON, as it is stored in rows."""
        return {**asdict(self), "kind": self.kind.value}

    def __str__(self) -> str:
        """Return the name for a sentence after "by". Tenants do not see which member of staff it was."""
        words = {
            PrincipalKind.PORTAL: f"the portal: {self.reason}",
            PrincipalKind.TOKEN: f"the API token {self.name}".rstrip(),
            PrincipalKind.STAFF: "the operator",
            PrincipalKind.DEVICE: f"the device {self.name}",
            PrincipalKind.ROUTER: f"the router {self.name}",
        }
        return words.get(self.kind, self.name)
