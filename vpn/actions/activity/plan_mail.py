"""Mail to the members whose profiles a change outdated: one mail per member and change, naming all their devices."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from functools import partial
from smtplib import SMTPDataError, SMTPRecipientsRefused
from typing import Final
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from portal.actions.acting import acted
from portal.exceptions import NotPossible
from portal.figures import grouped
from portal.models import Membership, MembershipState, Principal
from portal.web.language import in_language_of
from vpn import doorbell
from vpn.choices import KeyCustody, PlanState, ProfileState
from vpn.models import ChangePlan, Peer, PlanMail
from vpn.plan.explaining import Size, too_much
from vpn.profiles.state import profile_states

# The claim of a worker that died while sending expires after this time.
_CLAIM_ENDS: Final = timedelta(minutes=5)
# Sending is retried for this long. After that the mail would no longer be news.
MAIL_RETRIED: Final = timedelta(days=1)
_DAY: Final = timedelta(days=1)
_MAILS_IN_A_DAY: Final = 500
_MAILS_FOR_EACH_MEMBER: Final = 3


def request_mail(plan: ChangePlan, *, by: Principal) -> None:
    """Mail the members concerned, in the background. A second request sends no second mail.

    Raises NotPossible where the organization would exceed its mails for a day.
    """
    if plan.state == PlanState.WAITING:
        raise NotPossible(
            _("The portal is still working out whose profiles this change outdates."), next_step=_("Try again soon.")
        )
    if plan.outdated_dropped:
        raise NotPossible(
            _("The portal no longer stores whose profiles this change outdated."),
            next_step=_("Mail the people of the newest change."),
        )
    organization_id = plan.instance.organization_id
    if plan.mail_requested_at is None and len(recipients_of(plan)) > left_today(organization_id):
        most = most_in_a_day(organization_id)
        raise NotPossible(
            _("This organization may send %(most)s such mails in a day, and these would be more.")
            % {"most": grouped(most)},
            next_step=_("Try again tomorrow."),
        )
    with transaction.atomic():
        ChangePlan.objects.filter(pk=plan.pk, mail_requested_at=None).update(mail_requested_at=timezone.now())
        acted(by, "mail requested", plan)
        transaction.on_commit(partial(doorbell.enqueue_plan_mail, plan.pk, organization_id))


def recipients_of(plan: ChangePlan) -> dict[Membership, list[Peer]]:
    """The members still to be mailed, with their outdated devices; without those who cannot sign in."""
    peers = plan.instance.peers.admitted().filter(pk__in=plan.outdated, member__isnull=False)
    rows = list(peers.select_related("member__user", "member__organization"))
    states = profile_states(plan.instance, rows)
    done = _done(plan)
    people: dict[Membership, list[Peer]] = defaultdict(list)
    for peer in rows:
        member = peer.member
        if member is None or member.pk in done or not can_be_mailed(member):
            continue
        if states[peer.pk] != ProfileState.CURRENT:
            people[member].append(peer)
    return dict(people)


def unlisted_profiles(plan: ChangePlan) -> str:
    """That there may be more outdated profiles than the plan names, in a sentence; "" where it names all."""
    parts = {"profiles"} & set(plan.plan.get("cut", ()))
    return too_much(Size(**plan.plan["size"]), parts) if parts else ""


def can_be_mailed(member: Membership) -> bool:
    """May this member be written to? An invited one has not agreed to it yet."""
    return member.state == MembershipState.ACTIVE and member.user.is_active and bool(member.user.email)


def left_today(organization_id: UUID) -> int:
    """How many more people of an organization may be written to before the last day's mails are a day old."""
    since = timezone.now() - _DAY
    written = PlanMail.objects.filter(plan__instance__organization=organization_id, claimed_at__gt=since).count()
    return most_in_a_day(organization_id) - written


