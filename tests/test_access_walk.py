"""Every page and every API call, as every role: tests/access_tables.py says what each role may do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from pytest_django import DjangoDbBlocker

from portal.actions.group import create_group
from portal.models import ApiToken, Group, Membership, Organization, Role, User
from tests import access_tables as tables
from tests.factories import (
    BY,
    an_admin,
    make_client_peer,
    make_instance,
    make_member,
    make_organization,
    make_site,
    make_site_peer,
    make_user,
    settle,
)
from tests.fixtures import signed_in
from vpn.actions.instances.move import rebuild_instance
from vpn.api.root import api
from vpn.choices import InstanceState
from vpn.models import ChangePlan, Instance, Peer, Region, Server, Site

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

PAGES = tables.rows(tables.PAGES)
PAGES_OF_ANOTHERS_PEER = tables.rows(tables.PAGES_OF_ANOTHERS_PEER)
CALLS = tables.rows(tables.CALLS)
CALLS_ABOUT_ANOTHERS_PEER = tables.rows(tables.CALLS_ABOUT_ANOTHERS_PEER)
BASE = "/api/v1/vpn"


@pytest.fixture(autouse=True)
def _no_redis(settings: LazySettings) -> None:
    """Without Redis, so that /healthz answers the same wherever the tests run."""
    settings.REDIS_URL = "unix:///nonexistent/redis.sock"


@dataclass
class World:
    """One organization with every kind of object, and a user of every role."""

    organization: Organization
    instance: Instance
    failed: Instance
    moving: Instance
    site: Site
    peer: Peer
    anothers_peer: Peer
    person: Membership
    group: Group
    plan: ChangePlan
    token: ApiToken
    members: dict[str, Membership]
    users: dict[str, User]


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    """One world for all tests: each request is rolled back. The member has a device, and so has another person."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield _build()
        transaction.set_rollback(True)


def _build() -> World:
    organization = make_organization("Acme")
    stranger = an_admin(make_organization("Other"))
    member, auditor, person = (
        make_member(organization),
        make_member(organization, Role.AUDITOR),
        make_member(organization),
    )
    admin = an_admin(organization)
    instance, site = make_instance(organization), make_site(organization)
    peer, anothers_peer = make_client_peer(instance, member), make_client_peer(instance, person)
    make_site_peer(instance, make_site(organization))
    settle(instance)
    members = {"member": member, "auditor": auditor, "admin": admin, "stranger": stranger}
    users = {role: membership.user for role, membership in members.items()}
    users["staff"] = make_user("staff@example.org", is_staff=True)
    group = create_group(organization, name="Sales", members=[person.pk], by=BY)
    failed = make_instance(organization, name="Failed", state=InstanceState.FAILED)
    elsewhere = Region.objects.create(pk="elsewhere", name="Elsewhere")
    Server.objects.create(region=elsewhere, name="Elsewhere", address="203.0.113.2")
    moving = make_instance(organization, name="Moving")
    rebuild_instance(moving, by=BY)
    plan = ChangePlan.objects.create(instance=instance, generation=1)
    token, _ = ApiToken.issue(admin)
    return World(
        organization, instance, failed, moving, site, peer, anothers_peer, person, group, plan, token, members, users
    )


def patterns(resolver: URLResolver, namespaces: tuple[str, ...] = ()) -> Iterator[tuple[str, URLPattern]]:
    """Every address of the resolver, by its full name."""
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver):
            inner = (*namespaces, entry.namespace) if entry.namespace else namespaces
            yield from patterns(entry, inner)
        else:
            yield ":".join((*namespaces, entry.name or str(entry.pattern))), entry


def api_calls() -> set[tuple[str, str]]:
    """Every call of the API: method and path, with the converters left out."""
    found = set()
    for _, router in api._routers:
        for path, view in router.path_operations.items():
            plain = re.sub(r"{\w+:", "{", path)
            found |= {(method, plain) for operation in view.operations for method in operation.methods}
    return found


def page_names() -> set[str]:
    """Every page that is not Django admin's and not a call of the API."""
    names = {name for name, _ in patterns(get_resolver())}
    calls = {f"api:{name}" for name in _operation_names()} | {"api:api-root"}
    return {name for name in names if not name.startswith("admin:")} - calls


def _operation_names() -> set[str]:
    views = [view for _, router in api._routers for view in router.path_operations.values()]
    return {operation.view_func.__name__ for view in views for operation in view.operations}


# Nothing without a row ------------------------------------------------------------------------------------------------


