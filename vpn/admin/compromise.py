"""The page on which staff report a server as compromised, and follow what becomes of its hubs."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.exceptions import Conflict, InvalidInput
from vpn.actions.servers.compromise import refuse_uncompromisable, report_compromised
from vpn.admin.base import ReadOnly, principal_of
from vpn.choices import ServerState
from vpn.models import Server
from vpn.presenters.compromise import hub_lines, plan_lines, profiles_as_csv


class CompromisePages(ReadOnly):
    """Adds the page, and the list of profiles, to the pages of servers."""

    def get_urls(self) -> list[URLPattern]:
        """Theirs before Django's, which would take the last part for a key."""
        view = self.admin_site.admin_view
        return [
            path("<uuid:pk>/compromised/", view(self.compromised), name="vpn_server_compromised"),
            path("<uuid:pk>/compromised.csv", view(self.concerned), name="vpn_server_concerned"),
            *super().get_urls(),
        ]

    @admin.display(description=gettext_lazy("compromised"))
    def compromise(self, server: Server) -> str:
        """A link to the page."""
        words = _("what becomes of its hubs") if server.state == ServerState.COMPROMISED else _("report it…")
        return format_html('<a href="{}">{}</a>', reverse("admin:vpn_server_compromised", args=[server.pk]), words)

    def compromised(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """GET shows the plan, or how far the hubs are; POST reports the server, with its name typed."""
        server = self._server(request, pk)
        fault = ""
        if request.method == "POST":
            try:
                report_compromised(
                    server,
                    request.POST.get("name", ""),
                    with_former="without_former" not in request.POST,
                    by=principal_of(request),
                )
            except InvalidInput as refusal:
                fault = refusal.errors["name"][0]
            except Conflict as refusal:
                messages.error(request, refusal.message)
                return HttpResponseRedirect(request.path)
            else:
                messages.success(
                    request, _("%(server)s is trusted no more. Its hubs get new keys.") % {"server": server}
                )
                return HttpResponseRedirect(request.path)
        is_reported = server.state == ServerState.COMPROMISED
        lines = hub_lines(server)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Compromised: %(server)s") % {"server": server.name},
            "server": server,
            "is_reported": is_reported,
            "lines": lines,
            "has_former": any(line.is_former for line in lines),
            "plan": [] if is_reported else plan_lines(server),
            "refusal": "" if is_reported else _refusal(server),
            "fault": fault,
        }
        return TemplateResponse(request, "admin/vpn/server/compromised.html", context, status=422 if fault else 200)

    def concerned(self, request: HttpRequest, pk: Any) -> StreamingHttpResponse:
        """The profiles concerned, as CSV."""
        server = self._server(request, pk)
        answer = StreamingHttpResponse(profiles_as_csv(server), content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = f'attachment; filename="profiles-{server.pk}.csv"'
        return answer

    def _server(self, request: HttpRequest, pk: Any) -> Server:
        if not request.user.has_perm("vpn.change_server"):
            raise PermissionDenied
        return get_object_or_404(Server.objects.select_related("region"), pk=pk)


def _refusal(server: Server) -> str:
    """Why the server cannot be reported; "" if it can."""
    try:
        refuse_uncompromisable(server)
    except Conflict as refusal:
        return refusal.message
    return ""
