"""What each role may call: every call of the API has its row here."""

from __future__ import annotations

import json
from typing import NamedTuple

import pytest
from django.urls import URLPattern, URLResolver

from portal.actions.group import create_group
from portal.actions.member import remove_member
from portal.models import ApiToken, Membership
from tests.factories import BY, make_member
from tests.vpn.api.caller import Caller
from vpn.api import root, urls
from vpn.models import Peer, Site


class Call(NamedTuple):
    """One call, and the statuses that it has for an auditor, a member, and another organization's admin."""

    method: str
    path: str
    auditor: int
    member: int
    stranger: int


INSTANCE = "/instances/{instance}"
PEER = INSTANCE + "/peers/{peer}"
CALLS = (
    Call("GET", "/servers/regions", 200, 200, 200),
    Call("GET", "/places", 200, 200, 200),
    Call("GET", "/site/{site}/subnets", 200, 403, 404),
    Call("GET", "/instances", 200, 403, 200),
    Call("POST", "/instances", 403, 403, 400),
    Call("GET", INSTANCE, 200, 403, 404),
    Call("PUT", INSTANCE, 403, 403, 404),
    Call("DELETE", INSTANCE, 403, 403, 404),
    Call("POST", INSTANCE + "/retry", 403, 403, 404),
    Call("POST", INSTANCE + "/move", 403, 403, 404),
    Call("POST", INSTANCE + "/rebuild", 403, 403, 404),
    Call("POST", INSTANCE + "/cancel", 403, 403, 404),
    Call("GET", INSTANCE + "/operations", 200, 403, 404),
    Call("GET", INSTANCE + "/bandwidth", 200, 403, 404),
    Call("POST", INSTANCE + "/confirm", 403, 403, 404),
    Call("POST", INSTANCE + "/return", 403, 403, 404),
    Call("GET", "/connections", 200, 403, 200),
    Call("GET", INSTANCE + "/connections", 200, 403, 404),
    Call("GET", INSTANCE + "/revisions", 200, 403, 404),
    Call("GET", INSTANCE + "/revisions/{number}", 200, 403, 404),
    Call("GET", INSTANCE + "/revisions/{number}/difference", 200, 403, 404),
    Call("POST", INSTANCE + "/revisions/{number}/return", 403, 403, 404),
    Call("GET", INSTANCE + "/peers", 200, 403, 404),
    Call("POST", INSTANCE + "/peers", 403, 403, 404),
    Call("GET", PEER, 200, 404, 404),
    Call("PUT", PEER, 403, 404, 404),
    Call("DELETE", PEER, 403, 404, 404),
    Call("GET", PEER + "/token", 403, 404, 404),
    Call("POST", PEER + "/token", 403, 404, 404),
    Call("POST", PEER + "/token/mail", 403, 404, 404),
    Call("DELETE", PEER + "/token", 403, 404, 404),
    Call("POST", PEER + "/enrolment", 403, 404, 404),
    Call("GET", PEER + "/formats", 200, 404, 404),
    Call("POST", PEER + "/rotate", 403, 404, 404),
    Call("GET", "/sites", 200, 403, 200),
    Call("POST", "/sites", 403, 403, 400),
    Call("GET", "/sites/{site}", 200, 403, 404),
    Call("PUT", "/sites/{site}", 403, 403, 404),
    Call("DELETE", "/sites/{site}", 403, 403, 404),
    Call("GET", "/users", 200, 403, 200),
    Call("POST", "/users", 403, 403, 400),
    Call("GET", "/users/{user}", 200, 404, 404),
    Call("PUT", "/users/{user}", 403, 404, 404),
    Call("DELETE", "/users/{user}", 403, 404, 404),
    Call("GET", "/groups", 200, 403, 200),
    Call("POST", "/groups", 403, 403, 400),
    Call("GET", "/groups/{group}", 200, 403, 404),
    Call("PUT", "/groups/{group}", 403, 403, 404),
    Call("DELETE", "/groups/{group}", 403, 403, 404),
    Call("GET", "/events", 200, 403, 200),
    Call("GET", "/receipts", 200, 403, 200),
    Call("GET", "/receipts/{receipt}", 200, 403, 404),
    Call("GET", "/tokens", 200, 200, 200),
    Call("POST", "/tokens", 400, 400, 400),
    Call("DELETE", "/tokens/{token}", 404, 404, 404),
)
# Looked at in test_client.py and test_routers.py: a share token, or a router's, is its own right.
APART = {("GET", "/client"), ("GET", "/router/script"), ("POST", "/router/enrol"), ("POST", "/router/check-in")}


