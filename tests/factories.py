"""Rows for tests, made by the same actions as in life wherever there is one."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from django.utils import timezone

from portal.actions.organization import create_organization
from portal.models import Membership, MembershipState, Organization, Principal, Role, User
from vpn.actions.activity.plan_work import work_out_next
from vpn.actions.instances.instance import create_instance
from vpn.actions.peers.peer import create_client_peer, create_site_peer
from vpn.actions.sites.site import create_site
from vpn.choices import InstanceState, OperationState
from vpn.models import (
    FirewallRule,
    Instance,
    InstanceObservation,
    Operation,
    Peer,
    PeerObservation,
    Region,
    RuleObservation,
    Server,
    Site,
)
from vpn.needs import proofs_of_all, reachable_in

PASSWORD = "correct horse battery"
# Who acts where a test does not care.
BY = Principal.portal("a test")
_numbers = itertools.count(1)


def make_user(
    email: str = "",
    *,
    password: str | None = PASSWORD,
    name: str = "",
    is_staff: bool = False,
    proven: bool | None = None,
) -> User:
    """An account; staff are superusers. Who has a password is taken to have proven the address."""
    address = email or f"person{next(_numbers)}@example.org"
    known = password is not None if proven is None else proven
    return User.objects.create_user(
        address, password, name=name, is_staff=is_staff, is_superuser=is_staff, proven=known
    )


def make_organization(name: str = "Acme") -> Organization:
    """An organization with an active admin."""
    return create_organization(name, make_user(f"admin{next(_numbers)}@example.org"), by=BY).organization


def make_member(
    organization: Organization,
    role: str = Role.MEMBER,
    *,
    email: str = "",
    name: str = "",
    state: str = MembershipState.ACTIVE,
    password: str | None = PASSWORD,
    instance_ids: list[str] | None = None,
) -> Membership:
    """A member with an account of their own; `instance_ids` are those of an operator."""
    user = make_user(email, password=password, name=name)
    return Membership.objects.create(
        organization=organization, user=user, role=role, state=state, instance_ids=instance_ids
    )


def an_admin(organization: Organization) -> Membership:
    """The first admin of an organization."""
    return organization.memberships.filter(role=Role.ADMIN).select_related("user", "organization").order_by("pk")[0]


def make_region() -> Region:
    """The region of this machine, with its server."""
    region, _ = Region.objects.get_or_create(pk="local", defaults={"name": "This machine", "country": "DE"})
    if not region.servers.exists():
        Server.objects.create(region=region, name="This machine", address="203.0.113.1")
    return region


def make_instance(
    organization: Organization, *, name: str = "Frankfurt", hostname: str = "", state: str = InstanceState.READY
) -> Instance:
    """An instance as it is once provisioned: settled, its operation done. Other states are written as given."""
    instance = create_instance(
        organization, name=name, hostname=hostname or f"hub{next(_numbers)}", region=make_region(), by=BY
    )
    if state == InstanceState.READY:
        settle(instance)
    instance.state = state
    instance.save()
    return instance


def settle(instance: Instance) -> Instance:
    """As if the server had confirmed everything."""
    Operation.objects.filter(instance=instance).update(state=OperationState.SUCCEEDED)
    instance.refresh_from_db()
    instance.state, instance.configured = InstanceState.READY, True
    observe_hubs(instance, observed_at=timezone.now())
    instance.applied_generation, instance.applied_epoch = instance.desired_generation, instance.epoch
    instance.save()
    instance.peers.update(applied_digest="0" * 64)
    return instance


def observe_hubs(*instances: Instance, **columns: Any) -> None:
    """As if these hubs had been looked at, all of them where none is named."""
    InstanceObservation.objects.note([one.pk for one in instances or Instance.objects.all()], **columns)


def observe_peers(*peers: Peer, **columns: Any) -> None:
    """As if hubs had reported these peers with the keys that they have now, all of them where none is named."""
    for pk, key in Peer.objects.filter(pk__in=[one.pk for one in peers or Peer.objects.all()]).values_list(
        "pk", "public_key"
    ):
        PeerObservation.objects.update_or_create(peer_id=pk, defaults={"public_key": key, **columns})


def observe_hits(rules: Iterable[FirewallRule], hits: int) -> None:
    """As if hubs had counted so many packets for each of these rules."""
    for rule in rules:
        RuleObservation.objects.update_or_create(rule=rule, defaults={"hits": hits, "counter_hits": hits})


def hits_of(instance: Instance) -> list[int]:
    """The hits of an instance's rules, in their order."""
    return [rule.hits for rule in instance.firewall_rules.select_related("observation")]


def reachable(instance: Instance) -> dict[str, str | None]:
    """What is known of an instance's listeners."""
    fresh = Instance.objects.get(pk=instance.pk)
    return reachable_in(proofs_of_all([fresh]), [fresh.pk])[fresh.pk]


def work_out_plans(instance: Instance) -> Instance:
    """As the worker does it: say what the saved changes mean."""
    while work_out_next(instance.pk, by=BY):
        pass
    return instance


def make_site(organization: Organization, *, name: str = "", subnets: list[str] | None = None) -> Site:
    """A branch."""
    return create_site(
        organization, name=name or f"Site {next(_numbers)}", platform="linux", subnets=subnets or [], by=BY
    )


def make_client_peer(instance: Instance, member: Membership, device: str = "laptop") -> Peer:
    """A member's device."""
    return create_client_peer(instance, member=member, device=device, by=BY)


def make_site_peer(instance: Instance, site: Site, subnets: list[str] | None = None) -> Peer:
    """A branch's router."""
    wanted = subnets or [f"10.{next(_numbers) % 250}.0.0/24"]
    return create_site_peer(instance, site=site, subnets=wanted, by=BY)
