"""From the configuration in the tests' router to real interfaces, addresses, routes and rules in a namespace.

What RouterOS does with a row is done here with the tools of Linux, and nothing is added that the rows do not say.
"""

from __future__ import annotations

import ipaddress

from tests.lab.lab import Lab
from tests.lab.nodes import Node
from tests.routeros.router import Router, Row

# RouterOS's names of interfaces, as the laboratory calls them.
PLACES = {"bridge": "lan0", "ether1": "eth0"}


def bring_up(lab: Lab, node: Node, router: Router) -> None:
    """Make the namespace do what the router's configuration says."""
    # First, so that the tunnel's own packets are tracked from the first one on, as they are on a router.
    lab.run(node, ["nft", "-f", "-"], stdin=_filter(router) + _nat(router))
    for interface in router.rows("/interface wireguard"):
        _wireguard(lab, node, interface, router.rows("/interface wireguard peers"))
    for interface in router.rows("/interface ovpn-client"):
        _openvpn(lab, node, interface, router.rows("/certificate"))
    for menu in ("/ip address", "/ipv6 address"):
        for row in router.rows(menu):
            if row["interface"] not in PLACES:
                lab.add_address(node, row["address"], row["interface"])
    for row in router.rows("/routing rule"):
        _rule(lab, node, row)
    for menu in ("/ip route", "/ipv6 route"):
        for row in router.rows(menu):
            table = ["table", "100"] if "routing-table" in row else []
            lab.run(node, ["ip", "route", "add", row["dst-address"], "dev", row["gateway"], *table])


def _wireguard(lab: Lab, node: Node, interface: Row, peers: list[Row]) -> None:
    name = interface["name"]
    lines = ["[Interface]", f"PrivateKey = {interface['private-key']}"]
    for peer in peers:
        assert peer["interface"] == name
        host = peer["endpoint-address"]
        lines += [
            "[Peer]",
            f"PublicKey = {peer['public-key']}",
            f"AllowedIPs = {peer['allowed-address']}",
            f"Endpoint = {f'[{host}]' if ':' in host else host}:{peer['endpoint-port']}",
            f"PersistentKeepalive = {peer['persistent-keepalive'].removesuffix('s')}",
        ]
        if peer["preshared-key"]:
            lines.append(f"PresharedKey = {peer['preshared-key']}")
    path = lab.directory / node.name / "router.conf"
    path.write_text("\n".join(lines) + "\n")
    lab.run(node, ["wireguard-go", name])
    lab.run(node, ["wg", "setconf", name, str(path)])
    lab.run(node, ["ip", "link", "set", name, "mtu", interface["mtu"], "up"])


def _openvpn(lab: Lab, node: Node, client: Row, certificates: list[Row]) -> None:
    directory = lab.directory / node.name
    by_name = {row["name"]: row for row in certificates}
    own = by_name[client["certificate"]]
    (authority,) = (row for row in certificates if row["trusted"] == "yes")
    files = {"ca": authority["pem"], "cert": own["pem"], "key": own["private-key"]}
    files["auth-user-pass"] = f"{client['user']}\n{client['password']}\n"
    for option, text in files.items():
        (directory / option).write_text(text)
        (directory / option).chmod(0o600)
    cipher = client["cipher"].replace("aes256", "aes-256")
    cipher = cipher if cipher.count("-") == 2 else f"{cipher}-cbc"
    lab.start(
        node,
        [
            *("openvpn", "--client", "--dev", client["name"], "--dev-type", "tun", "--nobind", "--disable-dco"),
            *("--remote", client["connect-to"], client["port"], "tcp-client", "--connect-retry", "1"),
            *(part for option in files for part in (f"--{option}", str(directory / option))),
            *("--cipher", cipher, "--data-ciphers", cipher, "--auth", client["auth"], "--tls-version-max", "1.2"),
            *("--remote-cert-tls", "server"),
            *(() if client.get("route-nopull") == "no" else ("--route-nopull",)),
        ],
    )


def _rule(lab: Lab, node: Node, row: Row) -> None:
    table = "main" if row["table"] == "main" else "100"
    priority = "1000" if table == "main" else "1001"
    kind, network = ("to", row["dst-address"]) if "dst-address" in row else ("from", row["src-address"])
    family = f"-{ipaddress.ip_network(network).version}"
    lab.run(node, ["ip", family, "rule", "add", kind, network, "lookup", table, "priority", priority])


def _filter(router: Router) -> str:
    """The filter's rules in nftables' words, in their order."""
    hooks: dict[str, list[str]] = {"forward": [], "input": []}
    chains: dict[str, list[str]] = {}
    for menu, family in (("/ip firewall filter", "ipv4"), ("/ipv6 firewall filter", "ipv6")):
        for row in router.rows(menu):
            found = hooks if row["chain"] in hooks else chains
            found.setdefault(row["chain"], []).append(_nft(row, family))
            if "jump-target" in row:
                chains.setdefault(row["jump-target"], [])
    text = "table inet router {\n"
    # A chain stands before the rule that jumps to it.
    for chain in chains:
        text += f"chain {chain} {{ }}\n"
    for chain, rules in chains.items():
        text += f"chain {chain} {{\n" + "\n".join(rules) + "\n}\n"
    for chain, rules in hooks.items():
        text += f"chain {chain} {{ type filter hook {chain} priority 0;\n" + "\n".join(rules) + "\n}\n"
    return text + "}\n"


def _nat(router: Router) -> str:
    """The rules of NAT in nftables' words, in their order."""
    hooks: dict[str, list[str]] = {"srcnat": [], "dstnat": []}
    for row in router.rows("/ip firewall nat"):
        hooks[row["chain"]].append(_nft(row, "ipv4"))
    text = "table inet router_nat {\n"
    for chain, hook in (("srcnat", "postrouting"), ("dstnat", "prerouting")):
        text += f"chain {chain} {{ type nat hook {hook} priority {chain};\n" + "\n".join(hooks[chain]) + "\n}\n"
    return text + "}\n"


def _nft(row: Row, family: str) -> str:
    words = [f"meta nfproto {family}"]
    for key, word in (("in-interface", "iifname"), ("out-interface", "oifname")):
        if key in row:
            words.append(f'{word} "{PLACES.get(row[key], row[key])}"')
    if "protocol" in row:
        words.append("meta l4proto " + {"icmp": "icmp", "icmpv6": "ipv6-icmp"}[row["protocol"]])
    if "connection-state" in row:
        words.append(f"ct state {row['connection-state']}")
    return " ".join([*words, _verdict(row)])


def _verdict(row: Row) -> str:
    if row["action"] == "jump":
        return f"jump {row['jump-target']}"
    if row["action"] == "netmap":
        side, network = ("s", row["src-address"]) if row["chain"] == "srcnat" else ("d", row["dst-address"])
        return f"{side}nat ip prefix to ip {side}addr map {{ {network} : {row['to-addresses']} }}"
    # A connection that is held in the tar pit gets nowhere.
    return {"tarpit": "drop"}.get(row["action"], row["action"])