@pytest.fixture
def ids(site_peer: Peer, site: Site, auditor: Membership, admin: Membership) -> dict[str, str]:
    """What the calls are about: none of it the plain member's own."""
    return {
        "instance": str(site_peer.instance_id),
        "peer": str(site_peer.pk),
        "site": str(site.pk),
        "user": str(auditor.pk),
        "group": str(create_group(auditor.organization, name="Sales", by=BY).pk),
        "number": "1",
        "token": str(ApiToken.issue(admin)[0].pk),
        "receipt": str(remove_member(make_member(auditor.organization), by=BY).pk),
    }


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.method} {call.path}")
def test_a_call_answers_each_role_as_it_should(
    call: Call,
    ids: dict[str, str],
    auditor_api: Caller,
    member_api: Caller,
    stranger_api: Caller,
) -> None:
    path = call.path.format(**ids)
    answered = [caller.call(call.method, path).status_code for caller in (auditor_api, member_api, stranger_api)]
    assert answered == [call.auditor, call.member, call.stranger]
    nobody = Caller().call(call.method, path)
    assert (nobody.status_code, json.loads(nobody.content)["code"]) == (401, "token-missing")
    assert nobody["WWW-Authenticate"].startswith("Bearer")


def test_every_call_has_its_row() -> None:
    rows = {(call.method, call.path.replace("{", "").replace("}", "")) for call in CALLS} | APART
    found = set()
    for path, operations in root.api.get_openapi_schema()["paths"].items():
        short = path.removeprefix("/api/v1/vpn").replace("{", "").replace("}", "").replace("_id", "")
        found |= {(method.upper(), short) for method in operations}
    assert found == rows


def test_no_view_wants_a_session() -> None:
    mounted = urls.urlpatterns[0]
    assert isinstance(mounted, URLResolver)
    found = [*mounted.url_patterns, *urls.urlpatterns]
    views = [pattern.callback for pattern in found if isinstance(pattern, URLPattern)]
    assert len(views) > len(CALLS) / 2
    for view in views:
        assert getattr(view, "login_required", True) is False


def test_a_member_reads_and_shares_their_own_peer(member_api: Caller, client_peer: Peer, member: Membership) -> None:
    path = f"/instances/{client_peer.instance_id}/peers/{client_peer.pk}"
    statuses = {
        "read": member_api.get(path).status_code,
        "share": member_api.post(f"{path}/token").status_code,
        "revoke": member_api.delete(f"{path}/token").status_code,
        "change": member_api.put(path, {"device": "mine"}).status_code,
        "rotate": member_api.post(f"{path}/rotate").status_code,
        "delete": member_api.delete(path).status_code,
        "themselves": member_api.get(f"/users/{member.pk}").status_code,
        "their role": member_api.put(f"/users/{member.pk}", {"role": "admin"}).status_code,
    }
    assert statuses == {
        "read": 200,
        "share": 201,
        "revoke": 204,
        "change": 403,
        "rotate": 403,
        "delete": 403,
        "themselves": 200,
        "their role": 403,
    }


def test_a_cookie_is_no_token(admin_browser: object, instance: object) -> None:
    from django.test import Client

    assert isinstance(admin_browser, Client)
    assert admin_browser.get("/api/v1/vpn/instances").status_code == 401
