"""Firewalls of nodes (security groups), at the providers where they can be changed: EC2, Hetzner and OpenStack.

Each node has one of its own, which carries the node's name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final, Protocol

from vpn.drivers.cloud.base import PORTAL_TAG, CloudLogin, FoundGroup, Tag, tag_in

_EVERYONE: Final = "0.0.0.0/0"
_EVERYONE_V6: Final = "::/0"
_SSH: Final = "tcp/22"
# (protocol, first port, last port, network)
Rule = tuple[str, int, int, str]


class Groups(Protocol):
    """The firewalls of one cloud."""

    def ensure(self, tag: Tag, ports: Sequence[str], ssh_from: Sequence[str]) -> Any:
        """Open exactly these ports in the firewall of a node, which is made if it is missing; return it."""

    def remove(self, tag: Tag) -> None:
        """Remove the firewall of a node. It is no error if there is none."""

    def of_portal(self, portal: str) -> Iterator[FoundGroup]:
        """The firewalls that carry the portal's tag."""


def groups_of(driver: Any, login: CloudLogin) -> Groups | None:
    """Return the firewalls of a cloud; None where its driver cannot change them."""
    made = _GROUPS.get(login.provider)
    return made(driver, login) if made is not None else None


def has_groups(provider: str) -> bool:
    """Can the portal open ports at this provider?"""
    return provider in _GROUPS


def wanted_rules(ports: Iterable[str], ssh_from: Sequence[str]) -> set[Rule]:
    """Return the rules that open exactly these ports; SSH for `ssh_from` alone, or for everyone if it is empty.

    Ports next to each other share a rule: a security group of EC2 has at most 60, and a hub has up to four ports.
    """
    opened: dict[tuple[str, str], set[int]] = defaultdict(set)
    for port in ports:
        protocol, _, number = port.partition("/")
        for network in (ssh_from or [_EVERYONE]) if port == _SSH else [_EVERYONE]:
            opened[protocol, network].add(int(number))
    return {
        (protocol, first, last, network)
        for (protocol, network), numbers in opened.items()
        for first, last in _ranges(numbers)
    }


