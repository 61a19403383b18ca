"""The content of a revision: read from rows, stored as columns and compressed parts, and read back."""

from __future__ import annotations

import copy
import hashlib
import json
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final
from uuid import UUID

from portal.models import Group, Membership
from vpn.choices import PeerType, RevisedSection
from vpn.models import DnsRecord, FirewallRule, Instance, Peer, Revision, RevisionPart, RuleValues, Site
from vpn.models.revision import SECTIONS

# The columns of an instance that belong to its revisions.
COLUMNS: Final = (
    "name",
    "mtu",
    "pool_v4",
    "pushed_routes",
    "public_dns",
    "split_dns",
    "domains",
    "firewall_policy",
)
# Columns of later releases, with lists. Older revisions lack them; others have them only where they are not empty, so
# that both are equal.
LISTS: Final = ("management_services", "management_sources")
# Nearly as small as the default, in half the time: ids are random.
_LEVEL: Final = 1
Columns = dict[str, Any]
Record = tuple[str, str, str]


@dataclass(frozen=True)
class Document:
    """The content of a revision. `names` are those that sites, groups and members had, by `site:ID` and so on."""

    settings: Columns
    rules: list[RuleValues] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    # The subnets of each connected site, by its id.
    sites: dict[str, list[str]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Content:
    """One section's rows as JSON, and the names of what they refer to, which may change without a revision."""

    rows: Any
    names: Mapping[str, str]

    @cached_property
    def digest(self) -> str:
        """The digest of the rows; "" if there are none."""
        return hashlib.sha256(_json(self.rows)).hexdigest() if self.rows else ""

    def part(self, instance_id: UUID, section: RevisedSection) -> RevisionPart:
        """An unsaved part with this content."""
        document: dict[str, Any] = {"rows": self.rows, "names": dict(self.names)}
        if section is RevisedSection.SITES:
            # Each id once: it is what compresses worst.
            document = {"sites": [[pk, rows, self.names.get(f"site:{pk}", "")] for pk, rows in self.rows.items()]}
        body = zlib.compress(_json(document), _LEVEL)
        return RevisionPart(instance_id=instance_id, section=section, digest=self.digest, body=body)


def columns_of(instance: Instance) -> Columns:
    """The instance's columns as they are now."""
    lists = {name: list(getattr(instance, name)) for name in LISTS if getattr(instance, name)}
    return {name: copy.copy(getattr(instance, name)) for name in COLUMNS} | lists


def read_section(instance_id: UUID, section: RevisedSection) -> Content:
    """The present rows of a section."""
    return _READERS[section](instance_id)


def read_sites(instance_id: UUID, former: RevisionPart | None, ids: Collection[UUID]) -> Content:
    """The present sites, if only these may differ from those of a part: a thousand others are not read."""
    content = _unpacked(former)
    changed = {str(pk) for pk in ids}
    present = _sites(instance_id, ids)
    rows = {pk: subnets for pk, subnets in (content.rows or {}).items() if pk not in changed}
    names = {end: name for end, name in content.names.items() if end.removeprefix("site:") not in changed}
    return Content(rows | present.rows, names | dict(present.names))


def document_of(revision: Revision) -> Document:
    """The content of a revision whose parts were joined (RevisionQuerySet.with_parts)."""
    found = {section: _unpacked(getattr(revision, section)) for section in SECTIONS}
    names = {end: name for content in found.values() for end, name in content.names.items()}
    return Document(
        settings=revision.settings,
        rules=[RuleValues(*values) for values in found["rules"].rows or ()],
        records=[(name, kind, value) for name, kind, value in found["records"].rows or ()],
        sites=dict(found["sites"].rows or {}),
        names=names,
    )


def present_document(instance: Instance) -> Document:
    """What a revision made now would contain."""
    found = {section: read_section(instance.pk, section) for section in RevisedSection}
    return Document(
        settings=columns_of(instance),
        rules=[RuleValues(*values) for values in found[RevisedSection.RULES].rows],
        records=[(name, kind, value) for name, kind, value in found[RevisedSection.RECORDS].rows],
        sites=found[RevisedSection.SITES].rows,
        names={end: name for content in found.values() for end, name in content.names.items()},
    )


def names_of_ends(ends: Iterable[str]) -> dict[str, str]:
    """The present names of sites, groups and members, by `site:ID` and so on; at most three queries."""
    wanted: dict[str, list[UUID]] = {"site": [], "group": [], "user": []}
    for end in set(ends):
        kind, colon, pk = end.partition(":")
        if colon and kind in wanted:
            wanted[kind].append(UUID(pk))
    found = {f"site:{pk}": name for pk, name in _named(Site.objects.filter(pk__in=wanted["site"]), wanted["site"])}
    found |= {f"group:{pk}": name for pk, name in _named(Group.objects.filter(pk__in=wanted["group"]), wanted["group"])}
    if wanted["user"]:
        members = Membership.objects.filter(pk__in=wanted["user"]).select_related("user")
        found |= {f"user:{member.pk}": member.label for member in members}
    return found


def _named(rows: Any, wanted: Sequence[UUID]) -> Iterable[tuple[UUID, str]]:
    return rows.order_by().values_list("pk", "name") if wanted else ()


def _rules(instance_id: UUID) -> Content:
    rows = FirewallRule.objects.filter(instance=instance_id).order_by("position")
    rules = list(rows.values_list(*RuleValues._fields))
    return Content([list(rule) for rule in rules], names_of_ends(end for rule in rules for end in rule[-2:]))


def _records(instance_id: UUID) -> Content:
    rows = DnsRecord.objects.filter(instance=instance_id).order_by("name", "type", "value")
    return Content([list(row) for row in rows.values_list("name", "type", "value")], {})


def _sites(instance_id: UUID, ids: Collection[UUID] | None = None) -> Content:
    rows = Peer.objects.filter(instance=instance_id, type=PeerType.SITE).order_by("site_id")
    if ids is not None:
        rows = rows.filter(site__in=ids)
    found = list(rows.values_list("site_id", "site__name", "subnets"))
    return Content({str(pk): subnets for pk, _, subnets in found}, {f"site:{pk}": name for pk, name, _ in found})


_READERS: Final[dict[RevisedSection, Callable[[UUID], Content]]] = {
    RevisedSection.RULES: _rules,
    RevisedSection.RECORDS: _records,
    RevisedSection.SITES: _sites,
}


def _unpacked(part: RevisionPart | None) -> Content:
    if part is None:
        return Content(None, {})
    document = json.loads(zlib.decompress(part.body))
    if "sites" in document:
        sites = document["sites"]
        return Content({pk: rows for pk, rows, _ in sites}, {f"site:{pk}": name for pk, _, name in sites})
    return Content(document["rows"], document["names"])


def _json(data: Any) -> bytes:
    return json.dumps(data, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
