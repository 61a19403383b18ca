"""The rows of the list of instances."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final, Protocol

from django import template
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from portal.figures import grouped
from portal.web.filled import filled_rows
from vpn.models import Instance
from vpn.presenters.needs import Notice
from vpn.templatetags.display import instance_chip

register = template.Library()
_RENDER: Final = partial(render_to_string, "vpn/instances/row.html")


class Listed(Protocol):
    """An instance in the list, with its problems, the counts of its peers, and the page to open."""

    @property
    def instance(self) -> Instance: ...
    @property
    def needs(self) -> Sequence[Notice]: ...
    @property
    def path(self) -> str: ...
    @property
    def online(self) -> int: ...
    @property
    def total(self) -> int: ...


@register.simple_tag
def instance_rows(rows: Iterable[Listed]) -> SafeString:
    """The rows of these instances."""
    return filled_rows(_RENDER, map(_texts, rows))


def _texts(row: Listed) -> dict[str, object]:
    instance = row.instance
    return {
        "pk": str(instance.pk),
        "state": instance.state,
        "path": row.path,
        "name": instance.name,
        "hostname": instance.hostname,
        "needs": tuple(row.needs),
        "addresses": tuple(instance.server.addresses) if instance.server is not None else (),
        "region": instance.region.name,
        "chip": instance_chip(instance, row.needs),
        "online": grouped(row.online),
        "total": grouped(row.total),
    }