def test_every_page_has_a_row_for_get_and_post() -> None:
    documents = {"api:openapi-json", "api:openapi-view"}
    expected = {("GET", name) for name in page_names()} | {("POST", name) for name in page_names() - documents}
    assert set(PAGES) == expected


def test_every_api_call_has_a_row() -> None:
    assert set(CALLS) == api_calls()


def test_everything_about_one_peer_has_a_row_for_another_members_peer() -> None:
    about_peers = {key for key in CALLS if "{peer_id}" in key[1]}
    assert set(CALLS_ABOUT_ANOTHERS_PEER) == about_peers
    pages = {key for key in PAGES if re.fullmatch(r"peer(_\w+)?", key[1])} - {("POST", "peer")}
    assert set(PAGES_OF_ANOTHERS_PEER) == pages


# The pages ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "name"), PAGES)
def test_page(world: World, method: str, name: str) -> None:
    assert _page_statuses(world, method, name, world.peer) == PAGES[method, name]


@pytest.mark.parametrize(("method", "name"), PAGES_OF_ANOTHERS_PEER)
def test_page_of_another_members_peer(world: World, method: str, name: str) -> None:
    expected = PAGES_OF_ANOTHERS_PEER[method, name]
    assert _page_statuses(world, method, name, world.anothers_peer) == expected


def _page_statuses(world: World, method: str, name: str, peer: Peer) -> dict[str, int]:
    url = _url_of(world, name, peer)
    data = _form_of(world, name) if method == "POST" else None
    return {role: _ask_as(world, role, method, url, data) for role in tables.ROLES}


def _ask_as(world: World, role: str, method: str, url: str, data: dict[str, Any] | None) -> int:
    """One request in a transaction of its own, undone afterwards."""
    with transaction.atomic():
        browser = signed_in(world.users[role]) if role in world.users else Client()
        status = _send(browser, method, url, data)
        transaction.set_rollback(True)
    return status


def _send(browser: Client, method: str, url: str, data: dict[str, Any] | None) -> int:
    response = browser.post(url, data or {}) if method == "POST" else browser.get(url)
    return response.status_code


def _url_of(world: World, name: str, peer: Peer) -> str:
    if name == "api-nothing-here":
        return "/api/v1/vpn/nothing-here"
    if name == "account_reset_password_from_key":
        return reverse(name, args=["0", "nonsense"])
    if name in {"account_link", "shared_profile"}:
        return reverse(name, args=["nonsense"])
    subjects: dict[str, Any] = {
        "instance_retry": world.failed,
        "instance_cancel": world.moving,
        "client_peer_new": world.instance,
        "site_peer_new": world.instance,
        "instance": world.instance,
        "peer": peer,
        "site": world.site,
        "person": world.person,
        "group": world.group,
        "plan": world.plan,
    }
    entry = next(entry for full, entry in patterns(get_resolver()) if full == name)
    if "pk" not in entry.pattern.converters:
        return reverse(name)
    subject = subjects.get(name) or subjects[name.partition("_")[0]]
    return reverse(name, args=[subject.pk])


def _form_of(world: World, name: str) -> dict[str, Any]:
    """What the page's own form would send; the others need nothing."""
    forms: dict[str, dict[str, Any]] = {
        "organization_switch": {"organization": str(world.organization.pk)},
        "organization_settings": {"name": "Acme GmbH"},
        "person_new": {"email": "new@example.org", "name": "", "role": "member"},
        "person": {"name": "Anna", "role": "auditor", "active": "true"},
        "group_new": {"name": "Support"},
        "group": {"name": "Support", "members": [str(world.person.pk)]},
        "instance_new": {"name": "Paris", "hostname": "paris", "region": "local", "pool_prefix": "20"},
        "instance_routing": {"pushed_routes": "192.0.2.0/24"},
        "instance_dns": {"public_dns": "9.9.9.9"},
        "instance_settings": {"name": "Renamed", "mtu": "1400"},
        "instance_move": {"region": "elsewhere"},
        "instance_delete": {"confirm": "true", "name": world.instance.name},
        "client_peer_new": {
            "user_id": str(world.person.pk),
            "device": "phone",
            "route_all": "false",
            "protocol": "wireguard",
        },
        "site_peer_new": {"site_id": str(world.site.pk), "subnets": "10.77.0.0/24", "protocol": "wireguard"},
        "peer_edit": {"device": "tablet", "route_all": "true"},
        "site_new": {"name": "Oslo", "platform": "linux", "subnets": ""},
        "site": {"name": "Renamed", "platform": "linux", "subnets": ""},
    }
    return forms.get(name, {})


