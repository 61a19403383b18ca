"""The codes of findings, by component. A test checks that the agent uses each, and that the portal has words for it."""

from __future__ import annotations

from typing import Final

from vpn.wire.finding import Code

# Drift: what was changed on the server behind the portal's back.
WIREGUARD_SETTINGS_CHANGED: Final = Code("wireguard", "settings-changed")
WIREGUARD_PEER_ADDED: Final = Code("wireguard", "peer-added")  # subject: how its public key begins
WIREGUARD_PEER_REMOVED: Final = Code("wireguard", "peer-removed")  # subject: the peer's id
WIREGUARD_ALLOWED_IPS_CHANGED: Final = Code("wireguard", "allowed-ips-changed")  # subject: the peer's id
WIREGUARD_PRESHARED_KEY_CHANGED: Final = Code("wireguard", "preshared-key-changed")  # subject: the peer's id
WIREGUARD_ADDRESS_ADDED: Final = Code("wireguard", "address-added")
WIREGUARD_ADDRESS_REMOVED: Final = Code("wireguard", "address-removed")

OPENVPN_FILE_CHANGED: Final = Code("openvpn", "file-changed")
OPENVPN_CLIENT_ADDED: Final = Code("openvpn", "client-added")  # subject: the name of its file
OPENVPN_CLIENT_REMOVED: Final = Code("openvpn", "client-removed")  # subject: the peer's id
OPENVPN_CLIENT_CHANGED: Final = Code("openvpn", "client-changed")  # subject: the peer's id
OPENVPN_ROUTE_ADDED: Final = Code("openvpn", "route-added")
OPENVPN_ADDRESS_ADDED: Final = Code("openvpn", "address-added")

DNS_UNWANTED: Final = Code("dns", "unwanted")
DNS_SETTINGS_CHANGED: Final = Code("dns", "settings-changed")
DNS_PROCESS_OUTDATED: Final = Code("dns", "process-outdated")
DNS_SERVERS_CHANGED: Final = Code("dns", "servers-changed")
DNS_FILE_ADDED: Final = Code("dns", "file-added")
DNS_NAME_ADDED: Final = Code("dns", "name-added")
DNS_NAME_MISSING: Final = Code("dns", "name-missing")

FIREWALL_TABLE_MISSING: Final = Code("firewall", "table-missing")
FIREWALL_TABLE_CHANGED: Final = Code("firewall", "table-changed")
FIREWALL_CHAIN_ADDED: Final = Code("firewall", "chain-added")
FIREWALL_CHAIN_MISSING: Final = Code("firewall", "chain-missing")
FIREWALL_RULES_ADDED: Final = Code("firewall", "rules-added")  # subject: the chain
FIREWALL_RULES_REMOVED: Final = Code("firewall", "rules-removed")  # subject: the chain
FIREWALL_RULE_CHANGED: Final = Code("firewall", "rule-changed")
FIREWALL_SET_ADDED: Final = Code("firewall", "set-added")
FIREWALL_SET_MISSING: Final = Code("firewall", "set-missing")
FIREWALL_SET_CHANGED: Final = Code("firewall", "set-changed")

LIMITS_CHANGED: Final = Code("limits", "changed")
LIMITS_NETWORKS_CHANGED: Final = Code("limits", "networks-changed")
LIMITS_HOST_CHANGED: Final = Code("limits", "host-changed")

ROUTING_ROUTE_ADDED: Final = Code("routing", "route-added")
ROUTING_ROUTE_CHANGED: Final = Code("routing", "route-changed")
ROUTING_ROUTE_REMOVED: Final = Code("routing", "route-removed")

NAMESPACE_ADDRESS_ADDED: Final = Code("namespace", "address-added")
NAMESPACE_TABLE_ADDED: Final = Code("namespace", "table-added")  # subject: family/name

EGRESS_ADDRESS_ADDED: Final = Code("egress", "address-added")
EGRESS_TRANSLATION_CHANGED: Final = Code("egress", "translation-changed")
EGRESS_HOST_RULES_CHANGED: Final = Code("egress", "host-rules-changed")

MORE_CHANGES: Final = Code("hub", "more-changes")  # subject: how many
