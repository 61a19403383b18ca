"""Who acts: each action is told, and passes it on to where rows change (portal.actions.acting)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Self

from django.db import models


class PrincipalKind(models.TextChoices):
    """What kind of actor did something."""

    MEMBER = "member", "Member"
    STAFF = "staff", "Staff"
    TOKEN = "token", "API token"
    DEVICE = "device", "Device"
    ROUTER = "router", "Router"
    PORTAL = "portal", "Portal"


@dataclass(frozen=True)
class Principal:
    """An actor as it is kept: by value, so that its name stays when its row is deleted.

    `id` is the id of its row as text, "" where it has none. `name` is a person's address, a token's or a device's name.
    `reason` says why the portal acted by itself; for the others it is "".
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
        """Staff at the command line, by the system's account that ran `manage.py`."""
        return cls(PrincipalKind.STAFF, "", account)

    @classmethod
    def device(cls, pk: object = "", name: str = "a share link") -> Self:
        """A device, or who holds its share link: they can show no more than that."""
        return cls(PrincipalKind.DEVICE, str(pk), name)

    @classmethod
    def router(cls, pk: object, name: str) -> Self:
        """The router of a site."""
        return cls(PrincipalKind.ROUTER, str(pk), name)

    @classmethod
    def from_document(cls, document: dict[str, str]) -> Self:
        """A principal from what `document` gave; keys that it does not know are left out."""
        kind = PrincipalKind(document["kind"])
        return cls(kind, document["id"], document["name"], document.get("reason", ""))

    def document(self) -> dict[str, str]:
        """The principal as it is kept in a row, as JSON."""
        return {**asdict(self), "kind": self.kind.value}

    def __str__(self) -> str:
        """As pages name it in a sentence after "by". Tenants are not told which of the operator's staff it was."""
        words = {
            PrincipalKind.PORTAL: f"the portal: {self.reason}",
            PrincipalKind.TOKEN: f"the API token {self.name}".rstrip(),
            PrincipalKind.STAFF: "the operator",
            PrincipalKind.DEVICE: f"the device {self.name}",
            PrincipalKind.ROUTER: f"the router {self.name}",
        }
        return words.get(self.kind, self.name)
