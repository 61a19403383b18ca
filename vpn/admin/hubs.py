"""Instances, their names, peers and sites in Django admin."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from portal.admin.base import linked, list_link, row_link
from portal.models import Membership, Organization
from vpn.actions.instances.instance import ask_apply, forget_instance, retry_instance
from vpn.admin.base import ReadOnly, act_on_each, principal_of
from vpn.models import Instance, Operation, Peer, PublicName, Server, Site
from vpn.presenters.findings import failure_of, sentence_of
from vpn.wire.finding import parse_finding


@admin.register(PublicName)
class PublicNameAdmin(ReadOnly):
    """Public names with their records, also those of deleted instances that are still in the zone."""

    list_display = ("name", "instance", "published", "resolved", "checked_at", "fault")
    list_select_related = ("instance",)
    search_fields = ("name",)

    @admin.display(description=gettext_lazy("what is wrong"))
    def fault(self, name: PublicName) -> str:
        """The last look's finding, in words."""
        return sentence_of(parse_finding(name.finding)) if name.finding else ""


@admin.register(Instance)
class InstanceAdmin(ReadOnly):
    """Instances, with the acts for those that are stuck."""

    list_display = (*("name", "of", "hostname", "on", "state", "progress", "why", "observed_at", "related"),)
    list_filter = ("state", "region", linked("organization", Organization), linked("server", Server))
    list_select_related = ("organization", "server", "observation")
    observed = ("observed_at", "why", "related")
    ordering = ("-created_at", "pk")
    search_fields = ("name", "hostname", "hub", "organization__name")
    actions = ("apply_again", "retry", "forget")

    @admin.display(description=gettext_lazy("organization"), ordering="organization__name")
    def of(self, instance: Instance) -> str:
        """A link to the organization."""
        return row_link(instance.organization)

    @admin.display(description=gettext_lazy("server"), ordering="server__name")
    def on(self, instance: Instance) -> str:
        """A link to the server."""
        return row_link(instance.server)

    @admin.display(description=gettext_lazy("why it is behind"))
    def why(self, instance: Instance) -> str:
        """Why the last apply failed, and what to do."""
        return failure_of(instance)

    @admin.display(description=gettext_lazy("its rows"))
    def related(self, instance: Instance) -> str:
        """Links to its peers and operations."""
        of = {"instance": instance.pk}
        found = (
            list_link(Peer, pgettext("label", "peers"), **of),
            list_link(Operation, pgettext("label", "operations"), **of),
            list_link(Operation, _("failed"), state__exact="failed", **of),
        )
        return format_html_join(", ", "{}", ((link,) for link in found))

    @admin.display(description=gettext_lazy("observed at"), ordering="observation__observed_at")
    def observed_at(self, instance: Instance) -> datetime | None:
        """When the hub was last observed."""
        return instance.seen.observed_at

    @admin.display(description=gettext_lazy("applied of desired generation"))
    def progress(self, instance: Instance) -> str:
        """The generation that the server has applied."""
        done = {"applied": instance.applied_generation, "desired": instance.desired_generation}
        return _("%(applied)s of %(desired)s") % done

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """The acts on tunnels need the right to change instances; viewing does not include it."""
        allowed = request.user.has_perm("vpn.change_instance")
        return super().get_actions(request) if allowed else {}

    @admin.action(description=gettext_lazy("Apply again"))
    def apply_again(self, request: HttpRequest, chosen: QuerySet[Instance]) -> None:
        """Compare the hub with its desired state, and repair it."""
        for instance in chosen:
            ask_apply(instance, by=principal_of(request))
        messages.success(request, _("Asked the workers to apply again."))

    @admin.action(description=gettext_lazy("Retry"))
    def retry(self, request: HttpRequest, chosen: QuerySet[Instance]) -> None:
        """Resume what failed."""
        act_on_each(request, chosen, retry_instance, _("%(name)s is tried again."))

    @admin.action(description=gettext_lazy("Forget (its server is gone)"))
    def forget(self, request: HttpRequest, chosen: QuerySet[Instance]) -> HttpResponse | None:
        """Remove instances without asking their server, after one question."""
        if request.POST.get("confirmed") == "true":
            act_on_each(request, chosen, forget_instance, _("%(name)s was forgotten."))
            return None
        context = {**self.admin_site.each_context(request), "title": _("Forget instances"), "chosen": chosen}
        return TemplateResponse(request, "admin/vpn/instance/forget.html", context)


@admin.register(Peer)
class PeerAdmin(ReadOnly):
    """Peers: their settings and last observation; never their keys."""

    list_display = (
        *("label", "hub", "type", "protocol", "enabled", "key_custody", "last_handshake", "endpoint", "related"),
    )
    list_filter = (
        *("type", "protocol", "enabled", "key_custody"),
        linked("organization", Organization, "instance__organization"),
        *(linked("instance", Instance), linked("server", Server, "instance__server")),
        *(linked("member", Membership), linked("site", Site)),
    )
    list_select_related = ("instance", "member__user", "member__organization", "site", "observation")
    observed = ("last_handshake", "endpoint", "related")
    search_help_text = gettext_lazy(
        "Device, name or address of its owner, site, public key, or hostname of the instance."
    )
    search_fields = (
        "instance__hostname",
        "device",
        "member__user__email",
        "member__user__name",
        "site__name",
        "public_key",
    )

    @admin.display(description=gettext_lazy("instance"), ordering="instance__name")
    def hub(self, peer: Peer) -> str:
        """A link to the instance."""
        return row_link(peer.instance)

    @admin.display(description=gettext_lazy("its rows"))
    def related(self, peer: Peer) -> str:
        """Links to its owner, and to the operations of its hub."""
        whose = row_link(peer.member or peer.site)
        return format_html("{}, {}", whose, list_link(Operation, _("operations of the hub"), instance=peer.instance_id))

    @admin.display(description=gettext_lazy("last handshake"), ordering="observation__last_handshake")
    def last_handshake(self, peer: Peer) -> datetime | None:
        """When the hub last heard of it."""
        return peer.seen.last_handshake

    @admin.display(description=gettext_lazy("endpoint"))
    def endpoint(self, peer: Peer) -> str:
        """The address from which the peer last sent."""
        return peer.seen.endpoint


@admin.register(Site)
class SiteAdmin(ReadOnly):
    """Sites."""

    list_display = ("name", "of", "platform", "place", "related")
    list_filter = (linked("organization", Organization),)
    list_select_related = ("organization",)
    observed = ("related",)
    ordering = ("name", "pk")
    search_fields = ("name", "organization__name", "place")

    @admin.display(description=gettext_lazy("organization"), ordering="organization__name")
    def of(self, site: Site) -> str:
        """A link to the organization."""
        return row_link(site.organization)

    @admin.display(description=gettext_lazy("its rows"))
    def related(self, site: Site) -> str:
        """A link to its routers' tunnels."""
        return list_link(Peer, pgettext("label", "peers"), site=site.pk)
