"""What a cloud is asked for, what it answers, and why it refuses. Needs no library."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from vpn.wire.finding import Finding

_NAME: Final = re.compile(r"vpn-(?P<portal>[0-9a-f]{8})-(?P<request>[0-9a-f]{32})")
# The tags of providers that have named ones. Others have the name of the node alone.
PORTAL_TAG: Final = "vpn-portal"
REQUEST_TAG: Final = "vpn-request"


class CloudError(Exception):
    """A cloud refused a call, or did not answer it.

    `finding` (see `vpn.failures`) is for pages, `detail` for logs alone. If `is_certain` is false, the call may have
    had its effect all the same.
    """

    def __init__(self, finding: Finding, detail: str = "", *, is_certain: bool = True) -> None:
        super().__init__(f"{finding}: {detail}" if detail else str(finding))
        self.finding = finding
        self.is_certain = is_certain


@dataclass(frozen=True)
class CloudLogin:
    """The settings and credentials with which a cloud is called. `endpoint` is "" for the provider's own."""

    provider: str
    key: str
    secret: str = field(repr=False)
    location: str = ""
    endpoint: str = ""
    network: str = ""
    project: str = ""
    domain: str = ""


@dataclass(frozen=True)
class Tag:
    """The portal and the request that a node belongs to."""

    portal: str  # eight hexadecimal digits
    request: UUID

    @property
    def name(self) -> str:
        """The name of the node and of its firewall, which every provider stores."""
        return f"vpn-{self.portal}-{self.request.hex}"

    @property
    def labels(self) -> dict[str, str]:
        """The tags for providers that have named ones."""
        return {PORTAL_TAG: self.portal, REQUEST_TAG: self.request.hex}


def tag_in(name: str) -> Tag | None:
    """Return the tag that a name carries; None if it is not the name of a portal's node."""
    found = _NAME.fullmatch(name)
    return Tag(found["portal"], UUID(found["request"])) if found else None


@dataclass(frozen=True)
class Order:
    """A node to be ordered; `ports` are those to be opened, such as "udp/20000".

    An order that is repeated because its answer is not known has the same `attempt`.
    """

    tag: Tag
    attempt: int
    size: str
    image: str
    user_data: str = field(repr=False)
    ports: Sequence[str] = ()
    ssh_from: Sequence[str] = ()


@dataclass(frozen=True)
class FoundNode:
    """A node of a portal that exists. `addresses` are its public ones; it has none before it runs."""

    node_id: str
    tag: Tag
    is_running: bool
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True)
class FoundGroup:
    """A firewall (security group) of a portal."""

    group_id: str
    tag: Tag