def most_in_a_day(organization_id: UUID) -> int:
    """How many mails an organization may send in a day: enough for a few changes that affect all members."""
    members = Membership.objects.filter(organization=organization_id).count()
    return max(_MAILS_IN_A_DAY, _MAILS_FOR_EACH_MEMBER * members)


def _done(plan: ChangePlan) -> set[UUID]:
    """The members who were mailed already, or whom another worker is mailing now."""
    claimed = plan.mails.values_list("member_id", "sent_at", "claimed_at")
    now = timezone.now()
    return {member for member, sent_at, claimed_at in claimed if sent_at is not None or claimed_at > now - _CLAIM_ENDS}


def send_mail(plan: ChangePlan, member: Membership, peers: list[Peer], *, by: Principal) -> None:
    """Write to one member, unless another job does already. Raises what the mail server refuses.

    If it refused this recipient alone, the claim stays, and they are tried again once it is over.
    """
    now = timezone.now()
    plan.mails.filter(member=member, sent_at=None, claimed_at__lte=now - _CLAIM_ENDS).delete()
    claim, is_mine = PlanMail.objects.get_or_create(plan=plan, member=member, defaults={"claimed_at": now})
    if not is_mine:
        return
    try:
        with in_language_of(member.user):
            message = _message(plan, member, peers)
        message.send()
    except (SMTPDataError, SMTPRecipientsRefused):
        raise
    except Exception:
        claim.delete()
        raise
    PlanMail.objects.filter(pk=claim.pk).update(sent_at=timezone.now())
    acted(by, "sent", claim)


def give_up(plan: ChangePlan, member: Membership, *, by: Principal) -> None:
    """Note that the mail server refuses this member's address for good, so that no retry is made."""
    now = timezone.now()
    answered = {"claimed_at": now, "sent_at": now, "refused": True}
    given_up, _created = PlanMail.objects.update_or_create(plan=plan, member=member, defaults=answered)
    acted(by, "given up", given_up)


def _message(plan: ChangePlan, member: Membership, peers: list[Peer]) -> EmailMessage:
    count = len(peers)
    values = {"instance": plan.instance.name, "organization": member.organization.name, "member": member.label}
    subject = ngettext(
        "%(instance)s: fetch your VPN profile again", "%(instance)s: fetch your VPN profiles again", count
    )
    changed = ngettext(
        "%(organization)s changed the VPN %(instance)s, and this profile of yours is outdated:",
        "%(organization)s changed the VPN %(instance)s, and these profiles of yours are outdated:",
        count,
    )
    devices = "\n".join(f"- {peer.device or _('Your device')}: {_remedy(peer)}" for peer in peers)
    paragraphs = (
        _("Hello %(member)s,") % values,
        changed % values,
        devices,
        " ".join(filter(None, (_until(plan, count), _more(plan), _("Sign in and follow the steps there:")))),
        f"{settings.PUBLIC_URL}/my/\n",
    )
    return EmailMessage(subject=subject % values, body="\n\n".join(paragraphs), to=[member.user.email])


def _until(plan: ChangePlan, count: int) -> str:
    """What the outdated profiles do until they are fetched again."""
    if plan.plan.get("address"):
        return ngettext(
            "The hub has another address: until then the profile does not connect.",
            "The hub has another address: until then the profiles do not connect.",
            count,
        )
    return ngettext(
        "Until then it works as before, but without the changes.",
        "Until then they work as before, but without the changes.",
        count,
    )


def _more(plan: ChangePlan) -> str:
    """A hint that more profiles may be outdated. It gives no counts, which a member's role must not see."""
    if not unlisted_profiles(plan):
        return ""
    return _(
        "The change affects too many devices to check all of them. Your page shows whether more of yours are outdated."
    )


def _remedy(peer: Peer) -> str:
    if not peer.has_profile:
        return _("renew its keys on its page, then fetch its profile")
    if peer.key_custody == KeyCustody.DEVICE:
        return _("renew its key on the device, on the page of that device")
    return _("fetch its profile again and import it in place of the old one")
