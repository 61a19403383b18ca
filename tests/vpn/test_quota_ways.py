"""Every way to add what a quota limits is refused at the limit.

The ways are read from the code: whoever writes another one that makes such a row, lengthens a list of subnets or
begins to provision, has to name it here, together with how it is refused.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.apps import apps

from portal.actions.api_token import create_token
from portal.actions.group import create_group
from portal.actions.member import add_member
from portal.actions.provider_identity import Arrival, join_by_provider
from portal.exceptions import QuotaReached
from portal.models import ApiToken, Group, Membership, Organization, Quota
from portal.quotas import quota_use
from tests.factories import BY, an_admin, make_client_peer, make_instance, make_member, make_site, make_site_peer
from tests.portal.providers import a_provider
from vpn.actions.instances.instance import create_instance, retry_instance
from vpn.actions.instances.settings import update_instance
from vpn.actions.peers.peer import create_client_peer, create_site_peer, update_peer
from vpn.actions.sites.site import create_site, update_site
from vpn.choices import InstanceState
from vpn.models import DnsRecord, FirewallRule, Instance, Operation, Peer, Region, Site

pytestmark = pytest.mark.both_databases

ROOT = Path(__file__).resolve().parents[2]
# Which quota limits how many rows of a model there are.
COUNTED = {
    Membership: Quota.MEMBERS,
    Group: Quota.GROUPS,
    ApiToken: Quota.API_TOKENS,
    Instance: Quota.INSTANCES,
    Peer: Quota.PEERS,
    Site: Quota.SITES,
    FirewallRule: Quota.RULES,
    DnsRecord: Quota.DNS_RECORDS,
    Operation: Quota.PROVISIONING,
}
# Why the others need none.
UNCOUNTED = {
    "portal.Organization": "made by staff, or by who signs up where that is allowed",
    "portal.User": "comes with a membership",
    "portal.Mail": "kept for staff for a while; as many as there are plans and people",
    "portal.QueuedMail": "one for each member, and for each new password asked for; gone within an hour",
    "portal.WriteMark": "one row",
    "portal.BrowserSession": "one for each sign-in, which is limited; gone with the session",
    "portal.FactorSecret": "one for each app and set of recovery codes of an account",
    "portal.SignInProvider": "one for each organization",
    "portal.ProviderGroup": "200 lines of a provider",
    "portal.ProviderIdentity": "one for each member",
    "portal.JournalEntry": "one for each act, kept for as many days as the organization set; acts are limited",
    "portal.Receipt": "one for each act that ends somebody's access; gone with the act's line",
    "vpn.CompromisedHub": "one for each instance that was on a compromised server",
    "vpn.EndedTunnel": "one for each device of that person, gone with the receipt",
    "portal.JournalHead": "one for each organization",
    "vpn.Region": "staff",
    "vpn.Server": "staff",
    "vpn.SshAccess": "one for each server",
    "vpn.Preparation": "staff",
    "vpn.PreparationStep": "as many as a preparation has",
    "vpn.Move": "one for each instance",
    "vpn.FormerHub": "one for each server that an instance was on before",
    "vpn.RetiredHub": "one for each server that an instance left, until nothing is left there",
    "vpn.ListenerProof": "one for each listener of an instance",
    "vpn.OperationStep": "as many as an operation has",
    "vpn.ChangePlan": "one for each change, kept for a while; changes are limited by the calls a minute",
    "vpn.ChangeTrial": "one for each instance",
    "vpn.Connection": "one for each tunnel of a peer, kept for as many days as the organization set",
    "vpn.ConnectionSubnet": "as many as a connection has",
    "vpn.DeliveredProfile": "one for each file that was handed out; removed after a while",
    "vpn.PlanMail": "one for each person and plan",
    "vpn.AskedPlan": "one for each person in an organization, for some minutes",
    "vpn.PeerObservation": "one for each peer",
    "vpn.RuleObservation": "one for each rule",
    "vpn.InstanceObservation": "one for each instance",
    "vpn.PublicName": "one for each instance, and for each that was until its records are removed",
    "vpn.PeerNetwork": "a peer's subnets once more, sorted: the quota of subnets limits them",
    "vpn.IdempotencyKey": "one for each call, kept for a day; calls are limited by the minute",
    "vpn.PeerTombstone": "one for each peer that was, until the hub knows",
    "vpn.ReleasedHost": "one for each peer that was, for a day",
    "vpn.ReleasedHostname": "one for each instance that was",
    "vpn.RevokedCertificate": "peers that were",
    "vpn.EarlierCertificate": "peers that changed their keys",
    "vpn.Router": "one for each site peer, and for each that was until its router is told",
    "vpn.ProfileLink": "two for each peer",
    "vpn.Tick": "one for each schedule",
    "vpn.CloudAccount": "staff",
    "vpn.CloudNode": "as many as servers: an instance orders at most one",
    "vpn.PortalTag": "one row",
    "vpn.StrayNode": "what a cloud has",
    "vpn.Revision": "one for each change; at most the newest 200 of an instance are kept",
    "vpn.RevisionPart": "as many as revisions have",
    "vpn.Traffic": "one for each instance and day",
}
# What looks like such a place and adds nothing to what an organization has.
EXEMPT = {
    "portal.actions.organization.create_organization": "the first member of a new organization",
    "portal.models.api_token.issue": "called by portal.actions.api_token.create_token alone",
    "portal.actions.sign_in_link.find_link": "a row that is looked for, not made",
    "vpn.profiles.state._common": "a row that is never saved",
    "vpn.plan.snapshot.peer_of": "a row that is never saved",
    "vpn.actions.peers.peer.create_site_peer": "a row by which the journal names the act, never saved",
    "vpn.jobs.provision._begin": "goes on with an operation that was counted when it began",
    "vpn.actions.sites.site._publish": "puts aliases in the place of their LANs: as many subnets as before",
}


@dataclass
class World:
    """An organization with everything, at none of its limits."""

    organization: Organization
    admin: Membership
    member: Membership
    region: Region
    instance: Instance
    failed: Instance
    site: Site
    connected: Site
    site_peer: Peer


@pytest.fixture
def world(organization: Organization, region: Region) -> World:
    """Two instances, one of them failed; two sites, one of them connected; two people."""
    instance = make_instance(organization)
    failed = make_instance(organization, name="Failed", state=InstanceState.FAILED)
    Operation.objects.filter(instance=failed).update(state="failed")
    connected = make_site(organization, subnets=["10.1.0.0/24"])
    peer = make_site_peer(instance, connected, ["10.1.0.0/24"])
    member = make_member(organization)
    make_client_peer(instance, member)
    create_group(organization, name="Sales", by=BY)
    create_token(member, by=BY)
    update_instance(instance, firewall=[{"name": "One"}], dns_custom=[_record("one")], by=BY)
    site = make_site(organization)
    return World(organization, an_admin(organization), member, region, instance, failed, site, connected, peer)


def _record(name: str) -> dict[str, str]:
    return {"name": name, "type": "A", "value": "10.1.0.9"}


def _created(world: World) -> object:
    return create_instance(world.admin.organization, name="Paris", hostname="paris", region=world.region, by=BY)


def _joined(world: World) -> object:
    provider = a_provider(world.organization, may_join=True, domains=["example.org"])
    arrival = Arrival(str(provider.pk), provider.issuer, "new", "new@example.org")
    return join_by_provider(provider, arrival, by=BY)


# Function that makes the row or lengthens the list -> the public actions that come by it, each with its quota.
WAYS: dict[str, list[tuple[Quota, Callable[[World], object]]]] = {
    "portal.actions.member.add_member": [
        (Quota.MEMBERS, lambda world: add_member(world.organization, email="new@example.org", role="member", by=BY))
    ],
    "portal.actions.provider_identity.join_by_provider": [(Quota.MEMBERS, _joined)],
    "portal.actions.group.create_group": [
        (Quota.GROUPS, lambda world: create_group(world.organization, name="Support", by=BY))
    ],
    "portal.actions.api_token.create_token": [(Quota.API_TOKENS, lambda world: create_token(world.member, by=BY))],
    "vpn.actions.instances.instance._insert": [(Quota.INSTANCES, _created), (Quota.PROVISIONING, _created)],
    "vpn.actions.instances.instance.retry_instance": [
        (Quota.PROVISIONING, lambda world: retry_instance(world.failed, by=BY))
    ],
    "vpn.actions.peers.peer.create_client_peer": [
        (Quota.PEERS, lambda world: create_client_peer(world.instance, member=world.member, device="phone", by=BY))
    ],
    "vpn.actions.peers.peer._connect": [
        (Quota.PEERS, lambda world: create_site_peer(world.instance, site=world.site, subnets=["10.2.0.0/24"], by=BY)),
        (
            Quota.SUBNETS,
            lambda world: create_site_peer(
                world.instance, site=world.site, subnets=["172.0.0.0/7"], confirm_broad_routes=True, by=BY
            ),
        ),
    ],
    "vpn.actions.peers.peer._change": [
        (
            Quota.SUBNETS,
            lambda world: update_peer(
                world.site_peer, subnets=["10.1.0.0/24", "172.0.0.0/7"], confirm_broad_routes=True, by=BY
            ),
        )
    ],
    "vpn.actions.sites.site.create_site": [
        (Quota.SITES, lambda world: create_site(world.admin.organization, name="Oslo", platform="linux", by=BY)),
        (
            Quota.SUBNETS,
            lambda world: create_site(
                world.admin.organization, name="Oslo", platform="linux", subnets=["10.9.0.0/24"], by=BY
            ),
        ),
    ],
    "vpn.actions.sites.site._change": [
        (Quota.SUBNETS, lambda world: update_site(world.site, subnets=["10.9.0.0/24"], by=BY))
    ],
    "vpn.actions.sites.subnets.set_subnets": [
        (Quota.SUBNETS, lambda world: update_site(world.connected, subnets=["10.1.0.0/24", "10.9.0.0/24"], by=BY)),
        (Quota.SUBNETS, lambda world: update_peer(world.site_peer, subnets=["10.1.0.0/24", "10.9.0.0/24"], by=BY)),
        (
            Quota.SUBNETS,
            lambda world: create_site_peer(world.instance, site=world.site, subnets=["10.2.0.0/24"], by=BY),
        ),
    ],
    "vpn.actions.firewall.rules.replace_rules": [
        (Quota.RULES, lambda world: update_instance(world.instance, firewall=[{"name": "One"}, {"name": "Two"}], by=BY))
    ],
    "vpn.actions.dns.settings.replace_records": [
        (
            Quota.DNS_RECORDS,
            lambda world: update_instance(world.instance, dns_custom=[_record("one"), _record("two")], by=BY),
        )
    ],
}
PROOFS = [
    pytest.param(quota, act, id=f"{where}-{quota}-{number}")
    for where, ways in WAYS.items()
    for number, (quota, act) in enumerate(ways)
]


@pytest.mark.parametrize(("quota", "act"), PROOFS)
def test_a_way_is_refused_at_the_limit_and_open_below_it(
    quota: Quota, act: Callable[[World], object], world: World
) -> None:
    used = quota_use(world.organization, quota).used
    _limit(world, quota, used)
    with pytest.raises(QuotaReached) as refused:
        act(world)
    assert refused.value.code == f"quota-{quota.value.replace('_', '-')}"
    assert f"{used:,} of {used:,}" in refused.value.message
    assert quota_use(world.organization, quota).used == used
    _limit(world, quota, used + 1)
    act(world)
    assert quota_use(world.organization, quota).used == used + 1


def _limit(world: World, quota: Quota, most: int) -> None:
    Organization.objects.filter(pk=world.organization.pk).update(**{f"most_{quota.value}": most})


def test_what_is_above_a_limit_is_still_changed_and_taken_away(world: World) -> None:
    update_instance(world.instance, firewall=[{"name": str(number)} for number in range(3)], by=BY)
    for quota in (Quota.RULES, Quota.SUBNETS, Quota.DNS_RECORDS):
        _limit(world, quota, 0)
    update_instance(world.instance, firewall=[{"name": name} for name in ("a", "b", "c")], by=BY)
    update_instance(world.instance, firewall=[{"name": "a"}], dns_custom=[_record("other")], by=BY)
    update_site(world.connected, subnets=["10.3.0.0/24"], by=BY)
    assert world.instance.firewall_rules.count() == 1
    assert Site.objects.get(pk=world.connected.pk).subnets == ["10.3.0.0/24"]


# The walk -------------------------------------------------------------------------------------------------------------


def test_every_model_has_a_quota_or_a_reason() -> None:
    own = {model._meta.label: model for app in ("portal", "vpn") for model in apps.get_app_config(app).get_models()}
    counted = {model._meta.label for model in COUNTED}
    assert set(own) == counted | set(UNCOUNTED)


def test_every_place_that_adds_is_a_way_that_is_refused() -> None:
    found = {where for where in _adding_places() if where not in EXEMPT}
    assert found == set(WAYS)


def _adding_places() -> Iterator[str]:
    """The functions that make a row of a counted model, set a list of subnets, or begin to provision."""
    models = {model.__name__ for model in COUNTED if model is not Operation}
    for app in ("portal", "vpn"):
        for path in sorted((ROOT / app).rglob("*.py")):
            relative = path.relative_to(ROOT).with_suffix("")
            if not {"migrations", "agent"} & set(relative.parts):
                module = ".".join(relative.parts)
                tree = ast.parse(path.read_text())
                names = models & _imported(tree)
                for function in _functions(tree):
                    if any(_adds(node, names) for node in ast.walk(function)):
                        yield f"{module}.{function.name}"


def _imported(tree: ast.AST) -> set[str]:
    """The names that a module takes from the models; the plan has peers and groups of its own."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {name.name for node in imports if ".models" in (node.module or "") for name in node.names}


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def _adds(node: ast.AST, names: set[str]) -> bool:
    if isinstance(node, ast.Assign):
        return any(isinstance(part, ast.Attribute) and part.attr == "subnets" for part in _targets(node))
    if not isinstance(node, ast.Call):
        return False
    called = ast.unparse(node.func)
    owner, _, last = called.rpartition(".")
    if last in {"create", "bulk_create", "get_or_create", "update_or_create"}:
        return owner.removesuffix(".objects") in names | {"memberships", "groups", "api_tokens", "instances", "peers"}
    if called in {"begin_operation", "set_state"}:
        return "OperationKind.PROVISION" in ast.unparse(node) or "InstanceState.PROVISIONING" in ast.unparse(node)
    return called in names or called in {"ApiToken.issue", "cls.objects.create"}


def _targets(node: ast.Assign) -> Iterator[ast.expr]:
    for target in node.targets:
        yield from target.elts if isinstance(target, ast.Tuple) else [target]
