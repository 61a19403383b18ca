"""Receipts of what ended when a user was deactivated or removed, or lost rights with their role."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router

from portal.access import get_receipt, receipts_of
from vpn.api.protocol.answers import many, one
from vpn.api.protocol.auth import member_of
from vpn.api.protocol.documentation import answers
from vpn.api.protocol.paging import Page, page_of
from vpn.api.schemas.receipt import ReceiptFilters, ReceiptOut, show_receipts

router = Router(tags=["Users"])


@router.get("/receipts", response=answers({200: list[ReceiptOut]}, 403, 422), summary="List receipts")
def list_receipts(request: HttpRequest, page: Query[Page], wanted: Query[ReceiptFilters]) -> HttpResponse:
    """What ended with somebody's access, newest first, for admins and auditors."""
    rows = receipts_of(member_of(request))
    if wanted.user is not None:
        rows = rows.filter(person_id=wanted.user)
    found, link = page_of(request, rows, page, newest_first=True)
    return many(ReceiptOut, show_receipts(found), link)


@router.get("/receipts/{uuid:receipt_id}", response=answers({200: ReceiptOut}, 403, 404), summary="Read a receipt")
def read_receipt(request: HttpRequest, receipt_id: UUID) -> HttpResponse:
    """One receipt: poll it until `complete` is true."""
    found = get_receipt(member_of(request), receipt_id)
    return one(show_receipts([found])[0])
