"""The values that columns may have, and which state may follow which."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class InstanceState(models.TextChoices):
    """The states of an instance."""

    PENDING = "pending", _("Pending")
    PROVISIONING = "provisioning", _("Provisioning")
    READY = "ready", _("Ready")
    FAILED = "failed", _("Failed")
    DELETING = "deleting", _("Deleting")
    LOST = "lost", _("Lost")


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

    PROVISION = "provision", _("Create the hub")
    APPLY = "apply", _("Apply changes")
    DESTROY = "destroy", _("Remove the hub")
    MOVE = "move", _("Move the hub")
    REBUILD = "rebuild", _("Rebuild the hub")


class OperationState(models.TextChoices):
    """The states of an operation."""

    RUNNING = "running", _("Running")
    SUCCEEDED = "succeeded", _("Succeeded")
    FAILED = "failed", _("Failed")


class StepState(models.TextChoices):
    """The states of one step of an operation."""

    WAITING = "waiting", _("Waiting")
    RUNNING = "running", _("Running")
    SUCCEEDED = "succeeded", _("Done")
    FAILED = "failed", _("Failed")


class StepName(models.TextChoices):
    """The steps of operations, with the words that pages show."""

    ORDER = "order", _("Order a server")
    BOOT = "boot", _("Wait for the server")
    SERVER = "server", _("Prepare the server")
    CERTIFICATES = "certificates", _("Issue the hub's certificates")
    HUB = "hub", _("Start the hub")
    NAME = "name", _("Publish the name")
    PROOF = "proof", _("Prove that packets flow")
    APPLY = "apply", _("Bring the hub up to date")
    TEARDOWN = "teardown", _("Take the hub down")
    NEW_SERVER = "new-server", _("Prepare the new server")
    NEW_HUB = "new-hub", _("Start the new hub")
    NEW_PROOF = "new-proof", _("Prove that packets flow through the new hub")
    SWITCH = "switch", _("Switch to the new hub")
    HAND_OVER = "hand-over", _("Forward the former server's ports")
    REPLACE = "replace", _("Replace the hub on its server")


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

    RULES = "rules", _("Rules")
    RECORDS = "records", _("Records")
    SITES = "sites", _("Sites")


class PeerType(models.TextChoices):
    """The other end of the tunnel."""

    CLIENT = "client", _("Client")
    SITE = "site", _("Site")


class Protocol(models.TextChoices):
    """The protocol between a peer and the hub."""

    WIREGUARD = "wireguard", "WireGuard"
    OPENVPN = "openvpn", "OpenVPN"


class Listener(models.TextChoices):
    """The listeners of a hub; the values are those of the API."""

    WIREGUARD = "wireguard", "WireGuard"
    OPENVPN_UDP = "openvpn_udp", _("OpenVPN over UDP")
    OPENVPN_TCP = "openvpn_tcp", _("OpenVPN over TCP")
    OPENVPN_COMPAT = "openvpn_compat", _("OpenVPN for older routers")


class Reachability(models.TextChoices):
    """Can devices reach a listener from outside of the hub's server?"""

    PROVEN = "proven", _("Proven")
    UNPROVEN = "unproven", _("Not proven from outside")
    UNREACHABLE = "unreachable", _("Unreachable")


class ProofCause(models.TextChoices):
    """Why a listener is not proven."""

    FIREWALL = "firewall", _("It answers on the server itself alone: a firewall drops what comes from outside")
    NAT = "nat", _("The address is not the server's: a router in front of it translates addresses")
    SILENT = "silent", _("It does not answer on the server itself")
    WAITING = "waiting", _("It was not knocked on yet at this address")
    NO_RIGHT = "no-right", _("The portal may not knock from outside of the server")
    CLOSED = (
        "closed",
        _("The portal gets no answer over the internet: a firewall drops packets, or the hub does not run"),
    )


class KeyCustody(models.TextChoices):
    """Who holds a peer's private key."""

    PORTAL = "portal", _("Kept sealed by the portal")
    DESTROYED = "destroyed", _("Destroyed after delivery")
    DEVICE = "device", _("Made and kept by the device")


class OutdatedReason(models.TextChoices):
    """Why a delivered profile is outdated."""

    CHANGED = "changed", _("Changed since")
    KEYS_REPLACED = "keys-replaced", _("The hub has new keys")


class ProfileState(models.TextChoices):
    """How the delivered profile compares with the present one."""

    UNDELIVERED = "undelivered", _("Not fetched yet")
    CURRENT = "current", _("Current")
    OUTDATED = "outdated", _("Outdated")


