"""Whether an organization's provider signs in in this request, or did so before."""

from __future__ import annotations

from typing import Any, Final

from django.http import HttpRequest

from portal.access import is_by_provider, memberships_of
from portal.models import Membership, ProviderIdentity

# In allauth's state of a sign-in, which it keeps in the session while it asks for a second factor.
IDENTITY: Final = "portal_identity"


def signing_identity(request: Any) -> str:
    """The id of the identity that signs in in this request; "" for own means."""
    return str(getattr(request, "_signing_identity", ""))


def provider_member(request: HttpRequest) -> Membership | None:
    """The member whom a provider signs in in this request, or has signed in before; None for own means."""
    if identity := signing_identity(request):
        found = ProviderIdentity.objects.select_related("membership__user", "membership__organization")
        membership: Membership = found.get(pk=identity).membership
        return membership
    if not is_by_provider(request):
        return None
    return next(iter(memberships_of(request)), None)
