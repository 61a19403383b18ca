"""What a router needs to translate its alias subnets one to one, where its own file does not do it.

RouterOS does it in its script (routeros_script.translation).
"""

from __future__ import annotations

from dataclasses import replace

from django.utils.translation import gettext as _

from vpn.addressing.aliases import Alias
from vpn.choices import Platform
from vpn.profiles.router import TEXT, ProfileFile, RouterProfile, SiteRouter, Step, device_of, tag_of


def with_translation(platform: str, profile: RouterProfile, router: SiteRouter) -> RouterProfile:
    """The router's files and steps with those for its aliases; the same where it has none."""
    if not router.aliases:
        return profile
    files: tuple[ProfileFile, ...] = ()
    steps: tuple[Step, ...] = ()
    match platform:
        case Platform.LINUX:
            files, steps = _linux(router)
        case Platform.OPENWRT:
            files, steps = _openwrt(router)
        case Platform.OPNSENSE:
            steps = tuple(_opnsense(alias, router) for alias in router.aliases)
        case Platform.PFSENSE:
            steps = tuple(_pfsense(alias, router) for alias in router.aliases)
    return replace(profile, files=(*profile.files, *files), steps=(*profile.steps, *steps))


def _rules(router: SiteRouter, devices: str) -> tuple[str, str]:
    """The rules of nftables: what the LAN sends into the tunnel, and what comes from there."""
    out = ", ".join(f"{alias.lan} : {alias.subnet}" for alias in router.aliases)
    into = ", ".join(f"{alias.subnet} : {alias.lan}" for alias in router.aliases)
    return (
        f"oifname {devices} snat ip prefix to ip saddr map {{ {out} }}",
        f"iifname {devices} dnat ip prefix to ip daddr map {{ {into} }}",
    )


# Just before a rule that masquerades whatever leaves the router: the first translation of a connection counts.
_OUT = "type nat hook postrouting priority srcnat - 1;"
_INTO = "type nat hook prerouting priority dstnat - 1;"


def ruleset(router: SiteRouter) -> str:
    """Commands of nft(8) in one line, which may run repeatedly: the table is made anew."""
    device = device_of(router)
    # wg-quick names the interface after the file, systemd-networkd and openvpn have the other name.
    out, into = _rules(router, f"{{ {tag_of(router)}, {device} }}")
    table = f"ip {device}"
    return "; ".join(
        (
            f"add table {table}",
            f"delete table {table}",
            f"add table {table}",
            f"add chain {table} out {{ {_OUT} }}",
            f"add rule {table} out {out}",
            f"add chain {table} into {{ {_INTO} }}",
            f"add rule {table} into {into}",
        )
    )


def _linux(router: SiteRouter) -> tuple[tuple[ProfileFile, ...], tuple[Step, ...]]:
    unit = f"{tag_of(router)}-alias.service"
    lines = (
        "[Unit]",
        "Description=One-to-one translation of alias subnets",
        "After=nftables.service",
        "",
        "[Service]",
        "Type=oneshot",
        "RemainAfterExit=yes",
        f'ExecStart=/usr/sbin/nft "{ruleset(router)}"',
        f'ExecStop=/usr/sbin/nft "delete table ip {device_of(router)}"',
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    )
    file = ProfileFile(unit, "\n".join(lines) + "\n", TEXT, _("For systemd: the alias subnets"), kind="alias")
    step = Step(
        _(
            "This site has an alias subnet. Copy %(unit)s to /etc/systemd/system, and start it, now and at every "
            "boot. It needs nftables."
        )
        % {"unit": unit},
        commands=("systemctl daemon-reload", f"systemctl enable {unit}", f"systemctl restart {unit}"),
    )
    return (file,), (step,)


def _openwrt(router: SiteRouter) -> tuple[tuple[ProfileFile, ...], tuple[Step, ...]]:
    device, name = device_of(router), f"90-{tag_of(router)}.nft"
    out, into = _rules(router, device)
    # OpenWrt's firewall includes the file within its own table.
    text = f"chain {device}_out {{\n\t{_OUT}\n\t{out}\n}}\nchain {device}_into {{\n\t{_INTO}\n\t{into}\n}}\n"
    file = ProfileFile(name, text, TEXT, _("For OpenWrt's firewall: the alias subnets"))
    step = Step(
        _("This site has an alias subnet. Copy %(name)s to /etc/nftables.d, and restart the firewall.")
        % {"name": name},
        commands=("service firewall restart",),
    )
    return (file,), (step,)


def _opnsense(alias: Alias, router: SiteRouter) -> Step:
    return Step(
        _(
            "This site has an alias subnet. Assign the tunnel's interface under Interfaces, Assignments. Then "
            "Firewall, NAT, One-to-One: add one on that interface, and apply."
        ),
        (
            ("Type", "BINAT"),
            ("External network", str(alias.subnet)),
            ("Source / network", str(alias.lan)),
            ("Destination / network", "any"),
            ("Description", tag_of(router)),
        ),
    )


def _pfsense(alias: Alias, router: SiteRouter) -> Step:
    return Step(
        _("This site has an alias subnet. Firewall, NAT, 1:1: add one on the tunnel's interface, and apply."),
        (
            ("External subnet IP", str(alias.subnet.network_address)),
            ("Internal IP", f"Network {alias.lan}"),
            ("Destination", "Any"),
            ("Description", tag_of(router)),
        ),
    )
