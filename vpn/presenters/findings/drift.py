"""The words for drift: changes on the server that the portal did not make. `%(subject)s` is what was changed."""

from __future__ import annotations

from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from vpn.wire import codes
from vpn.wire.finding import Code

WORDS: Final[dict[Code, Promise]] = {
    codes.WIREGUARD_SETTINGS_CHANGED: _("The key or the port of the hub's WireGuard was changed."),
    codes.WIREGUARD_PEER_ADDED: _("An unknown WireGuard peer was added: %(subject)s…."),
    codes.WIREGUARD_PEER_REMOVED: _("The WireGuard peer %(subject)s was removed."),
    codes.WIREGUARD_ALLOWED_IPS_CHANGED: _("The allowed IPs of the WireGuard peer %(subject)s were changed."),
    codes.WIREGUARD_PRESHARED_KEY_CHANGED: _("The preshared key of the WireGuard peer %(subject)s was changed."),
    codes.WIREGUARD_ADDRESS_ADDED: _("The address %(subject)s was added to the WireGuard interface."),
    codes.WIREGUARD_ADDRESS_REMOVED: _("The hub's address %(subject)s was removed."),
    codes.OPENVPN_FILE_CHANGED: _("OpenVPN's file %(subject)s was changed."),
    codes.OPENVPN_CLIENT_ADDED: _("An unknown OpenVPN client was admitted: %(subject)s."),
    codes.OPENVPN_CLIENT_REMOVED: _("The file of the OpenVPN client %(subject)s was removed."),
    codes.OPENVPN_CLIENT_CHANGED: _("The file of the OpenVPN client %(subject)s was changed."),
    codes.OPENVPN_ROUTE_ADDED: _("A route to %(subject)s was added to an OpenVPN interface."),
    codes.OPENVPN_ADDRESS_ADDED: _("The address %(subject)s was added to an OpenVPN interface."),
    codes.DNS_UNWANTED: _("The hub has a resolver, but its DNS settings ask for none."),
    codes.DNS_SETTINGS_CHANGED: _("The resolver's settings were changed."),
    codes.DNS_PROCESS_OUTDATED: _("The resolver runs with other settings than its configuration files have."),
    codes.DNS_SERVERS_CHANGED: _("The upstream servers of the resolver were changed."),
    codes.DNS_FILE_ADDED: _("Names were added to the resolver, in a file %(subject)s."),
    codes.DNS_NAME_ADDED: _("A name was added to the resolver: %(subject)s."),
    codes.DNS_NAME_MISSING: _("A name was taken out of the resolver: %(subject)s."),
    codes.FIREWALL_TABLE_MISSING: _("The firewall's table is missing."),
    codes.FIREWALL_TABLE_CHANGED: _("The firewall's table was changed."),
    codes.FIREWALL_CHAIN_ADDED: _("A chain was added to the firewall: %(subject)s."),
    codes.FIREWALL_CHAIN_MISSING: _("A chain of the firewall is missing: %(subject)s."),
    codes.FIREWALL_RULES_ADDED: _("Rules were added to the firewall's chain %(subject)s."),
    codes.FIREWALL_RULES_REMOVED: _("Rules were taken out of the firewall's chain %(subject)s."),
    codes.FIREWALL_RULE_CHANGED: _("A rule of the firewall was changed."),
    codes.FIREWALL_SET_ADDED: _("A set was added to the firewall: %(subject)s."),
    codes.FIREWALL_SET_MISSING: _("A set of the firewall is missing: %(subject)s."),
    codes.FIREWALL_SET_CHANGED: _("The addresses in the firewall's set %(subject)s were changed."),
    codes.LIMITS_CHANGED: _("The limits of peers were changed."),
    codes.LIMITS_NETWORKS_CHANGED: _("The networks that the limits of peers apply to were changed."),
    codes.LIMITS_HOST_CHANGED: _("The limits of hubs on the server itself were changed."),
    codes.ROUTING_ROUTE_ADDED: _("A route to %(subject)s was added."),
    codes.ROUTING_ROUTE_CHANGED: _("The route to %(subject)s was changed."),
    codes.ROUTING_ROUTE_REMOVED: _("The route to %(subject)s was removed."),
    codes.NAMESPACE_ADDRESS_ADDED: _("The address %(subject)s was added."),
    codes.NAMESPACE_TABLE_ADDED: _("A firewall table was added: %(subject)s."),
    codes.EGRESS_ADDRESS_ADDED: _("The address %(subject)s was added to the link to the server."),
    codes.EGRESS_TRANSLATION_CHANGED: _("The hub's address translation was changed."),
    codes.EGRESS_HOST_RULES_CHANGED: _("The portal's firewall rules on the server itself were changed."),
    codes.MORE_CHANGES: _("And %(subject)s more changes."),
}
