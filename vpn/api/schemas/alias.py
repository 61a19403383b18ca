"""Alias subnets of sites."""

from __future__ import annotations

from collections.abc import Iterable

from vpn.addressing.aliases import Alias
from vpn.api.schemas.base import In, Out, Text


class AliasIn(In):
    """A LAN of a site, and the subnet of the same size that stands for it in the tunnels."""

    lan: Text
    subnet: Text


class AliasOut(Out):
    """A subnet that stands for a LAN: the site's router translates one to one."""

    lan: str
    subnet: str

    @classmethod
    def of(cls, alias: Alias) -> AliasOut:
        """The representation."""
        return cls(lan=str(alias.lan), subnet=str(alias.subnet))


def alias_texts(given: Iterable[dict[str, str]]) -> list[str]:
    """The aliases of a body as actions take them."""
    return [f"{one['lan']}={one['subnet']}" for one in given]
