"""What ends with a person's access or with rights of their role, and the receipt of it.

Sessions and tokens end here. Share links, open downloads and tunnels end in vpn, which gets the receipt by a signal.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from django.utils import timezone

from portal.actions.browser_session import end_sessions, sessions_of
from portal.actions.sign_in_link import shares_account
from portal.models import ApiToken, Cause, Membership, MembershipState, Principal, Receipt, Role

# Tokens have names of at most 60 characters, so a receipt stays small.
_MOST_NAMES: Final = 200


def cause_of(former_role: str, former_state: str, member: Membership) -> Cause | None:
    """Why something of a changed member ends; None if it does not."""
    if member.state == MembershipState.DEACTIVATED:
        return Cause.DEACTIVATED if former_state != member.state else None
    gains = member.role == Role.ADMIN or former_role == Role.MEMBER
    return None if gains or former_role == member.role else Cause.ROLE_CHANGED


def end_access(member: Membership, cause: Cause, *, by: Principal, act: UUID, former_role: str = "") -> Receipt:
    """End the API tokens of a locked member, and their sessions unless only their role changed.

    `act` is the id of the journal's line. The caller sends the receipt on, so that vpn ends the rest.
    """
    tokens = ApiToken.objects.filter(membership=member).order_by("created_at", "pk")
    names = [str(token) for token in tokens.select_related("membership__user")[:_MOST_NAMES]]
    tokens.delete()
    return Receipt.objects.create(
        id=act,
        organization_id=member.organization_id,
        person_id=member.pk,
        name=member.label[:200],
        email=member.user.email,
        cause=cause,
        former_role=former_role or member.role,
        role=member.role,
        created_at=timezone.now(),
        asked_by=by.document(),
        sessions=0 if cause == Cause.ROLE_CHANGED else _end_sessions(member, by),
        tokens=names,
    )


def _end_sessions(member: Membership, by: Principal) -> int | None:
    """Sign the account out everywhere, unless it is used elsewhere too: each page asks for the membership."""
    if shares_account(member):
        return None
    count = sessions_of(member.user).count()
    end_sessions(member.user, by=by)
    return count
