"""Sites and their subnets."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from vpn.addressing.aliases import parse_alias
from vpn.api.schemas.alias import AliasIn, AliasOut
from vpn.api.schemas.base import Flag, In, Out, Text
from vpn.choices import Platform
from vpn.models import Site


class SiteCreate(In):
    """A new site."""

    name: Text = Field(description="1 to 40 characters, unique in the organization.")
    platform: Text = Field(description=f"One of {', '.join(Platform.values)}.")
    platform_version: Text = Field("", description="As the router shows it, such as 7.16.1 (stable).")
    place: Text = Field(
        "",
        description="A town, such as Springfield, Illinois, US. Without coordinates, the site gets those of the town "
        "if only one is meant; GET /places says which are known. Any other text is kept, too.",
    )
    latitude: float | None = Field(None, strict=True, allow_inf_nan=False)
    longitude: float | None = Field(None, strict=True, allow_inf_nan=False)
    subnets: list[Text] = Field([], description="Networks of the LAN, such as 10.1.0.0/24 or fd10:1::/64.")
    alias: list[AliasIn] = Field(
        [],
        description="For a LAN that another site has, too: the subnet that stands for it, and takes its place in "
        "`subnets`. The site's router translates one to one.",
    )


class SiteChange(SiteCreate):
    """The fields that can be changed; absent fields stay. Every field of a read is accepted unchanged."""

    name: Text = ""
    platform: Text = ""
    confirm_broad_routes: Flag = Field(
        False, description="Needed where a subnet lies within another site's or contains one, on any instance."
    )
    note: Text = Field("", description="Why, in at most 200 characters; kept with the revisions. A read has none.")


class SiteOut(Out):
    """A branch with its router."""

    observed: ClassVar[frozenset[str]] = frozenset({"last_check_in"})

    id: UUID
    name: str
    platform_version: str
    platform: Platform
    place: str
    latitude: float | None
    longitude: float | None
    subnets: list[str]
    alias: list[AliasOut]
    last_check_in: datetime | None
    created_at: datetime


class SubnetOut(Out):
    """A network of a site, and its source."""

    subnet: str
    source: Literal["declared", "reported"]


def show_site(site: Site) -> SiteOut:
    """The representation."""
    values = {name: getattr(site, name) for name in SiteOut.model_fields if name != "alias"}
    alias = [AliasOut.of(parse_alias(text)) for text in site.alias or ()]
    return SiteOut.model_validate(values | {"alias": alias})
