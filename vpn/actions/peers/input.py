"""Checks what is entered for a peer: every fault at once, each with what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import islice
from typing import TypedDict
from unicodedata import normalize
from uuid import UUID

from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _

from portal.exceptions import Conflict, InvalidInput
from portal.figures import grouped
from vpn.actions.peers.use import days_faults
from vpn.actions.sites.overlaps import claims_on
from vpn.addressing.networks import Network
from vpn.addressing.reserved import reserved_reason
from vpn.addressing.subnets import subnet_faults, subnet_warnings
from vpn.choices import Protocol
from vpn.constants import MOST_SUBNETS, SUBNET_NESTED, SUBNET_OVERLAP
from vpn.models import Instance, Peer, Site
from vpn.validators import parse_network, validate_label_text, validate_wireguard_key

_CONFLICTS = {"overlap", "nested_unconfirmed"}


class PeerChanges(TypedDict, total=False):
    """The fields that `update_peer` can change; absent fields stay."""

    subnets: list[str]
    confirm_broad_routes: bool
    route_all: bool
    device: str
    expires_at: datetime | None
    unused_days: int | None
    enabled: bool
    protocol: str
    is_exit: bool
    exit_site_id: UUID | None


def subnet_warnings_for(subnets: Iterable[str]) -> list[str]:
    """Warnings for an admin about subnets that were accepted."""
    return subnet_warnings(parse_network(text) for text in subnets)


def prepare_networks(texts: Iterable[str]) -> None:
    """Parse and check networks before a lock is taken; the results are cached (vpn.validators)."""
    for text in islice(texts, MOST_SUBNETS):
        with suppress(ValidationError):
            reserved_reason(parse_network(text))


def checked_subnets(
    instance: Instance, subnets: Sequence[str], confirm_broad: bool, *, except_peer: Peer | None
) -> list[str]:
    """The subnets as they are stored; raises InvalidInput, or Conflict where they overlap another peer's.

    The caller holds the lock on the instance. `except_peer` is the peer that advertises them already.
    """
    if len(subnets) > MOST_SUBNETS:
        message = _("A peer has at most %(most_subnets)s subnets; these are %(subnets)s.") % {
            "most_subnets": grouped(MOST_SUBNETS),
            "subnets": grouped(len(subnets)),
        }
        raise InvalidInput.in_field("subnets", message)
    errors: list[str] = []
    networks: list[Network] = []
    for text in subnets:
        try:
            networks.append(parse_network(text))
        except ValidationError as error:
            errors += error.messages
    if errors or not networks:
        raise InvalidInput({"subnets": errors or [_("Name at least one subnet, such as 10.1.0.0/24.")]})
    advertised = {parse_network(text) for text in except_peer.subnets} if except_peer else set()
    faults = subnet_faults(
        networks,
        pool_v4=instance.network_v4,
        pool_v6=instance.network_v6,
        others=claims_on(
            instance, networks, confirmed=set(networks) if confirm_broad else advertised, except_peer=except_peer
        ),
        confirm_broad=confirm_broad,
        advertised=advertised,
    )
    wrong = [fault.message for fault in faults if fault.code not in _CONFLICTS]
    wrong += endpoint_faults(instance, networks)
    if wrong:
        raise InvalidInput({"subnets": wrong})
    if faults:
        is_confirmable = all(fault.code == "nested_unconfirmed" for fault in faults)
        code = SUBNET_NESTED if is_confirmable else SUBNET_OVERLAP
        raise Conflict(" ".join(fault.message for fault in faults), field="subnets", code=code)
    return [str(network) for network in networks]


def endpoint_faults(instance: Instance, networks: Iterable[Network]) -> list[str]:
    """Why networks cannot be routed into the tunnels: they are the hub's public addresses.

    Wider networks are accepted; profiles leave the hub's addresses out of them.
    """
    endpoints = instance.server.endpoint_networks if instance.server is not None else ()
    return [
        _(
            "%(network)s is the hub's own public address. Packets of the tunnel itself go there, so it cannot be "
            "routed into the tunnel. Leave it out."
        )
        % {"network": network}
        for network in networks
        if network in endpoints
    ]


def change_faults(peer: Peer, changes: PeerChanges) -> dict[str, list[str]]:
    """The faults in a peer's changes, by field; also strips spaces around the device's name."""
    errors: dict[str, list[str]] = {}
    if peer.is_site:
        for field in ("route_all", "device"):
            if changes.get(field):
                errors[field] = [_("A site has none: this is for client peers.")]
    else:
        if changes.get("subnets"):
            errors["subnets"] = [_("A client advertises no subnets: connect a site for that.")]
        if "device" in changes:
            changes["device"] = changes["device"].strip()
        errors |= client_faults(changes.get("device", ""), "")
        changes.pop("subnets", None)
    # An unchanged expiry may be in the past.
    expires_at = changes.get("expires_at")
    errors |= end_faults(None if expires_at == peer.expires_at else expires_at, changes.get("unused_days"))
    if "protocol" in changes:
        errors |= protocol_faults(changes["protocol"], peer.site)
    return errors


def end_faults(expires_at: datetime | None, unused_days: int | None) -> dict[str, list[str]]:
    """The faults in when a peer ends, by field."""
    errors = days_faults(unused_days)
    if expires_at is not None and expires_at <= timezone.now():
        errors["expires_at"] = [_("Choose a time in the future.")]
    return errors


def client_faults(device: str, public_key: str) -> dict[str, list[str]]:
    """The faults in the fields of a client peer, by field."""
    errors: dict[str, list[str]] = {}
    for field, check, value in (
        ("device", validate_label_text, device.strip()),
        ("public_key", validate_wireguard_key, public_key),
    ):
        if value:
            try:
                check(value)
            except ValidationError as error:
                errors[field] = error.messages
    return errors


def _folded(name: str) -> str:
    """A name for comparison: case-folded, in normal form KC, with one space between words.

    Two names with the same folded form look alike to users.
    """
    return " ".join(normalize("NFKC", name).casefold().split())


def refuse_taken_name(peer: Peer, instance: Instance, device: str, former: str = "") -> None:
    """Raise Conflict where the member has another device of this name on the instance, in any case.

    The caller holds the lock on the instance. Devices without a name do not conflict. A device that keeps its `former`
    name is accepted: its name may be older than this check.
    """
    if peer.member is None or device in {"", former}:
        return
    others = instance.peers.filter(member=peer.member).exclude(pk=peer.pk)
    # Compared in Python, because SQLite folds the case of ASCII letters only.
    if _folded(device) in map(_folded, others.values_list("device", flat=True)):
        raise Conflict(
            _("%(member)s has a device called “%(device)s” on this instance already.")
            % {"member": peer.member.label, "device": device},
            field="device",
            code="device-name-taken",
            next_step=_("Choose another name."),
        )


def protocol_faults(protocol: str, site: Site | None) -> dict[str, list[str]]:
    """Why a protocol cannot be used; for a site, because of its router."""
    if protocol not in Protocol.values:
        return {"protocol": [_("Choose one of %(protocol)s.") % {"protocol": ", ".join(Protocol.values)}]}
    reason = site.why_not(protocol) if site is not None else ""
    return {"protocol": [reason]} if reason else {}
