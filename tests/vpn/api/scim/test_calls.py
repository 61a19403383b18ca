"""What all calls of SCIM have in common: tokens, methods, versions, the journal; and what is published."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from portal.actions.api_token import create_token
from portal.actions.group import create_group
from portal.exceptions import InvalidInput
from portal.models import ApiToken, JournalEntry, Membership, Organization, Role
from portal.models.api_token import Ceiling
from portal.models.journal import journal_id
from tests.factories import BY
from tests.journal_tables import lines_since
from tests.vpn.api.caller import Caller
from tests.vpn.api.caller import refused as refused_by_api
from tests.vpn.api.scim.directory import BASE, GROUP, USER, Directory, refused, told

pytestmark = pytest.mark.django_db
PUBLISHED = ("/ServiceProviderConfig", "/ResourceTypes", "/ResourceTypes/User", "/Schemas", f"/Schemas/{USER}")
PATHS = (*PUBLISHED, "/Users", "/Groups", "/Me", "/Bulk", "/nothing")


# Tokens ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
def test_each_call_takes_a_token_of_its_own_kind(admin: Membership, admin_browser: Client, path: str) -> None:
    nobody = Directory().get(path)
    refused(nobody, 401)
    assert nobody["WWW-Authenticate"].startswith("Bearer")
    refused(Directory("vpn_unknown").get(path), 401)
    assert admin_browser.get(BASE + path).status_code == 401
    for ceiling in (Ceiling.READ, Ceiling.MANAGE):
        assert "not for SCIM" in refused(Directory(ApiToken.issue(admin, ceiling=ceiling)[1]).get(path), 403)


def test_a_token_for_scim_does_nothing_else(directory: Directory, admin: Membership) -> None:
    api = Caller(directory.token)
    for method, path in (("GET", "/users"), ("GET", "/tokens"), ("POST", "/tokens"), ("DELETE", f"/users/{admin.pk}")):
        refused_by_api(api.call(method, path), 403, "token-scim-only")


def test_only_admins_have_such_tokens(directory: Directory, admin: Membership, auditor: Membership) -> None:
    with pytest.raises(InvalidInput, match="Only admins"):
        create_token(auditor, by=BY, ceiling=Ceiling.SCIM)
    with pytest.raises(InvalidInput, match="choose no instances"):
        create_token(admin, by=BY, ceiling=Ceiling.SCIM, instances=[])
    body = refused_by_api(Caller.of(admin).post("/tokens", {"ceiling": "scim"}), 422)
    assert list(body["errors"]) == ["ceiling"]
    told(directory.get("/Users"))
    Membership.objects.filter(pk=admin.pk).update(role=Role.MEMBER)
    assert "not an admin" in refused(directory.get("/Users"), 403)


def test_a_revoked_or_expired_token_ends_at_once(directory: Directory, admin: Membership) -> None:
    told(directory.get("/Users"))
    token = ApiToken.objects.get()
    assert token.last_used_at is not None
    ApiToken.objects.update(expires_at=token.created_at)
    assert "expired" in refused(directory.get("/Users"), 401)
    ApiToken.objects.all().delete()
    refused(directory.get("/Users"), 401)


def test_calls_are_limited_as_those_of_the_api(directory: Directory, organization: Organization, settings: Any) -> None:
    settings.API_LIMITS = {"reads": 1}
    told(directory.get("/Users"))
    answer = directory.get("/Users")
    refused(answer, 429)
    assert int(answer["Retry-After"]) > 0
    settings.API_LIMITS = {}
    Organization.objects.filter(pk=organization.pk).update(most_api_calls=1)
    assert "API calls" in refused(directory.get("/Groups"), 429)


# Methods, bodies, versions --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("DELETE", "/Users", 405),
        ("POST", "/ServiceProviderConfig", 405),
        ("GET", "/nothing", 404),
        ("GET", "/Users/7", 404),
        ("GET", "/ResourceTypes/Device", 404),
        ("GET", "/Schemas/urn:x", 404),
        ("GET", "/Schemas?filter=id%20pr", 403),
        ("GET", "/Me", 501),
        ("POST", "/Bulk", 501),
        ("POST", "/.search", 501),
        ("POST", "/Users/.search", 501),
    ],
)
def test_what_is_not_there_is_refused(directory: Directory, method: str, path: str, status: int) -> None:
    refused(directory.call(method, path), status)


def test_a_body_of_another_type_or_size_is_refused(directory: Directory) -> None:
    refused(directory.call("POST", "/Users", "userName=x", Content_Type="text/plain"), 415)
    refused(directory.call("POST", "/Users", "x" * (1024 * 1024 + 1)), 413)
    body = {"userName": "anna@example.com"}
    told(directory.call("POST", "/Users", body, Content_Type="application/json; charset=utf-8"), 201)


@pytest.mark.parametrize("kind", ["Users", "Groups"])
def test_versions_guard_against_changes_of_others(directory: Directory, kind: str) -> None:
    one = directory.user() if kind == "Users" else directory.group()
    path, version = f"/{kind}/{one['id']}", one["meta"]["version"]
    assert directory.get(path)["ETag"] == version
    assert directory.get(path, If_None_Match=version).status_code == 304
    change = {"op": "replace", "path": "displayName", "value": "Other"}
    assert directory.patch(path, change, If_Match=version).status_code in {200, 204}
    for answer in (
        directory.patch(path, change, If_Match=version),
        directory.call("PUT", path, {"userName": "x@example.com", "displayName": "x"}, If_Match=version),
        directory.call("DELETE", path, If_Match=version),
    ):
        refused(answer, 412)
    assert directory.get(path, If_None_Match=version).status_code == 200
    assert directory.call("DELETE", path, If_Match=directory.get(path)["ETag"]).status_code == 204


def test_head_is_a_get_without_its_content(directory: Directory) -> None:
    answer = directory.call("HEAD", "/Users")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer["Content-Length"] == str(len(directory.get("/Users").content))
    assert answer["Cache-Control"] == "no-store"


# The journal ----------------------------------------------------------------------------------------------------------


def test_each_act_leaves_one_line_in_the_name_of_the_token(
    directory: Directory, organization: Organization, member: Membership
) -> None:
    actor = str(ApiToken.objects.get().pk)
    group = create_group(organization, name="Sales", by=BY, provisioned=True)
    user, groups = f"/Users/{member.pk}", f"/Groups/{group.pk}"
    add = {"op": "add", "path": "members", "value": [{"value": str(member.pk)}]}
    acts: list[tuple[str, str, Any, str]] = [
        ("POST", "/Users", {"schemas": [USER], "userName": "anna@example.com", "externalId": "1"}, "member.created"),
        ("PUT", user, {"userName": member.user.email, "displayName": "Anna"}, "member.changed"),
        ("PATCH", user, {"Operations": [{"op": "replace", "path": "externalId", "value": "2"}]}, "member.changed"),
        ("PATCH", user, {"Operations": [{"op": "replace", "path": "active", "value": "False"}]}, "member.changed"),
        ("PATCH", user, {"Operations": [{"op": "replace", "path": "active", "value": "False"}]}, ""),
        ("POST", "/Groups", {"schemas": [GROUP], "displayName": "Engineers"}, "group.created"),
        ("PUT", groups, {"displayName": "Support"}, "group.changed"),
        ("PATCH", groups, {"Operations": [add]}, "group.changed"),
        ("PATCH", groups, {"Operations": [add]}, ""),
        ("DELETE", groups, None, "group.deleted"),
        ("DELETE", user, None, "member.deleted"),
        ("DELETE", user, None, ""),
        ("POST", "/Users", {"userName": "nobody"}, ""),
    ]
    for method, path, body, code in acts:
        since = journal_id()
        directory.call(method, path, body)
        assert lines_since(since) == ([(code, actor)] if code else []), (method, path)
    line = JournalEntry.objects.filter(code="member.created").latest("id")
    assert (line.actor_name, line.changes["external_id"]) == ("Entra ID", [None, "1"])


# Mail -----------------------------------------------------------------------------------------------------------------


def test_invitations_are_mailed_once_the_person_is_active(
    directory: Directory, settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    settings.EMAIL_CONFIGURED = True
    with django_capture_on_commit_callbacks(execute=True):
        first, later = directory.user("anna@example.com"), directory.user("berta@example.com", active=False)
    mailed = Membership.objects.exclude(link_mailed_at=None).values_list("pk", flat=True)
    assert {str(pk) for pk in mailed} == {first["id"]}
    with django_capture_on_commit_callbacks(execute=True):
        told(directory.patch(f"/Users/{later['id']}", {"op": "replace", "path": "active", "value": True}))
    assert Membership.objects.get(pk=later["id"]).link_mailed_at is not None


# What is published ----------------------------------------------------------------------------------------------------


def test_what_is_supported_is_published(directory: Directory) -> None:
    config = told(directory.get("/ServiceProviderConfig"))
    supported = {name: config[name]["supported"] for name in ("patch", "bulk", "filter", "sort", "etag")}
    assert supported == {"patch": True, "bulk": False, "filter": True, "sort": False, "etag": True}
    assert config["changePassword"] == {"supported": False}
    assert [one["id"] for one in told(directory.get("/ResourceTypes"))["Resources"]] == ["User", "Group"]
    schemas = told(directory.get("/Schemas"))["Resources"]
    assert [schema["id"] for schema in schemas] == [USER, GROUP]


def test_each_attribute_of_an_answer_is_published(directory: Directory) -> None:
    user = directory.user(displayName="Anna", externalId="1")
    group = directory.group(members=[user["id"]])
    user = told(directory.get(f"/Users/{user['id']}"))
    for resource, schema in ((user, USER), (group, GROUP)):
        known = {one["name"]: one for one in told(directory.get(f"/Schemas/{schema}"))["attributes"]}
        assert set(resource) - {"schemas", "id", "meta"} <= set(known)
        for name, value in resource.items():
            items = value if isinstance(value, list) else [value]
            parts = {part for item in items if isinstance(item, dict) for part in item}
            if name in known and parts:
                assert parts <= {one["name"] for one in known[name]["subAttributes"]}
