"""A person ends sessions of their own account: one, or all others."""

from __future__ import annotations

from uuid import UUID

from allauth.core.internal import ratelimit
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from portal.access import checks_itself
from portal.actions.browser_session import end_session, end_sessions
from portal.audit.log import note
from portal.models import User
from portal.web.sessions import digest_of


@require_POST
@checks_itself
def session_end(request: HttpRequest, pk: UUID) -> HttpResponse:
    """End one session; 404 if it is not the user's."""
    user = _owner(request)
    if (limited := _limited(request)) is not None:
        return limited
    if not end_session(user, pk, by=user.principal):
        raise Http404
    note("session_ended", request, session=pk)
    messages.success(request, _("That browser is signed out."))
    return redirect("mfa_index")


@require_POST
@checks_itself
def sessions_end(request: HttpRequest) -> HttpResponse:
    """End all sessions but this one."""
    user = _owner(request)
    if (limited := _limited(request)) is not None:
        return limited
    ended = end_sessions(user, by=user.principal, keep=digest_of(request.session.session_key or ""))
    note("sessions_ended", request, count=ended)
    messages.success(
        request, _("All other browsers are signed out.") if ended else _("No other browser was signed in.")
    )
    return redirect("mfa_index")


def _owner(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # noqa: S101 - LoginRequiredMiddleware
    return request.user


def _limited(request: HttpRequest) -> HttpResponse | None:
    limited: HttpResponse | None = ratelimit.consume_or_429(request, app="allauth.account", action="end_session")
    return limited
