"""Constants of the product: limits, defaults, and address ranges with a special meaning."""

from ipaddress import IPv4Network, IPv6Network
from typing import Final

from django.utils.translation import gettext_noop as _

NAME_LENGTH: Final = (3, 20)
LABEL_TEXT_LENGTH: Final = (1, 40)
HOSTNAME_LENGTH: Final = (3, 20)

DEFAULT_PUBLIC_DNS: Final = ("9.9.9.9", "149.112.112.112")
# The same servers, for hubs with IPv6 only.
DEFAULT_PUBLIC_DNS_V6: Final = ("2620:fe::fe", "2620:fe::9")

# Ports are unique on a server. While numbers are left, an instance gets one that no other instance of the portal has,
# so that it can move between servers without a new profile.
FIRST_PORT: Final = 20000
LAST_PORT: Final = 32767

# 1280 is what IPv6 needs (RFC 8200, section 5). WireGuard fills a packet up to a multiple of 16 (on a hub with
# wireguard-go beyond the MTU) and adds 80 bytes over IPv6, 60 over IPv4; OpenVPN over UDP adds 72 and 52. So 1328
# passes a mobile network of 1,420 bytes in one piece, and PPPoE's 1,492 too.
MIN_MTU: Final = 1280
DEFAULT_MTU: Final = 1328
TUNNEL_OVERHEAD: Final = 80
PADDING: Final = 16
MAX_MTU: Final = 1500

DEFAULT_POOL_BASE: Final = IPv4Network("100.64.0.0/10")
MIN_POOL_PREFIX: Final = 16
DEFAULT_POOL_PREFIX: Final = 20
MAX_POOL_PREFIX: Final = 24

# The code of a refusal that `confirm_broad_routes` lifts: networks of two peers, one inside the other.
SUBNET_NESTED: Final = "subnet-nested"
# The code of a refusal that an alias subnet lifts: another site of the instance has the same network.
SUBNET_OVERLAP: Final = "subnet-overlap"

# WireGuard renews its keys every 120 s and gives a session up after 180 s (whitepaper, section 6.1).
HANDSHAKE_TIMEOUT: Final = 180
OBSERVATION_MAX_AGE: Final = 10
PERSISTENT_KEEPALIVE: Final = 25

# The most items in one row: enough for any branch, but too few to keep a shared server busy.
MOST_SUBNETS: Final = 500
MOST_PUSHED_ROUTES: Final = 500
MOST_SERVER_NETWORKS: Final = 50
MOST_DNS_SERVERS: Final = 8
MOST_RULES: Final = 1000
MOST_DOMAINS: Final = 50
MOST_DNS_RECORDS: Final = 500
# dnsmasq gives up a chain of more than ten aliases.
LONGEST_CNAME_CHAIN: Final = 8

# Special-use domains, which no hub answers or forwards (RFC 6761 and its registry). `test` and `example` are missing on
# purpose: an organization may use them inside.
SPECIAL_USE_DOMAINS: Final[dict[str, str]] = {
    "localhost": _("every device keeps it for itself (RFC 6761)"),
    "invalid": _("it exists nowhere (RFC 6761)"),
    "onion": _("it belongs to Tor and is asked of no DNS server (RFC 7686)"),
    "alt": _("it is set apart for names outside the DNS (RFC 9476)"),
    "local": _("devices ask for it on their own link only (RFC 6762)"),
    "in-addr.arpa": _("the hub answers reverse lookups by itself"),
    "ip6.arpa": _("the hub answers reverse lookups by itself"),
}

SHARE_TOKEN_TTL: Final = 3600
# A mailed one waits until its person reads mail.
SHARE_MAIL_TTL: Final = 86400
# How long the browser that opened a share link can come back to the profile: long enough to get an app from its store.
SHARE_WINDOW: Final = 900
# How long an app can import the profile of a page that was just shown, in seconds.
IMPORT_TTL: Final = 600
# How long a request for a profile waits, in seconds, until the hub has the peer.
HUB_WAIT: Final = 5.0
HOSTNAME_QUARANTINE_DAYS: Final = 30
# For how long the answer to a call with an Idempotency-Key is stored.
IDEMPOTENCY_HOURS: Final = 24
# For how long a deleted peer's addresses are not assigned again, unless its pool is full.
HOST_REST_HOURS: Final = 24

