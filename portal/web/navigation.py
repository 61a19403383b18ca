"""The navigation of every page: the organization, and the sections that the user may open."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from portal.access import current_membership, memberships_of
from portal.models import Membership


class Room(NamedTuple):
    """One entry of the navigation."""

    label: str | Promise
    url_name: str
    icon: str
    prefixes: tuple[str, ...]
    # On phones, rarely used sections are in the account menu, because the bar has no room for them.
    is_rare: bool = False


_MANAGED = (
    Room(_("Instances"), "instances", "server-stack", ("/instances/", "/peers/")),
    Room(_("Sites"), "sites", "building-office-2", ("/sites/",)),
    Room(_("People"), "people", "users", ("/people/",)),
)
_ACTIVITY = Room(_("Activity"), "activity", "clock", ("/activity/", "/connections/"), is_rare=True)
_SETTINGS = Room(_("Settings"), "organization_settings", "cog-6-tooth", ("/settings/",), is_rare=True)
_OWN = Room(_("My VPN"), "my", "shield-check", ("/my/",))


def _rooms_of(membership: Membership | None) -> list[Room]:
    """The sections that a member may open."""
    if membership is None:
        return []
    if membership.sees_everything:
        return [*_MANAGED, _ACTIVITY, _SETTINGS, _OWN]
    return [_MANAGED[0], _OWN] if membership.is_operator else [_OWN]


def navigation(request: HttpRequest) -> dict[str, Any]:
    """Context processor: `membership`, `memberships`, `rooms` and the `current_room`'s url name."""
    if not getattr(request, "user", None) or not request.user.is_authenticated:
        return {"membership": None, "memberships": [], "rooms": []}
    membership = current_membership(request)
    rooms = _rooms_of(membership)
    path = request.path
    here = next((room.url_name for room in rooms if path.startswith(room.prefixes)), "instances" if path == "/" else "")
    return {"membership": membership, "memberships": memberships_of(request), "rooms": rooms, "current_room": here}
