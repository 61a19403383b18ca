"""User accounts. A mail address has one proven account, which may belong to several organizations.

An invitation creates a new account without a password. The invited person sets one, adds a passkey, or replaces the
account by an existing one. So an inviting organization cannot learn whether the address has other accounts.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, ClassVar, Final

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models, transaction
from django.db.models.functions import Lower

from portal.models.principal import Principal, PrincipalKind

if TYPE_CHECKING:
    from portal.models.membership import Membership

# The maximum number of unproven accounts of one address: sign-in compares the password with each of them.
MOST_UNPROVEN: Final = 2


class UserManager(BaseUserManager["User"]):
    """Creates users by their email address."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Create a user; without a password, only a one-time link can open the account."""
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        if password:
            user.set_password(password)
        else:
            user.set_unusable_password()
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Create a staff user for Django admin."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, proven=True, **fields)

    def get_by_natural_key(self, username: str | None) -> User:
        """The account of an address, ignoring case; the proven one first. Raises DoesNotExist."""
        found = self.of_address(username or "").first()
        if found is None:
            raise self.model.DoesNotExist
        return found

    def of_address(self, email: str) -> models.QuerySet[User]:
        """All accounts of an address: the proven one first, then by age."""
        return self.filter(email__iexact=email.strip()).order_by("-proven", "date_joined", "pk")

    def with_password(self, email: str) -> models.QuerySet[User]:
        """The accounts of an address with a password, which can sign in."""
        return self.of_address(email).exclude(password__startswith=UNUSABLE_PASSWORD_PREFIX).exclude(password="")

    def in_use(self, email: str) -> models.QuerySet[User]:
        """The accounts of an address that somebody can sign in to: with a password, or with a passkey alone."""
        from allauth.mfa.models import Authenticator

        passkeys = Authenticator.objects.filter(user=models.OuterRef("pk"), type=Authenticator.Type.WEBAUTHN)
        without = models.Q(password__startswith=UNUSABLE_PASSWORD_PREFIX) | models.Q(password="")
        return self.of_address(email).exclude(without & ~models.Exists(passkeys))

    def recoverable(self, email: str) -> models.QuerySet[User]:
        """Those in use, and a proven one whose passkeys were reset, so that nothing signs in to it any more.

        An account without a password that an organization's provider signs in to is none.
        """
        from portal.models.membership import Membership, MembershipState
        from portal.models.sign_in_provider import ProviderIdentity

        theirs = Membership.objects.filter(user=models.OuterRef("pk"), state=MembershipState.ACTIVE)
        by_provider = ProviderIdentity.objects.filter(membership__user=models.OuterRef("pk"))
        left = models.Q(models.Exists(theirs) & ~models.Exists(by_provider), proven=True)
        return self.of_address(email).filter(models.Q(pk__in=self.in_use(email).order_by().values("pk")) | left)

    def sign_in_candidates(self, email: str) -> list[User]:
        """The accounts that a sign-in with this address may belong to: the proven one first, then by age."""
        return list(self.with_password(email)[: MOST_UNPROVEN + 1])


class User(AbstractBaseUser, PermissionsMixin):
    """An account, signed in to by email and password."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField(max_length=254)
    # Its owner received mail at the address, or staff created the account. A link that an admin handed over does not
    # prove the address.
    proven = models.BooleanField(default=False)
    name = models.CharField(max_length=60, blank=True)
    # Of pages and mail, by its code; "" follows the browser.
    language = models.CharField(max_length=8, blank=True, default="", db_default="")
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    date_joined = models.DateTimeField(auto_now_add=True)

    # True if the former password was known when it was changed. Otherwise it is a reset, which ends API tokens.
    keeps_tokens = False

    # The active memberships, where they were read along with the account of a session (portal.sign_in.adapter).
    known_memberships: list[Membership] | None = None

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(Lower("email"), condition=models.Q(proven=True), name="user_email_proven_once")
        ]

    def __str__(self) -> str:
        return self.email

    def take_password(self, raw_password: str, hashed: str) -> None:
        """Like `set_password`, with a hash computed before: hashing within a transaction would make others wait."""
        self.password, self._password = hashed, raw_password

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save. Any reset of the password ends the account's API tokens; a new one ends its sessions, by their hash."""
        # Set by `set_password`, and cleared when sign-in only upgrades the hash.
        chosen: str | None = getattr(self, "_password", None)
        is_reset = chosen is not None and not self._state.adding and not self.keeps_tokens
        with transaction.atomic():
            super().save(*args, **kwargs)
            if chosen is not None and not self._state.adding:
                from portal.models.browser_session import BrowserSession

                # The browser in which it was changed is noted again, under its new session.
                BrowserSession.objects.filter(user=self).delete()
            if is_reset:
                from portal.models.api_token import ApiToken

                ApiToken.objects.filter(membership__user=self).delete()

    @property
    def is_in_use(self) -> bool:
        """Can somebody sign in to the account: with a password, or with a passkey alone?"""
        return self.has_usable_password() or self.passkeys.exists()

    @property
    def passkeys(self) -> models.QuerySet[Any]:
        """The account's passkeys, as allauth stores them."""
        from allauth.mfa.models import Authenticator

        found: models.QuerySet[Any] = Authenticator.objects.filter(user=self.pk, type=Authenticator.Type.WEBAUTHN)
        return found

    @property
    def has_second_factor(self) -> bool:
        """True if the account has an authenticator app or a passkey. Recovery codes alone do not count."""
        from allauth.mfa.models import Authenticator

        return bool(Authenticator.objects.filter(user=self.pk).exclude(type=Authenticator.Type.RECOVERY_CODES).exists())

    @property
    def label(self) -> str:
        """The name, or the address if there is none."""
        return self.name or self.email

    @property
    def principal(self) -> Principal:
        """The principal of the account, without an organization."""
        return Principal(PrincipalKind.MEMBER, str(self.pk), self.email)

    @property
    def staff_principal(self) -> Principal:
        """The principal of this account as staff, in Django admin."""
        return Principal(PrincipalKind.STAFF, str(self.pk), self.email)
