"""Access control: the current member, their organization, and what their role allows.

Fetching and authorising are one call, which marks the request as checked. `AccessMiddleware` blocks the response of a
view that made no such call.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, TypeVar
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django_htmx.http import HttpResponseClientRedirect

from portal.models import Group, Membership, MembershipState, ProviderIdentity, Receipt

logger = logging.getLogger(__name__)
SESSION_KEY = "organization"
# In a session that an organization's provider made: the id of the identity. It counts for that organization alone.
PROVIDER_KEY: Final = "provider_identity"
# Views that check for themselves and that such a session may open, because they are about no account. A new view is
# refused until it is named here.
_OPEN_TO_PROVIDERS: Final = frozenset(
    {
        *("healthz", "account_login", "account_logout", "account_inactive", "own_means", "shared_profile"),
        "import_profile",
        *("sign_in_ways", "sign_in_organization", "sign_in_begin", "provider_return"),
        *("provider_answer", "provider_metadata"),
        *("api:openapi-json", "api:openapi-view"),
    }
)
View = TypeVar("View", bound=Callable[..., HttpResponseBase])


def mark_checked(request: HttpRequest) -> None:
    """Record that this request's rights were checked."""
    request._access_checked = True  # type: ignore[attr-defined]  # noqa: SLF001


def checks_itself(view: View) -> View:
    """Mark a view as doing its own check, because it needs no membership (health, account pages, share links)."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        mark_checked(request)
        return view(request, *args, **kwargs)

    wrapped.is_apart = True  # type: ignore[attr-defined]
    return wrapped  # type: ignore[return-value]


def memberships_of(request: HttpRequest) -> list[Membership]:
    """The active memberships of the signed-in user, by organization name; queried once per request.

    In a session that an organization's provider made, only the membership there.
    """
    cached: list[Membership] | None = getattr(request, "_memberships", None)
    if cached is None:
        cached = []
        if request.user.is_authenticated:
            known = request.user.known_memberships
            cached = Membership.objects.active_of(request.user.pk) if known is None else known
            if is_by_provider(request):
                cached = _through_provider(request, cached)
        request._memberships = cached  # type: ignore[attr-defined]  # noqa: SLF001
    return cached


def is_by_provider(request: HttpRequest) -> bool:
    """True if an organization's provider made the session."""
    return PROVIDER_KEY in request.session


def _through_provider(request: HttpRequest, found: list[Membership]) -> list[Membership]:
    """The membership that the identity belongs to, as long as it may sign in."""
    identity = ProviderIdentity.objects.usable().filter(pk=request.session[PROVIDER_KEY]).first()
    if identity is None:
        return []
    only = [one for one in found if one.pk == identity.membership_id]
    for one in only:
        one.through = identity.provider
    return only


def current_membership(request: HttpRequest) -> Membership | None:
    """The current membership of the user: the one chosen in the session, else the first."""
    found = memberships_of(request)
    chosen = request.session.get(SESSION_KEY)
    membership = next((one for one in found if str(one.organization_id) == chosen), found[0] if found else None)
    request._membership = membership  # type: ignore[attr-defined]  # noqa: SLF001 - read by the audit log
    return membership


def home_of(membership: Membership) -> str:
    """The first page of a member: instances for admins, auditors and operators, else their own devices."""
    return reverse("instances" if membership.sees_everything or membership.is_operator else "my")


class AccessEnded(PermissionDenied):
    """Every organization of the user has deactivated them; every page says so."""


class SecondFactorNeeded(PermissionDenied):
    """The organization requires a second factor, and the user has none: every page leads to where they set one up."""


class OwnMeansNeeded(PermissionDenied):
    """An organization's provider made the session, which this page is not open to."""


def needs_second_factor(membership: Membership) -> bool:
    """Return True if the member has to set up a second factor first. API tokens are not affected."""
    if membership.through is not None and membership.through.is_second_factor:
        return False
    return membership.organization.second_factor_required and not membership.user.has_second_factor


def ended_memberships(request: HttpRequest) -> list[Membership]:
    """The deactivated memberships of the signed-in user, by organization name."""
    found = Membership.objects.filter(user=request.user.pk, state=MembershipState.DEACTIVATED)
    if is_by_provider(request):
        found = found.filter(provider_identity=request.session[PROVIDER_KEY])
    return list(found.select_related("organization", "user").order_by("organization__name", "id"))


