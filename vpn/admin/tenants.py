"""Organizations in Django admin, with what they use of their quotas, and links to their instances, peers and sites."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import pgettext, pgettext_lazy

from portal.admin.base import list_link
from portal.admin.organizations import OrganizationAdmin
from portal.figures import grouped
from portal.models import Organization, Quota
from vpn.models import Instance, Operation, Peer, Site

admin.site.unregister(Organization)


@admin.register(Organization)
class TenantAdmin(OrganizationAdmin):
    """Tenants: use and limit of each are beside each other."""

    list_display = ("name", "slug", "instances", "peers", "members", "created_at", "related")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Organization]:
        """Organizations with the numbers that their list shows, in one query."""
        rows = super().get_queryset(request)
        return rows.annotate(
            instance_count=_count("instances"),
            peer_count=_count("instances__peers"),
            member_count=_count("memberships"),
        )

    @admin.display(description=pgettext_lazy("label", "instances"), ordering="instance_count")
    def instances(self, organization: Any) -> str:
        """In use, and the limit."""
        return _of(organization, Quota.INSTANCES, organization.instance_count)

    @admin.display(description=pgettext_lazy("label", "peers"), ordering="peer_count")
    def peers(self, organization: Any) -> str:
        """In use, and the limit."""
        return _of(organization, Quota.PEERS, organization.peer_count)

    @admin.display(description=pgettext_lazy("label", "members"), ordering="member_count")
    def members(self, organization: Any) -> str:
        """In use, and the limit."""
        return _of(organization, Quota.MEMBERS, organization.member_count)

    def links_of(self, organization: Organization) -> list[str]:
        """What the organization has on hubs, and what failed there."""
        of = {"organization": organization.pk}
        return [
            list_link(Instance, pgettext("label", "instances"), **of),
            list_link(Peer, pgettext("label", "peers"), **of),
            list_link(Site, pgettext("label", "sites"), **of),
            *super().links_of(organization),
            list_link(Operation, _("failed operations"), state__exact="failed", **of),
        ]


def _count(rows: str) -> Subquery:
    """The number of an organization's rows: a query for each of several counts, since joins multiply them."""
    one = Organization.objects.filter(pk=OuterRef("pk")).order_by()
    return Subquery(one.annotate(found=Count(rows)).values("found"))


def _of(organization: Organization, quota: Quota, used: int) -> str:
    return _("%(used)s of %(limit)s") % {"used": grouped(used), "limit": grouped(organization.limit(quota))}
