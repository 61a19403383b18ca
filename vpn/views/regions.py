"""What pages with a choice of regions share."""

from __future__ import annotations

from csp.decorators import csp_update
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from vpn.presenters.regions.choice import RegionChoice


def measuring(request: HttpRequest, page: HttpResponse, choice: RegionChoice) -> HttpResponseBase:
    """Let this page, and no other, fetch from the origins of the regions that it measures."""
    if not choice.origins:
        return page
    return csp_update({"connect-src": choice.origins})(lambda _: page)(request)
