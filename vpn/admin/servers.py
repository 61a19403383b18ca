"""Regions and servers in Django admin: staff add them, follow their preparation, and act on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.contrib import admin, messages
from django.db import models
from django.db.models import Count, Max, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext, pgettext_lazy

from portal.actions.staff_save import saving
from portal.admin.base import list_link
from portal.figures import grouped
from vpn import doorbell
from vpn.actions.instances.server import allow_networks
from vpn.actions.servers.drain import drain_server
from vpn.actions.servers.preparation import begin_preparation
from vpn.actions.servers.region import add_region
from vpn.actions.servers.server import add_server, ask_host_key, confirm_host_key, cordon_server, forget_server
from vpn.admin.base import ReadOnly, act_on_each, principal_of
from vpn.admin.compromise import CompromisePages
from vpn.forms.server import NewRegionForm, NewServerForm, ServerForm
from vpn.models import Instance, Operation, Peer, Region, Server, SshAccess
from vpn.models.region import RegionQuerySet
from vpn.presenters.servers import step_sentence, why
from vpn.wire.identity import SCHEMA
from vpn.wire.version import agent_version


@admin.register(Region)
class RegionAdmin(ReadOnly):
    """Regions: name, country, driver, and whether they accept instances."""

    changeable = (
        *("name", "country", "latitude", "longitude", "available", "unavailable_reason", "probe_url"),
        *("rebuild_lost", "lost_after"),
    )
    list_display = ("id", "name", "country", "driver", "available", "closed", "rebuild_lost")
    add_fields = ("id", "name", "country", "latitude", "longitude", "driver", "probe_url")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Region]:
        """Regions with whether their servers have room."""
        return cast("RegionQuerySet", super().get_queryset(request)).with_room()

    @admin.display(description=gettext_lazy("why it takes no instances"))
    def closed(self, region: Region) -> str:
        """Why no instance can be placed there now."""
        return region.why_closed

    def has_add_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Staff may add regions whose servers are reached over SSH, or ordered from a cloud."""
        return admin.ModelAdmin.has_add_permission(self, request)

    def get_fields(self, request: HttpRequest, obj: models.Model | None = None) -> list[Any]:
        """Fewer for a new region."""
        return [*self.add_fields] if obj is None else super().get_fields(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: models.Model | None = None) -> list[Any]:
        """None for a new region."""
        return [] if obj is None else super().get_readonly_fields(request, obj)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        """Another form for a new region."""
        return NewRegionForm if obj is None else super().get_form(request, obj, change, **options)

    def save_model(self, request: HttpRequest, obj: Region, form: Any, change: bool) -> None:
        """Add a region through its action."""
        if change:
            with saving(obj, by=principal_of(request)):
                super().save_model(request, obj, form, change)
            return
        given = {name: form.cleaned_data[name] for name in self.add_fields[2:]}
        add_region(obj.pk, obj.name, by=principal_of(request), **given)


