"""Which profile is this? The browser digests a file, and asks with the digests alone."""

from __future__ import annotations

import re
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from portal.access import get_member
from vpn.presenters.profiles.page import never_stored
from vpn.presenters.profiles.which import Digests, find_profile

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


@require_http_methods(["GET", "HEAD", "POST"])
def which_profile(request: HttpRequest) -> HttpResponse:
    """GET takes a file; POST answers its digests with a part of the page."""
    member = get_member(request)
    if request.method != "POST":
        return render(request, "vpn/profiles/which.html")
    sent = [request.POST.get(name, "") for name in ("mark", "digest", "host")]
    if not all(map(_DIGEST.fullmatch, sent)):
        return HttpResponse(_("Send three digests."), status=422, content_type="text/plain; charset=utf-8")
    answer = find_profile(member, Digests(*sent))
    return never_stored(render(request, "vpn/profiles/which_answer.html", {"answer": answer}))