class Platform(models.TextChoices):
    """The platform of a site's router."""

    ROUTEROS7 = "routeros7", "MikroTik RouterOS 7"
    ROUTEROS6 = "routeros6", "MikroTik RouterOS 6"
    OPENWRT = "openwrt", "OpenWrt"
    VYOS = "vyos", "VyOS"
    OPNSENSE = "opnsense", "OPNsense"
    PFSENSE = "pfsense", "pfSense"
    LINUX = "linux", "Linux"
    UNIFI = "unifi", "UniFi"
    FRITZBOX = "fritzbox", "FRITZ!Box"
    GLINET = "glinet", "GL.iNet"
    TELTONIKA = "teltonika", "Teltonika RutOS"
    ASUS = "asus", "ASUS"
    SYNOLOGY = "synology", "Synology DSM"
    OTHER = "other", _("Other")


class FirewallPolicy(models.TextChoices):
    """The verdict for packets between peers that no rule matches."""

    ALLOW = "allow", _("Allow")
    DENY = "deny", _("Deny")


class RuleAction(models.TextChoices):
    """The verdict of a firewall rule."""

    ACCEPT = "accept", _("Accept")
    DROP = "drop", _("Drop")
    REJECT = "reject", _("Reject")


class RuleProtocol(models.TextChoices):
    """The protocol that a firewall rule matches."""

    ANY = "any", _("Any")
    TCP = "tcp", "TCP"
    UDP = "udp", "UDP"
    ICMP = "icmp", "ICMP"
    ICMPV6 = "icmpv6", "ICMPv6"


class TrialState(models.TextChoices):
    """The states of a change on trial. A confirmed one is no trial any more."""

    RUNNING = "running", _("Running")
    RETURNED = "returned", _("Returned")


class RecordType(models.TextChoices):
    """The types of DNS records that an admin can add."""

    A = "A", "A"
    AAAA = "AAAA", "AAAA"
    CNAME = "CNAME", "CNAME"


class Driver(models.TextChoices):
    """The driver that reaches a region's servers."""

    LOCAL = "local", _("This machine")
    SSH = "ssh", _("Servers over SSH")
    CLOUD = "cloud", _("Servers of a cloud")


class ServerState(models.TextChoices):
    """The states of a server. A ready one that is cordoned takes no new hubs."""

    NEW = "new", _("New")
    PREPARING = "preparing", _("Being prepared")
    READY = "ready", _("Ready")
    UNREACHABLE = "unreachable", _("Does not answer")
    LOST = "lost", _("Lost")
    # For good: it has to be installed anew, and added as another server.
    COMPROMISED = "compromised", _("Compromised")


class NodeState(models.TextChoices):
    """The states of a server that the portal ordered from a cloud."""

    WANTED = "wanted", _("Being ordered")
    BOOTING = "booting", _("Starting")
    RUNNING = "running", _("Running")
    FAILED = "failed", _("Failed")
    REMOVING = "removing", _("Being removed")


class PreparationStepName(models.TextChoices):
    """The steps in which a server is prepared (`vpn.wire.preparing`), with the words that pages show."""

    CONNECT = "connect", _("Connect")
    RIGHTS = "rights", _("Rights of the account")
    PYTHON = "python", "Python"
    SYSTEM = "system", _("Operating system")
    NAMESPACES = "namespaces", _("Network namespaces")
    CLOCK = "clock", _("Clock")
    DISK = "disk", _("Disk")
    PORTS = "ports", _("Free ports")
    PACKAGES = "packages", _("Packages")
    AGENT = "agent", _("Agent")
    WATCH = "watch", _("Service that keeps hubs running")
    ANSWER = "answer", _("Answer of the agent")


class PlanState(models.TextChoices):
    """The state of a plan."""

    WAITING = "waiting", _("Being worked out")
    READY = "ready", _("Worked out")
    FAILED = "failed", _("Could not be worked out")


class EndReason(models.TextChoices):
    """Why a connection ended."""

    LEFT = "left", _("Left")
    REPLACED = "replaced", _("Connected anew")
    REVOKED = "revoked", _("Access revoked")
    EXPIRED = "expired", _("Expired")
    REMOVED = "removed", _("Peer deleted")
    RENEWED = "renewed", _("Keys renewed")
    MOVED = "moved", _("Hub moved or rebuilt")
    DELETED = "deleted", _("Instance deleted")
    LOST = "lost", _("Server lost")
    UNSEEN = "unseen", _("Not observed")
