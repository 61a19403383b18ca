"""Keep public names right: written, resolving to the hub, and removed when the instance is gone."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.db import IntegrityError
from django.db.models import QuerySet
from django.utils import timezone

from vpn import failures
from vpn.choices import InstanceState
from vpn.dns_names import is_reserved
from vpn.jobs.tick import scheduled
from vpn.models import Instance, PublicName
from vpn.presenters.findings import sentence_of
from vpn.publishers.base import NotPublished, Patience
from vpn.publishers.registry import publisher
from vpn.publishers.resolving import resolve
from vpn.wire.finding import Finding

logger = logging.getLogger(__name__)
NAMES_SECONDS: Final = 5
# A run begins no further look after this time; the next run continues.
_SLICE_SECONDS: Final = 3.0
# One look takes no longer, even if no server answers.
LOOK_SECONDS: Final = 8.0
_AGAIN: Final = timedelta(seconds=60)
_FIRST_RETRY: Final = timedelta(seconds=5)
_LAST_RETRY: Final = timedelta(minutes=10)
_MOST_DOUBLINGS: Final = 7
_NEW_AT_ONCE: Final = 100


@scheduled("names", NAMES_SECONDS)
def keep_names() -> None:
    """Look at the names that are due, those first that have waited longest."""
    end = time.monotonic() + _SLICE_SECONDS
    _note_new()
    for row in _due(end):
        look_at(row)


def is_name_due() -> bool:
    """Return True if `keep_names` has something to do."""
    return PublicName.objects.filter(due_at__lte=timezone.now()).exists() or (_is_wanted() and _new().exists())


def look_at(row: PublicName) -> None:
    """Publish and check one name, or withdraw it if its instance has gone or has another name now."""
    instance = row.instance
    if instance is None or row.name != instance.full_hostname:
        if row.instance_id is not None:
            PublicName.objects.filter(pk=row.pk, instance_id=row.instance_id).update(instance=None)
        _withdraw(row)
    elif instance.state != InstanceState.DELETING and instance.server is not None and instance.server.addresses:
        _look(row, instance.server.addresses)


def name_of(instance: Instance) -> PublicName | None:
    """The row of an instance's public name, made where it is missing; None if the name is never to be published.

    A row that a former instance of this name left is taken over with its records.
    """
    if not _is_wanted():
        return None
    row, is_new = PublicName.objects.get_or_create(name=instance.full_hostname, defaults={"instance": instance})
    if not is_new and row.instance_id != instance.pk:
        PublicName.objects.filter(pk=row.pk).update(instance=instance, due_at=timezone.now())
        row.instance = instance
    return row


def _is_wanted() -> bool:
    """False for the default VPN_DOMAIN, which does not exist in public DNS."""
    return settings.DNS_PUBLISHER is not None or not is_reserved(settings.VPN_DOMAIN)


def _note_new() -> None:
    """Make the rows of hubs that have none: of those that ran before DNS_URL was set."""
    if not _is_wanted():
        return
    for instance in _new()[:_NEW_AT_ONCE]:
        try:
            name_of(instance)
        except IntegrityError:
            logger.info("The instance %s has another name in the database; the next run takes it over", instance.pk)


def _new() -> QuerySet[Instance]:
    return Instance.objects.with_hub().filter(public_name=None)


def _due(end: float) -> Iterator[PublicName]:
    rows = PublicName.objects.select_related("instance__server").order_by("due_at")
    while True:
        now = timezone.now()
        row = rows.filter(due_at__lte=now).first()
        if row is None:
            return
        # Noted before the look, so that neither a killed worker nor a second one repeats it at once.
        if PublicName.objects.filter(pk=row.pk, due_at=row.due_at).update(due_at=now + _AGAIN):
            yield row
        if time.monotonic() > end:
            return


def _look(row: PublicName, addresses: Collection[str]) -> None:
    patience = Patience.of(LOOK_SECONDS)
    seen: dict[str, Any] = {}
    finding = _publish(row, addresses, patience, seen)
    try:
        found = resolve(row.name, patience)
    except NotPublished as error:
        # What it resolved to before holds on: a silent resolver says nothing about the name.
        finding = finding or error.finding
    else:
        seen["resolved"] = sorted(found)
        if found != set(addresses):
            strange = sorted(found.difference(addresses))
            elsewhere = failures.NAME_ELSEWHERE.of(strange[0]) if strange else None
            finding = finding or elsewhere or failures.NAME_UNRESOLVED.of(row.name)
    _note(row, finding, **seen)


def _publish(row: PublicName, addresses: Collection[str], patience: Patience, seen: dict[str, Any]) -> Finding | None:
    """Write the records where they differ; returns why that is not possible, or which server lags behind."""
    writer = publisher()
    if writer is None:
        return None
    before = row.published
    if set(before) != set(addresses):
        # Before the update: a worker that is killed in between leaves no record that the portal does not know.
        PublicName.objects.filter(pk=row.pk).update(published=sorted(addresses))
    try:
        changed = writer.publish(row.name, row.owner, addresses, patience)
        lagging = writer.lagging(row.name, addresses, patience)
    except NotPublished as error:
        if not error.perhaps_written:
            seen["published"] = before
        return error.finding
    if changed and set(before) == set(addresses) and row.checked_at is not None and not row.finding:
        logger.warning("The records of %s were changed by someone else; written again", row.name)
        seen["repaired_at"] = timezone.now()
    return failures.NAME_NOT_EVERYWHERE.of(lagging) if lagging else None


def _withdraw(row: PublicName) -> None:
    """Remove the records of a name that no hub has any more, then the row."""
    writer = publisher()
    if row.published and writer is None:
        logger.warning("The zone still has records of %s, and DNS_URL is not set: remove them there", row.name)
        _note(row, failures.NAME_LEFT.of(row.name))
        return
    try:
        if row.published and writer is not None:
            writer.withdraw(row.name, row.owner, Patience.of(LOOK_SECONDS))
    except NotPublished as error:
        _note(row, error.finding)
        return
    # Unless a new instance has taken the name meanwhile.
    PublicName.objects.filter(pk=row.pk, instance=None).delete()


def _note(row: PublicName, finding: Finding | None, **seen: Any) -> None:
    """Record a look at a name, and when the next one is due: later and later while something is wrong."""
    now = timezone.now()
    if finding is None:
        seen |= {"finding": None, "failing_since": None, "failures": 0, "due_at": now + _AGAIN}
    else:
        if finding.document() != row.finding:
            logger.warning("The public name %s: %s", row.name, sentence_of(finding))
        wait = min(_FIRST_RETRY * 2 ** min(row.failures, _MOST_DOUBLINGS), _LAST_RETRY)
        seen |= {
            "finding": finding.document(),
            "failing_since": row.failing_since or now,
            "failures": min(row.failures + 1, 1000),
            "due_at": now + wait,
        }
    PublicName.objects.filter(pk=row.pk).update(checked_at=now, **seen)
