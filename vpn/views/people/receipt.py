"""The receipt of what ended with a person's access, confirmed by hub after hub."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from portal.access import get_reader, get_receipt
from portal.htmx import render_page
from portal.models import Cause, Membership, Principal
from vpn.presenters.receipts import tunnel_ends


@require_safe
def receipt(request: HttpRequest, pk: UUID) -> HttpResponse:
    """A receipt; it follows by itself until every hub has confirmed."""
    member = get_reader(request)
    found = get_receipt(member, pk)
    ends = tunnel_ends(found)
    context = {
        "receipt": found,
        "is_role": found.cause == Cause.ROLE_CHANGED,
        "by": str(Principal.from_document(found.asked_by)),
        "ends": ends,
        "left": sum(not end.is_over for end in ends),
        "person": Membership.objects.filter(pk=found.person_id, organization=member.organization_id).first(),
    }
    return render_page(request, "vpn/people/receipt.html", context, fragment="receipt")
