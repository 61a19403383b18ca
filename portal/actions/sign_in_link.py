"""One-time links by which a member comes in for the first time, or again after losing a password.

A link is signed, not stored: it carries a fingerprint of what it was made for, and stops working as soon as that
changes (it was used, the password or the state changed) or `PASSWORD_RESET_TIMEOUT` is over.

Who may hand out which link is the border between organizations. An account may belong to several of them, so an admin
gets a link that sets the password only for an account that nobody else relies on. Everyone else joins: the link is
opened by someone who signed in with the account's own password, and admits the account to this organization alone.
Without mail this link is also what proves that the account is the invited person's, so nobody joins without one.
"""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.urls import reverse
from django.utils.crypto import constant_time_compare, salted_hmac

from portal.exceptions import NotPossible
from portal.models import Membership, MembershipState, User
from portal.signals import membership_changed

_SALT = "portal.sign-in-link"
_SEPARATOR = "."
_FINGERPRINT_LENGTH = 32  # 128 bits, hexadecimal
SETS_PASSWORD = "set"  # noqa: S105 - the kind of a link, not a password
JOINS = "join"


class SignInLink(NamedTuple):
    """A link that was checked: whose it is, and what it does."""

    membership: Membership
    kind: str

    @property
    def sets_password(self) -> bool:
        """Does it set a password (or does it admit a signed-in account)?"""
        return self.kind == SETS_PASSWORD


def one_time_link(membership: Membership) -> str:
    """A new link for a member, as a full address. Raises NotPossible where they need none or may have none."""
    fresh = _with_user(membership)
    kind = _kind_for(fresh)
    token = _signer().sign(f"{fresh.pk.hex}{_SEPARATOR}{_fingerprint(fresh, kind)}")
    return f"{settings.PUBLIC_URL}{reverse('account_link', args=[token])}"


def link_kind(membership: Membership) -> str:
    """SETS_PASSWORD or JOINS: what a new link for this member would do; "" where they can have none."""
    try:
        return _kind_for(_with_user(membership))
    except NotPossible:
        return ""


def find_link(token: str) -> SignInLink | None:
    """What a link is good for now; None where it was used, has expired, or never was one."""
    try:
        payload = _signer().unsign(token, max_age=settings.PASSWORD_RESET_TIMEOUT)
        pk, _, fingerprint = payload.partition(_SEPARATOR)
        membership = _with_user(Membership(pk=UUID(pk)))
        kind = _kind_for(membership)
    except (signing.BadSignature, ValueError, Membership.DoesNotExist, NotPossible):
        return None
    if not constant_time_compare(fingerprint, _fingerprint(membership, kind)):
        return None
    return SignInLink(membership, kind)


def set_password_by_link(token: str, password: str) -> Membership | None:
    """Spend a link: set the password and admit the member. None where somebody spent it meanwhile."""
    with transaction.atomic():
        link = _find_locked(token)
        if link is None or not link.sets_password:
            return None
        user = link.membership.user
        user.set_password(password)
        user.save(update_fields=["password"])
        return _admit(link.membership)


def join_by_link(token: str, user: User) -> Membership | None:
    """Spend a link that admits an existing account, signed in to by its owner. None where it is not theirs."""
    with transaction.atomic():
        link = _find_locked(token)
        if link is None or link.sets_password or link.membership.user_id != user.pk:
            return None
        return _admit(link.membership)


def shares_account(membership: Membership) -> bool:
    """Does anyone outside this organization rely on the member's account: the portal's staff, another organization?

    A mere invitation elsewhere gives no rights there, and does not count.
    """
    if membership.user.is_staff or membership.user.is_superuser:
        return True
    elsewhere = Membership.objects.filter(user=membership.user_id).exclude(pk=membership.pk)
    return elsewhere.exclude(state=MembershipState.INVITED).exists()


def _kind_for(membership: Membership) -> str:
    if membership.state == MembershipState.DEACTIVATED or not membership.user.is_active:
        raise NotPossible(f"{membership.label} is deactivated.", next_step="Activate them first.")
    if not shares_account(membership):
        return SETS_PASSWORD
    if membership.state == MembershipState.INVITED:
        return JOINS
    raise NotPossible(
        f"{membership.label} signs in with a password of their own.",
        next_step="Their account is also used outside this organization, so its password cannot be set from here.",
    )


def _fingerprint(membership: Membership, kind: str) -> str:
    user = membership.user
    # Signing in ends a forgotten password link; a link to join is opened after signing in.
    used = "" if kind == JOINS or user.last_login is None else user.last_login.isoformat()
    state = "\x1f".join((str(membership.pk), membership.state, kind, user.email, user.password, used))
    return salted_hmac(_SALT, state, algorithm="sha256").hexdigest()[:_FINGERPRINT_LENGTH]


def _signer() -> signing.TimestampSigner:
    return signing.TimestampSigner(salt=_SALT, sep=_SEPARATOR)


def _with_user(membership: Membership) -> Membership:
    return Membership.objects.select_related("user", "organization").get(pk=membership.pk)


def _find_locked(token: str) -> SignInLink | None:
    """Check a link once more while its account is locked, so that it is spent only once."""
    link = find_link(token)
    if link is None:
        return None
    User.objects.select_for_update().get(pk=link.membership.user_id)
    return find_link(token)


def _admit(membership: Membership) -> Membership:
    """Let an invited member in; the old state guards against somebody who deactivates them at the same time."""
    invited = Membership.objects.filter(pk=membership.pk, state=MembershipState.INVITED)
    if invited.update(state=MembershipState.ACTIVE):
        membership.state = MembershipState.ACTIVE
        membership_changed.send(sender=Membership, membership=membership)
    return membership
