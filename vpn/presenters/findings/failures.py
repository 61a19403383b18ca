"""The words for failures in the portal's own background work. `%(subject)s` is what the failure is about."""

from __future__ import annotations

from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from vpn import failures
from vpn.wire.finding import Code

WORDS: Final[dict[Code, Promise]] = {
    failures.REGION_WITHOUT_SERVER: _(
        "The region of this instance has no server yet. Choose another region, or ask the operator."
    ),
    failures.NO_SERVER: _("The hub has no server yet."),
    failures.NO_ADDRESS: _("The server has no public address. Set HUB_ADDRESS and start the portal again."),
    failures.UNKNOWN_DRIVER: _("This version of the portal has no driver “%(subject)s” to reach the server with."),
    failures.AGENT_SILENT: _("The agent on this machine does not answer. The log of the portal's worker says why."),
    failures.SERVER_UNREACHABLE: _(
        "The hub's server does not answer at the moment. The portal keeps trying, and goes on by itself."
    ),
    failures.SERVER_NOT_PREPARED: _("The hub's server is not prepared yet. Prepare it, then try again."),
    failures.SERVER_COMPROMISED: _(
        "The hub's server was compromised, so the portal asks it no more. The hub gets new keys and another server."
    ),
    failures.SERVER_SILENT: _(
        "The server does not answer at %(subject)s. Check that it is on, that its SSH server runs, and that its "
        "firewall lets the portal in."
    ),
    failures.HOST_KEY_CHANGED: _(
        "The server shows another host key than the trusted one. If it was installed anew, look at its new key and "
        "confirm it; if not, another machine may be answering in its place."
    ),
    failures.KEY_NOT_AUTHORISED: _(
        "The server does not accept the portal's key. Add the line that the portal shows to the file "
        "~/.ssh/authorized_keys of the account %(subject)s."
    ),
    failures.NO_SUDO: _(
        "The account %(subject)s may not use sudo for the agent. Install sudo on the server, and add the rule that "
        "the portal shows to a file in /etc/sudoers.d."
    ),
    failures.NOT_ROOT: _("The agent did not get the rights of root on the server: check the sudo rule."),
    failures.PYTHON_MISSING: _("The server has no /usr/bin/python3: install the package python3 on it."),
    failures.PYTHON_OLD: _("The server's Python is older than 3.10: use a newer release of its distribution."),
    failures.AGENT_NOT_INSTALLED: _("The agent is not on the server any more: prepare the server again."),
    failures.SERVER_DISK_FULL: _("The server's disk is full: make room, then prepare the server again."),
    failures.SERVER_NOT_WRITTEN: _(
        "The server could not store the agent in /var/lib/vpn-hub. Mount its disk so that it can be written."
    ),
    failures.COMMAND_FAILED: _(
        "The program on the server ended with status %(subject)s. The log of the portal's worker says why."
    ),
    failures.REPORT_INVALID: _(
        "The agent sent a report that the portal cannot read. The log of the portal's worker says why."
    ),
    failures.KNOCK_IMPOSSIBLE: _("The portal could not knock on the hub from this machine (%(subject)s)."),
    failures.NOT_STARTED: _("The hub has to be started first. Try again."),
    failures.OUT_OF_STEP: _(
        "The server kept answering with another state than the portal's. The portal tries again by itself."
    ),
    failures.MOVE_CANCELLED: _("Cancelled. The hub stays where it was."),
    failures.CANCELLED_BY_DELETION: _("Cancelled, because the instance is deleted."),
    failures.OTHER_CONFIRMED: _(
        "The server confirmed another state than it was sent, so it is not known what the hub runs. The portal tries "
        "again by itself. If that does not help, the portal and its agent may be of different versions: restart both."
    ),
    failures.CONCURRENT_CHANGE: _("Changes came faster than they could be applied. The portal tries again by itself."),
    failures.SECRET_UNREADABLE: _(
        "The secret %(subject)s of this hub cannot be opened. Most likely its key is not in SECRET_KEYS any more. "
        "Put that key back, then start the portal again."
    ),
    failures.NAME_SERVER_SILENT: _(
        "The DNS server %(subject)s does not answer: start it, let the portal reach it over UDP and TCP, or correct "
        "the host and port in DNS_URL."
    ),
    failures.NAME_SERVER_UNKNOWN: _("The DNS server %(subject)s of DNS_URL has no address: correct its name."),
    failures.NAME_KEY_UNKNOWN: _(
        "The DNS server %(subject)s does not know the key of DNS_URL: correct the key's name and algorithm, or add the "
        "key to the server."
    ),
    failures.NAME_KEY_WRONG: _(
        "The DNS server %(subject)s has another secret for the key of DNS_URL: correct the secret in DNS_URL."
    ),
    failures.NAME_CLOCK_WRONG: _(
        "The clocks of the portal and of the DNS server %(subject)s differ by minutes: set both by NTP."
    ),
    failures.NAME_UPDATE_REFUSED: _(
        "The DNS server %(subject)s does not let the key of DNS_URL change the zone: allow the key updates of A, AAAA "
        "and TXT records there."
    ),
    failures.NAME_ZONE_MISSING: _(
        "The DNS server of DNS_URL has no zone %(subject)s, or does not answer for it: create the zone there, let the "
        "portal query it, or correct the zone in DNS_URL."
    ),
    failures.NAME_CREDENTIALS_WRONG: _(
        "The DNS provider %(subject)s does not accept the credentials of DNS_URL for the zone: correct them, or allow "
        "them to read the zone and to change A, AAAA and TXT records."
    ),
    failures.NAME_PROVIDER_SILENT: _(
        "The DNS provider %(subject)s does not answer: let the portal reach its API, or correct the host, the port or "
        "the option secure in DNS_URL."
    ),
    failures.NAME_PROVIDER_BUSY: _(
        "The DNS provider %(subject)s limits how often it is asked. The portal tries again by itself; if this lasts, "
        "raise the limit there, or give the portal credentials of its own."
    ),
    failures.NAME_PROVIDER_REFUSED: _(
        "The DNS provider did not change the records (%(subject)s). Its console says whether a limit of records is "
        "reached; if its shortest lifetime is longer, set the option ttl in DNS_URL."
    ),
    failures.NAME_SERVER_FAILED: _(
        "The DNS server of DNS_URL could not do what it was asked (%(subject)s): its log says why."
    ),
    failures.NAME_TAKEN: _(
        "The zone has records for %(subject)s that this portal did not make, so it leaves them alone: remove them, and "
        "the portal publishes the hub's."
    ),
    failures.NAME_NOT_EVERYWHERE: _(
        "Another server of the zone, %(subject)s, does not answer with the hub's address yet: check its zone transfers."
    ),
    failures.NAME_RESOLVER_SILENT: _(
        "The resolver %(subject)s, which checks the name, does not answer: let the portal reach it, or set "
        "DNS_RESOLVER."
    ),
    failures.NAME_UNRESOLVED: _("%(subject)s does not resolve: make the records of the hub's Settings page."),
    failures.NAME_ELSEWHERE: _(
        "The name resolves to %(subject)s, which is not the hub's address: make the records of the hub's Settings "
        "page, and remove others of this name."
    ),
    failures.NAME_LEFT: _(
        "The zone still has records of %(subject)s, and no DNS_URL is set: remove them there, or set DNS_URL again."
    ),
    failures.CLOUD_UNKNOWN: _(
        "The library that calls clouds knows no provider “%(subject)s”: correct it in the cloud account."
    ),
    failures.CLOUD_NO_USER_DATA: _(
        "The portal cannot give user data to servers of %(subject)s, so it cannot order any there: choose another "
        "provider, or add servers over SSH."
    ),
    failures.CLOUD_SETTINGS: _(
        "The settings of the cloud account do not fit the provider %(subject)s: compare them with its description, "
        "then test the credentials."
    ),
    failures.CLOUD_CREDENTIALS: _(
        "%(subject)s does not accept the credentials: enter valid ones in the cloud account, and test them there."
    ),
    failures.CLOUD_RIGHTS: _(
        "The credentials have too few rights at %(subject)s: allow them to list, create and remove servers, tags and "
        "firewalls, then try again."
    ),
    failures.CLOUD_QUOTA: _(
        "The quota of the account at %(subject)s is used up: remove servers there or ask for a higher quota, then try "
        "again."
    ),
    failures.CLOUD_CAPACITY: _(
        "The provider has no free server %(subject)s at the moment: try again later, or choose another size or "
        "location in the cloud account."
    ),
    failures.CLOUD_IMAGE: _(
        "The provider cannot start the image %(subject)s: enter one of Debian 12 or 13 or Ubuntu 22.04 or 24.04, which "
        "this location has, in the cloud account."
    ),
    failures.CLOUD_SIZE: _(
        "The provider has no size %(subject)s in this location: enter another one in the cloud account."
    ),
    failures.CLOUD_NETWORK: _("The provider does not accept the network %(subject)s: correct it in the cloud account."),
    failures.CLOUD_LOCATION: _("The provider has no location %(subject)s: correct it in the cloud account."),
    failures.CLOUD_BUSY: _("%(subject)s gets too many calls with these credentials at the moment."),
    failures.CLOUD_SILENT: _(
        "%(subject)s does not answer: let the portal reach it over HTTPS, or correct the endpoint in the cloud account."
    ),
    failures.CLOUD_REFUSED: _(
        "The provider refused the order with status %(subject)s. The log of the portal's worker has its words; correct "
        "the cloud account, then try again."
    ),
    failures.CLOUD_FAILED: _(
        "The provider could not do what it was asked (%(subject)s). The log of the portal's worker says more."
    ),
    failures.CLOUD_NODE_GONE: _(
        "The server %(subject)s was ordered, but is not there any more: someone removed it, or it did not start. Try "
        "again, and the portal orders another."
    ),
    failures.CLOUD_NODE_SILENT: _(
        "The server at %(subject)s did not become ready for SSH in time: look at its console at the provider. The "
        "image has to run cloud-init, and the portal must reach TCP port 22. Then try again."
    ),
    failures.CLOUD_NODE_ENDING: _(
        "The hub's server does not answer, and carries nothing else: the portal removes it at the provider, and the "
        "hub with it."
    ),
}
