"""Decline an invitation: the person whom it is for ends it, with all that waited for them."""

from __future__ import annotations

from django.db import transaction

from portal.actions.member import decline_membership
from portal.actions.sign_in_link import find_link
from portal.models import Principal


def decline_by_link(token: str, *, by: Principal) -> bool:
    """End the invitation of this link; False if it was used or ended meanwhile."""
    with transaction.atomic():
        link = find_link(token)
        if link is None or not link.is_invitation:
            return False
        return decline_membership(link.membership, by=by)
