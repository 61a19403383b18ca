"""People. An account is an email address, whatever the organizations it belongs to, once its holder has proven it.

An invitation makes an account of its own, without a password. Its holder sets one, or puts an account that is there in
its place. So nothing that an inviting organization sees depends on what other accounts there are for the address.
"""

from __future__ import annotations

import uuid
from typing import Any, ClassVar, Final

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models, transaction
from django.db.models.functions import Lower

from portal.models.principal import Principal, PrincipalKind

# Unproven accounts of one address. Signing in compares the password with each of them.
MOST_UNPROVEN: Final = 2


class UserManager(BaseUserManager["User"]):
    """Creates users by their email address."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Create a user; without a password the account can only be opened by a one-time link."""
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        if password:
            user.set_password(password)
        else:
            user.set_unusable_password()
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Create a user for staff work in Django admin."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, proven=True, **fields)

    def get_by_natural_key(self, username: str | None) -> User:
        """The account of an address in any case, the proven one first; raises DoesNotExist."""
        found = self.of_address(username or "").first()
        if found is None:
            raise self.model.DoesNotExist
        return found

    def of_address(self, email: str) -> models.QuerySet[User]:
        """Every account of an address: the proven one first, then who was first."""
        return self.filter(email__iexact=email.strip()).order_by("-proven", "date_joined", "pk")

    def with_password(self, email: str) -> models.QuerySet[User]:
        """Those with a password, which can be signed in to."""
        return self.of_address(email).exclude(password__startswith=UNUSABLE_PASSWORD_PREFIX).exclude(password="")

    def sign_in_candidates(self, email: str) -> list[User]:
        """The accounts that a password typed for this address may belong to: the proven one, then who was first."""
        return list(self.with_password(email)[: MOST_UNPROVEN + 1])


class User(AbstractBaseUser, PermissionsMixin):
    """An account, signed in to by email and password."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField(max_length=254)
    # Its holder received mail at the address, or the portal's staff made the account. A password that was set by a link
    # from hand to hand proves nothing.
    proven = models.BooleanField(default=False)
    name = models.CharField(max_length=60, blank=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    date_joined = models.DateTimeField(auto_now_add=True)

    # Set by who changes the password knowing the former one; everything else is a reset.
    keeps_tokens = False

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
        """As `set_password`, with the hash made before: within a transaction others would wait for it."""
        self.password, self._password = hashed, raw_password

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save; a password that was reset, in whatever way, ends the account's API tokens."""
        # Set by `set_password`. A hash that is merely renewed at sign-in takes it back.
        chosen: str | None = getattr(self, "_password", None)
        is_reset = chosen is not None and not self._state.adding and not self.keeps_tokens
        with transaction.atomic():
            super().save(*args, **kwargs)
            if is_reset:
                from portal.models.api_token import ApiToken

                ApiToken.objects.filter(membership__user=self).delete()

    @property
    def label(self) -> str:
        """The name where there is one, else the address."""
        return self.name or self.email

    @property
    def principal(self) -> Principal:
        """Who acts where the holder of the account does, on no organization's behalf."""
        return Principal(PrincipalKind.MEMBER, str(self.pk), self.email)

    @property
    def staff_principal(self) -> Principal:
        """Who acts where staff do, in Django admin."""
        return Principal(PrincipalKind.STAFF, str(self.pk), self.email)
