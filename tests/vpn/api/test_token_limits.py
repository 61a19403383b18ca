"""What a token with limits may call: its ceiling, and the instances that it is for."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from portal.models import ApiToken, JournalEntry, Membership, Organization
from portal.models.api_token import Ceiling
from tests.access_tables import CALLS, rows
from tests.access_world import World, body_of, the_world, url_of_call  # noqa: F401 - a fixture
from tests.factories import make_client_peer, make_instance, make_site, make_site_peer
from tests.vpn.api.caller import BASE, Caller, refused, told
from vpn.models import Instance

ALL = [key for key in rows(CALLS) if key[1] != "/client" and not key[1].startswith("/router/")]
OF_ONE = [key for key in ALL if "{instance_id}" in key[1]]
# What a token limited to instances may call without naming one. A new call is not here, and so refused.
OPEN = [("GET", "/instances"), ("GET", "/servers/regions"), ("GET", "/places")]
WIDE = [key for key in ALL if key not in OF_ONE + OPEN]


def limited_to(*instances: Instance, whose: Membership, ceiling: Ceiling = Ceiling.MANAGE) -> Caller:
    """A program with a token that is limited to these instances."""
    return Caller(ApiToken.issue(whose, instances=[one.pk for one in instances], ceiling=ceiling)[1])


def asked(world: World, caller: Caller, method: str, path: str) -> Any:
    """The answer to one call about the objects of the world."""
    url = url_of_call(world, path, world.peer).removeprefix(BASE)
    return caller.call(method, url, body_of(world, method, path) if method in {"POST", "PUT"} else None)


# The ceiling ----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(("method", "path"), [key for key in ALL if key[0] != "GET"])
def test_a_token_that_reads_changes_nothing(world: World, method: str, path: str) -> None:
    caller, before = (
        Caller(ApiToken.issue(world.members["admin"], ceiling=Ceiling.READ)[1]),
        JournalEntry.objects.count(),
    )
    refused(asked(world, caller, method, path), 403, "token-reads-only")
    assert JournalEntry.objects.count() == before


@pytest.mark.django_db
@pytest.mark.parametrize(("method", "path"), [key for key in ALL if key[0] == "GET"])
def test_a_token_that_reads_reads_what_its_member_may(world: World, method: str, path: str) -> None:
    reading = {who: Caller(ApiToken.issue(world.members[who], ceiling=Ceiling.READ)[1]) for who in ("admin", "member")}
    statuses = {who: asked(world, caller, method, path).status_code for who, caller in reading.items()}
    assert statuses == {who: rows(CALLS)[method, path][who] for who in reading}


def test_head_reads_and_a_plan_counts_as_a_change(admin: Membership, instance: Instance) -> None:
    caller = Caller(ApiToken.issue(admin, ceiling=Ceiling.READ)[1])
    assert caller.call("HEAD", "/instances").status_code == 200
    refused(caller.put(f"/instances/{instance.pk}?plan=true", {"name": "New"}), 403, "token-reads-only")


def test_an_unknown_ceiling_changes_nothing(admin: Membership) -> None:
    token, text = ApiToken.issue(admin)
    ApiToken.objects.filter(pk=token.pk).update(ceiling="later")
    refused(Caller(text).post("/groups", {"name": "Sales"}), 403, "token-reads-only")


# The instances --------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(("method", "path"), OF_ONE)
def test_another_instance_is_not_there(world: World, method: str, path: str) -> None:
    caller = limited_to(make_instance(world.organization, name="Mine"), whose=world.members["admin"])
    refused(asked(world, caller, method, path), 404, "not-found")


@pytest.mark.django_db
@pytest.mark.parametrize(("method", "path"), WIDE)
def test_a_call_about_the_whole_organization_is_refused(world: World, method: str, path: str) -> None:
    caller = limited_to(world.instance, whose=world.members["admin"])
    refused(asked(world, caller, method, path), 403, "token-instances-only")


def test_lists_leave_other_instances_out(admin: Membership, instance: Instance) -> None:
    make_instance(admin.organization, name="Other")
    caller = limited_to(instance, whose=admin)
    assert [one["id"] for one in told(caller.get("/instances"), 200)] == [str(instance.pk)]
    for _, path in OPEN:
        told(caller.get(path), 200)


def test_its_own_instance_is_read_and_changed(admin: Membership, member: Membership, instance: Instance) -> None:
    caller = limited_to(instance, whose=admin)
    assert told(caller.put(f"/instances/{instance.pk}", {"name": "Renamed"}), 200)["name"] == "Renamed"
    body = {"type": "client", "protocol": "wireguard", "user_id": str(member.pk), "route_all": False}
    made = told(caller.post(f"/instances/{instance.pk}/peers", body), 201)
    assert caller.delete(f"/instances/{instance.pk}/peers/{made['id']}").status_code == 204


def test_a_peer_of_another_instance_is_not_there(admin: Membership, member: Membership, instance: Instance) -> None:
    theirs = make_client_peer(make_instance(admin.organization, name="Other"), member)
    refused(limited_to(instance, whose=admin).get(f"/instances/{instance.pk}/peers/{theirs.pk}"), 404)


def test_both_limits_hold_together(admin: Membership, instance: Instance) -> None:
    caller = limited_to(instance, whose=admin, ceiling=Ceiling.READ)
    told(caller.get(f"/instances/{instance.pk}"), 200)
    refused(caller.put(f"/instances/{instance.pk}", {"name": "New"}), 403, "token-reads-only")


def test_a_token_whose_instances_are_gone_opens_nothing(admin: Membership, instance: Instance) -> None:
    caller = Caller(ApiToken.issue(admin, instances=[uuid4()])[1])
    assert told(caller.get("/instances"), 200) == []
    refused(caller.get(f"/instances/{instance.pk}"), 404)
    refused(caller.get("/sites"), 403, "token-instances-only")


# Making one by the API ------------------------------------------------------------------------------------------------


def test_a_token_with_limits_is_made_and_listed(api: Caller, instance: Instance) -> None:
    made = told(api.post("/tokens", {"ceiling": "read", "instances": [str(instance.pk)]}), 201)
    assert (made["ceiling"], made["instances"]) == ("read", [str(instance.pk)])
    told(Caller(made["token"]).get(f"/instances/{instance.pk}"), 200)
    usual = told(api.post("/tokens", {}), 201)
    assert (usual["ceiling"], usual["instances"]) == ("manage", None)
    assert [one["ceiling"] for one in told(api.get("/tokens"), 200)] == ["manage", "read", "manage"]


@pytest.mark.parametrize("instances", [[], [str(uuid4())], ["nonsense"], "all"])
def test_wrong_instances_are_told(api: Caller, instances: object) -> None:
    assert list(refused(api.post("/tokens", {"instances": instances}), 422)["errors"]) == ["instances"]


def test_instances_of_others_are_not_there(
    api: Caller, member_api: Caller, instance: Instance, stranger: Membership
) -> None:
    theirs = make_instance(stranger.organization, name="Theirs")
    for caller, one in ((api, theirs), (member_api, instance)):
        answer = refused(caller.post("/tokens", {"instances": [str(one.pk)]}), 422)
        assert answer["errors"] == {"instances": ["There is no such instance."]}


def test_an_auditor_makes_no_token_that_changes_things(auditor: Membership) -> None:
    caller = Caller.of(auditor)
    assert list(refused(caller.post("/tokens", {"ceiling": "manage"}), 422)["errors"]) == ["ceiling"]
    assert told(caller.post("/tokens", {}), 201)["ceiling"] == "read"


# The last use ---------------------------------------------------------------------------------------------------------


def test_the_address_of_the_last_use_is_kept(admin: Membership) -> None:
    token, text = ApiToken.issue(admin)
    told(Caller(text).get("/instances"), 200)
    token.refresh_from_db()
    assert token.last_used_from == "127.0.0.1"


@pytest.mark.django_db(transaction=True)
def test_a_call_is_answered_though_its_use_cannot_be_noted(admin: Membership, caplog: pytest.LogCaptureFixture) -> None:
    token, text = ApiToken.issue(admin)

    def locked(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith('UPDATE "portal_apitoken"'):
            raise OperationalError("database is locked")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(locked), caplog.at_level(logging.WARNING):
        told(Caller(text).get("/instances"), 200)
    assert "The use of a token was not noted" in caplog.text
    token.refresh_from_db()
    assert token.last_used_at is None


def test_a_token_from_before_has_no_limits(admin: Membership, instance: Instance) -> None:
    """A row that is written without the new columns, as the former release does."""
    token, text = ApiToken.issue(admin)
    columns = "id, membership_id, name, digest, created_at, expires_at, last_used_at"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMPORARY TABLE former AS SELECT {columns} FROM portal_apitoken")  # noqa: S608
        cursor.execute("DELETE FROM portal_apitoken")
        cursor.execute(f"INSERT INTO portal_apitoken ({columns}) SELECT {columns} FROM former")  # noqa: S608
        cursor.execute("DROP TABLE former")
    token.refresh_from_db()
    assert (token.ceiling, token.instances, token.expires_at) == (Ceiling.MANAGE, None, None)
    told(Caller(text).put(f"/instances/{instance.pk}", {"name": "Renamed"}), 200)


def test_use_is_noted_at_most_once_a_minute(admin: Membership) -> None:
    token, text = ApiToken.issue(admin)
    recent = timezone.now() - timedelta(seconds=30)
    ApiToken.objects.filter(pk=token.pk).update(last_used_at=recent)
    told(Caller(text).get("/instances"), 200)
    token.refresh_from_db()
    assert token.last_used_at == recent


@pytest.mark.django_db
def test_a_site_that_other_hubs_follow_too_is_not_changed(organization: Organization, admin: Membership) -> None:
    """A site's subnets are the same on all of its instances."""
    mine, other = make_instance(organization), make_instance(organization, name="Other")
    site = make_site(organization, subnets=["10.1.0.0/24"])
    peer = make_site_peer(mine, site, ["10.1.0.0/24"])
    caller, path = limited_to(mine, whose=admin), f"/instances/{mine.pk}/peers"
    subnets = {"subnets": ["10.1.0.0/24", "10.2.0.0/24"]}
    told(caller.put(f"{path}/{peer.pk}", subnets), 200)
    make_site_peer(other, site, ["10.1.0.0/24"])
    refused(caller.put(f"{path}/{peer.pk}", {"subnets": ["10.3.0.0/24"]}), 403, "token-instances-only")
    elsewhere = make_site(organization, name="Oslo", subnets=["10.9.0.0/24"])
    make_site_peer(other, elsewhere, ["10.9.0.0/24"])
    body = {"type": "site", "protocol": "wireguard", "site_id": str(elsewhere.pk), "subnets": ["10.8.0.0/24"]}
    refused(caller.post(path, body), 403, "token-instances-only")
    elsewhere.refresh_from_db()
    assert elsewhere.subnets == ["10.9.0.0/24"]
