"""Cloud accounts, the servers that were ordered with them, and what is paid for and not known."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.exceptions import Conflict
from vpn.actions.servers.account import remove_account, request_test, set_account
from vpn.actions.servers.strays import ask_removal
from vpn.admin.base import ReadOnly, principal_of
from vpn.forms.cloud import CloudAccountForm
from vpn.models import CloudAccount, CloudNode, StrayNode
from vpn.presenters.servers import node_sentence, stray_sentence, test_sentence


@admin.register(CloudAccount)
class CloudAccountAdmin(ReadOnly):
    """The cloud account of each region, with a test of its credentials."""

    form = CloudAccountForm
    list_display = ("region", "provider", "location", "size", "image", "credentials")
    list_select_related = ("region",)
    change_form_template = "admin/vpn/cloudaccount/change_form.html"
    changeable = CloudAccountForm.Meta.fields
    observed = ("credentials",)
    actions = ("test", "remove")

    @admin.display(description=gettext_lazy("credentials"))
    def credentials(self, account: CloudAccount) -> str:
        """What the last test found."""
        return test_sentence(account)

    def has_add_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Staff may add accounts."""
        return admin.ModelAdmin.has_add_permission(self, request)

    def get_fields(self, request: HttpRequest, obj: models.Model | None = None) -> list[Any]:
        """Those of the form, and the last test of an account that exists."""
        return [*CloudAccountForm.Meta.fields, *(self.observed if obj is not None else ())]

    def get_readonly_fields(self, request: HttpRequest, obj: models.Model | None = None) -> list[Any]:
        """The last test."""
        return [*self.observed]

    def save_model(self, request: HttpRequest, obj: CloudAccount, form: Any, change: bool) -> None:
        """Save through the action, which also checks what depends on the provider."""
        given = dict(form.cleaned_data)
        saved = set_account(given.pop("region"), by=principal_of(request), **given)
        obj.pk = saved.pk

    def response_change(self, request: HttpRequest, obj: CloudAccount) -> HttpResponse:
        """After the button “Save and test the credentials”, let a worker test them."""
        if "_test" not in request.POST:
            return super().response_change(request, obj)
        request_test(obj, by=principal_of(request))
        messages.success(request, _("A worker tests the credentials. Load the page again in a moment."))
        return redirect(request.path)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """The acts need the right to change accounts."""
        return super().get_actions(request) if request.user.has_perm("vpn.change_cloudaccount") else {}

    @admin.action(description=gettext_lazy("Test the credentials"))
    def test(self, request: HttpRequest, chosen: QuerySet[CloudAccount]) -> None:
        """Let a worker test the credentials."""
        for account in chosen:
            request_test(account, by=principal_of(request))
        messages.success(request, _("A worker tests the credentials. Load the page again in a moment."))

    @admin.action(description=gettext_lazy("Remove"))
    def remove(self, request: HttpRequest, chosen: QuerySet[CloudAccount]) -> None:
        """Delete accounts that have no servers; their regions then take no instances."""
        for account in chosen:
            try:
                remove_account(account, by=principal_of(request))
            except Conflict as refusal:
                messages.error(request, refusal.message)
            else:
                messages.success(request, _("%(account)s was removed.") % {"account": account})


@admin.register(CloudNode)
class CloudNodeAdmin(ReadOnly):
    """Servers that were ordered from clouds."""

    list_display = ("server", "account", "state", "state_since", "node_id", "why")
    list_select_related = ("server", "account")
    observed = ("why",)

    @admin.display(description=gettext_lazy("why"))
    def why(self, node: CloudNode) -> str:
        """Why the last call failed, and what to do."""
        return node_sentence(node)


@admin.register(StrayNode)
class StrayNodeAdmin(ReadOnly):
    """What is paid for and not known: nothing is removed before staff say so."""

    list_display = ("found_id", "is_group", "account", "address", "first_seen_at", "seen_at", "what_next")
    list_select_related = ("account",)
    observed = ("what_next",)
    actions = ("remove",)

    @admin.display(description=gettext_lazy("what next"))
    def what_next(self, stray: StrayNode) -> str:
        """What becomes of it."""
        return stray_sentence(stray)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Removal needs the right to change."""
        return super().get_actions(request) if request.user.has_perm("vpn.change_straynode") else {}

    @admin.action(description=gettext_lazy("Remove from the cloud"))
    def remove(self, request: HttpRequest, chosen: QuerySet[StrayNode]) -> HttpResponse | None:
        """Let a worker remove them, after one question."""
        if request.POST.get("confirmed") == "true":
            for stray in chosen:
                ask_removal(stray, by=principal_of(request))
            messages.success(request, _("A worker removes them from the cloud."))
            return None
        shared = {**self.admin_site.each_context(request), "title": _("Remove from the cloud"), "chosen": chosen}
        return TemplateResponse(request, "admin/vpn/straynode/remove.html", shared)
