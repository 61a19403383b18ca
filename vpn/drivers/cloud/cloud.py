"""One cloud with its credentials: nodes of this portal are ordered, found, and removed. Every call may be repeated."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from ipaddress import ip_address
from typing import Any, Final
from uuid import UUID

from vpn import failures
from vpn.drivers.cloud.base import (
    PORTAL_TAG,
    REQUEST_TAG,
    CloudError,
    CloudLogin,
    FoundGroup,
    FoundNode,
    Order,
    Tag,
    tag_in,
)
from vpn.drivers.cloud.faults import translated
from vpn.drivers.cloud.groups import Groups, groups_of
from vpn.drivers.cloud.providers import creation_of, driver_of

_ENDED: Final = frozenset({"terminated", "error"})


class Cloud:
    """A cloud. Every method raises CloudError."""

    def __init__(self, login: CloudLogin) -> None:
        self._login = login

    def test(self, image: str, size: str = "") -> None:
        """Raise an error unless the credentials are accepted and the image exists; at Hetzner also `size` there."""
        with translated(self._login, image=image):
            self._driver.list_nodes()
        if image and hasattr(self._driver, "get_image"):
            with translated(self._login, image=image):
                try:
                    self._driver.get_image(image)
                except (IndexError, KeyError) as error:  # an empty list
                    raise CloudError(failures.CLOUD_IMAGE.of(image), str(error)) from error
        if size and hasattr(self._driver, "ex_check_size"):
            with translated(self._login, size=size):
                self._driver.ex_check_size(size, self._login.location)

    def find(self, tag: Tag) -> list[FoundNode]:
        """Return the nodes of a request that have not ended: at most one, unless somebody copied its tags."""
        with translated(self._login):
            return [_found(node, tag) for node in self._nodes_of(tag)]

    def of_portal(self, portal: str) -> list[FoundNode]:
        """Return all nodes with the portal's tag that have not ended."""
        with translated(self._login):
            tagged = ((node, _tag_of(node)) for node in self._nodes(PORTAL_TAG, portal))
            return [_found(node, tag) for node, tag in tagged if tag is not None and tag.portal == portal]

    def groups_of_portal(self, portal: str) -> list[FoundGroup]:
        """Return all firewalls with the portal's tag."""
        with translated(self._login):
            return list(self._groups.of_portal(portal)) if self._groups is not None else []

    def order(self, order: Order) -> FoundNode:
        """Order a node. Look first whether the request has one: only EC2 and Hetzner do so by themselves."""
        with translated(self._login, size=order.size, image=order.image):
            group = self._groups.ensure(order.tag, order.ports, order.ssh_from) if self._groups is not None else None
            made = self._driver.create_node(**creation_of(self._driver, self._login, order, group))
            return _found(made, order.tag)

    def open_ports(self, tag: Tag, ports: Sequence[str], ssh_from: Sequence[str]) -> None:
        """Open exactly these ports in the firewall of a node, if the provider has one that its driver can change."""
        with translated(self._login):
            if self._groups is not None:
                self._groups.ensure(tag, ports, ssh_from)

    def remove(self, tag: Tag) -> bool:
        """Let the provider remove the nodes of a request; return True once none is left."""
        with translated(self._login):
            nodes = self._nodes_of(tag)
            for node in nodes:
                self._driver.destroy_node(node)
            return not nodes

    def remove_group(self, tag: Tag) -> None:
        """Remove a node's firewall, which the provider refuses while the node uses it."""
        with translated(self._login):
            if self._groups is not None:
                self._groups.remove(tag)

    @cached_property
    def _driver(self) -> Any:
        return driver_of(self._login)

    @cached_property
    def _groups(self) -> Groups | None:
        return groups_of(self._driver, self._login)

    def _nodes_of(self, tag: Tag) -> list[Any]:
        return [node for node in self._nodes(REQUEST_TAG, tag.request.hex) if _tag_of(node) == tag]

    def _nodes(self, tag: str, value: str) -> list[Any]:
        """The nodes with a tag that have not ended; at most providers simply all nodes."""
        # Filtered by the provider where it can, since an account may have thousands of others.
        by_tag: dict[str, dict[str, Any]] = {
            "ec2": {"ex_filters": {f"tag:{tag}": value}},
            "hetzner": {"ex_labels": f"{tag}=={value}"},
        }
        nodes = self._driver.list_nodes(**by_tag.get(self._login.provider, {}))
        return [node for node in nodes if str(node.state) not in _ENDED]


def _found(node: Any, tag: Tag) -> FoundNode:
    addresses = dict.fromkeys(str(address) for address in node.public_ips or () if _is_address(address))
    return FoundNode(str(node.id), tag, str(node.state) == "running", tuple(addresses))


def _tag_of(node: Any) -> Tag | None:
    """The tag in a node's named tags, else in its name, which staff may have changed."""
    for field in ("tags", "metadata"):
        tags = (node.extra or {}).get(field)
        if isinstance(tags, dict) and {PORTAL_TAG, REQUEST_TAG} <= tags.keys():
            with suppress(ValueError):
                return Tag(str(tags[PORTAL_TAG]), UUID(str(tags[REQUEST_TAG])))
    return tag_in(str(node.name or ""))


def _is_address(text: object) -> bool:
    try:
        return not ip_address(str(text)).is_unspecified  # Vultr's, before there is one
    except ValueError:
        return False
