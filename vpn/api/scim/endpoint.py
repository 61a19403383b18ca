"""What all calls of SCIM have in common: the token, the methods, refusals, versions."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from portal.models import Membership
from vpn.api.protocol.auth import ScimTokenAuth
from vpn.api.protocol.bodies import is_too_large
from vpn.api.scim.faults import Fault, answer, refusal, refusal_of
from vpn.api.scim.lists import Shown

BASE: Final = "/scim/v2"
_AUTH: Final = ScimTokenAuth()
View = Callable[..., HttpResponse]


def endpoint(handlers: Mapping[str, View]) -> View:
    """A view of SCIM: no session, no cookie, every refusal in its form."""

    def view(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        try:
            response = _answer(request, handlers, kwargs)
        except Exception as error:  # noqa: BLE001 - all are answered, and what is unexpected is logged
            response = refusal_of(request, error)
        if request.method == "HEAD":
            response["Content-Length"] = str(len(response.content))
            response.content = b""
        response["Cache-Control"] = "no-store"
        return response

    view.csrf_exempt = True  # type: ignore[attr-defined]
    view.login_required = False  # type: ignore[attr-defined]
    return view


def caller(request: HttpRequest) -> Membership:
    """The admin whose token calls."""
    member: Membership = request.auth  # type: ignore[attr-defined]
    return member


def location(kind: str, pk: object) -> str:
    """The address of a resource."""
    return f"{settings.PUBLIC_URL}{BASE}/{kind}/{pk}"


def with_meta(resource: Mapping[str, Any], kind: str, *, created: str, is_whole: bool = True) -> dict[str, Any]:
    """A resource with its `meta`; a version only of a whole one."""
    meta = {"resourceType": kind, "created": created, "location": location(f"{kind}s", resource["id"])}
    if is_whole:
        digest = hashlib.sha256(json.dumps(resource, sort_keys=True).encode()).hexdigest()
        meta["version"] = f'W/"{digest[:32]}"'
    return {**resource, "meta": meta}


def one(request: HttpRequest, resource: Mapping[str, Any], status: int = 200) -> HttpResponse:
    """The answer with one resource; 304 if the caller has this version."""
    meta = resource["meta"]
    headers = {"Location": meta["location"], **({"ETag": meta["version"]} if "version" in meta else {})}
    known = request.headers.get("If-None-Match")
    if known is not None and request.method in {"GET", "HEAD"} and _names_version(known, meta):
        return HttpResponse(status=304, headers=headers)
    return answer(Shown(request).of(resource), status, headers)


def refuse_stale(request: HttpRequest, show: Callable[[], Mapping[str, Any]]) -> None:
    """Raise the fault (412) if the caller sent If-Match with another version than the present one."""
    wanted = request.headers.get("If-Match")
    if wanted is not None and not _names_version(wanted, show()["meta"]):
        raise Fault(412, "", "This was changed meanwhile. Read it again, then send the change again.")


def _names_version(header: str, meta: Mapping[str, Any]) -> bool:
    # RFC 7644 compares weak versions as well (3.14).
    digests = re.findall(r'(?:W/)?"([^"]*)"', header)
    return header.strip() == "*" or meta.get("version", "").removeprefix("W/").strip('"') in digests


def _answer(request: HttpRequest, handlers: Mapping[str, View], kwargs: Mapping[str, Any]) -> HttpResponse:
    if is_too_large(request):
        return refusal(413, "", "The body is larger than 1 MB.")
    request.auth = _AUTH(request)  # type: ignore[attr-defined]
    method = "GET" if request.method == "HEAD" else str(request.method)
    if method not in handlers:
        allowed = {"Allow": ", ".join(handlers)}
        return refusal(405, "", "This does not take that method; see Allow.", allowed)
    return handlers[method](request, **kwargs)
