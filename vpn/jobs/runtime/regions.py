"""The regions whose servers a worker serves: those of WORKER_REGIONS, or all, also ones that are added later."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

from django.conf import settings
from django.db import DatabaseError
from redis.exceptions import RedisError
from rq import Queue

from vpn.doorbell import REGION_QUEUES, queue_of, regions_with_queues
from vpn.models import Region

logger = logging.getLogger(__name__)


def served_regions() -> list[str]:
    """Return the regions that this worker serves now."""
    if settings.WORKER_REGIONS:
        return list(settings.WORKER_REGIONS)
    found = set[str]()
    try:
        found.update(Region.objects.values_list("pk", flat=True))
        found |= regions_with_queues()
    except (DatabaseError, RedisError, OSError) as error:
        logger.warning("Some regions may be served later: %s", error)
    return sorted(found)


def queues_of(names: Sequence[str], regions: Collection[str]) -> list[Queue]:
    """Return the queues of these names: for work that touches servers, one per region.

    A worker of all regions also serves the queues without a region.
    """
    queues: list[Queue] = []
    for name in names:
        if name not in REGION_QUEUES or not settings.WORKER_REGIONS:
            queues.append(queue_of(name))
        if name in REGION_QUEUES:
            queues += [queue_of(name, region) for region in regions]
    return queues


def heartbeats_of(names: Sequence[str]) -> list[str]:
    """Return the names of the heartbeats of a worker of these queues."""
    beats = []
    for name in names:
        limited = settings.WORKER_REGIONS if name in REGION_QUEUES else ()
        beats += [f"worker:{name}:{region}" for region in limited] if limited else [f"worker:{name}"]
    return beats