def get_member(request: HttpRequest) -> Membership:
    """Any active member. Raises AccessEnded for a deactivated one, 404 for a user without membership.

    Raises SecondFactorNeeded if the member has to set one up first, and OwnMeansNeeded in the session of a provider
    that does not count any more.
    """
    mark_checked(request)
    membership = current_membership(request)
    if membership is None:
        if ended_memberships(request):
            raise AccessEnded
        if is_by_provider(request):
            raise OwnMeansNeeded
        raise Http404
    if needs_second_factor(membership):
        raise SecondFactorNeeded
    return membership


def get_reader(request: HttpRequest) -> Membership:
    """A member who may read everything in the organization (admin, auditor); else 403."""
    membership = get_member(request)
    require_reader(membership)
    return membership


def get_admin(request: HttpRequest) -> Membership:
    """A member who may make changes (admin); else 403."""
    membership = get_member(request)
    require_admin(membership)
    return membership


def require_reader(membership: Membership) -> None:
    """Raise PermissionDenied unless the member may read everything in the organization."""
    if not membership.sees_everything:
        raise PermissionDenied(_("Only admins and auditors can see this."))


def require_admin(membership: Membership) -> None:
    """Raise PermissionDenied unless the member may make changes in the organization."""
    if not membership.is_admin:
        raise PermissionDenied(_("Only admins can change this."))


def people_of(member: Membership) -> QuerySet[Membership]:
    """All members of the organization, for admins and auditors."""
    require_reader(member)
    return Membership.objects.filter(organization=member.organization_id).select_related("user", "organization")


def get_person(member: Membership, pk: UUID, *, write: bool = False) -> Membership:
    """One person of the organization, for admins and auditors; for a member, others are 404."""
    found = Membership.objects.select_related("user", "organization")
    person = get_object_or_404(found, pk=pk, organization=member.organization_id)
    if not member.sees_everything:
        raise Http404
    if write:
        require_admin(member)
    return person


def receipts_of(member: Membership) -> QuerySet[Receipt]:
    """The organization's receipts of what ended with somebody's access, for admins and auditors."""
    require_reader(member)
    return Receipt.objects.filter(organization=member.organization_id).select_related("organization")


def get_receipt(member: Membership, pk: UUID) -> Receipt:
    """One of these receipts."""
    return get_object_or_404(receipts_of(member), pk=pk)


def groups_of(member: Membership) -> QuerySet[Group]:
    """The organization's groups, for admins and auditors."""
    require_reader(member)
    return Group.objects.filter(organization=member.organization_id)


def get_group(member: Membership, pk: UUID, *, write: bool = False) -> Group:
    """One group of the organization, for admins and auditors."""
    group = get_object_or_404(Group, pk=pk, organization=member.organization_id)
    if write:
        require_admin(member)
    else:
        require_reader(member)
    return group


class AccessMiddleware:
    """Blocks the response of a view that checked no right."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponseBase], args: Any, kwargs: Any
    ) -> HttpResponse | None:
        """Keep the session of a provider out of Django admin and of views that check for themselves."""
        match = request.resolver_match
        if match is None:
            return None
        apart = getattr(view, "is_apart", False) or match.app_names[:1] == ["admin"]
        if not apart or match.view_name in _OPEN_TO_PROVIDERS or not is_by_provider(request):
            return None
        mark_checked(request)
        return redirect("own_means")

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer a deactivated member with 403 and an explanation; lead to what a page needs first."""
        if isinstance(exception, SecondFactorNeeded | OwnMeansNeeded):
            page = reverse("own_means" if is_by_provider(request) else "mfa_index")
            return HttpResponseClientRedirect(page) if request.headers.get("HX-Request") else redirect(page)
        if not isinstance(exception, AccessEnded):
            return None
        context = {"ended": ended_memberships(request)}
        return render(request, "account/deactivated.html", context, status=403)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Pass the response on if its view checked the user's rights."""
        response = self.get_response(request)
        if getattr(request, "_access_checked", False) or response.status_code >= 300:
            return response
        match = request.resolver_match
        if match is not None and match.app_names and match.app_names[0] == "admin":
            return response  # Django admin checks each of its own views.
        if match is not None:
            logger.error("The view %s answered without checking access", match.view_name)
            return HttpResponse(_("This page is not available."), status=403, content_type="text/plain")
        return response
