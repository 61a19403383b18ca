"""The hub's public name: its records, whether it leads to the hub, and what profiles carry."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from django.conf import settings
from django.utils.translation import gettext as _

from vpn.choices import RecordType
from vpn.dns_names import is_reserved
from vpn.models import Instance, Peer
from vpn.presenters.findings import sentence_of
from vpn.profiles.peer import carried_name
from vpn.wire.finding import parse_finding

State = Literal["published", "waiting", "manual"]


@dataclass(frozen=True)
class NameRecord:
    """A record that the public name needs, or has."""

    type: RecordType
    value: str


@dataclass(frozen=True)
class ShownName:
    """What the settings page says of the public name.

    `is_reserved` is true for the default VPN_DOMAIN, which does not exist in public DNS. `fault` says why the name does
    not lead to the hub, `left` are the records of a publisher that is not set any more.
    """

    name: str
    state: State
    records: list[NameRecord]
    is_reserved: bool
    fault: str
    since: datetime | None
    repaired_at: datetime | None
    checked_at: datetime | None
    left: list[NameRecord]

    @property
    def left_words(self) -> str:
        """The records that are left, in a sentence."""
        return ", ".join(f"{record.type} {record.value}" for record in self.left)


def shown_name(instance: Instance) -> ShownName:
    """The public name as its page shows it."""
    seen, state = instance.name_seen, state_of(instance)
    left = seen.published if seen is not None and settings.DNS_PUBLISHER is None else []
    return ShownName(
        name=instance.full_hostname,
        state=state,
        records=wanted_records(instance),
        is_reserved=state == "manual" and is_reserved(settings.VPN_DOMAIN),
        fault=sentence_of(parse_finding(seen.finding)) if seen is not None and seen.finding else "",
        since=seen.failing_since if seen is not None else None,
        repaired_at=seen.repaired_at if seen is not None else None,
        checked_at=seen.checked_at if seen is not None else None,
        left=_records(left),
    )


def state_of(instance: Instance) -> State:
    """Does the name lead to the hub, does the portal work on it, or does a person have to?"""
    if instance.resolving_name:
        return "published"
    return "manual" if settings.DNS_PUBLISHER is None else "waiting"


def wanted_records(instance: Instance) -> list[NameRecord]:
    """The records that make the name lead to the hub; none before it has a server with an address."""
    return _records(instance.server.addresses if instance.server is not None else ())


def endpoint_sentence(peer: Peer, family: int | None) -> str:
    """What the peer's profile points to, the hub's name or its address, and what that means."""
    instance = peer.instance
    name = carried_name(peer)
    if name and family is None:
        return _("The profile points to the hub's name, %(name)s, which follows the hub to another address.") % {
            "name": name
        }
    if instance.resolving_name and family is None:
        return _("The profile points to the hub's address, because this router takes no name.")
    return _("The profile points to the hub's address.")


def _records(addresses: list[str] | tuple[str, ...]) -> list[NameRecord]:
    return [NameRecord(RecordType.AAAA if ":" in one else RecordType.A, one) for one in addresses]