# The API --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_call(world: World, method: str, path: str) -> None:
    assert _call_statuses(world, method, path, world.peer) == CALLS[method, path]


@pytest.mark.parametrize(("method", "path"), CALLS_ABOUT_ANOTHERS_PEER)
def test_call_about_another_members_peer(world: World, method: str, path: str) -> None:
    expected = CALLS_ABOUT_ANOTHERS_PEER[method, path]
    assert _call_statuses(world, method, path, world.anothers_peer) == expected


def _call_statuses(world: World, method: str, path: str, peer: Peer) -> dict[str, int]:
    instances = {"retry": world.failed, "cancel": world.moving}
    instance = instances.get(path.rpartition("/")[2], world.instance)
    url = BASE + path.format(
        instance_id=instance.pk,
        peer_id=peer.pk,
        site_id=world.site.pk,
        user_id=world.person.pk,
        group_id=world.group.pk,
        token_id=world.token.pk,
    )
    return {role: _call_as(world, role, method, url, _body_of(world, method, path)) for role in tables.ROLES}


def _call_as(world: World, role: str, method: str, url: str, body: dict[str, Any]) -> int:
    with transaction.atomic():
        program = signed_in(world.users[role]) if role == "staff" else Client()
        headers = {}
        if role in world.members:
            _, token = ApiToken.issue(world.members[role])
            headers["Authorization"] = f"Bearer {token}"
        response = getattr(program, method.lower())(
            url, body if method in {"POST", "PUT"} else None, content_type="application/json", headers=headers
        )
        transaction.set_rollback(True)
    status: int = response.status_code
    return status


def _body_of(world: World, method: str, path: str) -> dict[str, Any]:
    bodies: dict[tuple[str, str], dict[str, Any]] = {
        ("POST", "/instances"): {"name": "Paris", "hostname": "paris", "region": "local"},
        ("PUT", "/instances/{instance_id}"): {"name": "Renamed"},
        ("POST", "/instances/{instance_id}/move"): {"region": "elsewhere"},
        ("POST", "/instances/{instance_id}/peers"): {
            "type": "client",
            "protocol": "wireguard",
            "user_id": str(world.person.pk),
            "route_all": False,
        },
        ("PUT", "/instances/{instance_id}/peers/{peer_id}"): {"device": "tablet"},
        ("POST", "/sites"): {"name": "Oslo", "platform": "linux", "subnets": []},
        ("PUT", "/sites/{site_id}"): {"name": "Renamed"},
        ("POST", "/users"): {"email": "new@example.org", "role": "member"},
        ("PUT", "/users/{user_id}"): {"role": "auditor"},
        ("POST", "/groups"): {"name": "Support"},
        ("PUT", "/groups/{group_id}"): {"name": "Support"},
    }
    return bodies.get((method, path), {})


# Django admin ---------------------------------------------------------------------------------------------------------


def test_django_admin_is_for_staff_alone(world: World) -> None:
    """Every page of Django admin: other roles get no page of it, whatever the address."""
    for name, entry in patterns(get_resolver()):
        if not name.startswith("admin:") or name in {"admin:login", "admin:logout"}:
            continue
        url = _admin_url(name, entry)
        for role in ("anonymous", "member", "admin", "stranger"):
            for method in ("GET", "POST"):
                status = _ask_as(world, role, method, url, None)
                assert status in {302, 403, 404, 405}, (name, method, role, status)


def test_staff_reach_the_lists_of_django_admin(world: World) -> None:
    names = [name for name, _ in patterns(get_resolver()) if name.endswith("_changelist") and "_rq_" not in name]
    assert len(names) > 5
    for name in names:
        assert _ask_as(world, "staff", "GET", reverse(name), None) == 200, name


def _admin_url(name: str, entry: URLPattern) -> str:
    """Any address that the pattern matches."""
    route = str(entry.pattern)
    prefix = "/admin/"
    for match in re.finditer(r"^admin:(portal|vpn)_([a-z]+)_", name):
        prefix = f"/admin/{match[1]}/{match[2]}/"
    filled = re.sub(r"<(\w+):\w+>", lambda found: "1" if found[1] in {"int", "str"} else "x", route)
    return prefix + re.sub(r"[\^$?]|\(.*\)", "", filled)


def test_a_cookie_is_not_a_token(world: World) -> None:
    with transaction.atomic():
        assert signed_in(world.users["admin"]).get(f"{BASE}/instances").status_code == 401
        transaction.set_rollback(True)
