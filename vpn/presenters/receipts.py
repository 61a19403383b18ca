"""What a receipt says of each tunnel: confirmed by which hub and when, or why not yet and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from portal.models import Receipt
from vpn.choices import ServerState
from vpn.models import EndedTunnel, Instance
from vpn.presenters.findings import failure_of

CONFIRMED: Final = "confirmed"
WAITING: Final = "waiting"
UNREACHABLE: Final = "unreachable"
REFUSED: Final = "refused"
# Its hub has ended without confirming anything: its lease is over, or its instance was deleted.
ENDED: Final = "ended"
# Then a hub that answers should have confirmed.
_USUAL: Final = timedelta(seconds=5)
_TONES: Final = {CONFIRMED: "good", WAITING: "waiting", UNREACHABLE: "bad", REFUSED: "bad", ENDED: "good"}


@dataclass(frozen=True)
class TunnelEnd:
    """A tunnel of a receipt. `message` says what is known, `next_step` what to do ("" for nothing)."""

    tunnel: EndedTunnel
    state: str
    message: str
    next_step: str = ""
    instance: Instance | None = None

    @property
    def tone(self) -> str:
        """The chip's tone."""
        return _TONES[self.state]

    @property
    def word(self) -> str:
        """The state in a word."""
        words = {
            CONFIRMED: _("Confirmed"),
            WAITING: _("Waiting for the hub"),
            UNREACHABLE: _("Not confirmed"),
            REFUSED: _("Not confirmed"),
            ENDED: _("Ended by itself"),
        }
        return words[self.state]

    @property
    def is_over(self) -> bool:
        """True if the device surely has no tunnel any more."""
        return self.state in {CONFIRMED, ENDED}


def tunnel_ends(receipt: Receipt) -> list[TunnelEnd]:
    """The tunnels of a receipt, with what is known of each now; three queries."""
    return ends_of(list(receipt.tunnels.all()))


def ends_of(tunnels: Sequence[EndedTunnel]) -> list[TunnelEnd]:
    """The same of these tunnels, in their order."""
    ids = {tunnel.instance_id for tunnel in tunnels}
    rows = Instance.objects.filter(pk__in=ids).without_keys().select_related("server", "observation")
    instances = {instance.pk: instance for instance in rows}
    return [_end(tunnel, instances.get(tunnel.instance_id)) for tunnel in tunnels]


def time_of_day(moment: datetime) -> str:
    """A time to a tenth of a second, such as "12:03:04.2 UTC"; with the day if that is another one."""
    local = timezone.localtime(moment)
    words = f"{local:%H:%M:%S}.{local.microsecond // 100_000} {local:%Z}"
    return words if local.date() == timezone.localdate() else f"{date_format(local, _('j F Y'))}, {words}"


def _end(tunnel: EndedTunnel, instance: Instance | None) -> TunnelEnd:
    if tunnel.confirmed_at is not None:
        words = {
            "instance": tunnel.instance_name,
            "server": tunnel.confirmed_by,
            "time": time_of_day(tunnel.confirmed_at),
        }
        message = _("Confirmed by %(instance)s on %(server)s at %(time)s.") % words
        return TunnelEnd(tunnel, CONFIRMED, message, instance=instance)
    if instance is None:
        message = _("The instance %(instance)s was deleted, and its hub with it.") % {"instance": tunnel.instance_name}
        return TunnelEnd(tunnel, ENDED, message)
    if instance.server is not None and instance.server.state in {ServerState.UNREACHABLE, ServerState.LOST}:
        return _without_server(tunnel, instance)
    if instance.failure:
        message = _("Not confirmed. The hub did not apply it: %(why)s") % {"why": failure_of(instance)}
        next_step = _("The portal tries again by itself. The activity of the instance says more.")
        return TunnelEnd(tunnel, REFUSED, message, next_step, instance)
    next_step = ""
    if timezone.now() - tunnel.asked_at > _USUAL:
        next_step = _("It takes longer than usual. The portal asks until the hub confirms it.")
    return TunnelEnd(tunnel, WAITING, _("Not confirmed yet."), next_step, instance)


def _without_server(tunnel: EndedTunnel, instance: Instance) -> TunnelEnd:
    """A hub that the portal cannot reach now. One with a lease takes itself down when that ends."""
    server = instance.server
    assert server is not None  # noqa: S101 - checked by the caller
    since = server.silent_since or server.state_since or tunnel.asked_at
    words = {"server": server.name, "since": time_of_day(since)}
    lease_end = server.lease_ends_at if instance.seen.leased_on == server.pk else None
    if lease_end is not None and lease_end <= timezone.now():
        words["end"] = time_of_day(lease_end)
        message = _("%(server)s does not answer since %(since)s. Its lease ended at %(end)s: the hub took itself down.")
        return TunnelEnd(tunnel, ENDED, message % words, instance=instance)
    if lease_end is not None:
        words["end"] = time_of_day(lease_end)
        message = _(
            "Not confirmed: %(server)s does not answer since %(since)s. Its lease ends at %(end)s; the hub itself ends "
            "the tunnel then."
        )
        next_step = _("Wait until then. The portal goes on asking; if it cannot wait, have the server switched off.")
        return TunnelEnd(tunnel, UNREACHABLE, message % words, next_step, instance)
    message = _(
        "Not confirmed: %(server)s does not answer since %(since)s. The hub has no lease, so it may still let this "
        "device in."
    )
    next_step = _(
        "Have the server switched off, or its network mended. The portal ends the tunnel as soon as the server answers."
    )
    return TunnelEnd(tunnel, UNREACHABLE, message % words, next_step, instance)
