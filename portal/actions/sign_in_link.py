"""One-time links by which a member comes in for the first time, or again after losing a password.

A link is signed, not stored: it carries a fingerprint of what it was made for, and stops working as soon as that
changes (it was used, the password or the state changed) or `PASSWORD_RESET_TIMEOUT` is over. It says, too, whether it
went by mail, where it proves that its holder has the address, or from hand to hand, where it proves nothing.

A link must not give one organization's admin an account of another organization. So an invitation has an account of its
own, and the link sets that account's password. A user who signed in with another account of the same address may take
the invitation with it: a proven account, or any account where the link went by mail. An account with other memberships
keeps its password: it is never set from here.
"""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.core import signing
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils.crypto import constant_time_compare, salted_hmac

from portal.actions.account import is_crowded
from portal.actions.acting import acted
from portal.actions.slug import follow_name
from portal.exceptions import NotPossible
from portal.models import Membership, MembershipState, Organization, Principal, User
from portal.signals import membership_changed

_SALT = "portal.sign-in-link"
_SEPARATOR = "."
_FINGERPRINT_LENGTH = 32  # 128 bits, hexadecimal
_BY_MAIL, _BY_HAND = "m", "h"
SETS_PASSWORD = "set"  # noqa: S105 - the kind of a link, not a password
JOINS = "join"


class SignInLink(NamedTuple):
    """A link that was checked: whose it is, what it does, and how it came."""

    membership: Membership
    kind: str
    mailed: bool

    @property
    def sets_password(self) -> bool:
        """Does it set a password (or does it admit a signed-in account alone)?"""
        return self.kind == SETS_PASSWORD

    @property
    def is_invitation(self) -> bool:
        """Was its account made by the invitation, and has never been signed in to?"""
        return self.membership.state == MembershipState.INVITED and not self.membership.user.has_usable_password()

    def may_join(self, user: User) -> bool:
        """May this signed-in account take the invitation?"""
        if user.pk == self.membership.user_id:
            return self.kind == JOINS
        same_address = user.email.lower() == self.membership.user.email.lower()
        return self.is_invitation and same_address and (user.proven or self.mailed)


def one_time_link(membership: Membership, *, mailed: bool = False) -> str:
    """A new link for a member, as a full address. Raises NotPossible where they need none or may have none."""
    fresh = _with_user(membership)
    kind = _kind_for(fresh, mailed=mailed)
    way = _BY_MAIL if mailed else _BY_HAND
    token = _signer().sign(f"{fresh.pk.hex}{_SEPARATOR}{way}{_fingerprint(fresh, kind, way)}")
    return f"{settings.PUBLIC_URL}{reverse('account_link', args=[token])}"


def can_have_link(membership: Membership) -> bool:
    """Can a new link be made for this member? For an invitation it always can."""
    try:
        _kind_for(_with_user(membership), mailed=False)
    except NotPossible:
        return False
    return True


def find_link(token: str) -> SignInLink | None:
    """What a link is good for now; None where it was used, has expired, or never was one."""
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
    """Spend a link: set the password and admit the member. None if the link was spent meanwhile.

    Raises NotPossible where the address has too many unproven accounts.
    """
    hashed = make_password(password)
    try:
        with transaction.atomic():
            link = _find_locked(token)
            if link is None or not link.sets_password:
                return None
            user = link.membership.user
            if not link.mailed and is_crowded(user):
                raise NotPossible(
                    "This address has several accounts here that were not confirmed by mail.",
                    next_step="Ask the operator of this portal.",
                )
            user.take_password(password, hashed)
            user.proven = link.mailed
            user.save(update_fields=["password", "proven"])
            acted(by, "password set", user)
            return _admit(link.membership, by)
    except IntegrityError:  # another account of the address was proven at this very moment
        return None


def join_by_link(token: str, user: User, *, by: Principal) -> Membership | None:
    """Spend a link that admits an existing account, signed in to by its owner. None where it is not theirs."""
    with transaction.atomic():
        link = _find_locked(token)
        if link is None or not link.may_join(user):
            return None
        membership = link.membership
        if membership.user_id != user.pk and not _put_in_place(membership, user, by, mailed=link.mailed):
            return None
        return _admit(membership, by)


def shares_account(membership: Membership) -> bool:
    """Does anyone outside this organization rely on the member's account: the portal's staff, another organization?

    A mere invitation elsewhere gives no rights there, and does not count.
    """
    if membership.user.is_staff or membership.user.is_superuser:
        return True
    elsewhere = Membership.objects.filter(user=membership.user_id).exclude(pk=membership.pk)
    return elsewhere.exclude(state=MembershipState.INVITED).exists()


def _put_in_place(membership: Membership, user: User, by: Principal, *, mailed: bool) -> bool:
    """Give the invitation to an account that is there, in place of the one that was made for it."""
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
        raise NotPossible(f"{membership.label} is deactivated.", next_step="Activate them first.")
    invited = membership.state == MembershipState.INVITED
    if not shares_account(membership):
        by_owner = mailed and invited and not membership.user.has_usable_password()
        return JOINS if by_owner and _has_proven_account(membership) else SETS_PASSWORD
    if invited:
        return JOINS
    raise NotPossible(
        f"{membership.label} signs in with a password of their own.",
        next_step="Their account is also used outside this organization, so its password cannot be set from here.",
    )


def _has_proven_account(membership: Membership) -> bool:
    """Asked only when a mailed link is opened: an admin who invites must not learn it."""
    proven = User.objects.of_address(membership.user.email).filter(proven=True)
    return proven.exclude(pk=membership.user_id).exists()


def _fingerprint(membership: Membership, kind: str, way: str) -> str:
    user = membership.user
    # Signing in ends a forgotten password link; a link to join is opened after signing in.
    used = "" if kind == JOINS or user.last_login is None else user.last_login.isoformat()
    # What an invitation by mail does depends on accounts elsewhere, and may change while it is on its way.
    purpose = kind if user.has_usable_password() else MembershipState.INVITED
    state = "\x1f".join((str(membership.pk), membership.state, purpose, way, user.email, user.password, used))
    return salted_hmac(_SALT, state, algorithm="sha256").hexdigest()[:_FINGERPRINT_LENGTH]


def _signer() -> signing.TimestampSigner:
    return signing.TimestampSigner(salt=_SALT, sep=_SEPARATOR)


def _with_user(membership: Membership) -> Membership:
    return Membership.objects.select_related("user", "organization").get(pk=membership.pk)


def _find_locked(token: str) -> SignInLink | None:
    """Check a link once more while its organization and account are locked, so that it is spent only once."""
    link = find_link(token)
    if link is None:
        return None
    Organization.objects.select_for_update(no_key=True).get(pk=link.membership.organization_id)
    list(User.objects.of_address(link.membership.user.email).select_for_update())
    return find_link(token)


def _admit(membership: Membership, by: Principal) -> Membership:
    """Let an invited member in; the condition on the old state guards against a deactivation at the same time."""
    invited = Membership.objects.filter(pk=membership.pk, state=MembershipState.INVITED)
    if invited.update(state=MembershipState.ACTIVE):
        membership.state = MembershipState.ACTIVE
        acted(by, "admitted", membership)
        membership_changed.send(sender=Membership, membership=membership, by=by)
    return membership
