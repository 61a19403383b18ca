"""Moving and rebuilding in words: where a hub could go, and what former servers forward."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from portal.figures import grouped
from vpn.choices import ServerState
from vpn.models import Instance, Move, Region, RetiredHub, Server
from vpn.presenters.findings import sentence_of
from vpn.presenters.lists import joined
from vpn.wire.finding import parse_finding


@dataclass(frozen=True)
class Ways:
    """Whether an instance can move, and how it would be rebuilt."""

    has_other_regions: bool
    has_other_server: bool
    in_place: bool
    is_under_way: bool


def ways_of(instance: Instance) -> Ways:
    """What is possible now for an instance."""
    ready = Server.objects.filter(region=instance.region_id, state=ServerState.READY)
    own = instance.server
    return Ways(
        has_other_regions=Region.objects.exclude(pk=instance.region_id).exists(),
        has_other_server=ready.filter(cordoned=False).exclude(instances=instance).exists(),
        in_place=own is not None and own.state == ServerState.READY,
        is_under_way=Move.objects.filter(instance=instance).exists(),
    )


def regions_with_other_ports(instance: Instance) -> list[str]:
    """The names of regions where the hub's ports are taken on every server, so that it would get others."""
    taken = Instance.objects.filter(port_base=instance.port_base).exclude(pk=instance.pk).values("server")
    ready = Server.objects.filter(state=ServerState.READY, cordoned=False).exclude(region=instance.region_id)
    free = set(ready.exclude(pk__in=taken).values_list("region", flat=True))
    names = ready.exclude(region__in=free).order_by("region__name").values_list("region__name", flat=True)
    return list(dict.fromkeys(names))


@dataclass(frozen=True)
class ShownForwarding:
    """What one former server forwards: in a sentence, why, and what is wrong; "" if nothing is."""

    server: str
    sentence: str
    why: str
    trouble: str
    used_at: datetime | None


def forwardings_of(instance: Instance) -> list[ShownForwarding]:
    """The former servers that forward to an instance's hub, or are to."""
    rows = instance.retired_hubs.exclude(forwards_to=[]).select_related("server")
    return [_shown(instance, row) for row in rows.order_by("-retired_at")]


def _shown(instance: Instance, row: RetiredHub) -> ShownForwarding:
    values = {
        "server": row.server.name,
        "first": row.port_base,
        "second": row.port_base + 1,
        "to": joined(list(row.forwards_to)),
    }
    if row.forwarding_since is None:
        sentence = _("%(server)s is to forward UDP and TCP ports %(first)d and %(second)d to %(to)s.")
    else:
        sentence = _(
            "%(server)s forwards UDP and TCP ports %(first)d and %(second)d to %(to)s. Devices that come that way are "
            "listed with its address."
        )
    return ShownForwarding(row.server.name, sentence % values, _why(instance, row), _trouble(row), row.used_at)


def _why(instance: Instance, row: RetiredHub) -> str:
    """Why the forwarding is there, and when it ends."""
    count = instance.peers.filter(delivered_host__in=row.server.addresses).count()
    if count:
        words = ngettext(
            "%(count)s delivered profile points to its address. The forwarding stays until that peer has a new "
            "profile, or you end it.",
            "%(count)s delivered profiles point to its address. The forwarding stays until these peers have new "
            "profiles, or you end it.",
            count,
        )
        return words % {"count": grouped(count)}
    return _(
        "Devices that connected before the move still use its address. The forwarding ends by itself once no packet "
        "has passed for an hour, or when you end it."
    )


def _trouble(row: RetiredHub) -> str:
    if not row.finding:
        return ""
    return _("%(reason)s Until then, devices that use its address may reach the former hub, which gets no changes.") % {
        "reason": sentence_of(parse_finding(row.finding))
    }
