"""The values that columns may have, and which state may follow which."""

from __future__ import annotations

from django.db import models


class InstanceState(models.TextChoices):
    """The states of an instance."""

    PENDING = "pending", "Pending"
    PROVISIONING = "provisioning", "Provisioning"
    READY = "ready", "Ready"
    FAILED = "failed", "Failed"
    DELETING = "deleting", "Deleting"
    LOST = "lost", "Lost"


# From the key to any of the values; all other changes are refused.
INSTANCE_TRANSITIONS: dict[str, frozenset[str]] = {
    InstanceState.PENDING: frozenset({InstanceState.PROVISIONING, InstanceState.DELETING}),
    InstanceState.PROVISIONING: frozenset({InstanceState.READY, InstanceState.FAILED, InstanceState.DELETING}),
    InstanceState.FAILED: frozenset({InstanceState.PROVISIONING, InstanceState.DELETING}),
    InstanceState.READY: frozenset({InstanceState.LOST, InstanceState.DELETING}),
    InstanceState.LOST: frozenset({InstanceState.READY, InstanceState.DELETING}),
    InstanceState.DELETING: frozenset(),
}


class OperationKind(models.TextChoices):
    """The kinds of background work."""

    PROVISION = "provision", "Create the hub"
    APPLY = "apply", "Apply changes"
    DESTROY = "destroy", "Remove the hub"
    MOVE = "move", "Move the hub"
    REBUILD = "rebuild", "Rebuild the hub"


class OperationState(models.TextChoices):
    """The states of an operation."""

    RUNNING = "running", "Running"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"


class StepState(models.TextChoices):
    """The states of one step of an operation."""

    WAITING = "waiting", "Waiting"
    RUNNING = "running", "Running"
    SUCCEEDED = "succeeded", "Done"
    FAILED = "failed", "Failed"


class StepName(models.TextChoices):
    """The steps of operations, with the words that pages show."""

    ORDER = "order", "Order a server"
    BOOT = "boot", "Wait for the server"
    SERVER = "server", "Prepare the server"
    CERTIFICATES = "certificates", "Issue the hub's certificates"
    HUB = "hub", "Start the hub"
    NAME = "name", "Publish the name"
    PROOF = "proof", "Prove that packets flow"
    APPLY = "apply", "Bring the hub up to date"
    TEARDOWN = "teardown", "Take the hub down"
    NEW_SERVER = "new-server", "Prepare the new server"
    NEW_HUB = "new-hub", "Start the new hub"
    NEW_PROOF = "new-proof", "Prove that packets flow through the new hub"
    SWITCH = "switch", "Switch to the new hub"
    HAND_OVER = "hand-over", "Forward the former server's ports"
    REPLACE = "replace", "Replace the hub on its server"


_MAKE_BEFORE_BREAK = (
    StepName.NEW_SERVER,
    StepName.NEW_HUB,
    StepName.NEW_PROOF,
    StepName.SWITCH,
    StepName.HAND_OVER,
    StepName.NAME,
)

# `NAME` is left out where no publisher is set, `ORDER` and `BOOT` where there is a ready server.
OPERATION_STEPS: dict[str, tuple[str, ...]] = {
    OperationKind.PROVISION: (
        *(StepName.ORDER, StepName.BOOT),
        *(StepName.SERVER, StepName.CERTIFICATES, StepName.HUB, StepName.NAME, StepName.PROOF),
    ),
    OperationKind.APPLY: (StepName.APPLY,),
    OperationKind.DESTROY: (StepName.TEARDOWN,),
    OperationKind.MOVE: _MAKE_BEFORE_BREAK,
    OperationKind.REBUILD: _MAKE_BEFORE_BREAK,
}
# Where there is no other server.
REBUILD_IN_PLACE: tuple[str, ...] = (StepName.NEW_SERVER, StepName.REPLACE, StepName.PROOF)


class RevisedSection(models.TextChoices):
    """A part of an instance's revisions that has rows of its own."""

    RULES = "rules", "Rules"
    RECORDS = "records", "Records"
    SITES = "sites", "Sites"


class PeerType(models.TextChoices):
    """The other end of the tunnel."""

    CLIENT = "client", "Client"
    SITE = "site", "Site"


class Protocol(models.TextChoices):
    """The protocol between a peer and the hub."""

    WIREGUARD = "wireguard", "WireGuard"
    OPENVPN = "openvpn", "OpenVPN"


class Listener(models.TextChoices):
    """The listeners of a hub; the values are those of the API."""

    WIREGUARD = "wireguard", "WireGuard"
    OPENVPN_UDP = "openvpn_udp", "OpenVPN over UDP"
    OPENVPN_TCP = "openvpn_tcp", "OpenVPN over TCP"
    OPENVPN_COMPAT = "openvpn_compat", "OpenVPN for older routers"


class Reachability(models.TextChoices):
    """Can devices reach a listener from outside of the hub's server?"""

    PROVEN = "proven", "Proven"
    UNPROVEN = "unproven", "Not proven from outside"
    UNREACHABLE = "unreachable", "Unreachable"


