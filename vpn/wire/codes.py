"""The codes of findings, by component: drift, then refusals.

tests/vpn/test_findings.py checks that the agent uses each, and that the portal has words for it.
"""

from __future__ import annotations

from typing import Final

from vpn.wire.finding import Code

# Drift: changes on the server that the portal did not make.
WIREGUARD_SETTINGS_CHANGED: Final = Code("wireguard", "settings-changed")
WIREGUARD_PEER_ADDED: Final = Code("wireguard", "peer-added")  # subject: the start of its public key
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

MORE_CHANGES: Final = Code("hub", "more-changes")  # subject: their number

# Refusals: why the agent did not carry out a request.
WIREGUARD_PORT_TAKEN: Final = Code("wireguard", "port-taken")
WIREGUARD_OWN_PORT_TAKEN: Final = Code("wireguard", "own-port-taken")
WIREGUARD_PORT_NOT_OPENED: Final = Code("wireguard", "port-not-opened")
WIREGUARD_NO_TUN: Final = Code("wireguard", "no-tun")  # subject: the device
WIREGUARD_NO_INOTIFY: Final = Code("wireguard", "no-inotify")  # subject: the setting to raise
WIREGUARD_NOT_STARTED: Final = Code("wireguard", "not-started")
WIREGUARD_CONFIGURATION_REFUSED: Final = Code("wireguard", "configuration-refused")

OPENVPN_PORT_TAKEN: Final = Code("openvpn", "port-taken")  # subject: for example 20001/tcp
OPENVPN_LISTENER_PORT_TAKEN: Final = Code("openvpn", "listener-port-taken")  # subject: the listener
OPENVPN_NOT_STARTED: Final = Code("openvpn", "not-started")  # subject: the listener
OPENVPN_ROUTES_NOT_STARTED: Final = Code("openvpn", "routes-not-started")
OPENVPN_PATH_UNUSABLE: Final = Code("openvpn", "path-unusable")

DNS_PORT_TAKEN: Final = Code("dns", "port-taken")  # subject: the hub's network namespace
DNS_NOT_STARTED: Final = Code("dns", "not-started")
DNS_PATH_UNUSABLE: Final = Code("dns", "path-unusable")
DNS_NAME_INVALID: Final = Code("dns", "name-invalid")
DNS_ADDRESS_INVALID: Final = Code("dns", "address-invalid")

SERVER_BUSY: Final = Code("server", "busy")
SERVER_DISK_FULL: Final = Code("server", "disk-full")
SERVER_STATE_READ_ONLY: Final = Code("server", "state-read-only")  # subject: the path
SERVER_STATE_NOT_WRITTEN: Final = Code("server", "state-not-written")  # subject: for example ENOENT
SERVER_DIRECTORY_LEFT: Final = Code("server", "directory-left")
SERVER_PROCESS_LEFT: Final = Code("server", "process-left")  # subject: the program
SERVER_USER_PROCESS_LEFT: Final = Code("server", "user-process-left")  # subject: the process's id
SERVER_NO_USER_IDS: Final = Code("server", "no-user-ids")
SERVER_NO_LINK: Final = Code("server", "no-link")
SERVER_PACKAGE_MISSING: Final = Code("server", "package-missing")
SERVER_PROGRAM_FORBIDDEN: Final = Code("server", "program-forbidden")
SERVER_PROGRAM_NOT_RUN: Final = Code("server", "program-not-run")
SERVER_PROGRAM_SLOW: Final = Code("server", "program-slow")
SERVER_PROGRAM_FAILED: Final = Code("server", "program-failed")
SERVER_RIGHT_MISSING: Final = Code("server", "right-missing")  # subject: for example CAP_NET_ADMIN

SERVER_SYSTEM_UNSUPPORTED: Final = Code("server", "system-unsupported")  # subject: for example debian-11
SERVER_NAMESPACES_REFUSED: Final = Code("server", "namespaces-refused")
SERVER_NO_TUN: Final = Code("server", "no-tun")  # subject: the device
SERVER_CLOCK_WRONG: Final = Code("server", "clock-wrong")  # subject: the difference in seconds
SERVER_DISK_SHORT: Final = Code("server", "disk-short")  # subject: the free space, for example 120MB
SERVER_NO_PORTS: Final = Code("server", "no-ports")
SERVER_PACKAGES_NOT_INSTALLED: Final = Code("server", "packages-not-installed")  # subject: their names
SERVER_WATCH_NOT_STARTED: Final = Code("server", "watch-not-started")

HUB_NEWER: Final = Code("hub", "newer")
HUB_DIFFERS: Final = Code("hub", "differs")
HUB_DESTROYED: Final = Code("hub", "destroyed")
HUB_LEASE_OVER: Final = Code("hub", "lease-over")
HUB_UNKNOWN: Final = Code("hub", "unknown")
HUB_UNSETTLED: Final = Code("hub", "unsettled")
HUB_OTHER_BASE: Final = Code("hub", "other-base")

AGENT_DOCUMENT_INVALID: Final = Code("agent", "document-invalid")  # subject: spec, delta or request
AGENT_REQUEST_INVALID: Final = Code("agent", "request-invalid")
AGENT_COMMAND_UNKNOWN: Final = Code("agent", "command-unknown")
AGENT_FAULT: Final = Code("agent", "fault")  # subject: the type of the exception
