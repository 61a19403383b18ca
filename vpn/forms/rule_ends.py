"""What a firewall rule can name, in words: `site:ID` is "Berlin (site)"."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import cached_property
from ipaddress import ip_interface
from itertools import chain
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from portal.forms.searched import MOST_OPTIONS
from portal.models import Group, Membership
from portal.searching import with_words
from vpn.models import Site

ANYTHING: Final = gettext_noop("Anything")
_ANY: Final = {"", "any", ANYTHING.casefold()}
_KINDS: Final = {"group": gettext_noop("group"), "site": gettext_noop("site")}


class _End(NamedTuple):
    value: str
    label: str
    name: str


class _Kind(NamedTuple):
    """One kind of ends: its rows, the columns that are searched, and the words of a row of the columns."""

    prefix: str
    rows: QuerySet[Any]
    columns: tuple[str, ...]

    def ends(self, rows: QuerySet[Any]) -> Iterator[_End]:
        """The ends of some of the rows."""
        for pk, *texts in rows.values_list("pk", *self.columns):
            yield _End(f"{self.prefix}:{pk}", self._label(*texts), next(filter(None, texts), ""))

    def first(self, text: str = "") -> list[_End]:
        """The first that match a text, and one more if there are more."""
        found = with_words(self.rows, text, *self.columns).order_by(*self.columns)
        return list(self.ends(found[: MOST_OPTIONS + 1]))

    def _label(self, name: str, address: str = "") -> str:
        if self.prefix != "user":
            return f"{name} ({_(_KINDS[self.prefix])})"
        return f"{name} ({address})" if name else address


class Ends:
    """The sites, members and groups of an organization by value and by name.

    Of many, only those that the rules name are read, and the first that match a typed text. All are read only to
    find a name that was typed.
    """

    def __init__(self, organization_id: UUID) -> None:
        self._kinds = [
            _Kind("group", Group.objects.filter(organization=organization_id), ("name",)),
            _Kind("site", Site.objects.filter(organization=organization_id), ("name",)),
            _Kind(
                "user",
                Membership.objects.filter(organization=organization_id),
                ("user__name", "user__email"),
            ),
        ]
        self._words = {"any": _(ANYTHING)}
        self._shown = {_(ANYTHING): "any"}

    def know(self, values: Iterable[str]) -> None:
        """Read the words of these values, with at most one query for each kind."""
        asked = set(values) - set(self._words)
        for kind, first in zip(self._kinds, self._first, strict=True):
            ids = {pk for value in asked if (pk := _id_in(value, kind.prefix))}
            if ids:
                self._note(first if len(first) <= MOST_OPTIONS else kind.ends(kind.rows.filter(pk__in=ids)))

    def words(self, value: str) -> str:
        """A rule's end in words; a network, and an id that no longer exists, unchanged."""
        return self._words.get(value, value)

    def value(self, text: str) -> str:
        """The end of a rule for a typed text.

        An unknown name stays as it is; an empty text means any. Keywords and networks come before names: "any" never
        means a person of that name.
        """
        text = text.strip()
        if text in self._shown:
            return self._shown[text]
        folded = text.casefold()
        if folded in _ANY or folded == _(ANYTHING).casefold():
            return "any"
        if self._is_literal(text):
            return text
        return self._labels.get(text) or self._names.get(folded, text)

    def suggested(self, text: str = "") -> list[str]:
        """The first words of each kind that match a text."""
        asked = text
        for kind in _KINDS.values():
            asked = asked.replace(f"({_(kind)})", " ")
        asked = asked.replace("(", " ").replace(")", " ")
        found = [kind.first(asked) for kind in self._kinds] if asked else self._first
        return [_(ANYTHING), *(end.label for ends in found for end in ends[:MOST_OPTIONS])]

    def first_of(self, prefixes: Collection[str]) -> list[tuple[str, str]]:
        """The values and words of the first ends of these kinds."""
        kinds = zip(self._kinds, self._first, strict=True)
        return [
            (end.value, end.label) for kind, ends in kinds if kind.prefix in prefixes for end in ends[:MOST_OPTIONS]
        ]

    @property
    def is_long(self) -> bool:
        """Are there more than the suggestions that are shown at first?"""
        return any(len(first) > MOST_OPTIONS for first in self._first)

    @cached_property
    def _first(self) -> list[list[_End]]:
        """The first ends of each kind, and one more where there are more."""
        return [kind.first() for kind in self._kinds]

    def _note(self, ends: Iterable[_End]) -> None:
        for end in ends:
            self._words[end.value] = end.label
            self._shown[end.label] = end.value

    def _is_literal(self, text: str) -> bool:
        """Is this text a network, or `kind:ID`?"""
        try:
            ip_interface(text)
        except ValueError:
            return text.startswith(tuple(f"{kind.prefix}:" for kind in self._kinds))
        return True

    @cached_property
    def _all(self) -> list[_End]:
        return [
            _End("any", _(ANYTHING), _(ANYTHING)),
            *chain.from_iterable(kind.ends(kind.rows) for kind in self._kinds),
        ]

    @cached_property
    def _labels(self) -> dict[str, str]:
        return {end.label: end.value for end in self._all}

    @cached_property
    def _names(self) -> dict[str, str]:
        """Names are matched without regard to case, and without their kind if they are unique."""
        names = _unambiguous((end.value, end.name.casefold()) for end in self._all)
        return names | _unambiguous((end.value, end.label.casefold()) for end in self._all)


def _id_in(value: str, prefix: str) -> UUID | None:
    """The id in `prefix:ID`."""
    found, _, text = value.partition(":")
    try:
        return UUID(text) if found == prefix else None
    except ValueError:
        return None


def _unambiguous(named: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Values by name, for unique names."""
    found: dict[str, list[str]] = {}
    for value, name in named:
        found.setdefault(name, []).append(value)
    return {name: values[0] for name, values in found.items() if len(values) == 1}
