"""Removes from a change what is stored already.

Saving the same values again must raise no generation and note nothing in Activity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import ValidationError

from vpn.actions.dns.records import FIELD as RECORDS
from vpn.actions.dns.records import Row
from vpn.actions.dns.settings import are_records
from vpn.actions.peers.input import PeerChanges
from vpn.addressing.networks import Network
from vpn.models import Instance, Peer, RuleValues
from vpn.validators import parse_network


def differing_settings(instance: Instance, former: Sequence[RuleValues], cleaned: Mapping[str, Any]) -> dict[str, Any]:
    """The cleaned settings that differ from those of the locked instance; `former` are its rules."""
    return {field: value for field, value in cleaned.items() if not _has(instance, former, field, value)}


def without_unchanged_tables(
    instance: Instance, former: Sequence[RuleValues], changes: Mapping[str, Any]
) -> dict[str, Any]:
    """The changes without records and rules that are stored already; `former` are the stored rules.

    A stored rule or record may refer to something deleted since. Sending it again must not make an unrelated change
    fail.
    """
    changed = dict(changes)
    if RECORDS in changed and are_records(instance, changed[RECORDS]):
        del changed[RECORDS]
    if "firewall" in changed and changed["firewall"] == former:
        del changed["firewall"]
    return changed


def differing_changes(peer: Peer, changes: PeerChanges) -> PeerChanges:
    """The changes that differ from what the locked peer has."""
    wanted = PeerChanges(**changes)
    for field in ("route_all", "device", "expires_at", "unused_days", "enabled", "protocol", "exit_site_id"):
        if field in wanted and wanted[field] == getattr(peer, field):
            del wanted[field]
    if "is_exit" in wanted and wanted["is_exit"] == bool(peer.is_exit):
        del wanted["is_exit"]
    if "subnets" not in wanted or same_networks(peer.subnets, wanted["subnets"]):
        # A confirmation belongs to the routes that are sent with it.
        wanted.pop("subnets", None)
        wanted.pop("confirm_broad_routes", None)
    return wanted


def same_networks(some: Sequence[str], others: Sequence[str]) -> bool:
    """Are these the same networks, in any order and spelling? False if a text is no network."""
    networks = _networks(others)
    return networks is not None and len(networks) == len(others) and _networks(some) == networks


def _has(instance: Instance, former: Sequence[RuleValues], field: str, value: Any) -> bool:
    if field == RECORDS:
        return set(value) == {Row(one.name, one.type, one.value) for one in instance.dns_records.all()}
    if field == "firewall":
        return bool(former == value)
    if field == "pushed_routes":
        return same_networks(instance.pushed_routes, value)
    return bool(getattr(instance, field) == value)


def _networks(texts: Sequence[str]) -> set[Network] | None:
    try:
        return {parse_network(text) for text in texts}
    except ValidationError:
        return None
