"""allauth's adapter: accounts are created by invitation, and by sign-up only if ALLOW_SIGNUP is on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, cast
from uuid import UUID

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.auth_backends import AuthenticationBackend
from allauth.account.internal.flows.login import clear_authentication_records, get_authentication_records
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.db import transaction
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from portal.access import PROVIDER_KEY, current_membership, home_of
from portal.actions.organization import create_organization
from portal.actions.reset_mail import request_reset_mail
from portal.audit.log import note_sometimes
from portal.mail import reaches_people
from portal.models import Membership, Principal, User
from portal.models.user import MOST_UNPROVEN
from portal.sign_in.events import record_failed_sign_in
from portal.sign_in.guessing import Attempt
from portal.sign_in.known_devices import remember_device
from portal.sign_in.signing import signing_identity
from portal.sign_in.telling import tell_owner
from portal.web.client_address import counted_as

_SELF_EVIDENT = {
    "account/messages/logged_in.txt",
    "account/messages/logged_out.txt",
    "mfa/messages/recovery_codes_generated.txt",
}


# How else to confirm, by allauth's names.
_OTHER_WAYS = {
    "mfa_reauthenticate": _("Use a code instead"),
    "mfa_reauthenticate:webauthn": _("Use a passkey instead"),
}


class AddressBackend(AuthenticationBackend):  # type: ignore[misc]  # allauth ships no types
    """Signs in to the account of an address whose password matches."""

    _attempt: Attempt | None = None

    def get_user(self, user_id: UUID) -> User | None:
        """Return the account of a session, with its active memberships: every page needs both, so one query reads them.

        None if it is inactive or gone.
        """
        found = Membership.objects.active_of(user_id)
        if not found:
            return cast("User | None", super().get_user(user_id))
        user = found[0].user
        for membership in found:
            membership.user = user
        user.known_memberships = found
        return user if self.user_can_authenticate(user) else None

    def _authenticate(self, request: HttpRequest | None, **credentials: Any) -> User | None:
        self._attempt = getattr(request, "_sign_in_attempt", None)
        return cast("User | None", super()._authenticate(request, **credentials))

    def _authenticate_by_email(self, email: str, password: str) -> User | None:
        """Return the first account whose password matches: first those known to the device, then the others."""
        compared = 0
        for user in self._candidates(email):
            compared += 1
            if self._check_password(user, password):
                return user
        if not reaches_people():
            # Without mail, an inviting admin can create an account for the address. The time for a wrong password must
            # not reveal whether there are other accounts. allauth itself compensates for the first.
            for _ in range(MOST_UNPROVEN + 1 - max(1, compared)):
                self._mitigate_timing_attack(password)
        return None

    def _candidates(self, email: str) -> Iterator[User]:
        """Yield the accounts to compare with; the attempt is counted before each group of them."""
        if self._attempt is None:
            yield from User.objects.sign_in_candidates(email)
            return
        yield from self._attempt.known
        if self._attempt.others and self._attempt.may_go_on():
            yield from self._attempt.others


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth ships no types
    """Closes sign-up unless it is allowed; a user who signs up gets a new organization."""

    error_messages = {
        **DefaultAccountAdapter.error_messages,
        "email_password_mismatch": _("The email address or the password is wrong."),
        "too_many_login_attempts": (
            _("Too many attempts failed. Wait five minutes, then try again, or sign in where you signed in before.")
        ),
        "enter_current_password": _("This is not your current password."),
        "incorrect_password": _("The password is wrong."),
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Return True if anyone may create an account."""
        return bool(settings.ALLOW_SIGNUP)

    def save_user(self, request: HttpRequest, user: User, form: BaseForm, commit: bool = True) -> User:
        """Save a new user together with their organization."""
        # Hash the password outside of the transaction, because hashing is slow.
        made: User = super().save_user(request, user, form, commit=False)
        if commit:
            with transaction.atomic():
                made.save()
                create_organization(_organization_name(made), made, by=made.principal)
        return made

    def clean_email(self, email: str) -> str:
        """Return the address in lower case."""
        return str(super().clean_email(email)).lower()

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Count the attempt by its origin, in place of allauth's own counters. Raises ValidationError."""
        self._attempt = Attempt(request, credentials.get("email", ""))
        request._sign_in_attempt = self._attempt  # type: ignore[attr-defined]  # noqa: SLF001 - read by the backend
        if not self._attempt.is_allowed():
            network = counted_as(request.META.get("REMOTE_ADDR", ""))
            note_sometimes("sign_in_refused", request, network, email=credentials.get("email", ""))
            raise self.validation_error("too_many_login_attempts")

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        """Log and journal a wrong password with its address."""
        record_failed_sign_in(request, credentials.get("email", ""))

    def _rollback_login_failed_rl_usage(self) -> None:
        # allauth calls this if the password was right.
        self._attempt.succeeded()

    def get_login_stages(self) -> list[str]:
        """Add the last stage, which notes whether an organization's provider signs in."""
        return [*super().get_login_stages(), "portal.sign_in.provider_stage.ProviderStage"]

    def login(self, request: HttpRequest, user: User) -> None:
        """Sign in. The session of a provider says so, and no other one does.

        It holds no record of an authentication: what asks to confirm wants the account's own means.
        """
        identity = signing_identity(request)
        super().login(request, user)
        if identity:
            request.session[PROVIDER_KEY] = identity
            clear_authentication_records(request)
        else:
            request.session.pop(PROVIDER_KEY, None)

    def post_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponseBase:
        """Remember the device, after sign-in by password or by link."""
        # The session of a passkey's challenge was a short one.
        request.session.set_expiry(None)
        response: HttpResponseBase = super().post_login(request, user, **kwargs)
        if not signing_identity(request):
            remember_device(request, response, user)
        return response

    def validate_unique_email(self, email: str) -> str:
        """Refuse an address that has an account in use; an open invitation does not count."""
        if User.objects.in_use(email).exists():
            raise self.validation_error("email_taken")
        return str(email)

    def is_reauthentication_required(self, *, app: str) -> bool:
        """False for a few minutes after signing in, which is as good as entering the password again."""
        records = get_authentication_records(self.request, self.request.user)
        recent = time.time() - settings.ACCOUNT_REAUTHENTICATION_TIMEOUT
        return not any(record["at"] > recent for record in records)

    def get_reauthentication_methods(self, user: User) -> list[dict[str, str]]:
        """Who has a second factor confirms with that: the password alone must not suffice to remove it."""
        methods: list[dict[str, str]] = super().get_reauthentication_methods(user)
        factors = [
            {**method, "description": str(_OTHER_WAYS[method["id"]])}
            for method in methods
            if method["id"] in _OTHER_WAYS
        ]
        has_app = Authenticator.objects.filter(user=user.pk, type=Authenticator.Type.TOTP).exists()
        # The first is asked for: recovery codes are the last resort.
        return sorted(factors, key=lambda method: (method["id"] == "mfa_reauthenticate") != has_app) or methods

    def reauthenticate(self, user: User, password: str) -> bool:
        """Compare with the password of this account. The page limits attempts."""
        return user.check_password(password)

    def send_notification_mail(
        self, template_prefix: str, user: User, context: dict[str, Any] | None = None, email: str | None = None
    ) -> None:
        """Queue the notice about a changed password or second factor; allauth's name of its template says which."""
        tell_owner(self.request, user, template_prefix.rpartition("/")[2])

    def request_reset_mail(self, address: str) -> None:
        """Queue the mail for a forgotten password."""
        request_reset_mail(address, by=Principal.portal(gettext_noop("a new password was asked for")))

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        """The default page after sign-in: one that the user may see."""
        membership = current_membership(request)
        if membership is not None:
            return home_of(membership)
        return reverse("admin:index" if request.user.is_staff else "account_nowhere")

    def get_signup_redirect_url(self, request: HttpRequest) -> str:
        """The default page after signing up."""
        return self.get_login_redirect_url(request)

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        """The default page after changing the password."""
        return self.get_login_redirect_url(request)

    def add_message(
        self, request: HttpRequest, level: int, message_template: str | None = None, *args: Any, **kwargs: Any
    ) -> None:
        """Suppress allauth's messages for sign-in and sign-out, which are evident."""
        if message_template not in _SELF_EVIDENT:
            super().add_message(request, level, message_template, *args, **kwargs)


def _organization_name(user: User) -> str:
    return user.name or user.email.partition("@")[0]
