"""Connections of peers, present and past."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from ninja import Schema
from pydantic import AfterValidator, AwareDatetime, Field

from vpn.api.schemas.base import Moment, Out
from vpn.choices import EndReason, Protocol
from vpn.connections.reading import parse_address


def _address(text: str) -> str:
    if text and parse_address(text) is None:
        raise ValueError("Enter an address, such as 100.64.0.17.")
    return text


class ConnectionFilters(Schema):
    """Which connections are wanted. A time of connection is any moment between begin and end."""

    peer: UUID | None = Field(None, description="Of this peer.")
    user: UUID | None = Field(None, description="Of the devices of this user.")
    site: UUID | None = Field(None, description="Of this site.")
    address: Annotated[str, AfterValidator(_address)] = Field(
        "", max_length=60, description="With this tunnel address, or with it in a subnet of the site."
    )
    at: Moment | None = Field(None, description="Connected at this moment; instead of `since` and `until`.")
    since: Moment | None = Field(None, description="Connected at this moment or later.")
    until: Moment | None = Field(None, description="Connected before this moment.")


class ConnectionFiltersOfAll(ConnectionFilters):
    """The same for all instances."""

    instance: UUID | None = Field(None, description="To this instance.")


class ReferenceOut(Out):
    """An instance or a peer; its name as it was then."""

    id: UUID
    name: str


class ConnectionUserOut(Out):
    """The owner of a device; the address as it was then."""

    id: UUID
    email: str


class ConnectionOut(Out):
    """One connection. Without `ended_at` and `reason` it is open. Bytes are as the hub sees them."""

    id: UUID
    began_at: AwareDatetime
    ended_at: AwareDatetime | None
    reason: EndReason | None
    instance: ReferenceOut
    peer: ReferenceOut
    user: ConnectionUserOut | None
    site_id: UUID | None
    protocol: Protocol
    listener: str | None = Field(description="OpenVPN: udp, tcp or compat.")
    addresses: list[str]
    subnets: list[str]
    endpoint: str | None = Field(description="Where it came from at its begin.")
    last_endpoint: str | None
    endpoint_changes: int = Field(description="How often its address changed.")
    received_bytes: int
    sent_bytes: int
