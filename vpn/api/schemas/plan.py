"""What a change would mean."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import Field

from vpn.api.schemas.base import Out


class DifferenceOut(Out):
    """Somebody who reaches somebody else only before the change, or only after it."""

    source: str = Field(description="`user:ID`, `site:ID`, or a network that is a part of one.")
    destination: str = Field(description="As the source; `any` is the internet.")
    protocol: Literal["any", "tcp", "udp", "icmp", "icmpv6"]
    port: str = Field(description='"443", "1000-2000", or "" for all of them.')
    before: bool
    after: bool


class PlanOut(Out):
    """What the same call without `plan` would change."""

    reachability: list[DifferenceOut]
    outdated: list[UUID] = Field(description="The peers whose delivered profile would become outdated.")
    truncated: bool = Field(description="There is more to `reachability` than is listed.")
