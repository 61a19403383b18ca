"""Second factors: the step of signing in, confirming, and a person's own factors. Most are allauth's views."""

from __future__ import annotations

import json
from typing import Any

from allauth.account import views as account_views
from allauth.mfa.base import views
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes import views as recovery_codes
from allauth.mfa.totp import views as totp
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from portal.access import checks_itself, current_membership, home_of, memberships_of, needs_second_factor
from portal.actions.browser_session import sessions_of
from portal.actions.identity import connections_of
from portal.forms.language import LanguageForm
from portal.models import User
from portal.sign_in.codes import finish_app
from portal.sign_in.factor_adapter import requiring
from portal.web.language import is_chosen
from portal.web.sessions import digest_of


class StepView(views.AuthenticateView):  # type: ignore[misc]  # allauth ships no types
    """The second step of signing in."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add what this account has: its passkeys' challenge, and whether it has an app."""
        context: dict[str, Any] = super().get_context_data(**kwargs)
        types = set(Authenticator.objects.filter(user=self.stage.login.user).values_list("type", flat=True))
        has_passkey = Authenticator.Type.WEBAUTHN in types
        options = json.dumps(context["js_data"]["request_options"]) if has_passkey else ""
        return {**context, "options": options, "has_app": Authenticator.Type.TOTP in types}


class AddAppView(totp.ActivateTOTPView):  # type: ignore[misc]  # allauth ships no types
    """Adding an authenticator app."""

    def form_valid(self, form: Any) -> HttpResponse:
        """Add it; its key leaves the session, and its first code is used."""
        response: HttpResponse = super().form_valid(form)
        finish_app(self.request, self.request.user, form)
        return response


class RecoveryCodesView(recovery_codes.ViewRecoveryCodesView):  # type: ignore[misc]
    """Recovery codes, shown once; later only how many are left."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the codes in two groups, and where to go on."""
        context: dict[str, Any] = super().get_context_data(**kwargs)
        codes = context["unused_codes"]
        member = current_membership(self.request)
        return {
            **context,
            "codes": [f"{code[:4]} {code[4:]}" for code in codes] if context["can_view_codes"] else [],
            "left": len(codes),
            "home": home_of(member) if member else "",
        }


authenticate = checks_itself(StepView.as_view())
confirm_password = checks_itself(account_views.ReauthenticateView.as_view())
confirm_code = checks_itself(views.ReauthenticateView.as_view())
add_app = checks_itself(never_cache(AddAppView.as_view()))
remove_app = checks_itself(totp.DeactivateTOTPView.as_view())
view_recovery_codes = checks_itself(never_cache(RecoveryCodesView.as_view()))
new_recovery_codes = checks_itself(recovery_codes.GenerateRecoveryCodesView.as_view())


@require_safe
@checks_itself
def own_account(request: HttpRequest) -> HttpResponseBase:
    """A person's account: password, second factors, and where it is signed in."""
    assert isinstance(request.user, User)  # noqa: S101 - LoginRequiredMiddleware
    factors = list(Authenticator.objects.filter(user=request.user.pk).order_by("pk"))
    found = {each.type: each for each in factors}
    member = current_membership(request)
    codes = found.get(Authenticator.Type.RECOVERY_CODES)
    context = {
        "app": found.get(Authenticator.Type.TOTP),
        "passkeys": [each for each in factors if each.type == Authenticator.Type.WEBAUTHN],
        "codes": codes,
        "codes_left": len(codes.wrap().get_unused_codes()) if codes else 0,
        "has_factor": request.user.has_second_factor,
        "needed_by": member.organization.name if member and needs_second_factor(member) else "",
        "required_by": requiring(request.user),
        "connections": connections_of(memberships_of(request)),
        "sessions": sessions_of(request.user),
        "language_form": LanguageForm({"language": request.user.language}) if is_chosen() else None,
        "here": digest_of(request.session.session_key or ""),
    }
    return render(request, "account/own.html", context)
