"""An admin sets up the organization's sign-in provider, tries it, switches it on or off, and removes it."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from portal.access import get_admin, get_reader
from portal.actions.sign_in_provider import delete_provider, save_provider, save_saml_provider, switch_provider
from portal.exceptions import InvalidInput, NotPossible
from portal.forms.refusal import show_refusal
from portal.forms.sign_in_provider import ProviderForm, SamlProviderForm
from portal.models import Membership, ProviderKind, SignInProvider
from portal.sign_in.oidc import ProviderFault
from portal.sign_in.provider_flow import (
    TRIED_KEY,
    answer_address,
    begin,
    entity_id,
    public_address,
    return_address,
)
from portal.web.safe_xml import is_installed


@require_http_methods(["GET", "HEAD", "POST"])
def provider_settings(request: HttpRequest) -> HttpResponse:
    """The provider of the organization; what the last try of this browser said."""
    member = get_admin(request) if request.method == "POST" else get_reader(request)
    provider = SignInProvider.objects.filter(organization=member.organization_id).first()
    is_saml = provider.is_saml if provider else is_installed() and request.GET.get("kind") == ProviderKind.SAML
    data = (request.POST, request.FILES) if request.method == "POST" else ()
    form = (SamlProviderForm if is_saml else ProviderForm)(*data, provider=provider)
    for field in form.fields.values():
        field.disabled = not member.is_admin
    if request.method == "POST" and form.is_valid() and _save(member, form):
        messages.success(request, _("Saved."))
        return redirect("provider_settings")
    context = {
        "form": form,
        "provider": provider,
        "is_saml": is_saml,
        "offers_saml": is_installed(),
        "addresses": _addresses(provider) if provider else {},
        "page": public_address("sign_in_organization", member.organization.slug),
        "tried": request.session.pop(TRIED_KEY, None) if member.is_admin else None,
    }
    return render(request, "portal/provider.html", context)


def _addresses(provider: SignInProvider) -> dict[str, str]:
    """What an admin enters at the provider."""
    if provider.is_saml:
        return {"entity": entity_id(provider), "answer": answer_address(provider)}
    return {"back": return_address(provider)}


@require_safe
def provider_try(request: HttpRequest) -> HttpResponse:
    """Sign in there, to see what the provider says; it connects nobody."""
    provider = _provider_of(get_admin(request))
    try:
        return redirect(begin(request, provider, purpose="try"))
    except ProviderFault as fault:
        request.session[TRIED_KEY] = {"fault": str(fault)}
        return redirect("provider_settings")


@require_POST
def provider_switch(request: HttpRequest) -> HttpResponse:
    """Switch it on or off."""
    member = get_admin(request)
    enabled = request.POST.get("enabled") == "true"
    try:
        switch_provider(_provider_of(member), enabled=enabled, by=member.principal)
    except NotPossible as refusal:
        messages.error(request, refusal.message)
    else:
        messages.success(request, _("Sign-in is switched on.") if enabled else _("Sign-in is switched off."))
    return redirect("provider_settings")


@require_http_methods(["GET", "HEAD", "POST"])
def provider_delete(request: HttpRequest) -> HttpResponse:
    """Confirm, and remove it."""
    member = get_admin(request)
    provider = _provider_of(member)
    if request.method == "POST":
        delete_provider(provider, by=member.principal)
        messages.success(request, _("%s is removed.") % provider.name)
        return redirect("provider_settings")
    return render(
        request,
        "portal/provider_delete.html",
        {"provider": provider, "connected": provider.identities.count(), "page": reverse("provider_settings")},
    )


def _provider_of(member: Membership) -> SignInProvider:
    found = SignInProvider.objects.filter(organization=member.organization_id).first()
    if found is None:
        raise Http404
    return found


def _save(member: Membership, form: ProviderForm | SamlProviderForm) -> bool:
    said = {"by": member.principal, "values": form.values(), "mapping": form.cleaned_data["mapping"].splitlines()}
    try:
        if isinstance(form, SamlProviderForm):
            save_saml_provider(member.organization, metadata=form.given_metadata(), **said)
        else:
            save_provider(member.organization, secret=form.cleaned_data["client_secret"], **said)
    except InvalidInput as refusal:
        show_refusal(form, refusal)
        return False
    return True
