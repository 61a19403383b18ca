"""What a change would mean."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import Field

from vpn.api.schemas.base import Out


class DifferenceOut(Out):
    """A source that reaches a destination only before the change, or only after it."""

    source: str = Field(description="`user:ID`, `site:ID`, or a network that is a part of one.")
    destination: str = Field(
        description="As the source; `any` is the internet but for networks that rules name, `0.0.0.0/0` and `::/0` are "
        "one family of it."
    )
    protocol: Literal["any", "tcp", "udp", "icmp", "icmpv6", "other"] = Field(
        description="`other` is all that is neither TCP, UDP nor ICMP."
    )
    port: str = Field(description='"443", "1000-2000", or "" for all of them.')
    before: bool
    after: bool


class TakenOut(Out):
    """A network within one of another site, so that it takes a part of the traffic: the more specific route wins."""

    network: str
    by: str = Field(description="`site:ID`: the site that the network's traffic goes to.")
    within: str
    of: str = Field(description="`site:ID`: the site with the wider network.")
    begins: bool = Field(description="False where the change ends it.")


class SizeOut(Out):
    """The number of objects that were compared."""

    peers: int
    rules: int
    networks: int = Field(description="The networks of all sites.")


class NameChangeOut(Out):
    """A name that the hub answers differently, or a domain that it forwards to other servers."""

    kind: Literal["record", "domain"]
    name: str = Field(description='The name, or the domain; "" for all names that the hub does not know.')
    before: list[str] = Field(description="Values with their types, or servers; empty where there are none.")
    after: list[str]


class DivertedOut(Out):
    """A network of the internet that devices with a split tunnel send through the hub."""

    network: str
    begins: bool = Field(description="False where the change ends it.")


class ExitChangeOut(Out):
    """A device that reaches the internet another way, or a site that becomes an exit or ends as one."""

    who: str = Field(description="As the ends of `reachability`: a user or a site.")
    site: str = Field(description='The exit from then on; "" for the hub, and for a site that ends as one.')


class PlanOut(Out):
    """What the same call without `plan` would change."""

    reachability: list[DifferenceOut]
    outdated: list[UUID] = Field(description="The peers whose delivered profile would become outdated.")
    truncated: bool = Field(description="`reachability` is not complete.")
    nowhere: list[str] = Field(description="Pushed routes that lead nowhere from then on: no site advertises them.")
    names: list[NameChangeOut] = Field(description="Names that the hub's DNS answers or forwards differently.")
    diverted: list[DivertedOut] = Field(description="Pushed routes to the internet that come or go.")
    exits: list[ExitChangeOut] = Field(description="Changes of the way to the internet.")
    taken: list[TakenOut] = Field(description="Networks of sites that come to lie within another site's, or did.")
    size: SizeOut | None = Field(default=None, description="Set only if not everything could be computed.")
    cut: list[str] | None = Field(
        default=None,
        description="Which parts are incomplete, set only with `size`: `lines` or `reach` of `reachability`, "
        "`profiles` of `outdated`.",
    )
    note: str | None = Field(default=None, description="The same in a sentence; set only with `size`.")
