"""Receipts of what ended with a person's access."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from typing import Literal
from uuid import UUID

from ninja import Schema
from pydantic import Field

from portal.models import Principal, Receipt
from vpn.api.schemas.base import Out
from vpn.api.schemas.instance import AskerOut
from vpn.models import EndedTunnel
from vpn.presenters.receipts import TunnelEnd, ends_of


class ReceiptFilters(Schema):
    """Which receipts are wanted."""

    user: UUID | None = Field(None, description="The id of a user, who may be removed.")


class TunnelEndOut(Out):
    """A device that lost its tunnel. `state` is `confirmed` once its hub said so; `ended` without its saying so."""

    peer_id: UUID
    device: str
    protocol: str
    connected: bool
    instance_id: UUID
    instance: str
    server: str
    asked_at: datetime
    confirmed_at: datetime | None
    confirmed_by: str
    state: Literal["confirmed", "waiting", "unreachable", "refused", "ended"]
    message: str
    next_step: str


class ReceiptOut(Out):
    """What ended by one act. Its id is that of the act in `GET /events`.

    `sessions` is null if the account is used outside the organization too: it stays signed in there alone.
    """

    id: UUID
    created_at: datetime
    cause: Literal["deactivated", "removed", "role-changed"]
    user_id: UUID
    name: str
    email: str
    former_role: str
    role: str
    by: AskerOut
    sessions: int | None
    tokens: list[str]
    share_links: list[str]
    downloads: list[str]
    tunnels: list[TunnelEndOut]
    complete: bool


def show_receipts(receipts: Sequence[Receipt]) -> list[ReceiptOut]:
    """The representations; a constant number of queries."""
    rows = EndedTunnel.objects.filter(receipt__in=receipts).order_by("receipt", "instance_name", "device", "id")
    ends = {pk: list(some) for pk, some in groupby(ends_of(list(rows)), key=lambda end: end.tunnel.receipt_id)}
    return [_show(receipt, ends.get(receipt.pk, ())) for receipt in receipts]


def _show(receipt: Receipt, ends: Iterable[TunnelEnd]) -> ReceiptOut:
    actor = Principal.from_document(receipt.asked_by)
    return ReceiptOut.model_validate(
        {
            "id": receipt.pk,
            "created_at": receipt.created_at,
            "cause": receipt.cause,
            "user_id": receipt.person_id,
            "name": receipt.name,
            "email": receipt.email,
            "former_role": receipt.former_role,
            "role": receipt.role,
            "by": AskerOut.of(actor),
            "sessions": receipt.sessions,
            "tokens": receipt.tokens,
            "share_links": receipt.links,
            "downloads": receipt.windows,
            "tunnels": [_show_end(end) for end in ends],
            "complete": all(end.is_over for end in ends),
        }
    )


def _show_end(end: TunnelEnd) -> TunnelEndOut:
    tunnel = end.tunnel
    return TunnelEndOut(
        peer_id=tunnel.peer_id,
        device=tunnel.device,
        protocol=tunnel.protocol,
        connected=tunnel.was_connected,
        instance_id=tunnel.instance_id,
        instance=tunnel.instance_name,
        server=tunnel.server_name,
        asked_at=tunnel.asked_at,
        confirmed_at=tunnel.confirmed_at,
        confirmed_by=tunnel.confirmed_by,
        state=end.state,  # type: ignore[arg-type]  # one of its constants
        message=end.message,
        next_step=end.next_step,
    )
