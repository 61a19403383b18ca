"""Instances, peers, sites and operations in Django admin."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from vpn.actions.instances.instance import ask_apply, forget_instance, retry_instance
from vpn.admin.base import ReadOnly, TabularInline, act_on_each, principal_of
from vpn.models import Instance, Operation, OperationStep, Peer, PublicName, Site
from vpn.presenters.findings import sentence_of
from vpn.wire.finding import parse_finding


@admin.register(PublicName)
class PublicNameAdmin(ReadOnly):
    """Public names with their records, also those of deleted instances that are still in the zone."""

    list_display = ("name", "instance", "published", "resolved", "checked_at", "fault")
    list_select_related = ("instance",)
    search_fields = ("name",)

    @admin.display(description="what is wrong")
    def fault(self, name: PublicName) -> str:
        """The last look's finding, in words."""
        return sentence_of(parse_finding(name.finding)) if name.finding else ""


@admin.register(Instance)
class InstanceAdmin(ReadOnly):
    """Instances, with the acts for those that are stuck."""

    list_display = ("name", "organization", "hostname", "region", "state", "progress", "failure", "observed_at")
    list_filter = ("state", "region")
    list_select_related = ("organization", "region", "observation")
    observed = ("observed_at",)
    search_fields = ("name", "hostname", "hub", "organization__name")
    actions = ("apply_again", "retry", "forget")

    @admin.display(description="observed at", ordering="observation__observed_at")
    def observed_at(self, instance: Instance) -> datetime | None:
        """When the hub was last observed."""
        return instance.seen.observed_at

    @admin.display(description="applied of desired generation")
    def progress(self, instance: Instance) -> str:
        """The generation that the server has applied."""
        return f"{instance.applied_generation} of {instance.desired_generation}"

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """The acts on tunnels need the right to change instances; viewing does not include it."""
        allowed = request.user.has_perm("vpn.change_instance")
        return super().get_actions(request) if allowed else {}

    @admin.action(description="Apply again")
    def apply_again(self, request: HttpRequest, chosen: QuerySet[Instance]) -> None:
        """Compare the hub with its desired state, and repair it."""
        for instance in chosen:
            ask_apply(instance, by=principal_of(request))
        messages.success(request, "Asked the workers to apply again.")

    @admin.action(description="Retry")
    def retry(self, request: HttpRequest, chosen: QuerySet[Instance]) -> None:
        """Resume what failed."""
        act_on_each(request, chosen, retry_instance, "is tried again.")

    @admin.action(description="Forget (its server is gone)")
    def forget(self, request: HttpRequest, chosen: QuerySet[Instance]) -> HttpResponse | None:
        """Remove instances without asking their server, after one question."""
        if request.POST.get("confirmed") == "true":
            act_on_each(request, chosen, forget_instance, "was forgotten.")
            return None
        context = {**self.admin_site.each_context(request), "title": "Forget instances", "chosen": chosen}
        return TemplateResponse(request, "admin/vpn/instance/forget.html", context)


@admin.register(Peer)
class PeerAdmin(ReadOnly):
    """Peers: their settings and last observation; never their keys."""

    list_display = ("label", "instance", "type", "enabled", "key_custody", "last_handshake", "endpoint")
    list_filter = ("type", "enabled", "key_custody")
    list_select_related = ("instance", "member__user", "site", "observation")
    observed = ("last_handshake", "endpoint")
    search_fields = ("device", "member__user__email", "member__user__name", "site__name", "public_key")

    @admin.display(description="last handshake", ordering="observation__last_handshake")
    def last_handshake(self, peer: Peer) -> datetime | None:
        """When the hub last heard of it."""
        return peer.seen.last_handshake

    @admin.display(description="endpoint")
    def endpoint(self, peer: Peer) -> str:
        """The address from which the peer last sent."""
        return peer.seen.endpoint


@admin.register(Site)
class SiteAdmin(ReadOnly):
    """Sites."""

    list_display = ("name", "organization", "platform", "place")
    list_select_related = ("organization",)
    search_fields = ("name", "organization__name", "place")


class StepInline(TabularInline):
    """An operation's steps."""

    model = OperationStep
    extra = 0
    can_delete = False
    fields = readonly_fields = ("position", "name", "state", "started_at", "finished_at", "message")

    def has_add_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Steps come with their operation."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Steps are written by jobs."""
        return False


@admin.register(Operation)
class OperationAdmin(ReadOnly):
    """Runs of background work."""

    list_display = ("instance", "kind", "state", "started_at", "finished_at", "summary")
    list_filter = ("kind", "state")
    list_select_related = ("instance",)
    inlines = (StepInline,)
