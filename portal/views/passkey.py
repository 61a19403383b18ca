"""A person's passkeys: add, name, remove, and sign in or confirm with one. Most are allauth's views."""

from __future__ import annotations

import json
from typing import Any, Final

from allauth.account.models import Login
from allauth.account.utils import get_next_redirect_url
from allauth.core.internal import ratelimit
from allauth.mfa.adapter import get_adapter
from allauth.mfa.webauthn import views
from allauth.mfa.webauthn.internal import flows
from django.contrib import messages
from django.db import transaction
from django.forms import Form
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse_lazy
from django.views.decorators.cache import never_cache

from portal.access import checks_itself
from portal.actions.acting import acted
from portal.audit.log import note

# Seconds for which the challenge of someone who is not signed in is kept.
_CHALLENGE: Final = 600


class AddPasskeyView(views.AddWebAuthnView):  # type: ignore[misc]  # allauth ships no types
    """Adding a passkey."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the options for the browser."""
        context: dict[str, Any] = super().get_context_data(**kwargs)
        form = kwargs.get("form") or context["form"]
        return {**context, "form": form, "options": json.dumps(context["js_data"]["creation_options"])}


class NamePasskeyView(views.EditWebAuthnView):  # type: ignore[misc]
    """Giving one another name."""

    success_url = reverse_lazy("mfa_index")

    def form_valid(self, form: Form) -> HttpResponse:
        """Rename it."""
        with transaction.atomic():
            response: HttpResponse = super().form_valid(form)
            acted(
                self.request.user.principal, "factor renamed", self.request.user, details={"factor": str(self.object)}
            )
        return response


class RemovePasskeyView(views.RemoveWebAuthnView):  # type: ignore[misc]
    """Removing one, unless it is the last factor where one is required."""

    success_url = reverse_lazy("mfa_index")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add why it is not removed."""
        return {**super().get_context_data(**kwargs), "refused": self._fault()}

    def form_valid(self, form: Form) -> HttpResponse:
        """Remove it."""
        if self._fault():
            refused: HttpResponse = self.render_to_response(self.get_context_data(form=form))
            return refused
        response: HttpResponse = super().form_valid(form)
        return response

    def _fault(self) -> str:
        adapter = get_adapter()
        if adapter.can_delete_authenticator(self.object):
            return ""
        return str(adapter.validation_error("cannot_delete_authenticator").message)


class SignInView(views.LoginWebAuthnView):  # type: ignore[misc]
    """Signing in with a passkey alone."""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Return the challenge. It makes a session, so it is limited, and the session is short."""
        limited: HttpResponse | None = ratelimit.consume_or_429(
            request, app="allauth.mfa", action="webauthn_challenge", limit_get=True
        )
        if limited is not None:
            return limited
        request.session.set_expiry(_CHALLENGE)
        response: HttpResponse = super().get(request, *args, **kwargs)
        return response

    def form_valid(self, form: Form) -> HttpResponse:
        """Sign in, and go on to the page that was asked for."""
        factor = form.cleaned_data["credential"]
        login = Login(user=factor.user, redirect_url=get_next_redirect_url(self.request))
        response: HttpResponse = flows.perform_passwordless_login(self.request, factor, login)
        return response

    def form_invalid(self, form: Form) -> HttpResponse:
        """Say so on the sign-in page."""
        note("passkey_refused", self.request)
        response: HttpResponse = super().form_invalid(form)
        return response


class ConfirmView(views.ReauthenticateWebAuthnView):  # type: ignore[misc]
    """Confirming with one."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the options for the browser."""
        context: dict[str, Any] = super().get_context_data(**kwargs)
        return {**context, "options": json.dumps(context["js_data"]["request_options"])}

    def form_invalid(self, form: Form) -> HttpResponse:
        """Say so on the same page."""
        for error in form.errors.get("credential", []):
            messages.error(self.request, str(error))
        return redirect(self.request.get_full_path())


def _page(view: Any) -> Any:
    checked: HttpResponseBase = checks_itself(never_cache(view.as_view()))
    return checked


add = _page(AddPasskeyView)
rename = _page(NamePasskeyView)
remove = _page(RemovePasskeyView)
sign_in = _page(SignInView)
confirm = _page(ConfirmView)