# Addresses of clouds' metadata and name services, besides the link-local ranges. Sources: vpn/wire/reserved.py, which
# has the same list for the server's side.
IN_GUEST_V4: Final[tuple[tuple[IPv4Network, str], ...]] = (
    (IPv4Network("100.100.2.136/32"), _("Alibaba's name server for its own machines")),
    (IPv4Network("100.100.2.138/32"), _("Alibaba's name server for its own machines")),
    (IPv4Network("100.100.100.200/32"), _("the metadata service of Alibaba")),
    (IPv4Network("161.26.0.0/16"), _("IBM's services for its own machines")),
    (IPv4Network("166.8.0.0/14"), _("IBM's services for its own machines")),
    (IPv4Network("168.63.129.16/32"), _("Azure's service for its own machines")),
    (IPv4Network("183.60.82.98/32"), _("Tencent's name server for its own machines")),
    (IPv4Network("183.60.83.19/32"), _("Tencent's name server for its own machines")),
    (IPv4Network("192.0.0.192/32"), _("the metadata service of Oracle")),
)
IN_GUEST_V6: Final[tuple[tuple[IPv6Network, str], ...]] = (
    (IPv6Network("fd00:42::42/128"), _("the metadata service of Scaleway")),
    (IPv6Network("fd00:a9fe:a9fe::1/128"), _("the metadata service of Linode")),
    (IPv6Network("fd00:c1::a9fe:a9fe/128"), _("the metadata service of Oracle")),
    (IPv6Network("fd00:ec2::/32"), _("the metadata, name and time services of AWS")),
    (IPv6Network("fd20:ce::254/128"), _("the metadata service of Google")),
)

# Ranges that no peer may advertise, each with the words that explain the refusal.
RESERVED_NETWORKS_V4: Final[tuple[tuple[IPv4Network, str], ...]] = (
    (IPv4Network("0.0.0.0/8"), _("the unspecified addresses (RFC 1122)")),
    (IPv4Network("127.0.0.0/8"), _("loopback, which every host keeps for itself (RFC 1122)")),
    (IPv4Network("169.254.0.0/16"), _("link-local, with the metadata address of clouds (RFC 3927)")),
    (IPv4Network("198.18.0.0/15"), _("the links between hubs and their host (RFC 2544)")),
    (IPv4Network("224.0.0.0/4"), _("multicast, which tunnels do not route (RFC 5771)")),
    (IPv4Network("255.255.255.255/32"), _("the broadcast address (RFC 919)")),
    (IPv4Network("240.0.0.0/4"), _("reserved and not routed anywhere (RFC 1112)")),
    *IN_GUEST_V4,
)
RESERVED_NETWORKS_V6: Final[tuple[tuple[IPv6Network, str], ...]] = (
    (IPv6Network("::/128"), _("the unspecified address (RFC 4291)")),
    (IPv6Network("::1/128"), _("loopback, which every host keeps for itself (RFC 4291)")),
    (IPv6Network("::ffff:0:0/96"), _("IPv4 addresses in IPv6 form: write them as IPv4 (RFC 4291)")),
    (IPv6Network("64:ff9b::/96"), _("IPv4 addresses in IPv6 form: write them as IPv4 (RFC 6052)")),
    (IPv6Network("::/8"), _("reserved for embedded addresses and not routed anywhere (RFC 4291)")),
    (IPv6Network("fdba:5e11::/32"), _("the links between hubs and their host")),
    (IPv6Network("fe80::/10"), _("link-local, valid on one link only (RFC 4291)")),
    (IPv6Network("ff00::/8"), _("multicast, which tunnels do not route (RFC 4291)")),
    *IN_GUEST_V6,
)

# Ranges that are private by design; what lies in none of them is public. The documentation ranges (RFC 5737,
# RFC 3849) are missing on purpose: in the network tests they play the internet.
PRIVATE_NETWORKS_V4: Final = (
    IPv4Network("10.0.0.0/8"),
    IPv4Network("100.64.0.0/10"),
    IPv4Network("172.16.0.0/12"),
    IPv4Network("192.168.0.0/16"),
)
PRIVATE_NETWORKS_V6: Final = (IPv6Network("fc00::/7"),)

# First labels with a conventional meaning for people, mail servers, browsers or this portal. Words that only describe a
# hub (demo, edge, prod) stay free.
_RESERVED_HOSTNAMES = """
www www1 www2 www3 web website static assets media files download downloads upload
uploads cdn cache proxy gateway vpn wireguard openvpn
ipsec api api1 api2 graphql rest rpc app apps portal console panel dashboard admin administrator root sysadmin
superuser cpanel whm plesk
mail mail1 mail2 email webmail smtp smtps imap imaps pop pop3 pop3s mx mx1 mx2 mx3 relay mta
newsletter postmaster hostmaster webmaster noreply no-reply mailer-daemon
ns ns0 ns1 ns2 ns3 ns4 ns5 ns6 dns dns1 dns2 dns3 dns4 resolver doh dot nameserver nameserver1 nameserver2
ftp sftp ftps ssh ssh1 telnet rdp ldap ldaps radius kerberos kdc ntp snmp syslog
autodiscover autoconfig wpad isatap localhost localdomain local broadcasthost hostname invalid
onion internal intranet extranet test testing dev devel development stage staging
login logout signin signup sign-in sign-up register auth oauth oauth2 sso saml oidc idp account accounts
password billing status health healthz monitor monitoring metrics stats statistics
support help helpdesk docs doc documentation wiki faq blog privacy pki crl ocsp cert certs
server servers default all none
"""
RESERVED_HOSTNAMES: Final = frozenset(_RESERVED_HOSTNAMES.split())
# OpenVPN sessions per second that a server makes reconnect to push changed options (the agent's RATE).
RENEWALS_PER_SECOND = 10
