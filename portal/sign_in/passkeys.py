"""allauth's forms for passkeys (WebAuthn), in the portal's words. Whatever a browser sends is refused in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn import forms as allauth_forms
from allauth.mfa.webauthn.internal import auth
from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from fido2.webauthn import UserVerificationRequirement

MOST: Final = 20
NAME_LENGTH: Final = 60
# Characters of what the browser says about a new passkey, which is stored. Attestations have some thousand.
_LONGEST: Final = 20_000
_UNKNOWN: Final = gettext_lazy("This passkey was not accepted. Try again, or use another way.")
# What fido2 raises about answers that no browser gives.
_MALFORMED: Final = (AttributeError, AssertionError, IndexError, KeyError, TypeError, ValueError)


def _refused(check: Callable[[], Any]) -> Any:
    """Return the result of a check; any malformed answer is one that is not accepted."""
    try:
        return check()
    except ValidationError as refusal:
        if refusal.code == "too_many_login_attempts":
            raise
        raise ValidationError(_UNKNOWN) from None
    except _MALFORMED:
        raise ValidationError(_UNKNOWN) from None


class AddPasskeyForm(allauth_forms.AddWebAuthnForm):  # type: ignore[misc]  # allauth ships no types
    """Adding a passkey."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=NAME_LENGTH,
        required=False,
        help_text=gettext_lazy("“Phone”, for instance."),
    )
    passwordless = forms.BooleanField(
        label=gettext_lazy("Sign in with it alone, without the password"),
        required=False,
        initial=True,
        help_text=gettext_lazy(
            "It then asks for your fingerprint, face or PIN. Switch this off for an older security key."
        ),
    )

    def clean(self) -> dict[str, Any]:
        """Check the new passkey, and how many there are."""
        if len(self.data.get("credential", "")) > _LONGEST:
            raise ValidationError(_UNKNOWN)
        found = Authenticator.objects.filter(user=self.user, type=Authenticator.Type.WEBAUTHN)
        if found.count() >= MOST:
            raise ValidationError(_("You have %(most)s passkeys. Remove one first.") % {"most": MOST})
        cleaned: dict[str, Any] = _refused(super().clean)
        if "credential" in cleaned:
            # allauth reads it again whenever the passkey is shown or used.
            _refused(lambda: _signs_in_alone(cleaned["credential"]))
        return cleaned


def _signs_in_alone(credential: dict[str, Any]) -> bool | None:
    """What the browser says about a new passkey; None if it says nothing. Raises AttributeError if it is malformed."""
    found: bool | None = credential.get("clientExtensionResults", {}).get("credProps", {}).get("rk")
    return found


class JoinPasskeyForm(AddPasskeyForm):
    """A passkey in place of a password, for an account that has neither yet."""

    passwordless = None  # type: ignore[assignment]  # takes the field away

    def clean(self) -> dict[str, Any]:
        """Check that it can sign in alone."""
        self.cleaned_data["passwordless"] = True
        cleaned = super().clean()
        if "credential" in cleaned and _signs_in_alone(cleaned["credential"]) is False:
            raise ValidationError(_("This passkey cannot sign in alone. Take another one, or set a password."))
        return cleaned


class _UsePasskeyMixin:
    """Using one: the hidden field's fault is the form's."""

    def clean_credential(self) -> Authenticator:
        """Return the passkey of the answer. Raises ValidationError."""
        return _refused(super().clean_credential)  # type: ignore[misc]  # of allauth's form


class StepPasskeyForm(_UsePasskeyMixin, allauth_forms.AuthenticateWebAuthnForm):  # type: ignore[misc]
    """The second step of signing in."""


class SignInPasskeyForm(_UsePasskeyMixin, allauth_forms.LoginWebAuthnForm):  # type: ignore[misc]
    """Signing in without a password."""

    def clean_credential(self) -> Authenticator:
        """Return the passkey. Raises ValidationError for one that was added as a second step.

        Only the challenge of this page has the browser verify the person; that of a second step leaves it open.
        """
        state = auth.get_state() or {}
        if state.get("user_verification") != UserVerificationRequirement.REQUIRED:
            raise ValidationError(_UNKNOWN)
        factor = super().clean_credential()
        # None: the browser did not say how the passkey was made.
        if factor.wrap().is_passwordless is False:
            raise ValidationError(_("This passkey is a second step only: sign in with your password first."))
        return factor


class ConfirmPasskeyForm(_UsePasskeyMixin, allauth_forms.ReauthenticateWebAuthnForm):  # type: ignore[misc]
    """The same, of someone who is signed in."""


class NamePasskeyForm(allauth_forms.EditWebAuthnForm):  # type: ignore[misc]
    """Giving one another name."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=NAME_LENGTH)
