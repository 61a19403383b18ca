"""All files of a Linux router for systemd-networkd as one shell script, and a script that removes them."""

from __future__ import annotations

from vpn.profiles.router import TEXT, ProfileFile, SiteRouter, device_of, tag_of

_END = "END-OF-FILE"
_NETWORK, _SYSCTL = "/etc/systemd/network", "/etc/sysctl.d"
_HEAD = """\
#!/bin/sh
# {what} Run it as root.
# With DESTDIR set, it only {does} the files below that folder.
set -eu
umask 077
root=${{DESTDIR-}}
"""
# Before forwarding is on: interfaces keep accepting router advertisements (see `vpn.profiles.linux`).
_ACTIVATE = """\
[ -z "$root" ] || exit 0
chown root:systemd-network {network}/{tag}.netdev
kept={sysctl}/80-{tag}.conf
if [ ! -e "$kept" ] && grep -qx 1 /proc/sys/net/ipv6/conf/*/accept_ra; then
  grep -lx 1 /proc/sys/net/ipv6/conf/*/accept_ra | sed 's|^/proc/sys/||; s|$| = 2|' >"$kept"
  sysctl -q -p "$kept"
fi
sysctl -q -p {sysctl}/90-{tag}.conf
# A reload takes no change of an existing device over.
if [ "$changed" ] && [ -e /sys/class/net/{device} ]; then
  networkctl delete {device}
  systemctl restart systemd-networkd
else
  networkctl reload
fi
"""
_UNITS = "/etc/systemd/system"
_TRANSLATE = """\
systemctl daemon-reload
systemctl enable -q {unit}
systemctl restart {unit}
"""
_REMOVE = """\
rm -f "$root{network}/{tag}.netdev" "$root{network}/{tag}.network"
rm -f "$root{sysctl}/80-{tag}.conf" "$root{sysctl}/90-{tag}.conf"
[ -z "$root" ] || exit 0
networkctl reload
[ ! -e /sys/class/net/{device} ] || networkctl delete {device}
"""


def scripts(files: dict[str, ProfileFile], router: SiteRouter) -> tuple[ProfileFile, ...]:
    """The two scripts, made of a Linux router's files by format; none if there are none for systemd-networkd."""
    if not {"netdev", "network", "sysctl"} <= files.keys():
        return ()
    tag = tag_of(router)
    return (
        ProfileFile(f"{tag}-networkd.sh", _install(files, router), TEXT, "", kind="networkd"),
        ProfileFile(
            f"{tag}-networkd-remove.sh",
            _removal(files, router),
            TEXT,
            "",
            kind="networkd-remove",
        ),
    )


def _removal(files: dict[str, ProfileFile], router: SiteRouter) -> str:
    head = _HEAD.format(what="Removes this tunnel from systemd-networkd.", does="removes")
    alias = files.get("alias")
    if alias is None:
        return head + _filled(_REMOVE, router)
    unit = alias.filename
    stop = f'[ "$root" ] || systemctl disable -q --now {unit} || true\nrm -f "$root{_UNITS}/{unit}"\n'
    return head + stop + _filled(_REMOVE, router)


def _install(files: dict[str, ProfileFile], router: SiteRouter) -> str:
    device, network, forwarding = (files[kind] for kind in ("netdev", "network", "sysctl"))
    target, alias = f"$root{_NETWORK}/{device.filename}", files.get("alias")
    unit = (
        ""
        if alias is None
        else f'mkdir -p -m 755 "$root{_UNITS}"\n' + _written(f"{_UNITS}/{alias.filename}", alias.content)
    )
    return "".join(
        (
            _HEAD.format(what="Sets up this tunnel with systemd-networkd.", does="writes"),
            f'mkdir -p -m 755 "$root{_NETWORK}" "$root{_SYSCTL}"\n',
            f"cat >\"{target}.new\" <<'{_END}'\n{device.content}{_END}\n",
            f'changed=\ncmp -s "{target}.new" "{target}" || changed=yes\n',
            f'mv "{target}.new" "{target}"\nchmod 640 "{target}"\n',
            _written(f"{_NETWORK}/{network.filename}", network.content),
            _written(f"{_SYSCTL}/{forwarding.filename}", forwarding.content),
            unit,
            _filled(_ACTIVATE, router),
            "" if alias is None else _TRANSLATE.format(unit=alias.filename),
        )
    )


def _written(path: str, content: str) -> str:
    """Commands that write a file that everyone may read. Every line of `content` is our own: none is `_END`."""
    return f'cat >"$root{path}" <<\'{_END}\'\n{content}{_END}\nchmod 644 "$root{path}"\n'


def _filled(text: str, router: SiteRouter) -> str:
    return text.format(network=_NETWORK, sysctl=_SYSCTL, tag=tag_of(router), device=device_of(router))
