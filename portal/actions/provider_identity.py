"""Members and their identities with the organization's provider: sign in, connect, join, and disconnect.

Identity is issuer plus subject. A mail address connects nothing by itself: it only says whether a person whom nobody
knows yet may join, or accept an invitation, and then by a confirmation of theirs.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Self

from allauth.mfa.models import Authenticator
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from portal.actions.acting import acted, one_act
from portal.actions.group import set_groups
from portal.actions.quota import lock_organization, require_room
from portal.actions.sign_in_link import shares_account
from portal.exceptions import NotPossible
from portal.models import Membership, MembershipState, Principal, ProviderIdentity, Quota, Role, SignInProvider, User
from portal.signals import membership_changed

_BY_GROUPS = gettext_noop("groups of the sign-in provider")
_NAME_LENGTH = 60


@dataclass(frozen=True)
class Arrival:
    """What a provider said of a person, verified; `email` is "" unless the provider has verified it."""

    provider: str
    issuer: str
    subject: str
    email: str = ""
    name: str = ""
    groups: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """Return it as JSON, for the session."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """Return the arrival of `document`."""
        return cls(**document)


class Offer(StrEnum):
    """What somebody may do whom the provider signed in and whom nobody is connected with."""

    JOIN = "join"
    ACCEPT = "accept"  # the invitation of this address
    CONNECT = "connect"  # a member has this address: by signing in as they do else
    ENDED = "ended"  # that member is deactivated
    NOTHING = "nothing"  # only members may connect it


def identity_of(provider: SignInProvider, arrival: Arrival) -> ProviderIdentity | None:
    """The identity that an active member has confirmed; None if there is none."""
    found = ProviderIdentity.objects.usable().filter(
        provider=provider, issuer=arrival.issuer, subject=arrival.subject, membership__state=MembershipState.ACTIVE
    )
    return found.select_related("membership__user", "membership__organization", "provider").first()


def offer_of(provider: SignInProvider, arrival: Arrival) -> tuple[Offer, Membership | None]:
    """What the person may do, and the member whose address the provider has verified, if there is one."""
    known = ProviderIdentity.objects.filter(provider=provider, issuer=arrival.issuer, subject=arrival.subject)
    there = Membership.objects.filter(organization=provider.organization_id).select_related("user", "organization")
    if former := there.filter(provider_identity__in=known).first():
        return (Offer.ENDED if former.state == MembershipState.DEACTIVATED else Offer.CONNECT), former
    if not arrival.email:
        return Offer.NOTHING, None
    # Ignoring case, PostgreSQL may match a dotless i with an i.
    same = there.filter(user__email__iexact=arrival.email)
    member = next((one for one in same if one.user.email.lower() == arrival.email), None)
    if member is None:
        is_theirs = arrival.email.rpartition("@")[2] in provider.domains
        return (Offer.JOIN if provider.may_join and is_theirs else Offer.NOTHING), None
    if member.state == MembershipState.DEACTIVATED:
        return Offer.ENDED, member
    return (Offer.ACCEPT if _is_untouched(member) else Offer.CONNECT), member


def note_sign_in(identity: ProviderIdentity, arrival: Arrival, *, by: Principal) -> None:
    """Bring the mapped groups up to date; other groups stay as they are."""
    with transaction.atomic():
        lock_organization(identity.membership.organization_id)
        ProviderIdentity.objects.filter(pk=identity.pk).update(last_used_at=timezone.now())
        acted(by, "provider used", identity.membership)
        _follow_groups(identity.membership, identity.provider, arrival)


def connect_identity(
    membership: Membership, provider: SignInProvider, arrival: Arrival, *, by: Principal
) -> ProviderIdentity:
    """Let the identity sign in as this member, who has confirmed it. Raises NotPossible."""
    with transaction.atomic():
        lock_organization(provider.organization_id)
        fresh = Membership.objects.select_related("user", "organization").filter(pk=membership.pk).first()
        if fresh is None or fresh.state != MembershipState.ACTIVE or fresh.organization_id != provider.organization_id:
            raise NotPossible(_("You are not a member of this organization any more."))
        return _connect(fresh, provider, arrival, by)


def join_by_provider(
    provider: SignInProvider, arrival: Arrival, *, by: Principal, user: User | None = None
) -> ProviderIdentity:
    """Let somebody in, with the least role, or accept the invitation of their address.

    `user` is the account that they are signed in to by its own means; without one, they get a new account. No other
    account of the address is looked up. Raises NotPossible or QuotaReached.
    """
    with transaction.atomic():
        organization = lock_organization(provider.organization_id)
        offer, member = offer_of(provider, arrival)
        if offer == Offer.JOIN:
            require_room(organization.pk, Quota.MEMBERS)
            account = user if user is not None and may_join_with(user, arrival) else _new_account(arrival)
            member = Membership.objects.create(
                organization=organization, user=account, role=Role.MEMBER, state=MembershipState.ACTIVE
            )
        elif offer != Offer.ACCEPT or member is None or member.is_invitation_over:
            raise NotPossible(_("You cannot join this organization now."), next_step=_("Ask one of its admins."))
        with one_act(by, "joined", member) as act:
            act.details["provider"] = provider.name
            Membership.objects.filter(pk=member.pk).update(state=MembershipState.ACTIVE)
            member.state = MembershipState.ACTIVE
            membership_changed.send(sender=Membership, membership=member, by=by)
            return _connect(member, provider, arrival, by)


def disconnect_identity(membership: Membership, *, by: Principal) -> bool:
    """End sign-in by the provider for this member, with its sessions; False if there is none."""
    with transaction.atomic():
        identity = ProviderIdentity.objects.filter(membership=membership.pk).first()
        if identity is None:
            return False
        acted(by, "provider disconnected", membership, details=_words(identity))
        identity.delete()
    return True


def may_join_with(user: User, arrival: Arrival) -> bool:
    """Return True if this account, to which its owner is signed in, has proven the address."""
    return user.proven and not user.is_staff and user.email.lower() == arrival.email.lower()


def _connect(member: Membership, provider: SignInProvider, arrival: Arrival, by: Principal) -> ProviderIdentity:
    if member.user.is_staff:
        raise NotPossible(_("Staff of the portal sign in by their own means."))
    same = ProviderIdentity.objects.filter(provider=provider, issuer=arrival.issuer, subject=arrival.subject)
    if same.exclude(membership=member.pk).exists():
        raise NotPossible(_("Another member is connected with this identity."), next_step=_("Ask an admin."))
    ProviderIdentity.objects.filter(membership=member.pk).delete()
    identity = ProviderIdentity.objects.create(
        provider=provider, membership=member, issuer=arrival.issuer, subject=arrival.subject
    )
    acted(by, "provider connected", member, details=_words(identity))
    _follow_groups(member, provider, arrival)
    return identity


def _is_untouched(member: Membership) -> bool:
    """Return True if nobody has ever signed in to the account, which belongs to this organization alone.

    An active member may have neither password nor identity: the provider by which they joined was removed.
    """
    if member.state != MembershipState.INVITED:
        return False
    if member.user.has_usable_password() or member.user.is_staff or shares_account(member):
        return False
    if ProviderIdentity.objects.filter(membership__user=member.user_id).exists():
        return False
    return not Authenticator.objects.filter(user=member.user_id).exists()


def _new_account(arrival: Arrival) -> User:
    name = arrival.name.strip()
    return User.objects.create_user(arrival.email, name=name[:_NAME_LENGTH] if name.isprintable() else "")


def _follow_groups(member: Membership, provider: SignInProvider, arrival: Arrival) -> None:
    """Set the mapped groups by what the provider said. A claim that is missing means none of them."""
    pairs = list(provider.groups.values_list("name", "group"))
    mapped, wanted = {group for _name, group in pairs}, {group for name, group in pairs if name in set(arrival.groups)}
    if provider.groups_claim and mapped:
        kept = set(member.groups.values_list("pk", flat=True)) - mapped
        set_groups(member, kept | wanted, by=Principal.portal(_BY_GROUPS))


def _words(identity: ProviderIdentity) -> dict[str, str]:
    return {"provider": identity.provider.name, "issuer": identity.issuer, "subject": identity.subject}
