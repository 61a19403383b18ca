"""What hubs report: rows that no action locks, written only where a report differs from them."""

from vpn.models.observation.connection import Connection, ConnectionSubnet, connection_id, subnets_id
from vpn.models.observation.instance import InstanceObservation
from vpn.models.observation.peer import PeerObservation
from vpn.models.observation.public_name import PublicName
from vpn.models.observation.rule import RuleObservation
from vpn.models.observation.traffic import Traffic

__all__ = [
    "Connection",
    "ConnectionSubnet",
    "InstanceObservation",
    "PeerObservation",
    "PublicName",
    "RuleObservation",
    "Traffic",
    "connection_id",
    "subnets_id",
]
