"""Instances and their background work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, ClassVar, Literal
from uuid import UUID

from pydantic import Field

from portal.models import Principal, PrincipalKind
from vpn.addressing.pools import HUB_HOST
from vpn.api.schemas.base import Flag, In, Number, Out, Text
from vpn.api.schemas.public_name import PublicNameOut, show_public_name
from vpn.choices import InstanceState, OperationState, Reachability, StepState
from vpn.constants import DEFAULT_POOL_PREFIX
from vpn.models import Instance, Operation
from vpn.presenters.findings import step_message
from vpn.presenters.needs import Notice
from vpn.profiles.wireguard import endpoint
from vpn.router_services import RouterService


class InstanceCreate(In):
    """A new instance."""

    name: Text = Field(description="3 to 20 characters.")
    hostname: Text = Field(description="3 to 20 characters: one DNS label, lower case, unique across the portal.")
    region: Text = Field(description="The id of a region.")
    pool_prefix: Number = Field(DEFAULT_POOL_PREFIX, description="16 to 24: how large the pool of addresses is.")
    pool: Text = Field(
        "", description="The pool itself, in place of `pool_prefix`: of 10/8, 172.16/12, 192.168/16 or 100.64/10."
    )


class InstanceMove(In):
    """Where an instance is to run."""

    region: Text = Field(description="The id of another region.")


class DnsRecordIn(In):
    """A DNS record that the hub should answer."""

    name: Text = Field(description="A full name, or one word below the hub's own name.")
    type: Text = Field(description="`A`, `AAAA` or `CNAME`.")
    value: Text = Field(description="An address; for a CNAME a name that the hub answers by itself.")


class FirewallRuleIn(In):
    """A firewall rule. A rule that matches the same packets as a previous one keeps its hits."""

    name: Text = Field("", description="At most 40 characters.")
    action: Text = Field("accept", description="accept, drop or reject.")
    protocol: Text = Field("any", description="any, tcp, udp, icmp or icmpv6.")
    port: Text = Field("", description='"443" or "1000-2000"; empty for all, ignored for icmp and icmpv6.')
    source: Text = Field("any", description="any, a network, site:ID, user:ID or group:ID.")
    destination: Text = Field("any", description="As source.")
    hits: Number = Field(0, description="As it was read; it cannot be set.")


class InstanceChange(In):
    """The fields that can be changed; absent fields stay. Every field of a read is accepted unchanged."""

    name: Text = Field("", description="3 to 20 characters.")
    pool: Text | list[Text] = Field("", description="A wider IPv4 network that holds the present pool; addresses stay.")
    mtu: Number = Field(
        0,
        description="1280 to 1500: the largest packet in the tunnels, 80 less than outside, a multiple of 16.",
    )
    pushed_routes: list[Text] = Field([], description="Networks that split-tunnel clients send to the hub.")
    public_dns: list[Text] = Field([], description="The servers that the hub forwards all other queries to.")
    split_dns: list[Text] = Field([], description="The servers for `domains`.")
    domains: list[Text] = Field([], description="Domains with servers of their own; devices search in them, too.")
    dns_custom: list[DnsRecordIn] = Field([], description="Records that the hub answers by itself.")
    firewall_policy: Text = Field("allow", description="allow or deny: for packets between peers that no rule matches.")
    firewall: list[FirewallRuleIn] = Field([], description="All rules, in order: the first that matches decides.")
    management_services: list[Text] = Field(
        [], description="The routers' own services that `management_sources` may reach: ssh, winbox, https, snmp."
    )
    management_sources: list[Text] = Field(
        [], description="Who may manage routers at their tunnel addresses: site:ID or group:ID; empty for nobody."
    )
    members_add_devices: Flag = Field(False, description="May members add devices for themselves here?")
    note: Text = Field("", description="Why, in at most 200 characters; kept with the revision. A read has none.")


class DnsRecordOut(Out):
    """A DNS record that the hub answers."""

    name: str
    type: Literal["A", "AAAA", "CNAME"]
    value: str


class FirewallRuleOut(Out):
    """A firewall rule. `hits` counts the packets that it decided on: of an accepted flow, the first ones."""

    name: str
    action: Literal["accept", "drop", "reject"]
    protocol: Literal["any", "tcp", "udp", "icmp", "icmpv6"]
    port: str
    source: str
    destination: str
    hits: int


class EndpointsOut(Out):
    """The addresses that clients connect to: `host:port`, or null."""

    wireguard: str | None
    openvpn_udp: str | None
    openvpn_tcp: str | None
    openvpn_compat: str | None = Field(description="Set only while a router needs it.")


class ReachableOut(Out):
    """By listener: can devices reach it from outside of the server? Null if it is off or if nothing is known."""

    wireguard: Reachability | None
    openvpn_udp: Reachability | None
    openvpn_tcp: Reachability | None
    openvpn_compat: Reachability | None


class NeedOut(Out):
    """A problem of the hub that needs a person: a stable code, and in words what is wrong and what to do."""

    code: str
    message: str


class TrialOut(Out):
    """A change that the hub takes back by itself unless it is confirmed."""

    seconds: int
    ends_at: datetime | None = Field(description="The latest time for confirming; null until the hub has applied it.")


class InstanceOut(Out):
    """A hub, its settings, and which of them its server has applied."""

    observed: ClassVar[frozenset[str]] = frozenset(
        [
            "state",
            "configured",
            "rsa_ready",
            "diffie_hellman_ready",
            "server_ready",
            "status",
            "desired_generation",
            "applied_generation",
            "endpoints",
            "reachable",
            "needs",
            "public_name",
            "trial",
        ]
    )

    observed_within: ClassVar[Mapping[str, frozenset[str]]] = {"firewall": frozenset({"hits"})}

    id: UUID
    name: str
    hostname: str = Field(
        description="The hub's public name, and the DNS domain of its devices. `endpoints` is where they connect."
    )
    region: str
    state: InstanceState
    configured: bool
    rsa_ready: bool = Field(description="Certificates are issued.")
    diffie_hellman_ready: bool = Field(description="The key exchange's material is there.")
    server_ready: bool
    status: list[Literal["provisioning", "applying", "peer-created", "peer-removed", "settings-changed"]]
    desired_generation: int
    applied_generation: int
    pool: list[str]
    mtu: int
    pushed_routes: list[str]
    public_dns: list[str]
    split_dns: list[str]
    domains: list[str]
    dns_custom: list[DnsRecordOut]
    firewall_policy: Literal["allow", "deny"] = "allow"
    firewall: list[FirewallRuleOut] = []
    management_services: list[RouterService] = []
    management_sources: list[str] = []
    members_add_devices: bool = False
    addresses: list[str] = Field(description="The hub's own addresses in the tunnel.")
    endpoints: EndpointsOut
    reachable: ReachableOut = Field(description="Proven from outside or by a device, per listener.")
    needs: list[NeedOut] = Field(
        description="Problems that need a person, the most urgent first; empty if there are none."
    )
    public_name: PublicNameOut
    trial: TrialOut | None = Field(description="The change that waits for confirmation, or null.")
    created_at: datetime


@dataclass(frozen=True)
class Found:
    """What a representation of an instance needs besides its own row.

    That is: the pending work (`vpn.api.resources.status`), whether the compatibility listener runs, the problems in
    words (`vpn.presenters.needs`), the rules, the DNS records, and the change on trial.
    """

    status: list[str]
    has_compat: bool
    reachable: Mapping[str, str | None]
    needs: Sequence[Notice]
    rules: Sequence[Mapping[str, Any]]
    records: Sequence[Mapping[str, str]]
    trial: Mapping[str, Any] | None = None


class StepOut(Out):
    """One step of an operation."""

    name: str
    state: StepState
    started_at: datetime | None
    finished_at: datetime | None
    message: str


class AskerOut(Out):
    """Who requested an operation. `id` is a user's, token's or peer's; the operator's staff stay anonymous."""

    kind: PrincipalKind
    id: str
    name: str
    reason: str

    @classmethod
    def of(cls, asker: Principal) -> AskerOut:
        """The part that the organization may know."""
        if asker.kind == PrincipalKind.STAFF:
            return cls(kind=asker.kind, id="", name="", reason="")
        return cls(kind=asker.kind, id=asker.id, name=asker.name, reason=asker.reason)


class OperationOut(Out):
    """One run of background work on an instance."""

    id: UUID
    kind: Literal["provision", "apply", "destroy", "move", "rebuild"]
    state: OperationState
    started_at: datetime
    finished_at: datetime | None
    eta: datetime | None
    asked_by: list[AskerOut]
    steps: list[StepOut]


class BandwidthOut(Out):
    """The traffic of an instance in the current calendar month (UTC)."""

    incoming_bytes: int
    outgoing_bytes: int
    date: date


def show_instance(instance: Instance, found: Found) -> InstanceOut:
    """The representation of an instance, with what was found besides its own row."""
    return InstanceOut.model_validate(instance_values(instance, found))


def instance_values(instance: Instance, found: Found) -> dict[str, object]:
    """The fields of InstanceOut in their order, unvalidated, for lists."""
    hub = (network.partition("/")[0] for network in instance.own_networks(HUB_HOST))
    prefixes = (instance.network_v4.prefixlen, instance.network_v6.prefixlen)
    return {
        "id": instance.pk,
        "name": instance.name,
        "hostname": instance.full_hostname,
        "region": instance.region_id,
        "state": instance.state,
        "configured": instance.configured,
        "rsa_ready": bool(instance.server_certificate),
        "diffie_hellman_ready": bool(instance.tls_crypt_key_sealed),
        "server_ready": instance.server_ready,
        "status": found.status,
        "desired_generation": instance.desired_generation,
        "applied_generation": instance.applied_generation,
        "pool": [instance.pool_v4, instance.pool_v6],
        "mtu": instance.mtu,
        "pushed_routes": instance.pushed_routes,
        "public_dns": instance.public_dns,
        "split_dns": instance.split_dns,
        "domains": instance.domains,
        "dns_custom": found.records,
        "firewall_policy": instance.firewall_policy,
        "firewall": found.rules,
        "management_services": instance.management_services,
        "management_sources": instance.management_sources,
        "members_add_devices": instance.members_add_devices,
        "addresses": [f"{address}/{prefix}" for address, prefix in zip(hub, prefixes, strict=True)],
        "endpoints": _endpoints(instance, has_compat=found.has_compat),
        "reachable": found.reachable,
        "needs": [{"code": need.code, "message": need.text} for need in found.needs],
        "public_name": show_public_name(instance),
        "trial": found.trial,
        "created_at": instance.created_at,
    }


def _endpoints(instance: Instance, *, has_compat: bool) -> dict[str, str | None]:
    """The addresses that devices connect to, once the hub listens."""
    addresses = instance.server.addresses if instance.server is not None else ()
    if not addresses or not instance.configured:
        return dict.fromkeys(("wireguard", "openvpn_udp", "openvpn_tcp", "openvpn_compat"))
    address = addresses[0]
    over_openvpn = endpoint(address, instance.openvpn_port) if instance.has_certificates else None
    return {
        "wireguard": endpoint(address, instance.wireguard_port),
        "openvpn_udp": over_openvpn,
        "openvpn_tcp": over_openvpn,
        "openvpn_compat": endpoint(address, instance.compat_port) if over_openvpn and has_compat else None,
    }


def show_operation(operation: Operation, names: Mapping[str, str]) -> OperationOut:
    """The representation; the steps should be prefetched. `names` are those of peers that its findings are about."""
    steps = [
        {name: getattr(step, name) for name in ("name", "state", "started_at", "finished_at")}
        | {"message": step_message(operation, step, names)}
        for step in operation.steps.all()
    ]
    fields = ("id", "kind", "state", "started_at", "finished_at", "eta")
    askers = [AskerOut.of(Principal.from_document(document)) for document in operation.asked_by]
    values = {name: getattr(operation, name) for name in fields}
    return OperationOut.model_validate(values | {"asked_by": askers, "steps": steps})
