"""The words for refusals: why the agent failed, and what to do. `%(subject)s` is what the refusal is about."""

from __future__ import annotations

from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from vpn.wire import codes
from vpn.wire.finding import Code

WORDS: Final[dict[Code, Promise]] = {
    codes.WIREGUARD_PORT_TAKEN: _(
        "UDP port %(subject)s of the server is taken by another program: free it or choose another port."
    ),
    codes.WIREGUARD_OWN_PORT_TAKEN: _(
        "The hub's UDP port is taken by another program: free it or choose another port."
    ),
    codes.WIREGUARD_PORT_NOT_OPENED: _(
        "wireguard-go did not open UDP port %(subject)s: look at the server, then try again."
    ),
    codes.WIREGUARD_NO_TUN: _(
        "wireguard-go could not make a tunnel interface: give the server %(subject)s, or WireGuard in its kernel."
    ),
    codes.WIREGUARD_NO_INOTIFY: _(
        "wireguard-go cannot start: the server has no inotify instance left for it. Raise the limit: "
        "sysctl -w %(subject)s."
    ),
    codes.WIREGUARD_NOT_STARTED: _(
        "wireguard-go did not start, or did not answer. LOG_LEVEL=error wireguard-go -f test0 says why."
    ),
    codes.WIREGUARD_CONFIGURATION_REFUSED: _(
        "wg refused the hub's configuration: update wireguard-tools on the server, then try again."
    ),
    codes.OPENVPN_PORT_TAKEN: _(
        "Port %(subject)s of the server is taken by another program: free it or choose another port."
    ),
    codes.OPENVPN_LISTENER_PORT_TAKEN: _(
        "The port of OpenVPN's listener %(subject)s is taken by another program: free it or choose another."
    ),
    codes.OPENVPN_NOT_STARTED: _(
        "OpenVPN's listener %(subject)s did not start. The log of the portal's worker says why."
    ),
    codes.OPENVPN_ROUTES_NOT_STARTED: _(
        "The program that sets the routes of OpenVPN's peers did not start: give the server more memory, then try "
        "again."
    ),
    codes.OPENVPN_PATH_UNUSABLE: _(
        "OpenVPN needs a state directory with a short name of letters, digits and simple signs: move it."
    ),
    codes.DNS_PORT_TAKEN: _("Port 53 inside the hub is taken by another program: end it (ip netns pids %(subject)s)."),
    codes.DNS_NOT_STARTED: _(
        "The resolver dnsmasq ended as soon as it had started: give the server more memory, then try again."
    ),
    codes.DNS_PATH_UNUSABLE: _(
        "The resolver needs a state directory without quotes and backslashes in its name: move it."
    ),
    codes.DNS_NAME_INVALID: _("The resolver got a name that is not valid: check the records on the DNS page."),
    codes.DNS_ADDRESS_INVALID: _("The resolver got an address that is not valid: check the records on the DNS page."),
    codes.SERVER_BUSY: _("Another agent is busy on this server: try again in a moment."),
    codes.SERVER_DISK_FULL: _("The server's disk is full: make room, then try again."),
    codes.SERVER_STATE_READ_ONLY: _("The agent may not write its state (%(subject)s): run it as root."),
    codes.SERVER_STATE_NOT_WRITTEN: _(
        "The server could not write the agent's state (%(subject)s): check its disk, then try again."
    ),
    codes.SERVER_DIRECTORY_LEFT: _(
        "The agent could not remove its directory %(subject)s: remove it on the server, then try again."
    ),
    codes.SERVER_PROCESS_LEFT: _("A process of %(subject)s does not end: the server may need a restart."),
    codes.SERVER_USER_PROCESS_LEFT: _(
        "The process %(subject)s of a hub's user does not end: the server may need a restart."
    ),
    codes.SERVER_NO_USER_IDS: _(
        "This server has no free user ids for the daemons of one more hub: use another server."
    ),
    codes.SERVER_NO_LINK: _("This server has no free link for one more hub: use another server."),
    codes.SERVER_PACKAGE_MISSING: _("The server lacks a program: install the package %(subject)s."),
    codes.SERVER_PROGRAM_FORBIDDEN: _(
        "The agent may not run %(subject)s here: run it as root, with the right to administer the network."
    ),
    codes.SERVER_PROGRAM_NOT_RUN: _(
        "The server could not run %(subject)s: look at its memory and processes, then try again."
    ),
    codes.SERVER_PROGRAM_SLOW: _("%(subject)s did not end in time on the server: look at its load, then try again."),
    codes.SERVER_PROGRAM_FAILED: _("%(subject)s failed on the server. The log of the portal's worker says why."),
    codes.SERVER_RIGHT_MISSING: _("The agent lacks the right %(subject)s on the server: run it as root."),
    codes.SERVER_SYSTEM_UNSUPPORTED: _(
        "The server runs %(subject)s. Hubs need Debian 12 or 13, or Ubuntu 22.04 or 24.04: install one of these."
    ),
    codes.SERVER_NAMESPACES_REFUSED: _(
        "The server cannot create network namespaces. A container usually cannot: use a virtual or physical machine."
    ),
    codes.SERVER_NO_TUN: _("The server has no %(subject)s. Load the kernel module tun, or let the provider enable it."),
    codes.SERVER_CLOCK_WRONG: _(
        "The server's clock differs by %(subject)s s from the portal's: set it, for example with "
        "timedatectl set-ntp true."
    ),
    codes.SERVER_DISK_SHORT: _("The server has only %(subject)s of free disk space: make room for at least 500 MB."),
    codes.SERVER_NO_PORTS: _("Every port from 20000 to 32767 is taken by other programs: use another server."),
    codes.SERVER_PACKAGES_NOT_INSTALLED: _(
        "The packages %(subject)s could not be installed. Does apt-get install work on the server? "
        "The file /var/lib/vpn-hub/packages.log there says why."
    ),
    codes.SERVER_WATCH_NOT_STARTED: _(
        "The service vpn-hub-watch did not start. Its log on the server says why: journalctl -u vpn-hub-watch, or "
        "/var/lib/vpn-hub/watch.log where there is no systemd."
    ),
    codes.HUB_NEWER: _("The server has a newer configuration of this hub already: try again."),
    codes.HUB_DIFFERS: _("The server has another configuration of this hub with the same generation: try again."),
    codes.HUB_DESTROYED: _("The hub was destroyed on this server and does not come back: try again."),
    codes.HUB_LEASE_OVER: _("The portal did not reach the server for too long, so the hub is down there: try again."),
    codes.HUB_UNKNOWN: _("The server has no such hub: try again."),
    codes.HUB_UNSETTLED: _("The server cannot verify the hub's state and needs the whole configuration: try again."),
    codes.HUB_OTHER_BASE: _("The change does not fit the state that the hub is in: try again."),
    codes.AGENT_DOCUMENT_INVALID: _(
        "The agent does not accept the %(subject)s that it was sent: update the portal and its agent to one version."
    ),
    codes.AGENT_REQUEST_INVALID: _(
        "The agent does not understand the request: update the portal and its agent to one version."
    ),
    codes.AGENT_COMMAND_UNKNOWN: _(
        "The agent does not know the request's command: update the portal and its agent to one version."
    ),
    codes.AGENT_FAULT: _("The agent has a fault (%(subject)s): report it."),
}