@admin.register(Server)
class ServerAdmin(CompromisePages):
    """Servers: how they are reached, their preparation and state, and the networks that instances may push."""

    form = ServerForm
    changeable = ("networks",)
    list_display = (
        *("name", "region", "shown_state", "reason", "heard", "carried", "peers", "capacity"),
        *("address", "address_v6", "agent", "related"),
    )
    list_select_related = ("region", "ssh")
    list_filter = ("state", "cordoned", "region")
    search_fields = ("name", "address", "address_v6", "region__name")
    observed = (
        "related",
        "compromise",
        "heard",
        "reason",
        "reached",
        "authorized_key",
        "sudo_rule",
        "seen_host_key",
        "trusted_host_key",
        "steps",
    )
    actions = ("look_at_host_key", "confirm", "prepare", "cordon", "uncordon", "drain", "forget")

    def get_ordering(self, request: HttpRequest) -> list[Any]:
        """The most loaded ones first."""
        return ["-instance_count", "-peer_count", "name", "pk"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Server]:
        """Servers with their load, and when one of their hubs was last observed. All can be sorted by."""
        one = Server.objects.filter(pk=OuterRef("pk")).order_by()
        return Server.objects.annotate(
            instance_count=Subquery(one.annotate(found=Count("instances")).values("found")),
            peer_count=Subquery(one.annotate(found=Count("instances__peers")).values("found")),
            hub_seen_at=Subquery(one.annotate(found=Max("instances__observation__observed_at")).values("found")),
        ).order_by(*self.get_ordering(request))

    @admin.display(description=gettext_lazy("state"), ordering="state")
    def shown_state(self, server: Server) -> str:
        """The state, and since when."""
        state = _("Cordoned") if server.shown_state == "cordoned" else server.get_state_display()
        if server.state_since is None:
            return state
        since = f"{server.state_since:%Y-%m-%d %H:%M}"
        return _("%(state)s since %(since)s UTC") % {"state": state, "since": since}

    @admin.display(description=gettext_lazy("why"))
    def reason(self, server: Server) -> str:
        """Why it is in this state, and what to do."""
        return why(server)

    @admin.display(description=gettext_lazy("last seen"), ordering="hub_seen_at")
    def heard(self, server: Any) -> str:
        """Since when it is silent; else when one of its hubs was last observed."""
        if server.silent_since is not None:
            return _("silent since %(since)s UTC") % {"since": f"{server.silent_since:%Y-%m-%d %H:%M}"}
        return f"{server.hub_seen_at:%Y-%m-%d %H:%M:%S} UTC" if server.hub_seen_at else _("no hub observed yet")

    @admin.display(description=gettext_lazy("hubs"), ordering="instance_count")
    def carried(self, server: Any) -> str:
        """The number of its instances, with a link to them."""
        return list_link(Instance, grouped(server.instance_count), server=server.pk)

    @admin.display(description=pgettext_lazy("label", "peers"), ordering="peer_count")
    def peers(self, server: Any) -> str:
        """The number of its hubs' peers, with a link to them."""
        return list_link(Peer, grouped(server.peer_count), server=server.pk)

    @admin.display(description=gettext_lazy("its rows"))
    def related(self, server: Server) -> str:
        """Links to what it carries, and to what failed there."""
        of = {"server": server.pk}
        found = (
            list_link(Instance, pgettext("label", "instances"), **of),
            list_link(Peer, pgettext("label", "peers"), **of),
            list_link(Operation, _("failed operations"), state__exact="failed", **of),
        )
        return format_html_join(", ", "{}", ((link,) for link in found))

    @admin.display(description=gettext_lazy("agent"))
    def agent(self, server: Server) -> str:
        """The version of the agent that reported last, and whether it is this portal's."""
        if server.agent_schema is None:
            return _("has not reported yet")
        if not server.agent_version:
            return _("does not say its version: older than this portal")
        if server.speaks_otherwise:
            found = {"version": server.agent_version, "schema": server.agent_schema, "ours": SCHEMA}
            return _("%(version)s: knows schema %(schema)s of specs, this portal %(ours)s") % found
        if server.agent_version == agent_version():
            return _("%(version)s: this portal's version") % {"version": server.agent_version}
        return _("%(version)s: not this portal's version") % {"version": server.agent_version}

    @admin.display(description=gettext_lazy("reached over SSH as"))
    def reached(self, server: Server) -> str:
        """The account, host and port."""
        return _of_access(server, str)

    @admin.display(description=gettext_lazy("line for ~/.ssh/authorized_keys"))
    def authorized_key(self, server: Server) -> str:
        """The line to authorise on the server."""
        return _of_access(server, lambda access: access.authorized_key)

    @admin.display(description=gettext_lazy("line for a file in /etc/sudoers.d"))
    def sudo_rule(self, server: Server) -> str:
        """The rule that the account needs."""
        return _of_access(server, lambda access: access.sudo_rule or _("not needed for root"))

    @admin.display(description=gettext_lazy("host key that it showed"))
    def seen_host_key(self, server: Server) -> str:
        """The fingerprint to compare and confirm."""
        return _of_access(server, lambda access: access.seen_fingerprint or _("none yet"))

    @admin.display(description=gettext_lazy("trusted host key"))
    def trusted_host_key(self, server: Server) -> str:
        """The confirmed fingerprint."""
        return _of_access(
            server, lambda access: access.trusted_fingerprint or _("none: confirm the one that it showed")
        )

    @admin.display(description=gettext_lazy("steps of the preparation"))
    def steps(self, server: Server) -> str:
        """The steps, with what was found or what to do."""
        found = server.preparation_steps.all()
        rows = ((step.get_name_display(), step.get_state_display(), step_sentence(step)) for step in found)
        return format_html_join("", "<div><strong>{}</strong>: {}. {}</div>", rows)

    def has_add_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Staff may add servers that are reached over SSH."""
        return admin.ModelAdmin.has_add_permission(self, request)

    def get_fields(self, request: HttpRequest, obj: models.Model | None = None) -> list[Any]:
        """Those of the form for a new server."""
        return list(NewServerForm.base_fields) if obj is None else super().get_fields(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: models.Model | None = None) -> list[Any]:
        """None for a new server."""
        return [] if obj is None else super().get_readonly_fields(request, obj)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        """Another form for a new server."""
        return NewServerForm if obj is None else super().get_form(request, obj, change, **options)

    def save_model(self, request: HttpRequest, obj: Server, form: Any, change: bool) -> None:
        """Save a change through its action, which also updates the hubs; add a server through its own."""
        if change:
            allow_networks(obj, form.cleaned_data["networks"], by=principal_of(request))
            return
        added = add_server(by=principal_of(request), **form.cleaned_data)
        obj.pk = added.pk
        doorbell.enqueue_host_key(added.pk)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """The acts need the right to change servers; viewing does not include it."""
        return super().get_actions(request) if request.user.has_perm("vpn.change_server") else {}

    @admin.action(description=gettext_lazy("Look at the host key"))
    def look_at_host_key(self, request: HttpRequest, chosen: QuerySet[Server]) -> None:
        """Let a worker record the key that each server shows now."""
        for server in chosen:
            ask_host_key(server, by=principal_of(request))
        messages.success(request, _("A worker looks at the host keys. Load the page again in a moment."))

    @admin.action(description=gettext_lazy("Confirm the host key"))
    def confirm(self, request: HttpRequest, chosen: QuerySet[Server]) -> HttpResponse | None:
        """Trust the keys that the servers showed, after their fingerprints were compared."""
        if request.POST.get("confirmed") == "true":

            def trust(server: Server, **options: Any) -> None:
                confirm_host_key(server, request.POST.get(f"key-{server.pk}", ""), **options)

            act_on_each(request, chosen, trust, _("%(name)s is trusted: prepare it next."))
            return None
        accesses = list(SshAccess.objects.filter(server__in=chosen).select_related("server"))
        reached = [access.server for access in accesses]
        return self._page(request, "confirm", _("Confirm host keys"), chosen=reached, accesses=accesses)

    @admin.action(description=gettext_lazy("Prepare or repair"))
    def prepare(self, request: HttpRequest, chosen: QuerySet[Server]) -> None:
        """Let a worker prepare the servers."""
        act_on_each(request, chosen, begin_preparation, _("%(name)s is being prepared: its page shows the steps."))

    @admin.action(description=gettext_lazy("Cordon: take no new hubs"))
    def cordon(self, request: HttpRequest, chosen: QuerySet[Server]) -> None:
        """Let the servers take no new hubs."""
        act_on_each(request, chosen, cordon_server, _("%(name)s takes no new hubs."))

    @admin.action(description=gettext_lazy("Uncordon: take new hubs again"))
    def uncordon(self, request: HttpRequest, chosen: QuerySet[Server]) -> None:
        """Let the servers take new hubs again."""

        def act(server: Server, **options: Any) -> None:
            cordon_server(server, cordoned=False, **options)

        act_on_each(request, chosen, act, _("%(name)s takes new hubs again."))

    @admin.action(description=gettext_lazy("Drain: move its hubs to other servers of the region"))
    def drain(self, request: HttpRequest, chosen: QuerySet[Server]) -> None:
        """Let the servers take no new hubs, and begin to move those that they have."""
        for server in chosen:
            drained = drain_server(server, by=principal_of(request))
            messages.success(
                request,
                _("%(server)s takes no new hubs; %(count)s begin to move.")
                % {"server": server.name, "count": len(drained.moving)},
            )
            for name, why_not in drained.staying.values():
                messages.error(request, _("%(name)s stays: %(why)s") % {"name": name, "why": why_not})

    @admin.action(description=gettext_lazy("Forget"))
    def forget(self, request: HttpRequest, chosen: QuerySet[Server]) -> HttpResponse | None:
        """Delete servers that carry nothing, after one question."""
        if request.POST.get("confirmed") == "true":
            act_on_each(request, chosen, forget_server, _("%(name)s was forgotten."))
            return None
        return self._page(request, "forget", _("Forget servers"), chosen=chosen)

    def _page(self, request: HttpRequest, name: str, title: str, **context: Any) -> HttpResponse:
        shared = {**self.admin_site.each_context(request), "title": title}
        return TemplateResponse(request, f"admin/vpn/server/{name}.html", shared | context)


def _of_access(server: Server, shown: Callable[[SshAccess], str]) -> str:
    """A value of the server's access over SSH; "" for this machine."""
    access = SshAccess.objects.filter(server=server).first()
    return shown(access) if access is not None else ""
