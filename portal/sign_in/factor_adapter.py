"""allauth's adapter for second factors: their secrets are sealed, and rules of organizations apply."""

from __future__ import annotations

from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import segno
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authenticator_added
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.db.models.signals import post_delete
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.actions.browser_session import end_sessions
from portal.models import FactorSecret, Membership, MembershipState, ProviderIdentity, User
from portal.web.sessions import digest_of


class FactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # allauth ships no types
    """Keeps secrets in `FactorSecret`, where they are sealed and found by `rotate_secrets`."""

    error_messages = {
        **DefaultMFAAdapter.error_messages,
        "incorrect_code": gettext_lazy("This code is wrong, or was used before."),
        "cannot_generate_recovery_codes": gettext_lazy("Set up a second factor first."),
        "cannot_delete_authenticator": gettext_lazy(
            "%s requires a second factor. Add another one before you remove this."
        ),
    }

    def encrypt(self, text: str) -> str:
        """Seal a secret in a row of its own; return the id of the row."""
        row = FactorSecret()
        row.secret = text
        row.save(force_insert=True)
        return str(row.pk)

    def decrypt(self, encrypted_text: str) -> str:
        """Return the secret of a row."""
        return FactorSecret.objects.get(pk=encrypted_text).secret

    def generate_authenticator_name(self, user: User, type: str) -> str:  # noqa: A002 - as in allauth
        """The name of a passkey that was given none."""
        count = Authenticator.objects.filter(user=user, type=type).count()
        return _("Passkey %(number)s") % {"number": count + 1} if count else _("Passkey")

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """The portal, as passkeys know it: they belong to the host name."""
        return {**super().get_public_key_credential_rp_entity(), "name": "VPN portal"}

    def get_totp_issuer(self) -> str:
        """The name of the portal in the authenticator app."""
        return f"VPN {urlsplit(settings.PUBLIC_URL).hostname}"

    def build_totp_svg(self, url: str) -> str:
        """The QR code of an authenticator app's key; white in a dark page too."""
        drawn = BytesIO()
        segno.make_qr(url, error="M").save(drawn, kind="svg", scale=6, border=4, light="#fff", nl=False)
        return drawn.getvalue().decode()

    def validation_error(self, code: str, *args: Any) -> ValidationError:
        """Return the error of this code; who requires a factor is named."""
        if code == "cannot_delete_authenticator" and not requiring(self.request.user):
            return ValidationError(_("You sign in with it alone. Add another passkey or set a password first."))
        if code == "cannot_delete_authenticator":
            args = (" and ".join(requiring(self.request.user)),)
        error: ValidationError = super().validation_error(code, *args)
        return error

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        """False for the last factor of a member whose organization requires one, and for the only way to sign in."""
        if is_only_way(authenticator):
            return False
        return _others(authenticator).exists() or not requiring(authenticator.user)


def requiring(user: User) -> list[str]:
    """Return the names of the user's organizations that require a second factor."""
    active = Membership.objects.filter(
        user=user, state=MembershipState.ACTIVE, organization__second_factor_required=True
    )
    return list(active.order_by("organization__name").values_list("organization__name", flat=True))


def is_only_way(authenticator: Authenticator) -> bool:
    """Return True for a passkey without which nobody could sign in to its account."""
    user = authenticator.user
    if authenticator.type != Authenticator.Type.WEBAUTHN or user.has_usable_password():
        return False
    if ProviderIdentity.objects.filter(membership__user=user).exists():
        return False
    others = user.passkeys.exclude(pk=authenticator.pk)
    return not any(each.wrap().is_passwordless is not False for each in others)


def connect() -> None:
    """Connect the receivers; called once, when the app is ready."""
    authenticator_added.connect(_end_others, dispatch_uid="factor-added")
    post_delete.connect(_delete_secret, sender=Authenticator, dispatch_uid="factor-secret")


def _end_others(request: HttpRequest, user: User, authenticator: Authenticator, **kwargs: Any) -> None:
    """With the first factor, browsers end that were signed in by the password alone."""
    if authenticator.type != Authenticator.Type.RECOVERY_CODES and not _others(authenticator).exists():
        end_sessions(user, by=user.principal, keep=digest_of(request.session.session_key or ""))


def _others(factor: Authenticator) -> QuerySet[Authenticator]:
    """The user's other factors, without recovery codes."""
    found = Authenticator.objects.filter(user=factor.user_id).exclude(pk=factor.pk)
    others: QuerySet[Authenticator] = found.exclude(type=Authenticator.Type.RECOVERY_CODES)
    return others


def _delete_secret(instance: Authenticator, **kwargs: Any) -> None:
    """Delete a secret together with the row that refers to it."""
    if reference := instance.data.get("secret") or instance.data.get("seed"):
        FactorSecret.objects.filter(pk=reference).delete()