class ProofCause(models.TextChoices):
    """Why a listener is not proven."""

    FIREWALL = "firewall", "It answers on the server itself alone: a firewall drops what comes from outside"
    NAT = "nat", "The address is not the server's: a router in front of it translates addresses"
    SILENT = "silent", "It does not answer on the server itself"
    WAITING = "waiting", "It was not knocked on yet at this address"
    NO_RIGHT = "no-right", "The portal may not knock from outside of the server"
    CLOSED = "closed", "The portal gets no answer over the internet: a firewall drops packets, or the hub does not run"


class KeyCustody(models.TextChoices):
    """Who holds a peer's private key."""

    PORTAL = "portal", "Kept sealed by the portal"
    DESTROYED = "destroyed", "Destroyed after delivery"
    DEVICE = "device", "Made and kept by the device"


class ProfileState(models.TextChoices):
    """How the delivered profile compares with the present one."""

    UNDELIVERED = "undelivered", "Not fetched yet"
    CURRENT = "current", "Current"
    OUTDATED = "outdated", "Outdated"


class Platform(models.TextChoices):
    """The platform of a site's router."""

    ROUTEROS7 = "routeros7", "MikroTik RouterOS 7"
    ROUTEROS6 = "routeros6", "MikroTik RouterOS 6"
    OPENWRT = "openwrt", "OpenWrt"
    VYOS = "vyos", "VyOS"
    OPNSENSE = "opnsense", "OPNsense"
    PFSENSE = "pfsense", "pfSense"
    LINUX = "linux", "Linux"
    OTHER = "other", "Other"


class FirewallPolicy(models.TextChoices):
    """The verdict for packets between peers that no rule matches."""

    ALLOW = "allow", "Allow"
    DENY = "deny", "Deny"


class RuleAction(models.TextChoices):
    """The verdict of a firewall rule."""

    ACCEPT = "accept", "Accept"
    DROP = "drop", "Drop"
    REJECT = "reject", "Reject"


class RuleProtocol(models.TextChoices):
    """The protocol that a firewall rule matches."""

    ANY = "any", "Any"
    TCP = "tcp", "TCP"
    UDP = "udp", "UDP"
    ICMP = "icmp", "ICMP"
    ICMPV6 = "icmpv6", "ICMPv6"


class TrialState(models.TextChoices):
    """The states of a change on trial. A confirmed one is no trial any more."""

    RUNNING = "running", "Running"
    RETURNED = "returned", "Returned"


class RecordType(models.TextChoices):
    """The types of DNS records that an admin can add."""

    A = "A", "A"
    AAAA = "AAAA", "AAAA"
    CNAME = "CNAME", "CNAME"


class Driver(models.TextChoices):
    """The driver that reaches a region's servers."""

    LOCAL = "local", "This machine"
    SSH = "ssh", "Servers over SSH"
    CLOUD = "cloud", "Servers of a cloud"


class ServerState(models.TextChoices):
    """The states of a server. A ready one that is cordoned takes no new hubs."""

    NEW = "new", "New"
    PREPARING = "preparing", "Being prepared"
    READY = "ready", "Ready"
    UNREACHABLE = "unreachable", "Does not answer"
    LOST = "lost", "Lost"
    # For good: it has to be installed anew, and added as another server.
    COMPROMISED = "compromised", "Compromised"


class NodeState(models.TextChoices):
    """The states of a server that the portal ordered from a cloud."""

    WANTED = "wanted", "Being ordered"
    BOOTING = "booting", "Starting"
    RUNNING = "running", "Running"
    FAILED = "failed", "Failed"
    REMOVING = "removing", "Being removed"


class PreparationStepName(models.TextChoices):
    """The steps in which a server is prepared (`vpn.wire.preparing`), with the words that pages show."""

    CONNECT = "connect", "Connect"
    RIGHTS = "rights", "Rights of the account"
    PYTHON = "python", "Python"
    SYSTEM = "system", "Operating system"
    NAMESPACES = "namespaces", "Network namespaces"
    CLOCK = "clock", "Clock"
    DISK = "disk", "Disk"
    PORTS = "ports", "Free ports"
    PACKAGES = "packages", "Packages"
    AGENT = "agent", "Agent"
    WATCH = "watch", "Service that keeps hubs running"
    ANSWER = "answer", "Answer of the agent"


class PlanState(models.TextChoices):
    """The state of a plan."""

    WAITING = "waiting", "Being worked out"
    READY = "ready", "Worked out"
    FAILED = "failed", "Could not be worked out"


class EndReason(models.TextChoices):
    """Why a connection ended."""

    LEFT = "left", "Left"
    REPLACED = "replaced", "Connected anew"
    REVOKED = "revoked", "Access revoked"
    EXPIRED = "expired", "Expired"
    REMOVED = "removed", "Peer deleted"
    RENEWED = "renewed", "Keys renewed"
    MOVED = "moved", "Hub moved or rebuilt"
    DELETED = "deleted", "Instance deleted"
    LOST = "lost", "Server lost"
    UNSEEN = "unseen", "Not observed"
