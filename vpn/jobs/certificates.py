"""Renew certificates long before their end: by due dates in indexed columns, in batches that a next run continues."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist
from django.utils import timezone
from django.utils.translation import gettext_noop

from portal.actions.acting import acted
from portal.exceptions import NotPossible
from portal.models import Principal
from portal.sealing import UnsealError
from vpn.actions.change import Scope, changing
from vpn.actions.peers.certificates import ensure_certificates, renew_hub, shown_hosts
from vpn.actions.peers.keys import renew_peer
from vpn.choices import InstanceState
from vpn.jobs.tick import begin_tick, scheduled
from vpn.models import Instance, Peer

logger = logging.getLogger(__name__)
RENEW_SECONDS: Final = 30
# A job stops after this time, because other scheduled jobs wait; the next one continues.
_SLICE_SECONDS: Final = 3.0
# What fails is retried after this time. It is noted before the attempt, so that not even a killed job repeats it first.
_RETRY: Final = timedelta(hours=1)
_HOSTS_SECONDS: Final = 3600
_BY = Principal.portal(gettext_noop("renewing certificates"))


@scheduled("certificates", RENEW_SECONDS)
def renew_certificates() -> None:
    """Renew what is due of hubs and peers, and issue what older instances lack."""
    end = time.monotonic() + _SLICE_SECONDS
    if begin_tick("certificate hosts", _HOSTS_SECONDS):
        _note_changed_hosts()
    for pk in _due_hubs(end):
        with _logged(f"The certificates of instance {pk}"):
            _renew_hub(pk)
    for peer in _due_peers(end):
        with _logged(f"The certificate of peer {peer.pk}"):
            renew_peer(peer, by=_BY)


def _note_changed_hosts() -> None:
    """Hub certificates that name a former address or domain are due now."""
    ready = Instance.objects.filter(state=InstanceState.READY).exclude(server_certificate="")
    rows = ready.select_related("server").only("hostname", "certificate_hosts", "server__address", "server__address_v6")
    changed = [one.pk for one in rows.iterator() if one.certificate_hosts != shown_hosts(one)]
    Instance.objects.filter(pk__in=changed).update(certificates_due_at=timezone.now())


def _due_hubs(end: float) -> Iterator[UUID]:
    """The hubs whose certificates are due, those first that have waited longest; each noted for its next attempt."""
    ready = Instance.objects.filter(state=InstanceState.READY).order_by("certificates_due_at")
    while True:
        now = timezone.now()
        pk = ready.filter(certificates_due_at__lte=now).values_list("pk", flat=True).first()
        if pk is None:
            return
        Instance.objects.filter(pk=pk).update(certificates_due_at=now + _RETRY)
        yield pk
        if time.monotonic() > end:
            return


def _due_peers(end: float) -> Iterator[Peer]:
    """The same for peers."""
    ready = Peer.objects.filter(instance__state=InstanceState.READY).order_by("certificate_due_at")
    while True:
        now = timezone.now()
        peer = ready.filter(certificate_due_at__lte=now).first()
        if peer is None:
            return
        same = Peer.objects.filter(pk=peer.pk, certificate_due_at=peer.certificate_due_at)
        if same.update(certificate_due_at=now + _RETRY):  # else its certificate was replaced meanwhile
            yield peer
        if time.monotonic() > end:
            return


def _renew_hub(pk: UUID) -> None:
    instance = Instance.objects.select_related("server").get(pk=pk)
    if instance.has_certificates and not renew_hub(instance):
        # Only the date or the hosts were unknown, as in rows of earlier releases.
        known = {name: getattr(instance, name) for name in ("certificates_due_at", "certificate_hosts")}
        Instance.objects.filter(pk=pk).update(**known)
        return
    with changing(pk, by=_BY, scope=Scope.WHOLE) as locked:
        if not ensure_certificates(locked):
            renew_hub(locked)
        acted(_BY, "certificates renewed", locked)


@contextmanager
def _logged(what: str) -> Iterator[None]:
    """Log why a renewal is not possible, so that the others go on."""
    try:
        yield
    except (NotPossible, UnsealError, ValueError, ObjectDoesNotExist) as error:
        logger.warning("%s could not be renewed; retrying in an hour: %s", what, error)
