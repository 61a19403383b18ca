"""Invites many people at once, each as one act of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from django.db import transaction

from portal.actions.link_mail import mail_link
from portal.actions.member import add_member
from portal.actions.sign_in_link import one_time_link
from portal.exceptions import Conflict, InvalidInput, NotPossible, QuotaReached
from portal.mail import reaches_people
from portal.models import Membership, Organization, Principal
from vpn.actions.peers.peer import create_client_peer
from vpn.actions.people.invitation_lines import Line, Outcome
from vpn.models import Instance


@dataclass(frozen=True)
class Invited:
    """What became of a line; `link` is to be handed over where the portal sends no mail."""

    line: Line
    member: Membership | None = None
    link: str = ""


def invite_many(
    organization: Organization, lines: Iterable[Line], *, by: Principal, instance: Instance | None, device: str
) -> Iterator[Invited]:
    """Invite the person of each line that is valid, with a device on `instance` if one is given.

    A refused line leaves nothing behind, and the others go on. Mails are queued, so no mail server is waited for.
    """
    for line in lines:
        if not line.is_invited:
            yield Invited(line)
            continue
        try:
            member = _invite(organization, line, by, instance, device)
        except (Conflict, InvalidInput) as refusal:
            outcome = Outcome.OVER_QUOTA if isinstance(refusal, QuotaReached) else Outcome.INVALID
            yield Invited(replace(line, outcome=outcome, reason=_words(refusal)))
        else:
            yield Invited(line, member, _sent(member, by))


def _invite(
    organization: Organization, line: Line, by: Principal, instance: Instance | None, device: str
) -> Membership:
    with transaction.atomic():
        member = add_member(
            organization,
            by=by,
            email=line.email,
            name=line.name,
            role=line.role,
            groups=line.groups,
            invited_until=line.ends_at,
        )
        if instance is not None:
            create_client_peer(instance, by=by, member=member, device=device)
    return member


def _sent(member: Membership, by: Principal) -> str:
    """Queue the mail with the link, or return the link where the portal sends no mail."""
    if not reaches_people():
        return one_time_link(member)
    with suppress(NotPossible):  # Their page says why, and offers another one.
        mail_link(member, by=by)
    return ""


def _words(refusal: Conflict | InvalidInput) -> str:
    if isinstance(refusal, Conflict):
        return refusal.message
    return " ".join(message for messages in refusal.errors.values() for message in messages)
