"""A person's own connections with providers, and the page that asks for the account's own means."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth import logout
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from portal.access import checks_itself, current_membership, is_by_provider, memberships_of
from portal.actions.provider_identity import disconnect_identity
from portal.audit.log import note
from portal.models import Membership, SignInProvider
from portal.sign_in.oidc import ProviderFault
from portal.sign_in.provider_flow import begin


@require_safe
@checks_itself
def provider_connect(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Sign in at the provider of one of the account's organizations, to connect it."""
    member = _membership(request, pk)
    provider = SignInProvider.objects.filter(organization=member.organization_id, enabled=True).first()
    if provider is None:
        raise Http404
    try:
        return redirect(begin(request, provider, purpose="sign in"))
    except ProviderFault as fault:
        messages.error(request, str(fault))
        return redirect("mfa_index")


@require_POST
@checks_itself
def provider_disconnect(request: HttpRequest, pk: UUID) -> HttpResponse:
    """End sign-in by the provider for one membership; its sessions end."""
    member = _membership(request, pk)
    if not disconnect_identity(member, by=member.principal):
        raise Http404
    note("provider_disconnected", request, who=member)
    messages.success(request, _("Sign-in by the provider of %s is disconnected.") % member.organization.name)
    return redirect("mfa_index")


@require_http_methods(["GET", "HEAD", "POST"])
@checks_itself
def own_means(request: HttpRequest) -> HttpResponse:
    """Explain what a session of a provider does not open; sign out, to sign in by own means."""
    if not is_by_provider(request):
        return redirect("mfa_index")
    if request.method == "POST":
        logout(request)
        return redirect(f"{reverse('account_login')}?next={reverse('mfa_index')}")
    return render(request, "account/own_means.html", {"member": current_membership(request)})


def _membership(request: HttpRequest, pk: UUID) -> Membership:
    found = next((one for one in memberships_of(request) if one.pk == pk), None)
    if found is None:
        raise Http404
    return found
