"""Which menus, commands and properties a version of RouterOS has, as far as the profiles touch them.

Menus of RouterOS 7 are copied down from what `/console inspect` answers, as tikoci/restraml publishes it. Of 7.19.6
every menu below was read whole (add, set, remove, import); 7.12.2, 7.17, 7.20 and 7.21.1 say what came when. An
older version that was not read counts as having no more than the one before it. The menus have more properties than
are listed here, never fewer. What a value may be, the listing says of digests and ciphers alone, and of them in
`ovpn-server`, whose words `ovpn-client` shares; the other values are not from there.

Neither `ovpn-client` nor `ovpn-server` has a property for a tls-crypt or tls-auth key in 7.17, 7.19.6, 7.20.1, 7.20.6
or 7.21.4. Menus of RouterOS 6 are from its manual (Manual:Interface/OVPN, Manual:System/Certificates,
Manual:IP/Route, Manual:IP/Firewall).
"""

from __future__ import annotations

from dataclasses import dataclass, field

Version = tuple[int, ...]

YES_NO = frozenset({"yes", "no"})
CBC = {"aes128-cbc", "aes192-cbc", "aes256-cbc", "blowfish128", "null"}
GCM = {"aes128-gcm", "aes192-gcm", "aes256-gcm"}


@dataclass(frozen=True)
class Menu:
    """A menu's properties with the first version that has them; `once` lists those that no two objects share."""

    properties: dict[str, Version]
    required: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ("add", "set", "remove")
    flags: tuple[str, ...] = ()
    values: dict[str, frozenset[str]] = field(default_factory=dict)
    since: Version = (6,)
    interface: bool = False


def _since(version: Version, names: str) -> dict[str, Version]:
    return dict.fromkeys(names.split(), version)


_FILTER = _since(
    (6,),
    "action chain comment connection-state disabled dst-address dst-address-list dst-port in-interface "
    "in-interface-list log log-prefix out-interface out-interface-list place-before protocol src-address "
    "src-address-list src-port jump-target",
)
# A rule for addresses sees the first packet of a connection only, so it has no state to ask for.
_NAT = {name: since for name, since in _FILTER.items() if name != "connection-state"} | _since(
    (6,), "to-addresses to-ports"
)
_ROUTE = _since((6,), "check-gateway comment disabled distance dst-address gateway scope target-scope")
_ROUTE_7 = _since((7,), "routing-table suppress-hw-offload blackhole")

MENUS: dict[str, Menu] = {
    "/interface wireguard": Menu(
        _since((7, 1), "comment disabled listen-port mtu name private-key") | _since((7, 21), "vrf"),
        since=(7, 1),
        interface=True,
        values={"disabled": YES_NO},
    ),
    "/interface wireguard peers": Menu(
        _since(
            (7, 1),
            "allowed-address comment disabled endpoint-address endpoint-port interface persistent-keepalive "
            "preshared-key public-key",
        )
        | _since((7, 12), "client-address client-dns client-endpoint client-keepalive client-listen-port private-key")
        | _since((7, 17), "name responder")
        | _since((7, 21), "client-allowed-address"),
        required=("interface", "public-key"),
        since=(7, 1),
        values={"disabled": YES_NO},
    ),
    "/interface ovpn-client": Menu(
        _since(
            (6,),
            "add-default-route auth certificate cipher comment connect-to disabled mac-address max-mtu mode name "
            "password port profile user",
        )
        | _since((6, 45), "verify-server-certificate")
        | _since((7, 12), "disconnect-notify protocol route-nopull tls-version use-peer-dns"),
        required=("connect-to", "user", "password"),
        interface=True,
        values={
            "disabled": YES_NO,
            "add-default-route": YES_NO,
            "verify-server-certificate": YES_NO,
            "route-nopull": YES_NO,
            "mode": frozenset({"ip", "ethernet"}),
            "protocol": frozenset({"tcp", "udp"}),
            "tls-version": frozenset({"any", "only-1.2"}),
            "use-peer-dns": frozenset({"yes", "no", "exclusively"}),
        },
    ),
    "/ip address": Menu(
        _since((6,), "address broadcast comment disabled interface netmask network"), required=("address", "interface")
    ),
    "/ipv6 address": Menu(
        _since((7,), "address advertise comment disabled eui-64 from-pool interface no-dad"),
        required=("address", "interface"),
        since=(7,),
        values={"advertise": YES_NO},
    ),
    "/ip route": Menu(
        _ROUTE | _ROUTE_7 | _since((7,), "pref-src"),
        required=("dst-address", "gateway"),
    ),
    "/ipv6 route": Menu(
        _ROUTE | _ROUTE_7,
        required=("dst-address", "gateway"),
        since=(7,),
    ),
    "/routing table": Menu(
        _since((7,), "comment disabled name"), required=("name",), flags=("fib",), since=(7,), verbs=("add", "remove")
    ),
    "/routing rule": Menu(
        _since((7,), "action comment disabled dst-address interface min-prefix routing-mark src-address table"),
        required=("action",),
        since=(7,),
    ),
    "/ip firewall filter": Menu(_FILTER, required=("action", "chain")),
    "/ipv6 firewall filter": Menu(_FILTER, required=("action", "chain"), since=(7,)),
    "/ip firewall nat": Menu(_NAT, required=("action", "chain")),
    "/ipv6 firewall nat": Menu(_NAT, required=("action", "chain"), since=(7, 1)),
    "/certificate": Menu(
        _since((6,), "name trusted") | _since((7, 21), "trust-store"),
        verbs=("set", "remove", "import"),
        values={"trusted": YES_NO},
    ),
    "/file": Menu(_since((6,), "contents") | _since((7, 9), "name"), verbs=("add", "set", "remove", "print")),
}

IMPORT: dict[str, Version] = (
    _since((6,), "file-name passphrase")
    | _since((7,), "name")
    | _since((7, 17), "trusted no-key-export")
    | _since((7, 21), "trust-store")
)


def ciphers(version: Version) -> set[str]:
    """What `cipher` of an ovpn-client may be."""
    return CBC | GCM if version >= (7,) else {"aes128", "aes192", "aes256", "blowfish128", "null"}


def digests(version: Version) -> set[str]:
    """What `auth` of an ovpn-client may be."""
    if version < (7,):
        return {"md5", "sha1", "null"}
    return {"md5", "sha1", "sha256", "sha512", "null"} | ({"sha384"} if version >= (7, 20) else set())
