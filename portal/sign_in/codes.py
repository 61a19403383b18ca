"""Codes of authenticator apps and recovery codes: counted, compared, and used once."""

from __future__ import annotations

from typing import Any

from allauth.core import context
from allauth.core.internal.cryptokit import compare_user_code
from allauth.mfa.adapter import get_adapter
from allauth.mfa.base import forms as allauth_forms
from allauth.mfa.internal.flows.add import validate_can_add_authenticator
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.totp.internal import auth as totp
from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.models import FactorSecret, User
from portal.sealing import UnsealError, seal, unseal
from portal.sign_in.guessing import CodeAttempt

# In the session: the key of an app that is being set up, sealed as in the database.
_PENDING = "totp_pending"
_DIGITS = {"inputmode": "numeric", "autocomplete": "one-time-code", "autofocus": True, "spellcheck": "false"}


def accepted_step(secret: str, code: str) -> int | None:
    """Return the time step of a code, if it is the present one's or a neighbour's (RFC 6238, 5.2)."""
    for step in totp.yield_hotp_counters_from_time():
        if compare_user_code(actual=code, expected=totp.format_hotp_value(totp.hotp_value(secret, step))):
            return int(step)
    return None


def use_code(factor: Authenticator, code: str) -> bool:
    """Use a code; False if it is wrong or was used before. One UPDATE, so that simultaneous requests use it once."""
    if factor.type != Authenticator.Type.TOTP:
        return bool(factor.wrap().validate_code(code))
    row = FactorSecret.objects.get(pk=factor.data["secret"])
    step = accepted_step(row.secret, code)
    return step is not None and bool(FactorSecret.objects.filter(pk=row.pk, used_step__lt=step).update(used_step=step))


class _CodeMixin:
    """The field `code`, counted by portal.sign_in.guessing."""

    user: User
    fields: dict[str, forms.Field]
    cleaned_data: dict[str, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["code"].label = gettext_lazy("Code")
        self.fields["code"].widget = forms.TextInput(attrs=_DIGITS)

    def clean_code(self) -> str:
        """Compare with the app's codes, and with the recovery codes. Raises ValidationError."""
        code = str(self.cleaned_data["code"])
        attempt = _counted(self.user)
        # The app comes first.
        found = Authenticator.objects.filter(user=self.user).exclude(type=Authenticator.Type.WEBAUTHN)
        factors = list(found.order_by("-type"))
        for factor in factors:
            if use_code(factor, code):
                factor.user = self.user
                self.authenticator = factor
                attempt.succeeded()
                return code
        if factors:
            self._emit_authentication_failed(factors[0])  # type: ignore[attr-defined]  # of allauth's form
        raise get_adapter().validation_error("incorrect_code")


class CodeForm(_CodeMixin, allauth_forms.AuthenticateForm):  # type: ignore[misc]  # allauth ships no types
    """The second step of signing in."""


class ConfirmCodeForm(_CodeMixin, allauth_forms.ReauthenticateForm):  # type: ignore[misc]
    """The same, of someone who is signed in."""


class AddAppForm(ActivateTOTPForm):  # type: ignore[misc]
    """Adding an authenticator app: its first code shows that it has the key."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.user = kwargs.pop("user")
        forms.Form.__init__(self, *args, **kwargs)
        self.fields["code"].label = gettext_lazy("Code that the app shows")
        self.fields["code"].widget = forms.TextInput(attrs=_DIGITS)
        self.secret = _pending_key(context.request, self.user, is_bound=self.is_bound)

    def clean_code(self) -> str:
        """Compare with the key on the page. Raises ValidationError."""
        validate_can_add_authenticator(self.user)
        code = str(self.cleaned_data["code"])
        attempt = _counted(self.user)
        self.step = accepted_step(self.secret, code)
        if self.step is None:
            raise ValidationError(_("This code is wrong. Check that the clock of the device is right."))
        attempt.succeeded()
        return code


def finish_app(request: HttpRequest, user: User, form: AddAppForm) -> None:
    """Remove the key of an app that was set up from the session, and note its first code as used."""
    request.session.pop(_PENDING, None)
    factor = Authenticator.objects.get(user=user, type=Authenticator.Type.TOTP)
    FactorSecret.objects.filter(pk=factor.data["secret"]).update(used_step=form.step)


def _counted(user: User) -> CodeAttempt:
    attempt = CodeAttempt(context.request, user)
    if not attempt.is_allowed():
        raise ValidationError(_("Too many wrong codes. Wait five minutes, then try again."), code="too_many_codes")
    return attempt


def _pending_key(request: HttpRequest, user: User, *, is_bound: bool) -> str:
    """Return the key that the page shows: a new one each time, the same for the form that answers."""
    place = {"table": "session", "row": str(user.pk), "field": _PENDING}
    if is_bound:
        try:
            return unseal(request.session.get(_PENDING, ""), **place)
        except UnsealError:  # the session is another one, or the sealing key was removed meanwhile
            pass
    key = str(totp.generate_totp_secret())
    request.session[_PENDING] = seal(key, **place)
    return key
