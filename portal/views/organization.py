"""Which of their organizations somebody works in."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from portal.access import SESSION_KEY, home_of, mark_checked, memberships_of


@require_POST
def organization_switch(request: HttpRequest) -> HttpResponse:
    """Work in another organization from now on; 404 for one that the user does not belong to."""
    mark_checked(request)
    wanted = request.POST.get("organization", "")
    chosen = next((one for one in memberships_of(request) if str(one.organization_id) == wanted), None)
    if chosen is None:
        raise Http404
    request.session[SESSION_KEY] = wanted
    return redirect(home_of(chosen))
