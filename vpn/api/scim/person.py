"""What a body says about a person: names in the directory, the one name that the portal keeps, and the address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from portal.actions.directory import InDirectory
from portal.exceptions import InvalidInput
from portal.models import Membership
from portal.validators import clean_email
from vpn.api.scim.bodies import Shape, as_flag, as_items, as_text
from vpn.api.scim.faults import Fault

USER: Final = "urn:ietf:params:scim:schemas:core:2.0:User"
SHAPE: Final = Shape(
    USER,
    ("userName", "externalId", "displayName", "name", "active", "emails"),
    frozenset({"emails"}),
    frozenset(
        {
            "nickname", "profileurl", "title", "usertype", "preferredlanguage", "locale", "timezone", "password",
            "phonenumbers", "ims", "photos", "addresses", "entitlements", "roles", "x509certificates",
        }
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Person:
    """What a body says; None where it says nothing."""

    user_name: str | None
    external_id: str | None
    name: str | None
    active: bool | None
    emails: list[str] | None

    def address(self) -> str:
        """The address to invite: the primary one, or the user name if it is one. Raises InvalidInput."""
        for address in [*(self.emails or []), self.user_name or ""]:
            try:
                return clean_email(address)
            except InvalidInput:
                continue
        raise InvalidInput.in_field("emails", "Send the mail address to which the invitation goes.")

    def in_directory(self, user: Membership | None = None) -> InDirectory:
        """What the directory calls them, as far as it is said; else it stays."""
        present = (user.directory_name, user.external_id) if user is not None else (None, None)
        pairs = zip((self.user_name, self.external_id), present, strict=True)
        return InDirectory(*(is_now or "" if wanted is None else wanted for wanted, is_now in pairs))


def person_of(body: Mapping[str, Any], user: Membership | None = None) -> Person:
    """What a body says about a new or a present person. Raises InvalidInput or the fault."""
    user_name = as_text(body, "userName")
    if (user_name is not None and not user_name.strip()) or (user_name is None and user is None):
        raise InvalidInput.in_field("userName", "A user name is required.")
    return Person(
        user_name=user_name,
        external_id=as_text(body, "externalId"),
        name=_name(body),
        active=as_flag(body, "active"),
        emails=_addresses(body),
    )


def keep_address(wanted: Person, user: Membership) -> None:
    """Raise the fault if the address of the account is not among those of the body.

    Whoever could change it would get the account's mail, and so the account.
    """
    if wanted.emails is None or user.user.email.lower() in {address.strip().lower() for address in wanted.emails}:
        return
    detail = "The address of an account cannot be changed by SCIM. Remove the user, then create one with the new one."
    raise Fault(400, "mutability", detail)


def _addresses(body: Mapping[str, Any]) -> list[str] | None:
    """The addresses, the primary one first, then the one for work."""
    if "emails" not in body:
        return None
    items = as_items(body["emails"])
    if not all(isinstance(item.get("value"), str) for item in items):
        raise InvalidInput.in_field("emails", "Each item has a mail address as its “value”.")
    items.sort(key=lambda item: (item.get("primary") is not True, str(item.get("type")).lower() != "work"))
    return [item["value"] for item in items]


def _name(body: Mapping[str, Any]) -> str | None:
    """The one name that the portal keeps: the display name, or else the full name."""
    shown = as_text(body, "displayName")
    parts = body.get("name")
    if parts is not None and not isinstance(parts, dict):
        raise InvalidInput.in_field("name", "Send an object with “formatted”, or “givenName” and “familyName”.")
    texts = {str(key).lower(): part for key, part in (parts or {}).items() if isinstance(part, str)}
    given, family = texts.get("givenname"), texts.get("familyname")
    # One of the two alone is a part of the name, as Entra ID changes it.
    full = texts.get("formatted") or (f"{given} {family}" if given and family else "")
    return shown or full or shown
