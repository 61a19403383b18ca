"""Operations in Django admin: what failed, why, and what is next."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.admin.base import linked, list_link, row_link
from portal.models import Organization
from vpn.admin.base import ReadOnly, TabularInline
from vpn.choices import InstanceState, OperationState, StepState
from vpn.models import Instance, Operation, OperationStep, Server
from vpn.presenters.findings import failure_of, step_message


class StepInline(TabularInline):
    """An operation's steps."""

    model = OperationStep
    extra = 0
    can_delete = False
    fields = readonly_fields = ("position", "name", "state", "started_at", "finished_at", "told")

    @admin.display(description=gettext_lazy("message"))
    def told(self, step: OperationStep) -> str:
        """What it reports, or why it failed and what to do."""
        return step_message(step.operation, step)

    def has_add_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Steps come with their operation."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Steps are written by jobs."""
        return False


@admin.register(Operation)
class OperationAdmin(ReadOnly):
    """Runs of background work. The filter “Failed” lists what went wrong, with its reason and the next step."""

    list_display = ("kind", "state", "hub", "on", "started_at", "finished_at", "reason", "next_step")
    list_filter = (
        *("state", "kind"),
        linked("organization", Organization, "instance__organization"),
        *(linked("instance", Instance), linked("server", Server, "instance__server")),
    )
    list_select_related = ("instance__server",)
    search_fields = ("instance__name", "instance__hostname", "instance__organization__name")
    observed = ("on", "reason", "next_step")
    inlines = (StepInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Operation]:
        """Operations with their steps, which say why one failed."""
        rows: QuerySet[Operation] = super().get_queryset(request)
        return rows.prefetch_related("steps")

    @admin.display(description=gettext_lazy("instance"), ordering="instance__name")
    def hub(self, operation: Operation) -> str:
        """A link to the instance."""
        return row_link(operation.instance)

    @admin.display(description=gettext_lazy("server"), ordering="instance__server__name")
    def on(self, operation: Operation) -> str:
        """A link to the server that the instance is on now."""
        return row_link(operation.instance.server)

    @admin.display(description=gettext_lazy("why it failed"))
    def reason(self, operation: Operation) -> str:
        """What its failed step said; "" if it did not fail."""
        if operation.state != OperationState.FAILED:
            return ""
        failed = [step for step in operation.steps.all() if step.state == StepState.FAILED]
        return " ".join(step_message(operation, step) for step in failed) or operation.summary

    @admin.display(description=gettext_lazy("next step"))
    def next_step(self, operation: Operation) -> Any:
        """What staff do about a failed one, by the state that its instance has now."""
        instance = operation.instance
        if operation.state != OperationState.FAILED:
            return ""
        if operation.is_cancelled:
            return _("None: it was ended by a person.")
        if instance.state == InstanceState.FAILED:
            again = list_link(Instance, _("this list"), q=instance.hostname)
            return format_html(_("Remove the cause, then choose “Retry” for the instance on {}."), again)
        if instance.failure:
            return _("The portal tries again by itself. Now: %(failure)s") % {"failure": failure_of(instance)}
        return _("None: the instance is %(state)s now.") % {"state": instance.get_state_display().lower()}
