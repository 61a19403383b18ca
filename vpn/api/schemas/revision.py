"""Revisions of instances."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from portal.told import in_words
from vpn.api.schemas.base import In, Out, Text
from vpn.api.schemas.instance import AskerOut, DnsRecordOut
from vpn.api.schemas.plan import DifferenceOut, NameChangeOut
from vpn.models import Revision, RuleValues
from vpn.revisions.sections import LISTS, Document


class RevisionReturn(In):
    """A return to a revision. The body may be left out."""

    note: Text = Field("", description="Why, in at most 200 characters; kept with the new revision.")


class RevisionOut(Out):
    """One revision, without its content."""

    number: int = Field(description="Counts from 1 on each instance.")
    at: AwareDatetime
    actor: AskerOut
    note: str
    changed: list[str] = Field(description="What it changed, in words.")
    returned_to: int | None = Field(description="The number of the revision that it returned to.")
    event: UUID | None = Field(description="The id of the act in GET /events, where it is still kept.")


class RevisionRuleOut(Out):
    """A firewall rule of a revision."""

    name: str
    action: str
    protocol: str
    port: str
    source: str
    destination: str


class RevisionSiteOut(Out):
    """A site that was connected, and its subnets."""

    site_id: UUID
    name: str
    subnets: list[str]


class RevisionContentOut(RevisionOut):
    """One revision with its content."""

    name: str
    mtu: int
    pool: str = Field(description="The IPv4 pool.")
    pushed_routes: list[str]
    public_dns: list[str]
    split_dns: list[str]
    domains: list[str]
    firewall_policy: str
    management_services: list[str]
    management_sources: list[str]
    firewall: list[RevisionRuleOut]
    dns_custom: list[DnsRecordOut]
    sites: list[RevisionSiteOut]
    names: dict[str, str] = Field(description="The names that `site:ID`, `user:ID` and `group:ID` had.")


class ReachChangeOut(Out):
    """Who reaches whom with one of two revisions only, computed with the peers and groups of today."""

    reachability: list[DifferenceOut]
    truncated: bool = Field(description="`reachability` is not complete.")
    names: list[NameChangeOut]
    lost: list[str] = Field(description="Sites that are not connected now, and so were left out.")


class RevisionLineOut(Out):
    """One line of a section, in both revisions."""

    label: str
    difference: Literal["changed", "added", "removed"]
    before: list[str]
    after: list[str]


class RevisionSectionOut(Out):
    """What differs in a section, in words."""

    title: str
    lines: list[RevisionLineOut]


class RevisionDifferenceOut(Out):
    """The difference between two revisions."""

    before: int
    after: int
    sections: list[RevisionSectionOut]
    reach: ReachChangeOut


class ReturnedOut(RevisionOut):
    """The revision that a return made."""

    left_out: list[str] = Field(description="What stays different, since it does not exist any more or cannot change.")


def values_of(revision: Revision) -> dict[str, Any]:
    """The fields of RevisionOut."""
    return {
        "number": revision.number,
        "at": revision.at,
        "actor": AskerOut.of(revision.actor),
        "note": revision.note,
        "changed": [in_words(one) for one in revision.changed],
        "returned_to": revision.returned_to,
        "event": revision.line,
    }


def show_content(revision: Revision, document: Document) -> RevisionContentOut:
    """A revision with its content."""
    settings: dict[str, Any] = {name: [] for name in LISTS} | document.settings
    sites = [
        {"site_id": pk, "name": document.names.get(f"site:{pk}", ""), "subnets": subnets}
        for pk, subnets in document.sites.items()
    ]
    return RevisionContentOut.model_validate(
        values_of(revision)
        | settings
        | {
            "pool": settings["pool_v4"],
            "firewall": [_rule(rule) for rule in document.rules],
            "dns_custom": [{"name": name, "type": kind, "value": value} for name, kind, value in document.records],
            "sites": sites,
            "names": document.names,
        }
    )


def _rule(rule: RuleValues) -> dict[str, str]:
    return rule._asdict()
