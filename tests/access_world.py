"""One organization with every kind of object, and what each page and API call is sent there.

For tests that walk over all pages and calls.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import transaction
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone
from pytest_django import DjangoDbBlocker

from portal.actions.group import create_group
from portal.models import ApiToken, Cause, Group, Membership, Organization, Receipt, Role, SignInProvider, User
from portal.models.journal import journal_id
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
from tests.portal.providers import a_provider
from vpn.actions.instances.move import rebuild_instance
from vpn.actions.instances.settings import update_instance
from vpn.api.root import api
from vpn.choices import InstanceState
from vpn.models import ChangePlan, Instance, Peer, Region, Revision, Server, Site

BASE = "/api/v1/vpn"
# RFC 6761: no name server has an address for it.
NOWHERE = "https://login.invalid"


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
    provider: SignInProvider
    revision: Revision
    receipt: Receipt
    members: dict[str, Membership]
    users: dict[str, User]


@pytest.fixture(scope="module", name="world")
def the_world(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    """One world for all tests: each request is rolled back. The member has a device, and so has another person."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield build_world()
        transaction.set_rollback(True)


def build_world() -> World:
    """The world, in the present transaction."""
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
    update_instance(instance, mtu=1300, members_add_devices=True, by=BY)
    settle(instance)
    operator = make_member(organization, Role.OPERATOR, instance_ids=[str(instance.pk)])
    members = {"member": member, "operator": operator, "auditor": auditor, "admin": admin, "stranger": stranger}
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
    revision = instance.revisions.get(number=1)
    # Switched off, and where the portal does not read: the walk asks no network.
    provider = a_provider(organization, enabled=False)
    SignInProvider.objects.update(issuer=NOWHERE, tried_at=timezone.now())
    return World(
        organization,
        instance,
        failed,
        moving,
        site,
        peer,
        anothers_peer,
        person,
        group,
        plan,
        token,
        provider,
        revision,
        _receipt(person),
        members,
        users,
    )


def _receipt(person: Membership) -> Receipt:
    """As if a role had been taken from a person."""
    return Receipt.objects.create(
        id=journal_id(),
        organization=person.organization,
        person_id=person.pk,
        name=person.label,
        email=person.user.email,
        cause=Cause.ROLE_CHANGED,
        former_role=Role.ADMIN,
        role=person.role,
        created_at=person.created_at,
        asked_by=BY.document(),
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


def url_of(world: World, name: str, peer: Peer) -> str:
    """The address of a page, about the objects of the world."""
    if name == "api-nothing-here":
        return "/api/v1/vpn/nothing-here"
    if name == "account_reset_password_from_key":
        return reverse(name, args=["0", "nonsense"])
    if name in {"account_link", "import_profile", "shared_profile", "scim_type", "scim_schema"}:
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
        "token": world.token,
        "provider_return": world.provider,
        # It speaks OpenID Connect: these are not there.
        "provider_answer": world.provider,
        "provider_metadata": world.provider,
        "provider_connect": world.members["member"],
        "provider_disconnect": world.members["member"],
        "revision": world.revision,
        "receipt": world.receipt,
        "scim_user": world.person,
        "scim_group": world.group,
        # Nobody's of these roles.
        "session": world.plan,
        "mfa": SimpleNamespace(pk=1),
    }
    entry = next(entry for full, entry in patterns(get_resolver()) if full == name)
    if "slug" in entry.pattern.converters:
        return reverse(name, args=[world.organization.slug])
    if "pk" not in entry.pattern.converters:
        return reverse(name)
    subject = subjects.get(name) or subjects[name.partition("_")[0]]
    return reverse(name, args=[subject.pk])


def form_of(world: World, name: str) -> dict[str, Any]:
    """What the page's own form would send; the others need nothing."""
    forms: dict[str, dict[str, Any]] = {
        "organization_switch": {"organization": str(world.organization.pk)},
        "organization_settings": {"name": "Acme GmbH"},
        "provider_switch": {"enabled": "true"},
        "provider_settings": {"name": "Renamed", "issuer": NOWHERE, "client_id": "the-portal"},
        "person_new": {"email": "new@example.org", "name": "", "role": "member"},
        "people_invite": {"lines": "new@example.org", "role": "member"},
        "person": {"name": "Anna", "role": "auditor", "active": "true"},
        "group_new": {"name": "Support"},
        "group": {"name": "Support", "members": [str(world.person.pk)]},
        "instance_new": {"name": "Paris", "hostname": "paris", "region": "local", "pool_prefix": "20"},
        "instance_firewall": {"firewall_policy": "deny"},
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
        "my_device_new": {"device": "phone", "route_all": "false", "protocol": "wireguard"},
        "peer_rename": {"device": "tablet"},
        "site_peer_new": {"site_id": str(world.site.pk), "subnets": "192.168.77.0/24", "protocol": "wireguard"},
        "which_profile": {"mark": "0" * 64, "digest": "1" * 64, "host": "2" * 64},
        "peer_edit": {"device": "tablet", "route_all": "true"},
        "site_new": {"name": "Oslo", "platform": "linux", "subnets": ""},
        "site": {"name": "Renamed", "platform": "linux", "subnets": ""},
    }
    return forms.get(name, {})


def url_of_call(world: World, path: str, peer: Peer) -> str:
    """The address of a call of the API, with the ids that it is about."""
    instances = {"retry": world.failed, "cancel": world.moving}
    instance = instances.get(path.rpartition("/")[2], world.instance)
    return BASE + path.format(
        instance_id=instance.pk,
        peer_id=peer.pk,
        site_id=world.site.pk,
        user_id=world.person.pk,
        group_id=world.group.pk,
        token_id=world.token.pk,
        receipt_id=world.receipt.pk,
        number=1,
    )


def body_of(world: World, method: str, path: str) -> dict[str, Any]:
    """What a call of the API is sent."""
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
