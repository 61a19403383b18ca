"""Writing to the members whose profiles a change outdated: once for each change, with all of their devices."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from functools import partial
from typing import Final
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.utils import timezone

from portal.models import Membership, MembershipState
from vpn.choices import KeyCustody, ProfileState
from vpn.jobs import queue
from vpn.models import ChangePlan, Instance, Peer, PlanMail
from vpn.profiles.peer import profile_states

# A worker that died while it wrote has long ended by then.
_CLAIM_ENDS: Final = timedelta(minutes=5)


def request_mail(plan: ChangePlan) -> None:
    """Write to the people concerned, in the background; asked twice, they are written to once."""
    with transaction.atomic():
        ChangePlan.objects.filter(pk=plan.pk, mail_requested_at=None).update(mail_requested_at=timezone.now())
        transaction.on_commit(partial(queue.enqueue_plan_mail, plan.pk))


def people_of(plan: ChangePlan) -> dict[Membership, list[Peer]]:
    """Whom to write to still, with their devices that are outdated by now. Whoever may not sign in is left out."""
    peers = plan.instance.peers.admitted().filter(pk__in=plan.plan.get("outdated", ()), member__isnull=False)
    rows = list(peers.select_related("member__user", "member__organization"))
    states = profile_states(plan.instance, rows)
    done = _done(plan)
    people: dict[Membership, list[Peer]] = defaultdict(list)
    for peer in rows:
        member = peer.member
        if member is None or member.pk in done or not member.user.email:
            continue
        if member.state != MembershipState.DEACTIVATED and states[peer.pk] != ProfileState.CURRENT:
            people[member].append(peer)
    return dict(people)


def _done(plan: ChangePlan) -> set[UUID]:
    """The members who were written to, or are by another worker at this moment."""
    claimed = plan.mails.values_list("member_id", "sent_at", "claimed_at")
    now = timezone.now()
    return {member for member, sent_at, claimed_at in claimed if sent_at is not None or claimed_at > now - _CLAIM_ENDS}


def write_to(plan: ChangePlan, member: Membership, peers: list[Peer]) -> None:
    """Write to one member, unless somebody else does already. What the mail server refuses is raised."""
    now = timezone.now()
    plan.mails.filter(member=member, sent_at=None, claimed_at__lte=now - _CLAIM_ENDS).delete()
    claim, is_mine = PlanMail.objects.get_or_create(plan=plan, member=member, defaults={"claimed_at": now})
    if not is_mine:
        return
    try:
        _message(plan.instance, member, peers).send()
    except Exception:
        claim.delete()
        raise
    PlanMail.objects.filter(pk=claim.pk).update(sent_at=timezone.now())


def give_up(plan: ChangePlan, member: Membership) -> None:
    """Note that a member cannot be written to: asking the mail server again would not help."""
    now = timezone.now()
    PlanMail.objects.update_or_create(plan=plan, member=member, defaults={"claimed_at": now, "sent_at": now})


def _message(instance: Instance, member: Membership, peers: list[Peer]) -> EmailMessage:
    count = len(peers)
    devices = "\n".join(f"- {peer.device or 'Your device'}: {_remedy(peer)}" for peer in peers)
    them = ("this profile of yours is", "It works") if count == 1 else ("these profiles of yours are", "They work")
    return EmailMessage(
        subject=f"{instance.name}: fetch your VPN profile{'' if count == 1 else 's'} again",
        body=(
            f"Hello {member.label},\n\n"
            f"{member.organization.name} changed the VPN {instance.name}, and {them[0]} outdated:\n\n"
            f"{devices}\n\n"
            f"{them[1]} as before, but not with what is new. Sign in and follow the steps there:\n\n"
            f"{settings.PUBLIC_URL}/my/\n"
        ),
        to=[member.user.email],
    )


def _remedy(peer: Peer) -> str:
    if peer.key_custody == KeyCustody.DESTROYED:
        return "ask an admin to renew its keys, then fetch its profile"
    return "fetch its profile again and import it in place of the old one"
