"""What the journal may say of an object: its name, its organization, and a list of allowed fields.

Any other column stays out of the journal, so that a new one with a secret cannot get in by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db.models import Model
from django.utils import translation

from portal.models import Membership, MembershipState, Organization, Quota, User
from portal.models.journal import PORTAL_JOURNAL

# By the kind of the object; a dot follows a relation.
FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "apitoken": ("name", "ceiling", "instance_ids", "expires_at", "membership.user.email"),
    "cloudaccount": ("provider", "location", "size", "image", "network", "endpoint", "project", "domain", "capacity"),
    "group": ("name", "external_id", "provisioned_since"),
    "instance": (
        "name", "hostname", "region_id", "mtu", "pool_v4", "pushed_routes", "public_dns", "split_dns", "domains",
        "firewall_policy", "management_services", "management_sources", "members_add_devices",
    ),
    "member": (
        "user.email", "user.name", "role", "state", "invited_until", "most_devices", "directory_name", "external_id",
    ),
    "mail": ("to", "subject"),
    "organization": (
        "name", "slug", "journal_days", "connection_days", "custody_minutes", "devices_per_member", "unused_days",
        *(f"most_{quota.value}" for quota in Quota),
    ),
    "peer": (
        "type", "device", "protocol", "subnets", "route_all", "enabled", "expires_at", "unused_days", "is_exit",
        "exit_through",
    ),
    "region": (
        "name", "country", "latitude", "longitude", "probe_url", "driver", "rebuild_lost", "lost_after", "available",
        "unavailable_reason",
    ),
    "server": ("name", "address", "address_v6", "networks", "cordoned", "capacity"),
    "signinprovider": (
        "kind", "name", "issuer", "client_id", "scopes", "sign_in_page", "fingerprints", "mail_attribute",
        "name_attribute", "groups_claim", "mapping", "may_join", "domains", "is_second_factor",
        "enabled",
    ),
    "site": ("name", "platform", "platform_version", "place", "latitude", "longitude", "subnets", "alias"),
    # What an account may do in Django admin: for the portal's own journal.
    "staff": ("is_staff", "is_superuser"),
    "user": ("email", "name", "is_active"),
}  # fmt: skip
# A list that is longer is cut.
MOST_ITEMS: Final = 100
_LONGEST: Final = 400
_ALIASES: Final = {"membership": "member"}
Values = dict[str, Any]


def kind_of(on: Model) -> str:
    """The kind of an object, as codes name it."""
    name = on._meta.model_name or ""
    return _ALIASES.get(name, name)


def values_of(on: Model, kind: str = "") -> Values:
    """The object's present values of its allowed fields, whole: a list may differ behind what the journal shows."""
    values = {path.rpartition(".")[2]: _read(on, path) for path in FIELDS.get(kind or kind_of(on), ())}
    return {name: list(value) if isinstance(value, list) else value for name, value in values.items()}


def differences(before: Values, after: Values) -> dict[str, list[Any]]:
    """The fields whose values differ: the values before and after, as JSON. Of a long list, what differs."""
    names = dict.fromkeys([*before, *after])
    pairs = ((name, before.get(name), after.get(name)) for name in names)
    return {name: _pair(was, is_now) for name, was, is_now in pairs if was != is_now}


def _pair(was: Any, is_now: Any) -> list[Any]:
    if isinstance(was, list) and isinstance(is_now, list) and max(len(was), len(is_now)) > MOST_ITEMS:
        left, came = set(was) - set(is_now), set(is_now) - set(was)
        if left or came:  # else only their order differs
            was, is_now = [one for one in was if one in left], [one for one in is_now if one in came]
    return [_plain(was), _plain(is_now)]


def organizations_of(on: Model) -> list[UUID]:
    """The organizations in whose journals an act on this object belongs; what is nobody's is in the portal's own."""
    if isinstance(on, Organization):
        return [on.pk]
    if isinstance(on, User):
        # What an account does is not for organizations that invited or deactivated it.
        theirs = Membership.objects.filter(user=on.pk, state=MembershipState.ACTIVE).order_by("organization_id")
        return list(theirs.values_list("organization_id", flat=True)) or [PORTAL_JOURNAL]
    for name in ("organization_id", "membership", "instance", "plan"):
        found = getattr(on, name, None)
        if isinstance(found, UUID):
            return [found]
        if isinstance(found, Model):
            return organizations_of(found)
    return [PORTAL_JOURNAL]


def name_of(on: Model) -> str:
    """The object's name for people, in English since it is stored; the address of whom a mail is for."""
    with translation.override(settings.LANGUAGE_CODE):
        return _name_of(on)


def _name_of(on: Model) -> str:
    for name in ("membership", "member"):
        if kind_of(on) in {"queuedmail", "planmail"} and (whose := getattr(on, name, None)) is not None:
            return str(whose.user.email)
    if isinstance(on, Membership):
        return on.user.email
    if kind_of(on) == "operation":
        return f"{on.get_kind_display()}: {on.instance}"  # type: ignore[attr-defined]
    return str(on)


def instance_of(on: Model) -> tuple[UUID | None, int | None]:
    """The instance that an object belongs to, and its wanted generation."""
    found: Any = on if kind_of(on) == "instance" else _loaded(on, "instance")
    if found is not None:
        return found.pk, found.desired_generation
    return getattr(on, "instance_id", None), None


def _loaded(on: Model, name: str) -> Any:
    """A related object, if that takes no query."""
    known: Any = {relation.name: relation for relation in on._meta.fields}.get(name)
    return getattr(on, name) if known is not None and known.is_relation and known.is_cached(on) else None


def _read(on: Any, path: str) -> Any:
    for name in path.split("."):
        on = getattr(on, name, None)
    return on


def _plain(value: Any) -> Any:
    """The value as JSON has it."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return cut(value)
    return str(value)[:_LONGEST]


def cut(values: Iterable[Any]) -> list[Any]:
    """The first items of a list, with the number of the others."""
    found = list(values)
    more, items = len(found) - MOST_ITEMS, [_plain(one) for one in found[:MOST_ITEMS]]
    return [*items, f"and {more:,} more"] if more > 0 else items
