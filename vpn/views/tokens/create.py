"""Making an API token. Its text is in the answer to the form, never in an address, and not shown again."""

from __future__ import annotations

from allauth.account.decorators import reauthentication_required
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from portal.access import get_member
from portal.actions.api_token import create_token
from portal.audit.log import note
from portal.exceptions import Conflict, InvalidInput
from portal.forms.refusal import show_refusal
from portal.models import ApiToken, Membership
from portal.models.api_token import Ceiling
from vpn.access import find_token_instances
from vpn.forms.token import TokenForm


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def token_new(request: HttpRequest) -> HttpResponse:
    """Make a token of one's own. The person has to have signed in a few minutes ago."""
    response: HttpResponse = _confirmed(request, get_member(request))
    return response


@reauthentication_required(app="portal")  # type: ignore[untyped-decorator]  # allauth ships no types
def _confirmed(request: HttpRequest, member: Membership) -> HttpResponse:
    form = TokenForm(request.POST if request.method == "POST" else None, member=member)
    if request.method == "POST" and form.is_valid() and (made := _make(form, member)):
        token, text = made
        note("token_made", request, token=token.pk)
        scim_url = f"{settings.PUBLIC_URL}/scim/v2" if token.ceiling == Ceiling.SCIM else ""
        return render(request, "vpn/tokens/made.html", {"token": token, "text": text, "scim_url": scim_url})
    return render(request, "vpn/tokens/new.html", {"form": form})


def _make(form: TokenForm, member: Membership) -> tuple[ApiToken, str] | None:
    """The token and its text; None if it is refused, which the form then says."""
    chosen, limited_to = form.cleaned_data, form.cleaned_data["limited_to"]
    try:
        return create_token(
            member,
            by=member.principal,
            name=chosen["name"],
            ceiling=Ceiling(chosen["ceiling"]),
            instances=None if limited_to is None else find_token_instances(member, limited_to),
            expires_at=chosen["expires_at"],
        )
    except (Conflict, InvalidInput) as refusal:
        show_refusal(form, refusal, shown_as={"expires_at": "last_day"})
        return None
