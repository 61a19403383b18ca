"""What you connect: regions, servers, instances, sites, peers, operations."""

from vpn.models.among import Among
from vpn.models.asked_plan import AskedPlan
from vpn.models.certificate import EarlierCertificate, RevokedCertificate
from vpn.models.change_plan import ChangePlan
from vpn.models.cloud import CloudAccount, CloudNode, PortalTag, StrayNode, portal_tag
from vpn.models.compromised_hub import CompromisedHub
from vpn.models.delivered_profile import DeliveredProfile
from vpn.models.dns_record import DnsRecord
from vpn.models.ended_tunnel import EndedTunnel
from vpn.models.firewall_rule import FirewallRule, RuleRow, RuleValues
from vpn.models.former_hub import FormerHub
from vpn.models.idempotency import IdempotencyKey
from vpn.models.instance import Instance
from vpn.models.listener_proof import ListenerProof
from vpn.models.move import Move
from vpn.models.observation import (
    Connection,
    ConnectionSubnet,
    InstanceObservation,
    PeerObservation,
    PublicName,
    RuleObservation,
    Traffic,
)
from vpn.models.operation import Operation, OperationStep
from vpn.models.peer import Peer, PeerTombstone
from vpn.models.peer_network import PeerNetwork
from vpn.models.plan_mail import PlanMail
from vpn.models.preparation import Preparation, PreparationStep
from vpn.models.profile_link import LinkKind, ProfileLink
from vpn.models.region import Region
from vpn.models.released_host import ReleasedHost
from vpn.models.released_hostname import ReleasedHostname
from vpn.models.retired_hub import RetiredHub
from vpn.models.revision import Revision, RevisionPart
from vpn.models.router import Router
from vpn.models.server import Server
from vpn.models.site import Site
from vpn.models.ssh_access import SshAccess
from vpn.models.tick import Tick
from vpn.models.trial import ChangeTrial

__all__ = [
    "Among",
    "AskedPlan",
    "ChangePlan",
    "ChangeTrial",
    "CloudAccount",
    "CloudNode",
    "CompromisedHub",
    "Connection",
    "ConnectionSubnet",
    "DeliveredProfile",
    "DnsRecord",
    "EarlierCertificate",
    "EndedTunnel",
    "FirewallRule",
    "FormerHub",
    "IdempotencyKey",
    "Instance",
    "InstanceObservation",
    "LinkKind",
    "ListenerProof",
    "Move",
    "Operation",
    "OperationStep",
    "Peer",
    "PeerNetwork",
    "PeerObservation",
    "PeerTombstone",
    "PlanMail",
    "PortalTag",
    "Preparation",
    "PreparationStep",
    "ProfileLink",
    "PublicName",
    "Region",
    "ReleasedHost",
    "ReleasedHostname",
    "RetiredHub",
    "Revision",
    "RevisionPart",
    "RevokedCertificate",
    "Router",
    "RuleObservation",
    "RuleRow",
    "RuleValues",
    "Server",
    "Site",
    "SshAccess",
    "StrayNode",
    "Tick",
    "Traffic",
    "portal_tag",
]
