"""What a SAML provider and its page reach: where answers are posted, and the portal's metadata."""

from __future__ import annotations

from urllib.parse import urlencode
from uuid import UUID

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from portal.access import checks_itself
from portal.models import ProviderKind, SignInProvider
from portal.sign_in.provider_flow import answer_address, entity_id, is_limited
from portal.sign_in.saml import keep_answer, own_metadata
from portal.views.failure import too_often


@csrf_exempt
@require_POST
@never_cache
@login_not_required
@checks_itself
def provider_answer(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Check the answer of a SAML provider, and send the browser on to where the sign-in goes on.

    The provider's page posts it from another site, so the session's cookie (SameSite=Lax) is not sent, and no token of
    ours can be in the form. It signs in nobody: only the visit that follows has the session, and knows whether the
    sign-in was begun in this browser.
    """
    provider = get_object_or_404(SignInProvider, pk=pk, kind=ProviderKind.SAML)
    if is_limited(request, "provider_answer", organization=provider.organization_id):
        return too_often(request)
    query = keep_answer(
        provider,
        request.POST.get("SAMLResponse", ""),
        request.POST.get("RelayState", ""),
        back=answer_address(provider),
        me=entity_id(provider),
    )
    return redirect(f"{reverse('provider_return', args=[provider.pk])}?{urlencode(query)}")


@require_safe
@login_not_required
@checks_itself
def provider_metadata(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The portal's metadata for a SAML provider, which may read it itself."""
    provider = get_object_or_404(SignInProvider, pk=pk, kind=ProviderKind.SAML)
    answer = HttpResponse(
        own_metadata(answer_address(provider), entity_id(provider)), content_type="application/samlmetadata+xml"
    )
    answer["Content-Disposition"] = 'attachment; filename="portal-metadata.xml"'
    return answer
