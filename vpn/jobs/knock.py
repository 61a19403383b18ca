"""Scheduled tests of listeners from outside ("knocks"): a firewall that is loaded later is noticed within a minute."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TypeAlias
from uuid import UUID

from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_noop

from portal.exceptions import NotPossible
from portal.models import Principal
from portal.sealing import UnsealError
from vpn import doorbell, keys, pki
from vpn.actions.change import Scope, changing
from vpn.addressing.pools import HUB_HOST, probe_host
from vpn.choices import InstanceState
from vpn.desired.header import resolver_of
from vpn.drivers.base import Driver, Found, Knock, Unreachable
from vpn.jobs.servers import driver_for
from vpn.jobs.tick import scheduled
from vpn.models import Instance, InstanceObservation
from vpn.models.peer import with_compat, with_openvpn
from vpn.models.querysets import InstanceQuerySet
from vpn.proofs import record_knock

logger = logging.getLogger(__name__)
KNOCK_SECONDS = 8
# The interval of knocks on each hub, and the shorter one until a changed result is confirmed.
_EVERY = timedelta(seconds=20)
_AGAIN = timedelta(seconds=5)
_TIMEOUT = 2.5
# As many hubs as fit in a job's time limit even if none answers.
_MOST_AT_ONCE = 40
# An instance, an address of its server, and the knock there.
_Door: TypeAlias = tuple[Instance, str, Knock]


@scheduled("knock", KNOCK_SECONDS)
def knock_all() -> None:
    """Ring for every region that has a hub to test."""
    for region_id in _due(timezone.now()).order_by().values_list("region", flat=True).distinct():
        doorbell.enqueue_knock(region_id)


def _due(now: datetime) -> InstanceQuerySet:
    due = Q(observation__knocked_at=None) | Q(observation__knocked_at__lt=now - _EVERY)
    return Instance.objects.filter(due, state=InstanceState.READY, configured=True, server__isnull=False)


def knock_region(region_id: str) -> None:
    """Test the region's hubs that have waited longest. All hubs of a server share one process and one timeout."""
    now = timezone.now()
    turns = (
        _due(now)
        .filter(region=region_id)
        .select_related("server__region")
        .order_by(F("observation__knocked_at").asc(nulls_first=True))
    )
    by_server: dict[UUID | None, list[Instance]] = defaultdict(list)
    waiting = list(turns[:_MOST_AT_ONCE])
    # Before, so that what cannot be knocked on does not keep others from their turn.
    InstanceObservation.objects.note([instance.pk for instance in waiting], knocked_at=now)
    for instance in waiting:
        if not instance.probe_private_key_sealed:
            ensure_probe(instance.pk)
        elif _can_be_opened(instance):
            by_server[instance.server_id].append(instance)
    by_standpoint: dict[object, tuple[Driver, list[Instance]]] = {}
    for instances in by_server.values():
        try:
            driver = driver_for(instances[0].server)
        except Unreachable as error:
            logger.warning("Knocking failed: %s", error)
        else:
            by_standpoint.setdefault(driver.standpoint, (driver, []))[1].extend(instances)
    _knock(list(by_standpoint.values()), now)


def _knock(places: Sequence[tuple[Driver, list[Instance]]], now: datetime) -> None:
    """Knock from all standpoints at the same time, and record the results."""
    doors = [_doors(instances) for _, instances in places]
    with ThreadPoolExecutor(max(1, len(places))) as pool:
        answers = list(pool.map(_answers, [driver for driver, _ in places], doors))
    for asked, found in zip(doors, answers, strict=True):
        _record(asked, found, now)


def _doors(instances: Sequence[Instance]) -> list[_Door]:
    # A listener that the hub has not confirmed yet cannot answer.
    running = with_openvpn((instance.pk for instance in instances), confirmed=True)
    compat = with_compat(running) if running else set()
    return [
        (
            one,
            address,
            knock_of(
                one,
                address,
                over_openvpn=one.pk in running,
                has_compat=one.is_up_to_date and one.pk in compat,
            ),
        )
        for one in instances
        for address in _addresses(one)
    ]


def _answers(driver: Driver, asked: Sequence[_Door]) -> list[dict[str, Found]]:
    """Knock, without a query: this thread has no connection to the database."""
    try:
        return driver.knock([knock for _, _, knock in asked], _TIMEOUT)
    except Unreachable as error:
        logger.warning("Knocking failed: %s", error)
        return []


def _record(asked: Sequence[_Door], found: Sequence[dict[str, Found]], now: datetime) -> None:
    by_instance: dict[UUID, dict[str, dict[str, Found]]] = defaultdict(dict)
    for (instance, address, _), by_listener in zip(asked, found, strict=False):
        by_instance[instance.pk][address] = by_listener
    for pk, by_address in by_instance.items():
        try:
            if record_knock(pk, by_address):
                InstanceObservation.objects.filter(pk=pk).update(knocked_at=now - _EVERY + _AGAIN)
        except Instance.DoesNotExist:
            continue


def _can_be_opened(instance: Instance) -> bool:
    """Return True if the keys for a knock can be unsealed. If not, pages show it."""
    try:
        return bool(instance.probe_private_key and instance.probe_preshared_key) and instance.tls_crypt_key is not None
    except UnsealError:
        return False


def knock_of(
    instance: Instance, address: str, *, over_openvpn: bool, has_compat: bool, with_name: bool = False
) -> Knock:
    """Return the knock on an instance's running listeners at an address."""
    source, _ = instance.host_addresses(probe_host(instance.network_v4))
    hub, _ = instance.host_addresses(HUB_HOST)
    resolver = resolver_of(instance) if with_name else None
    over_openvpn = over_openvpn and instance.has_certificates
    return Knock(
        address=address,
        wireguard_port=instance.wireguard_port,
        hub_public_key=instance.public_key,
        private_key=instance.probe_private_key,
        preshared_key=instance.probe_preshared_key,
        source_address=str(source),
        hub_address=str(hub),
        name=resolver["domain"] if resolver else "",
        name_addresses=tuple(resolver["public_addresses"]) if resolver else (),
        openvpn_port=instance.openvpn_port if over_openvpn else None,
        client_key=pki.tls_crypt_v2_client_key(instance.tls_crypt_key) if over_openvpn else "",
        compat_port=instance.compat_port if over_openvpn and has_compat else None,
    )


def give_probe(instance: Instance) -> None:
    """Give a locked instance the probe peer for knocks, unless it has one; the caller saves it."""
    if not instance.probe_private_key_sealed:
        instance.probe_private_key = keys.generate_private_key()
        instance.probe_preshared_key = keys.generate_preshared_key()


def ensure_probe(instance_id: UUID) -> None:
    """Give a hub of an earlier release a probe: those removed it when the hub was ready."""
    if not Instance.objects.filter(pk=instance_id, probe_private_key_sealed="").exists():
        return
    try:
        with changing(
            instance_id, by=Principal.portal(gettext_noop("giving the hub a probe")), scope=Scope.WHOLE
        ) as locked:
            give_probe(locked)
    except (NotPossible, Instance.DoesNotExist):
        logger.info("Instance %s takes no probe now", instance_id)


def _addresses(instance: Instance) -> tuple[str, ...]:
    return instance.server.addresses if instance.server is not None else ()
