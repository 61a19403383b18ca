"""What a site's router needs to be an exit: it passes on packets of the hub's pool, translated to its own address.

The files are separate, so that all others stay as they are. Only packets to the internet are translated: machines in
the router's LAN see a client's own address as before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from django.utils.translation import gettext as _

from vpn.choices import Platform
from vpn.platforms.versions import version_of
from vpn.profiles.openwrt import quoted as uci_quoted
from vpn.profiles.openwrt import zone_of
from vpn.profiles.router import (
    TEXT,
    Network,
    ProfileFile,
    RouterProfile,
    SiteRouter,
    Step,
    device_of,
    networks,
    number_of,
    tag_of,
)
from vpn.profiles.routeros_script import Target, add_before, quoted, remove, script, target_of

# The actions of RouterOS that change a packet's source address.
_CHANGES: Final = ("masquerade", "src-nat", "netmap", "same", "jump")
_NAMED_INTERFACE: Final = (1, 4)


@dataclass(frozen=True)
class Exit:
    """The hub's pools, from which an exit's packets come. With `ended`, the site is no exit any more."""

    pool_v4: IPv4Network
    pool_v6: IPv6Network
    ended: bool = False

    @property
    def pools(self) -> tuple[Network, Network]:
        """Both pools."""
        return self.pool_v4, self.pool_v6


def with_exit(platform: str, found: RouterProfile, router: SiteRouter, way: Exit) -> RouterProfile:
    """The files and steps of a router with those for the exit behind them."""
    maker = _MAKERS.get(Platform(platform))
    if maker is None:
        return found
    files, steps = maker(router, way)
    return RouterProfile((*found.files, *files), (*found.steps, *steps))


Parts = tuple[tuple[ProfileFile, ...], tuple[Step, ...]]


def _pair(router: SiteRouter, way: Exit, ending: str, install: str, undo: str) -> tuple[ProfileFile, ...]:
    """The file that makes a router an exit, and the one that reverts it."""
    name = f"{tag_of(router)}-exit"
    removal = ProfileFile(
        f"{name}-remove.{ending}", undo, TEXT, _("For the exit: removes it again"), kind=f"{ending}-exit-remove"
    )
    if way.ended:
        return (removal,)
    return ProfileFile(f"{name}.{ending}", install, TEXT, _("For the exit"), kind=f"{ending}-exit"), removal


def _ended_words(file: str) -> str:
    return _("This site is no exit any more. Run %(file)s, which removes what the router had for it.") % {"file": file}


def _linux(router: SiteRouter, way: Exit) -> Parts:
    tag, table = tag_of(router), f"{device_of(router)}_exit"
    file = f"/etc/{tag}-exit.nft"
    rules = "".join(
        f"    {family} saddr {pool}{_but(family, router.subnets, pool.version)} "
        f'oifname != "{device_of(router)}" masquerade\n'
        for family, pool in zip(("ip", "ip6"), way.pools, strict=True)
    )
    text = (
        f"table inet {table}\ndelete table inet {table}\ntable inet {table} {{\n  chain postrouting {{\n"
        f"    type nat hook postrouting priority srcnat; policy accept;\n{rules}  }}\n}}\n"
    )
    unit = (
        "[Unit]\nDescription=Exit for clients of the VPN\nAfter=nftables.service\n\n"
        f"[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=nft -f {file}\nExecReload=nft -f {file}\n"
        f"ExecStop=nft delete table inet {table}\n\n[Install]\nWantedBy=multi-user.target\n"
    )
    if way.ended:
        words = _("This site is no exit any more. Stop and remove what the router had for it.")
        ended = (f"systemctl disable --now {tag}-exit", f"rm /etc/systemd/system/{tag}-exit.service {file}")
        return (), (Step(words, commands=ended),)
    files = (
        ProfileFile(f"{tag}-exit.nft", text, TEXT, _("For the exit: rules for nftables"), kind="nft-exit"),
        ProfileFile(f"{tag}-exit.service", unit, TEXT, _("For the exit: a unit for systemd"), kind="service-exit"),
    )
    words = _(
        "For the exit: copy %(tag)s-exit.nft to /etc and %(tag)s-exit.service to /etc/systemd/system, then start it, "
        "now and at every boot. A firewall of the router has to forward the tunnel's packets to the internet."
    ) % {"tag": tag}
    commands = ("systemctl daemon-reload", f"systemctl enable {tag}-exit", f"systemctl restart {tag}-exit")
    return files, (Step(words, commands=commands),)


def _but(family: str, subnets: tuple[Network, ...], version: int) -> str:
    own = [str(network) for network in networks(subnets) if network.version == version and network.prefixlen]
    return f" {family} daddr != {{ {', '.join(own)} }}" if own else ""


def _openwrt(router: SiteRouter, way: Exit) -> Parts:
    tag, device = tag_of(router), device_of(router)
    names = [f"{device}_{part}" for part in ("exit", "exit4", "exit6")]
    gone = [f"delete firewall.{name}" for name in names]
    forwarding = {"src": zone_of(device), "dest": "wan"}
    lines = [*gone, *_uci(names[0], "forwarding", forwarding)]
    for name, pool in zip(names[1:], way.pools, strict=True):
        options = {"name": name, "family": f"ipv{pool.version}", "src": "wan", "src_ip": str(pool), "proto": "all"}
        lines += _uci(name, "nat", {**options, "target": "MASQUERADE"})
    install = "\n".join([*lines, "commit firewall"]) + "\n"
    files = _pair(
        router,
        way,
        "uci",
        install,
        "\n".join([*gone, "commit firewall"]) + "\n",
    )
    file = files[0].filename
    words = _(
        "For the exit: copy %(file)s to /tmp on the router and run it, too. The firewall zone of the internet is "
        "expected to be called wan. IPv6 needs OpenWrt 22.03 or newer."
    )
    commands = (f"uci batch < /tmp/{file}", f"rm /tmp/{file}", "service firewall reload")
    return files, (Step(_ended_words(file) if way.ended else words % {"file": file, "tag": tag}, commands=commands),)


def _uci(name: str, kind: str, options: dict[str, str]) -> list[str]:
    lines = [f"set firewall.{name}={uci_quoted(kind)}"]
    return lines + [f"set firewall.{name}.{option}={uci_quoted(value)}" for option, value in options.items()]


def _routeros7(router: SiteRouter, way: Exit) -> Parts:
    target = target_of(router, router.name)
    undo = [remove(f"{family} firewall nat", target.ours("exit")) for family in ("/ip", "/ipv6")]
    install = [*undo, *(line for pool in way.pools for line in _routeros_nat(target, router, pool))]
    files = _pair(
        router,
        way,
        "rsc",
        script(router.name, ("The exit: packets to the internet get the router's address", install)),
        script(router.name, ("The exit, and nothing else", undo)),
    )
    file = files[0].filename
    words = _("For the exit: upload %(file)s to the router and import it, too, now and whenever it changes.")
    commands = (f"/import file-name={file}", f"/file remove {file}")
    return files, (Step(_ended_words(file) if way.ended else words % {"file": file}, commands=commands),)


def _routeros_nat(target: Target, router: SiteRouter, pool: Network) -> list[str]:
    """Masquerade what comes from the pool, but to the router's own networks.

    The main script accepts what goes into the tunnel in front of it.
    """
    menu = f"{'/ipv6' if pool.version == 6 else '/ip'} firewall nat"
    acting = " or ".join(f"action={quoted(action)}" for action in _CHANGES)
    first = f'dynamic=no and chain="srcnat" and ({acting})'
    rule = {"chain": "srcnat", "src_address": str(pool)}
    own = [each for each in networks(router.subnets) if each.version == pool.version and each.prefixlen]
    comment = target.comment("exit")
    return [
        *(add_before(menu, first, **rule, action="accept", dst_address=str(net), comment=comment) for net in own),
        add_before(menu, first, **rule, action="masquerade", comment=comment),
    ]


def _vyos(router: SiteRouter, way: Exit) -> Parts:
    number, version = number_of(router), version_of(Platform.VYOS, router.version)
    out = "outbound-interface" if version and version < _NAMED_INTERFACE else "outbound-interface name"
    undo = [f"delete nat source rule {number}", f"delete nat66 source rule {number}"]
    lines = list(undo)
    for option, path, source, pool in (
        ("-4", "nat", "source address", way.pool_v4),
        ("-6", "nat66", "source prefix", way.pool_v6),
    ):
        rule = f"set {path} source rule {number}"
        lines += [
            f"for wan in $(ip {option} route show default | sed -n 's/.* dev \\([^ ]*\\).*/\\1/p' | head -n 1); do",
            f"  {rule} {out} $wan",
            f"  {rule} {source} '{pool}'",
            f"  {rule} translation address masquerade",
            "done",
        ]
    files = _pair(router, way, "vyos", _vyos_text(lines), _vyos_text(undo))
    file = files[0].filename
    words = _(
        "For the exit: paste the contents of %(file)s in a terminal, too. They translate what leaves by the interface "
        "of the default route. Paste them again when that changes."
    )
    return files, (Step(_ended_words(file) if way.ended else words % {"file": file}),)


def _vyos_text(lines: list[str]) -> str:
    return "\n".join(["configure", *lines, "commit", "save", "exit"]) + "\n"


def _sense(router: SiteRouter, way: Exit) -> Parts:
    name = f"{tag_of(router)}-exit"
    if way.ended:
        words = _("This site is no exit any more: delete its two rules under Firewall, NAT, Outbound, and apply.")
        return (), (Step(words, (("Description", name),)),)
    words = _(
        "For the exit: Firewall, NAT, Outbound: choose the hybrid mode, and add one rule for each family on the "
        "interface of the internet, which translates to the interface's address. Save and apply."
    )
    values = [
        pair
        for pool in way.pools
        for pair in (("TCP/IP Version", f"IPv{pool.version}"), ("Source", str(pool)), ("Description", name))
    ]
    return (), (Step(words, tuple(values)),)


_MAKERS: Final[dict[Platform, Callable[[SiteRouter, Exit], Parts]]] = {
    Platform.LINUX: _linux,
    Platform.OPENWRT: _openwrt,
    Platform.ROUTEROS7: _routeros7,
    Platform.VYOS: _vyos,
    Platform.OPNSENSE: _sense,
    Platform.PFSENSE: _sense,
}
