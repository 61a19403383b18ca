"""Principals: each action gets one and passes it on to where rows change (portal.actions.acting)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final, Self

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop


class PrincipalKind(models.TextChoices):
    """The kind of a principal."""

    MEMBER = "member", gettext_lazy("Member")
    STAFF = "staff", gettext_lazy("Staff")
    TOKEN = "token", gettext_lazy("API token")
    DEVICE = "device", gettext_lazy("Device")
    ROUTER = "router", gettext_lazy("Router")
    PORTAL = "portal", gettext_lazy("Portal")


# Names of devices that are not known; stored as such, and translated when they are shown.
SHARE_LINK: Final = gettext_noop("a share link")
UNKNOWN_CLIENT: Final = gettext_noop("an unknown client")


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
        """The portal itself; `reason` reads well after "by the portal: ", such as "renewing certificates".

        It is stored in English, and translated when it is shown: mark it with gettext_noop.
        """
        return cls(PrincipalKind.PORTAL, "", "", reason)

    @classmethod
    def command(cls, account: str) -> Self:
        """Staff at the command line, named by the system account that ran `manage.py`."""
        return cls(PrincipalKind.STAFF, "", account)

    @classmethod
    def device(cls, pk: object = "", name: str = SHARE_LINK) -> Self:
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
        name = _(self.name) if self.name in {SHARE_LINK, UNKNOWN_CLIENT} else self.name
        match self.kind:
            case PrincipalKind.PORTAL:
                return _("the portal: %(reason)s") % {"reason": _(self.reason) if self.reason else ""}
            case PrincipalKind.TOKEN:
                return (_("the API token %(name)s") % {"name": name}).rstrip()
            case PrincipalKind.STAFF:
                return _("the operator")
            case PrincipalKind.DEVICE:
                return _("the device %(name)s") % {"name": name}
            case PrincipalKind.ROUTER:
                return _("the router %(name)s") % {"name": name}
        return self.name
