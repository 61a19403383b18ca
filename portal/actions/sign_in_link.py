"""One-time links by which a member joins, or sets a new password after losing one.

A link is signed, not stored. It contains a fingerprint of the account's state, and stops working when that changes (the
link was used, the password or the state changed) or after `PASSWORD_RESET_TIMEOUT`. It also says whether it was mailed,
which proves the holder's address, or handed over by an admin, which proves nothing.

A link must not give an organization's admin access to an account of another organization. So an invitation has its own
account, whose password the link sets. A user who is signed in with another account of the same address may join with
it, if that account is proven or the link was mailed. Links never set the password of an account with other memberships.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.core import signing
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext as _

from portal.actions.account import is_crowded
from portal.actions.acting import acted, one_act
from portal.actions.slug import follow_name
from portal.exceptions import NotPossible
from portal.models import Membership, MembershipState, Organization, Principal, User
from portal.signals import membership_changed
from portal.told import told

_SALT = "portal.sign-in-link"
_SEPARATOR = "."
_FINGERPRINT_LENGTH = 32  # 128 bits, hexadecimal
_BY_MAIL, _BY_HAND = "m", "h"
SETS_PASSWORD = "set"  # noqa: S105 - the kind of a link, not a password
JOINS = "join"


class SignInLink(NamedTuple):
    """A validated link: its member, its purpose, and how it was delivered."""

    membership: Membership
    kind: str
    mailed: bool

    @property
    def sets_password(self) -> bool:
        """True if it sets a password; False if it only admits a signed-in account."""
        return self.kind == SETS_PASSWORD

    @property
    def is_invitation(self) -> bool:
        """True if the invitation created its account, which has never been signed in to."""
        return self.membership.state == MembershipState.INVITED and not self.membership.user.is_in_use

    def may_join(self, user: User) -> bool:
        """Return True if this signed-in account may accept the invitation."""
        if user.pk == self.membership.user_id:
            return self.kind == JOINS
        same_address = user.email.lower() == self.membership.user.email.lower()
        return self.is_invitation and same_address and (user.proven or self.mailed)


def one_time_link(membership: Membership, *, mailed: bool = False) -> str:
    """Return a new link for a member as a full URL. Raises NotPossible if they need none or may have none."""
    fresh = _with_user(membership)
    kind = _kind_for(fresh, mailed=mailed)
    way = _BY_MAIL if mailed else _BY_HAND
    token = _signer().sign(f"{fresh.pk.hex}{_SEPARATOR}{way}{_fingerprint(fresh, kind, way)}")
    return f"{settings.PUBLIC_URL}{reverse('account_link', args=[token])}"


def handed_link(membership: Membership, *, by: Principal) -> str:
    """As `one_time_link`, for an admin who hands it over; the journal says so."""
    with transaction.atomic():
        link = one_time_link(membership)
        acted(by, "link handed over", membership)
    return link


def can_have_link(membership: Membership) -> bool:
    """Return True if this member may get a new link. Invited members always may."""
    try:
        _kind_for(_with_user(membership), mailed=False)
    except NotPossible:
        return False
    return True


def find_link(token: str) -> SignInLink | None:
    """Return the validated link; None if it was used, has expired, or is invalid."""
    try:
        payload = _signer().unsign(token, max_age=settings.PASSWORD_RESET_TIMEOUT)
        pk, _, rest = payload.partition(_SEPARATOR)
        way, fingerprint = rest[:1], rest[1:]
        membership = _with_user(Membership(pk=UUID(pk)))
        kind = _kind_for(membership, mailed=way == _BY_MAIL)
    except (signing.BadSignature, ValueError, Membership.DoesNotExist, NotPossible):
        return None
    if not constant_time_compare(fingerprint, _fingerprint(membership, kind, way)):
        return None
    return SignInLink(membership, kind, way == _BY_MAIL)


def set_password_by_link(token: str, password: str, *, by: Principal) -> Membership | None:
    """Use a link: set the password and admit the member. None if the link was used meanwhile.

    Raises NotPossible if the address has too many unproven accounts.
    """
    hashed = make_password(password)
    try:
        with transaction.atomic():
            link = _find_locked(token)
            if link is None or not link.sets_password:
                return None
            user = link.membership.user
            _refuse_crowd(link)
            user.take_password(password, hashed)
            user.proven = link.mailed
            user.save(update_fields=["password", "proven"])
            with one_act(by, "password set", link.membership):
                return _admit(link.membership, by)
    except IntegrityError:  # another account of the address was proven meanwhile
        return None


def join_with_passkey(token: str, add: Callable[[User], object], *, by: Principal) -> Membership | None:
    """Use an invitation: admit the member to the new account without a password, whose passkey `add` stores.

    None if the link was used meanwhile. Raises NotPossible as `set_password_by_link`.
    """
    try:
        with transaction.atomic():
            link = _find_locked(token)
            if link is None or not link.sets_password or not link.is_invitation:
                return None
            user = link.membership.user
            _refuse_crowd(link)
            user.proven = link.mailed
            user.save(update_fields=["proven"])
            with one_act(by, "joined", link.membership) as act:
                act.details["with"] = "passkey"
                add(user)
                return _admit(link.membership, by)
    except IntegrityError:  # another account of the address was proven meanwhile
        return None


def _refuse_crowd(link: SignInLink) -> None:
    if not link.mailed and is_crowded(link.membership.user):
        raise NotPossible(
            _("This address has several accounts here that were not confirmed by mail."),
            next_step=_("Ask the operator of this portal."),
        )


def join_by_link(token: str, user: User, *, by: Principal) -> Membership | None:
    """Use a link that admits an existing, signed-in account. None if this account may not use it."""
    with transaction.atomic():
        link = _find_locked(token)
        if link is None or not link.may_join(user):
            return None
        membership = link.membership
        with one_act(by, "joined", membership, is_change=True) as act:
            if membership.user_id != user.pk and not _put_in_place(membership, user, by, mailed=link.mailed):
                return None
            act.on = _admit(membership, by)
        return membership


def shares_account(membership: Membership) -> bool:
    """Return True if the member's account is also a staff account or a member of another organization.

    An invitation to another organization gives no rights there and does not count.
    """
    if membership.user.is_staff or membership.user.is_superuser:
        return True
    elsewhere = Membership.objects.filter(user=membership.user_id).exclude(pk=membership.pk)
    return elsewhere.exclude(state=MembershipState.INVITED).exists()


def _put_in_place(membership: Membership, user: User, by: Principal, *, mailed: bool) -> bool:
    """Move the invitation to an existing account, in place of the one that was created for it."""
    if Membership.objects.filter(organization=membership.organization_id, user=user).exists():
        return False
    made = membership.user
    if mailed and not user.proven:
        if User.objects.of_address(user.email).filter(proven=True).exists():
            return False
        User.objects.filter(pk=user.pk).update(proven=True)
    membership.user = user
    membership.save(update_fields=["user"])
    acted(by, "account put in place", membership)
    follow_name(membership, made.name, by=by)
    acted(by, "deleted", made)
    made.delete()
    return True


def _kind_for(membership: Membership, *, mailed: bool) -> str:
    if membership.state == MembershipState.DEACTIVATED or not membership.user.is_active:
        raise NotPossible(
            _("%(membership)s is deactivated.") % {"membership": membership.label},
            next_step=_("Activate them first."),
            told=told("link-deactivated", membership=membership.label),
        )
    if membership.is_invitation_over:
        step = _("Remove them, then invite them again.")
        raise NotPossible(
            _("The invitation of %(membership)s has ended.") % {"membership": membership.label},
            next_step=step,
            told=told("link-invitation-over", membership=membership.label),
        )
    invited = membership.state == MembershipState.INVITED
    if not shares_account(membership):
        by_owner = mailed and invited and not membership.user.is_in_use
        return JOINS if by_owner and _has_proven_account(membership) else SETS_PASSWORD
    if invited:
        return JOINS
    raise NotPossible(
        _("%(membership)s signs in with a password of their own.") % {"membership": membership.label},
        next_step=_("Their account is also used outside this organization, so its password cannot be set from here."),
        told=told("link-own-password", membership=membership.label),
    )


def _has_proven_account(membership: Membership) -> bool:
    """Checked only when a mailed link is opened, because an inviting admin must not learn the result."""
    proven = User.objects.of_address(membership.user.email).filter(proven=True)
    return proven.exclude(pk=membership.user_id).exists()


def _fingerprint(membership: Membership, kind: str, way: str) -> str:
    user = membership.user
    # Signing in invalidates a password link, but not a link to join, which is opened after signing in.
    used = "" if kind == JOINS or user.last_login is None else user.last_login.isoformat()
    # The effect of a mailed invitation depends on other accounts of the address, and may change before it is opened.
    purpose = kind if user.is_in_use else MembershipState.INVITED
    state = "\x1f".join((str(membership.pk), membership.state, purpose, way, user.email, user.password, used))
    return salted_hmac(_SALT, state, algorithm="sha256").hexdigest()[:_FINGERPRINT_LENGTH]


def _signer() -> signing.TimestampSigner:
    return signing.TimestampSigner(salt=_SALT, sep=_SEPARATOR)


def _with_user(membership: Membership) -> Membership:
    return Membership.objects.select_related("user", "organization").get(pk=membership.pk)


def _find_locked(token: str) -> SignInLink | None:
    """Validate a link again while its organization and account are locked, so that it is used only once."""
    link = find_link(token)
    if link is None:
        return None
    Organization.objects.select_for_update(no_key=True).get(pk=link.membership.organization_id)
    list(User.objects.of_address(link.membership.user.email).select_for_update())
    return find_link(token)


def _admit(membership: Membership, by: Principal) -> Membership:
    """Admit an invited member. The condition on the old state guards against a simultaneous deactivation."""
    invited = Membership.objects.filter(pk=membership.pk, state=MembershipState.INVITED)
    if invited.update(state=MembershipState.ACTIVE):
        membership.state = MembershipState.ACTIVE
        acted(by, "joined", membership)
        membership_changed.send(sender=Membership, membership=membership, by=by)
    return membership
