"""Refusals have one form, wherever they come from."""

from __future__ import annotations

import json
import sqlite3
from datetime import timedelta

import pytest
from django.db import IntegrityError, OperationalError
from django.test import Client
from django.utils import timezone

from portal.models import ApiToken, Membership, MembershipState
from tests.vpn.api.caller import BASE, Caller, refused, told
from vpn.models import Instance, Region

pytestmark = pytest.mark.both_databases


def test_a_body_that_is_not_json_is_refused(api: Caller, region: Region) -> None:
    for body in ("", "{", "nope", '{"name": NaN}', b"\xff\xfe", "[" * 100_000):
        refused(api.post("/instances", body), 400, "not-json")


def test_a_body_that_is_no_object_is_refused(api: Caller, region: Region) -> None:
    for body in ("[]", "null", '"text"', "7"):
        assert list(refused(api.post("/instances", body), 422)["errors"]) == ["body"]


def test_another_content_type_is_refused(api: Caller, region: Region) -> None:
    for content_type in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"):
        refused(api.call("POST", "/instances", "name=x", Content_Type=content_type), 415)


def test_a_large_body_is_refused(api: Caller, region: Region) -> None:
    refused(api.post("/instances", " " * (1024 * 1024 + 1)), 413)
    refused(api.post("/instances", " " * (1024 * 1024)), 400)


def test_another_method_is_refused(api: Caller, instance: Instance) -> None:
    response = api.call("PATCH", f"/instances/{instance.pk}")
    refused(response, 405)
    assert set(response["Allow"].split(", ")) == {"GET", "PUT", "DELETE"}


@pytest.mark.parametrize("path", ["/api/", "/api/v1/", "/api/v2/vpn/instances", "/api/v1/vpn", f"{BASE}/instances/"])
def test_what_is_not_there_is_told_as_json(client: Client, path: str) -> None:
    for method in ("GET", "POST"):
        refused(client.generic(method, path), 404)


def test_an_unexpected_fault_tells_nothing(
    api: Caller, instance: Instance, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_args: object) -> None:
        raise RuntimeError("some detail")

    monkeypatch.setattr("vpn.api.resources.instances.get_instance", fail)
    api.client.raise_request_exception = False
    response = api.get(f"/instances/{instance.pk}")
    refused(response, 500, "internal-error")
    assert "some detail" not in response.content.decode()
    assert "some detail" in caplog.text


def test_a_busy_database_asks_for_patience(api: Caller, instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    cause = sqlite3.OperationalError("database is locked")
    cause.sqlite_errorcode = sqlite3.SQLITE_BUSY

    def fail(*_args: object) -> None:
        raise OperationalError("database is locked") from cause

    monkeypatch.setattr("vpn.api.resources.instances.get_instance", fail)
    response = api.get(f"/instances/{instance.pk}")
    refused(response, 503, "database-busy")
    assert response["Retry-After"] == "2"


def test_a_full_disk_is_not_called_busy(api: Caller, instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object) -> None:
        raise OperationalError("database or disk is full")

    monkeypatch.setattr("vpn.api.resources.instances.get_instance", fail)
    refused(api.get(f"/instances/{instance.pk}"), 503, "database-failed")


@pytest.mark.parametrize(("fault", "status"), [(IntegrityError, 409), (Instance.DoesNotExist, 404)])
def test_a_call_that_crosses_another_is_told_so(
    api: Caller, instance: Instance, monkeypatch: pytest.MonkeyPatch, fault: type[Exception], status: int
) -> None:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise fault

    monkeypatch.setattr("vpn.api.resources.instances.delete_instance", fail)
    refused(api.delete(f"/instances/{instance.pk}"), status)


def test_answers_are_kept_by_no_cache(api: Caller, instance: Instance) -> None:
    for path in (f"/instances/{instance.pk}", "/nothing"):
        assert api.get(path)["Cache-Control"] == "no-store"


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi", "Token x"])
def test_no_token_is_refused(db: None, header: str) -> None:
    response = Caller().get("/instances", Authorization=header)
    refused(response, 401, "token-missing")
    assert response["WWW-Authenticate"].startswith("Bearer")


def test_a_wrong_token_is_refused(db: None) -> None:
    response = Caller("vpn_wrong").get("/instances")
    refused(response, 401, "token-invalid")
    assert 'error="invalid_token"' in response["WWW-Authenticate"]


@pytest.mark.parametrize("state", [MembershipState.INVITED, MembershipState.DEACTIVATED])
def test_a_token_works_for_active_members_alone(api: Caller, admin: Membership, state: str) -> None:
    Membership.objects.filter(pk=admin.pk).update(state=state)
    refused(api.get("/instances"), 401, "token-invalid")


def test_a_token_ends_with_its_account(api: Caller, admin: Membership) -> None:
    admin.user.is_active = False
    admin.user.save()
    refused(api.get("/instances"), 401, "token-invalid")


def test_the_use_of_a_token_is_noted_once_a_minute(api: Caller, admin: Membership) -> None:
    told(api.get("/instances"), 200)
    token = ApiToken.objects.get(membership=admin)
    assert token.last_used_at is not None
    first = token.last_used_at
    told(api.get("/instances"), 200)
    token.refresh_from_db()
    assert token.last_used_at == first
    ApiToken.objects.filter(pk=token.pk).update(last_used_at=timezone.now() - timedelta(seconds=61))
    told(api.get("/instances"), 200)
    token.refresh_from_db()
    assert token.last_used_at > first


def test_the_message_names_where_to_read_more(api: Caller, db: None) -> None:
    body = json.loads(api.get("/nothing").content)
    assert body["doc_url"] == "http://localhost:8000/api/v1/docs"
