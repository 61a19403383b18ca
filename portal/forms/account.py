"""Allauth's forms in this portal's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from allauth.account import forms as allauth_forms
from allauth.account.adapter import get_adapter
from django import forms
from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import password_validators_help_texts
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy


def password_hint() -> str:
    """The minimum length of a password, the one rule that users cannot guess."""
    return password_validators_help_texts()[1]


def _plain(form: forms.Form, labels: Mapping[str, str | Promise]) -> None:
    """Use plain labels instead of allauth's placeholders and help lists."""
    for name, field in form.fields.items():
        field.widget.attrs.pop("placeholder", None)
        field.label = labels.get(name, field.label)  # type: ignore[assignment]
        field.help_text = password_hint() if name == "password1" else ""


class LoginForm(allauth_forms.LoginForm):  # type: ignore[misc]  # allauth ships no types
    """Signing in."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _plain(self, {})
        self.fields["login"].widget.attrs.update({"autocomplete": "username", "autofocus": True})


class ResetPasswordForm(allauth_forms.ResetPasswordForm):  # type: ignore[misc]
    """Requesting a mail for a forgotten password."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _plain(self, {"email": gettext_lazy("Email")})
        self.fields["email"].widget.attrs.update({"autocomplete": "username", "autofocus": True})

    def clean_email(self) -> str:
        """Accept any address: the page must not reveal whether it has an account."""
        return str(self.cleaned_data["email"].lower())

    def save(self, request: HttpRequest, **kwargs: Any) -> str:
        """Queue the mail, instead of sending it within the request as allauth does."""
        address = str(self.cleaned_data["email"])
        get_adapter().request_reset_mail(address)
        return address


class ResetPasswordKeyForm(allauth_forms.ResetPasswordKeyForm):  # type: ignore[misc]
    """Setting the new password, behind the mail's link."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _plain(self, {"password1": gettext_lazy("New password"), "password2": gettext_lazy("New password, again")})

    def clean(self) -> dict[str, Any]:
        """Hash the password here, because `save` runs in a transaction."""
        cleaned: dict[str, Any] = super().clean()
        if not self.errors:
            self._hashed = make_password(cleaned["password1"])
        return cleaned

    def save(self) -> None:
        """Set the password."""
        self.user.take_password(self.cleaned_data["password1"], self._hashed)
        self.user.save()


class SignupForm(allauth_forms.SignupForm):  # type: ignore[misc]
    """Signing up."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _plain(self, {"password2": gettext_lazy("Password, again")})


class SetPasswordForm(allauth_forms.SetPasswordForm):  # type: ignore[misc]
    """A first password for an account that has a passkey alone."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _plain(self, {"password1": gettext_lazy("New password"), "password2": gettext_lazy("New password, again")})

    def save(self) -> None:
        """Save. API tokens stay valid, because the owner used the passkey."""
        self.user.keeps_tokens = True
        super().save()


class ConfirmPasswordForm(allauth_forms.ReauthenticateForm):  # type: ignore[misc]
    """Entering the password again, before something important."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _plain(self, {})
        self.fields["password"].widget.attrs["autofocus"] = True


class ChangePasswordForm(allauth_forms.ChangePasswordForm):  # type: ignore[misc]
    """Changing one's password."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _plain(
            self,
            {
                "oldpassword": gettext_lazy("Current password"),
                "password1": gettext_lazy("New password"),
                "password2": gettext_lazy("New password, again"),
            },
        )

    def save(self) -> None:
        """Save. API tokens stay valid, because the owner knew the former password."""
        self.user.keeps_tokens = True
        super().save()
