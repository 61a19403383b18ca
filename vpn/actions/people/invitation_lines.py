"""Lines that invite many people: an address, then optionally name, role, groups and the last day of the invitation.

The preview says of each line what will become of it; `invite` makes it so.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import Enum
from typing import Final
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _

from portal.exceptions import InvalidInput
from portal.figures import grouped
from portal.models import Group, Membership, Organization, Quota, Role
from portal.quotas import QuotaUse, quota_use
from portal.validators import clean_email, clean_name

MOST_LINES: Final = 100
MOST_CHARACTERS: Final = 30_000
MOST_DAYS: Final = 365
# Operators need instances, which a line does not name.
ROLES: Final = (Role.ADMIN, Role.AUDITOR, Role.MEMBER)
_COLUMNS: Final = ("email", "name", "role", "groups", "expiry")
_BETWEEN_GROUPS: Final = "|"


class Outcome(Enum):
    """What becomes of a line."""

    INVITED = "invited"
    PRESENT = "present"
    INVALID = "invalid"
    OVER_QUOTA = "over-quota"


@dataclass(frozen=True)
class Defaults:
    """What is meant where a line says nothing else; `ends_on` is the last day of the invitation, if it has one."""

    role: str = Role.MEMBER
    groups: tuple[UUID, ...] = ()
    ends_on: date | None = None
    with_device: bool = False


@dataclass(frozen=True)
class Line:
    """One line as it was understood. `reason` says why nobody is invited by it."""

    number: int
    email: str
    name: str = ""
    role: str = Role.MEMBER
    groups: tuple[UUID, ...] = ()
    group_names: tuple[str, ...] = ()
    ends_on: date | None = None
    outcome: Outcome = Outcome.INVITED
    reason: str = ""

    @property
    def role_label(self) -> str:
        """The role in words."""
        return str(Role(self.role).label)

    @property
    def is_invited(self) -> bool:
        """Will the person be invited?"""
        return self.outcome == Outcome.INVITED

    @property
    def ends_at(self) -> datetime | None:
        """The end of the invitation: that of its last day, in the zone of the page."""
        if self.ends_on is None:
            return None
        return datetime.combine(self.ends_on, time.max, tzinfo=timezone.get_current_timezone())


@dataclass
class _Room:
    """What may still be added, counted down line by line."""

    uses: list[QuotaUse]
    taken: int = field(default=0)

    def take(self) -> str:
        """Count one more; the refusal if a quota is used up."""
        for use in self.uses:
            if use.used + self.taken + 1 > use.limit:
                return f"{use.refusal()} {use.next_step}"
        self.taken += 1
        return ""


def read_lines(organization: Organization, text: str, defaults: Defaults) -> list[Line]:
    """The outcome of each line of the text, in its order. Raises InvalidInput for a text that is too long or empty."""
    if len(text) > MOST_CHARACTERS:
        raise InvalidInput.in_field(
            "lines",
            _("Paste at most %(most_characters)s characters at once.") % {"most_characters": grouped(MOST_CHARACTERS)},
        )
    rows = list(_rows(text))
    if not rows:
        raise InvalidInput.in_field("lines", _("Paste at least one line with an email address."))
    if len(rows) > MOST_LINES:
        raise InvalidInput.in_field(
            "lines",
            _("These are %(rows)s people. Invite at most %(most_lines)s at once.")
            % {"rows": grouped(len(rows)), "most_lines": MOST_LINES},
        )
    reader = _Reader(organization, defaults)
    return [reader.read(number, cells) for number, cells in rows]


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """The filled lines as their cells, with their numbers, without a heading."""
    clean = text.replace("\x00", "").replace("\r\n", "\n").replace("\r", "\n")
    # The first of them follows an address, which holds none; a name may hold the others.
    found = re.search(r"[\t;,]", clean)
    delimiter = found.group() if found else ","
    reader = csv.reader(io.StringIO(clean), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            stripped = [cell.strip().lstrip("\ufeff") for cell in cells]
            is_heading = stripped[:1] and stripped[0].lower() in {"email", "e-mail", "address", "mail"}
            if any(stripped) and not is_heading:
                yield reader.line_num, stripped
    except csv.Error:
        raise InvalidInput.in_field(
            "lines", _("Line %(line_num)s is no CSV: a quotation mark is not closed.") % {"line_num": reader.line_num}
        ) from None


class _Reader:
    """Reads lines against who is here already, the groups, and the quotas."""

    def __init__(self, organization: Organization, defaults: Defaults) -> None:
        here = Membership.objects.filter(organization=organization).values_list("user__email", flat=True)
        self._here = {address.lower() for address in here}
        self._groups = {group.name.lower(): group for group in Group.objects.filter(organization=organization)}
        self._names = {group.pk: group.name for group in self._groups.values()}
        self._defaults = defaults
        self._seen: dict[str, int] = {}
        quotas = [Quota.MEMBERS, Quota.PEERS] if defaults.with_device else [Quota.MEMBERS]
        self._room = _Room([quota_use(organization, quota) for quota in quotas])

    def read(self, number: int, cells: list[str]) -> Line:
        """One line, and its outcome."""
        given = dict(zip(_COLUMNS, cells, strict=False))
        try:
            line = self._understood(number, given, cells)
        except InvalidInput as fault:
            reason = " ".join(message for messages in fault.errors.values() for message in messages)
            return Line(number, given["email"][:254], outcome=Outcome.INVALID, reason=reason)
        first = self._seen.setdefault(line.email, number)
        if first != number:
            return self._as(line, Outcome.INVALID, _("Line %(first)s has this address already.") % {"first": first})
        if line.email in self._here:
            return self._as(line, Outcome.PRESENT, _("They are a member, or invited, already."))
        refusal = self._room.take()
        return self._as(line, Outcome.OVER_QUOTA, refusal) if refusal else line

    def _understood(self, number: int, given: dict[str, str], cells: list[str]) -> Line:
        if len(cells) > len(_COLUMNS) and any(cells[len(_COLUMNS) :]):
            message = _("A line has at most %(columns)s values: address, name, role, groups, expiry.") % {
                "columns": len(_COLUMNS)
            }
            raise InvalidInput.in_field("lines", message)
        groups = self._chosen_groups(given.get("groups", ""))
        return Line(
            number,
            clean_email(given["email"]),
            clean_name(given.get("name", "")),
            self._chosen_role(given.get("role", "")),
            groups,
            tuple(sorted(self._names[pk] for pk in groups if pk in self._names)),
            self._chosen_day(given.get("expiry", "")),
        )

    def _chosen_role(self, text: str) -> str:
        role = text.lower() or self._defaults.role
        if role == Role.OPERATOR:
            raise InvalidInput.in_field("role", _("Invite operators one by one: they need instances."))
        if role not in ROLES:
            raise InvalidInput.in_field("role", _("The role is one of %(roles)s.") % {"roles": ", ".join(ROLES)})
        return Role(role).value

    def _chosen_groups(self, text: str) -> tuple[UUID, ...]:
        names = [name.strip() for name in text.split(_BETWEEN_GROUPS) if name.strip()]
        missing = [name for name in names if name.lower() not in self._groups]
        if missing:
            raise InvalidInput.in_field(
                "groups", _("There is no group called %(missing)s.") % {"missing": ", ".join(missing)}
            )
        return tuple(self._groups[name.lower()].pk for name in names) if names else self._defaults.groups

    def _chosen_day(self, text: str) -> date | None:
        if not text:
            return self._defaults.ends_on
        try:
            return checked_day(date.fromisoformat(text))
        except ValueError:
            raise InvalidInput.in_field("expiry", _("Write the expiry as a date such as 2027-03-31.")) from None

    @staticmethod
    def _as(line: Line, outcome: Outcome, reason: str) -> Line:
        return Line(**{**line.__dict__, "outcome": outcome, "reason": reason})


def checked_day(day: date) -> date:
    """The last day of an invitation. Raises InvalidInput for one that is over, or too far away."""
    today = timezone.localdate()
    if not today <= day <= today + timedelta(days=MOST_DAYS):
        raise InvalidInput.in_field(
            "expiry", _("The expiry is a day from today to %(most_days)s days from now.") % {"most_days": MOST_DAYS}
        )
    return day
