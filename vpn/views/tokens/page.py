"""API tokens: a person's own, those of the organization for its admins, and revoking one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from portal.access import get_member, get_reader
from portal.actions.api_token import revoke_token
from portal.audit.log import note
from portal.models import ApiToken, Membership
from vpn.models import Instance

PAGE_SIZE = 50


@dataclass(frozen=True)
class Row:
    """A token, and the names of the instances that it is limited to; None if it is not."""

    token: ApiToken
    instances: list[str] | None


@require_safe
def tokens(request: HttpRequest) -> HttpResponse:
    """A person's own tokens of the current organization, newest first."""
    member = get_member(request)
    return _list(request, "vpn/tokens/own.html", ApiToken.objects.filter(membership=member))


@require_safe
def organization_tokens(request: HttpRequest) -> HttpResponse:
    """All tokens of the organization, newest first, for admins and auditors."""
    member = get_reader(request)
    return _list(
        request, "vpn/tokens/all.html", ApiToken.objects.filter(membership__organization=member.organization_id)
    )


@require_http_methods(["GET", "HEAD", "POST"])
def token_revoke(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Confirm and revoke: one's own token, or for admins any of the organization."""
    member = get_member(request)
    token = _get_token(member, pk)
    back = "tokens" if token.membership_id == member.pk else "organization_tokens"
    if request.method == "POST":
        revoke_token(token, by=member.principal)
        note("token_revoked", request, token=pk)
        messages.success(request, _("%(token)s is revoked.") % {"token": token.name or _("The token")})
        return redirect(back)
    return render(request, "vpn/tokens/revoke.html", {"token": token, "back": back})


def _get_token(member: Membership, pk: UUID) -> ApiToken:
    found = ApiToken.objects.select_related("membership__user", "membership__organization")
    token = get_object_or_404(found, pk=pk, membership__organization=member.organization_id)
    if token.membership_id != member.pk and not member.is_admin:
        if member.sees_everything:
            raise PermissionDenied(_("Only admins can revoke this."))
        raise Http404
    return token


def _list(request: HttpRequest, template: str, found: QuerySet[ApiToken]) -> HttpResponse:
    ordered = found.select_related("membership__user").order_by("-created_at", "pk")
    page = Paginator(ordered, PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, template, {"page": page, "rows": _rows(page.object_list)})


def _rows(found: Iterable[ApiToken]) -> list[Row]:
    limited = {token.pk: token.instances for token in found}
    ids = {pk for instances in limited.values() if instances for pk in instances}
    names = dict(Instance.objects.filter(pk__in=ids).order_by("name").values_list("pk", "name")) if ids else {}
    return [Row(token, _names(limited[token.pk], names)) for token in found]


def _names(instances: frozenset[UUID] | None, names: dict[UUID, str]) -> list[str] | None:
    return None if instances is None else [name for pk, name in names.items() if pk in instances]
