"""Hubs that instances left on servers: they end, their ports are forwarded while clients use them, nothing stays."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext_noop

from portal.models import Principal
from portal.sealing import UnsealError
from portal.told import Told, told
from vpn import failures
from vpn.actions.instances.retirement import begin_look, end_unused, forget_retired, note_forwarding, note_trouble
from vpn.drivers.base import AgentError, Driver, Unreachable, errors
from vpn.jobs.apply import cause_of
from vpn.jobs.at_work import at_work_at
from vpn.jobs.servers import driver_for
from vpn.keys import public_key
from vpn.models import Instance, RetiredHub
from vpn.presenters.findings import sentence_of
from vpn.wire.finding import Finding
from vpn.wire.forwarding import Forwarding, Handover, ports_of
from vpn.wire.identity import MAXIMUM_COUNTER

logger = logging.getLogger(__name__)
_BY: Final = Principal.portal(gettext_noop("leaving a server"))
# All that a server has of the hub up to an epoch.
MOST_GENERATION: Final = MAXIMUM_COUNTER
# Forwarding that was not used for so long ends by itself, unless a delivered profile points to the former address.
QUIET_FOR: Final = timedelta(hours=1)
# How long the portal looks who is back.
_LOOKS_FOR: Final = 8.0  # seconds
_LOOKS_EVERY: Final = 0.2


def look_at_retired(retired_id: str) -> None:
    """Do what is due for a hub that its instance has left on a server: hand over, count packets, or remove."""
    retired = (
        RetiredHub.objects.select_related("server__region", "instance__server__region")
        .filter(pk=UUID(retired_id), due_at__lte=timezone.now())
        .first()
    )
    if retired is None:
        return
    with at_work_at(retired.server_id) as is_free:
        # If it is not, it stays due, and reconcile rings again.
        if is_free and begin_look(retired, by=_BY):
            _look(retired)


def _look(retired: RetiredHub) -> None:
    try:
        if not retired.is_forwarding:
            _remove(retired)
        elif retired.forwarding_since is None and retired.instance is not None:
            hand_over(retired, retired.instance)
        else:
            _count(retired)
    except (AgentError, Unreachable, UnsealError) as error:
        cause = cause_of(error)
        logger.warning("%s: %s", retired, sentence_of(cause))
        note_trouble(retired, cause if isinstance(cause, Finding) else failures.AGENT_SILENT.of(), by=_BY)


def hand_over(retired: RetiredHub, instance: Instance) -> list[Told]:
    """End the former hub, let its server forward, and the present hub call the clients; return how it went."""
    former, present = driver_for(retired.server), driver_for(instance.server)
    handover = former.hand_over(_forwarding(retired))
    answered = time.monotonic()
    # The portal's own peer was there for knocks alone.
    probe = public_key(instance.probe_private_key) if instance.probe_private_key_sealed else ""
    endpoints = {key: endpoint for key, endpoint in handover.endpoints.items() if key != probe}
    handover = replace(handover, endpoints=endpoints)
    try:
        present.greet(instance.hub, handover)
        back = _who_is_back(present, instance, handover, answered)
    except (AgentError, Unreachable) as error:
        # This worker may serve the former server's region alone. Clients connect again by themselves.
        logger.warning("The clients of %s are not called: %s", instance, error)
        back = []
    former.destroy(retired.hub, epoch=retired.epoch, generation=MOST_GENERATION)
    if not note_forwarding(retired, by=_BY) and _still_forwarding(retired) is None:
        # It was ended meanwhile, perhaps removed, and its ports may be another hub's soon.
        former.end_forwarding(retired.hub)
    return [_forwards(retired), *back]


def _forwards(retired: RetiredHub) -> Told:
    """What the former server does."""
    ports = {"first": retired.port_base, "last": retired.port_base + 1}
    return told("forwards", server=retired.server.name, addresses=list(retired.forwards_to), **ports)


def _forwarding(retired: RetiredHub) -> Forwarding:
    return Forwarding(
        hub=retired.hub,
        epoch=retired.epoch,
        generation=MOST_GENERATION,
        addresses=retired.server.addresses,
        to=tuple(retired.forwards_to),
        ports=ports_of(retired.port_base, retired.forwards_to_port or retired.port_base),
    )


def _who_is_back(present: Driver, instance: Instance, handover: Handover, answered: float) -> list[Told]:
    """Look for some seconds which clients are connected again; return how long that took.

    `answered` is when the former server answered, by the monotonic clock.
    """
    wireguard, sessions = set(handover.endpoints), set(handover.sessions)
    expected = {"WireGuard": len(wireguard), "OpenVPN": len(sessions)}
    back, took = dict.fromkeys(expected, 0), dict.fromkeys(expected, 0.0)
    ends = time.monotonic() + _LOOKS_FOR
    while back != expected and time.monotonic() < ends:
        report = present.status(instance.hub, peers=True)
        shook_hands = {key for key, peer in (report.peers or {}).items() if peer.latest_handshake}
        now = time.monotonic() - answered
        for name, found, since in (
            ("WireGuard", wireguard & shook_hands, handover.seconds),
            ("OpenVPN", sessions & set(report.sessions or {}), handover.openvpn_seconds),
        ):
            if len(found) > back[name]:
                back[name], took[name] = len(found), now + since
        time.sleep(_LOOKS_EVERY)
    return [_back(name, back[name], count, took[name]) for name, count in expected.items() if count]


def _back(name: str, back: int, expected: int, took: float) -> Told:
    if not back:
        return told("none-back", clients=name)
    return told("back", back=back, count=expected, clients=name, seconds=f"{took:.1f}")


def _count(retired: RetiredHub) -> None:
    try:
        packets = driver_for(retired.server).forwarded_packets(retired.hub)
    except AgentError as error:
        if error.code != errors.UNKNOWN_HUB or retired.instance is None:
            raise
        # The server lost it, for example by a restored disk; or it was ended while this worker asked.
        now = _still_forwarding(retired)
        if now is not None and now.instance is not None:
            hand_over(now, now.instance)
        return
    note_forwarding(retired, packets, by=_BY)
    now = _still_forwarding(retired)
    if now is not None and _is_unused(now):
        end_unused(now, by=_BY)


def _still_forwarding(retired: RetiredHub) -> RetiredHub | None:
    """Return the row as it is now; None if the forwarding was ended, or the row is gone."""
    rows = RetiredHub.objects.select_related("server__region", "instance__server__region")
    return rows.exclude(forwards_to=[]).filter(pk=retired.pk).first()


def _is_unused(retired: RetiredHub) -> bool:
    """Return True if no client used the forwarding for long, the name leads elsewhere, and no profile leads here."""
    instance, before = retired.instance, timezone.now() - QUIET_FOR
    if instance is None or retired.used_at is None or retired.used_at > before:
        return False
    return not instance.peers.admitted().filter(delivered_host__in=retired.server.addresses).exists()


def _remove(retired: RetiredHub) -> None:
    driver = driver_for(retired.server)
    driver.end_forwarding(retired.hub)
    try:
        driver.destroy(retired.hub, epoch=retired.epoch, generation=MOST_GENERATION)
    except AgentError as error:
        if error.code != errors.STALE:
            raise
        # The instance is on this server again.
    forget_retired(retired, by=_BY)