def _ranges(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield the first and last of each run of consecutive numbers."""
    # Within a run, a number and its position differ by the same amount.
    for _, run in groupby(enumerate(sorted(numbers)), key=lambda pair: pair[1] - pair[0]):
        found = [number for _, number in run]
        yield found[0], found[-1]


class Ec2Groups:
    """Security groups of EC2."""

    def __init__(self, driver: Any, login: CloudLogin) -> None:
        self._driver = driver
        self._network = login.network

    def ensure(self, tag: Tag, ports: Sequence[str], ssh_from: Sequence[str]) -> Any:
        """See Groups."""
        group = self._named(tag) or self._made(tag)
        present = {
            (rule["protocol"], int(rule["from_port"]), int(rule["to_port"]), network)
            for rule in group.ingress_rules
            if rule["from_port"] is not None
            for network in rule["cidr_ips"]
        }
        wanted = wanted_rules(ports, ssh_from)
        for protocol, first, last, network in sorted(wanted - present):
            self._driver.ex_authorize_security_group_ingress(group.id, first, last, [network], protocol=protocol)
        for protocol, first, last, network in sorted(present - wanted):
            self._driver.ex_revoke_security_group_ingress(group.id, first, last, [network], protocol=protocol)
        return group

    def remove(self, tag: Tag) -> None:
        """See Groups."""
        group = self._named(tag)
        if group is not None:
            self._driver.ex_delete_security_group_by_id(group.id)

    def of_portal(self, portal: str) -> Iterator[FoundGroup]:
        """See Groups."""
        for group in self._driver.ex_get_security_groups(filters={"group-name": f"vpn-{portal}-*"}):
            tag = tag_in(group.name)
            if tag is not None and tag.portal == portal:
                yield FoundGroup(group.id, tag)

    def _named(self, tag: Tag) -> Any:
        return next(iter(self._driver.ex_get_security_groups(filters={"group-name": tag.name})), None)

    def _made(self, tag: Tag) -> Any:
        vpc = None
        if self._network:
            vpc = self._driver.ex_list_subnets(subnet_ids=[self._network])[0].extra["vpc_id"]
        self._driver.ex_create_security_group(tag.name, "Hubs of the VPN portal", vpc_id=vpc)
        return self._named(tag)


class OpenStackGroups:
    """Security groups of OpenStack."""

    def __init__(self, driver: Any, login: CloudLogin) -> None:
        self._driver = driver

    def ensure(self, tag: Tag, ports: Sequence[str], ssh_from: Sequence[str]) -> Any:
        """See Groups."""
        group = self._named(tag) or self._driver.ex_create_security_group(tag.name, "Hubs of the VPN portal")
        present = {
            (rule.ip_protocol, rule.from_port, rule.to_port, rule.ip_range or _EVERYONE): rule
            for rule in group.rules
            if rule.from_port is not None
        }
        wanted = wanted_rules(ports, ssh_from)
        for protocol, first, last, network in sorted(wanted - present.keys()):
            self._driver.ex_create_security_group_rule(group, protocol, first, last, cidr=network)
        for gone in sorted(present.keys() - wanted):
            self._driver.ex_delete_security_group_rule(present[gone])
        return group

    def remove(self, tag: Tag) -> None:
        """See Groups."""
        group = self._named(tag)
        if group is not None:
            self._driver.ex_delete_security_group(group)

    def of_portal(self, portal: str) -> Iterator[FoundGroup]:
        """See Groups."""
        for group in self._driver.ex_list_security_groups():
            tag = tag_in(group.name)
            if tag is not None and tag.portal == portal:
                yield FoundGroup(str(group.id), tag)

    def _named(self, tag: Tag) -> Any:
        return next((group for group in self._driver.ex_list_security_groups() if group.name == tag.name), None)


class HetznerGroups:
    """Firewalls of Hetzner Cloud. Ports that are open to everyone are open over IPv6, too: its servers have both."""

    def __init__(self, driver: Any, login: CloudLogin) -> None:
        self._driver = driver

    def ensure(self, tag: Tag, ports: Sequence[str], ssh_from: Sequence[str]) -> Any:
        """See Groups."""
        sources: dict[tuple[str, int, int], list[str]] = defaultdict(list)
        for protocol, first, last, network in sorted(wanted_rules(ports, ssh_from)):
            sources[protocol, first, last] += [network, _EVERYONE_V6] if network == _EVERYONE else [network]
        rules = [
            {"direction": "in", "protocol": protocol, "port": _port_range(first, last), "source_ips": networks}
            for (protocol, first, last), networks in sources.items()
        ]
        group = self._driver.ex_get_firewall(tag.name)
        if group is None:
            return self._driver.ex_create_firewall(tag.name, tag.labels, rules)
        if _opened_by(group["rules"]) != _opened_by(rules):
            self._driver.ex_set_firewall_rules(group["id"], rules)
        return group

    def remove(self, tag: Tag) -> None:
        """See Groups."""
        group = self._driver.ex_get_firewall(tag.name)
        if group is not None:
            self._driver.ex_delete_firewall(group["id"])

    def of_portal(self, portal: str) -> Iterator[FoundGroup]:
        """See Groups."""
        for group in self._driver.ex_list_firewalls(f"{PORTAL_TAG}=={portal}"):
            tag = tag_in(group["name"])
            if tag is not None and tag.portal == portal:
                yield FoundGroup(str(group["id"]), tag)


def _port_range(first: int, last: int) -> str:
    """Return one port, or a range of them, in Hetzner's words."""
    return str(first) if first == last else f"{first}-{last}"


def _opened_by(rules: Iterable[Mapping[str, Any]]) -> set[tuple[str, ...]]:
    """What rules of Hetzner's do, whatever their order."""
    return {
        (rule["direction"], rule["protocol"], str(rule.get("port") or ""), *sorted(rule.get("source_ips") or ()))
        for rule in rules
    }


_GROUPS: Final[dict[str, Any]] = {"ec2": Ec2Groups, "hetzner": HetznerGroups, "openstack": OpenStackGroups}
