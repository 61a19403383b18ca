"""A change on trial, on all pages of an instance: what happens by itself, and what to do."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from portal.models import Membership, Principal
from portal.told import in_words
from portal.web.client_address import parse_address
from vpn.actions.instances.trial import USUAL
from vpn.choices import TrialState
from vpn.models import ChangeTrial, Instance, PeerObservation
from vpn.wire.reserved import LINKS_V4, LINKS_V6

# For so long, pages say that a change was not confirmed.
_SAID_FOR: Final = timedelta(days=1)


@dataclass(frozen=True)
class ShownTrial:
    """What pages say of a trial. `may_keep` is False before the hub runs the change, and after its time."""

    is_running: bool
    title: str
    message: str
    next_step: str
    may_keep: bool = False
    returned_at: datetime | None = None


@dataclass(frozen=True)
class TrialChoice:
    """The choice beside Save: whether it is preselected, and whether that is because of how the admin is connected."""

    is_chosen: bool
    is_through: bool
    seconds: int = USUAL

    @property
    def words(self) -> str:
        """The time for confirming."""
        return span_words(self.seconds)


def shown_trial(instance: Instance) -> ShownTrial | None:
    """The instance's trial, or the last one if it was taken back a short time ago."""
    trial: ChangeTrial | None = getattr(instance, "trial", None)
    if trial is None:
        return None
    if trial.state == TrialState.RUNNING:
        return _running(trial)
    if trial.returned_at is None or timezone.now() - trial.returned_at > _SAID_FOR or not trial.was_unconfirmed:
        return None
    return ShownTrial(
        is_running=False,
        title=_("The last change was not confirmed, so the hub returned"),
        message=_("%(changed)s The former settings apply again, on the hub and here.")
        % {"changed": _what(trial.changed)},
        next_step=(
            _(
                "If it cut you off, allow your own access first, then save it again. If nothing was wrong, save it "
                "again and confirm it within %(seconds)s."
            )
            % {"seconds": span_words(trial.seconds)}
        ),
        returned_at=trial.returned_at,
    )


def _running(trial: ChangeTrial) -> ShownTrial:
    asker, what = Principal.from_document(trial.asked_by), _what(trial.changed)
    if trial.ends_at is None:
        return ShownTrial(
            is_running=True,
            title=_("The hub is about to try a change"),
            message=_("%(what)s Saved by %(asker)s.") % {"what": what, "asker": asker},
            next_step=_("Once it applies, %(seconds)s are left to confirm it.")
            % {"seconds": span_words(trial.seconds)},
        )
    if trial.is_over():
        return ShownTrial(
            is_running=True,
            title=_("The time for confirming is over"),
            message=_("%(what)s Saved by %(asker)s.") % {"what": what, "asker": asker},
            next_step=_(
                "The hub returns to its former settings by itself. This page follows once the hub has said so."
            ),
        )
    left = math.ceil((trial.ends_at - timezone.now()).total_seconds())
    return ShownTrial(
        is_running=True,
        title=_("Keep this change? %(left)s left") % {"left": span_words(left)},
        message=_("%(what)s Saved by %(asker)s.") % {"what": what, "asker": asker},
        next_step=_("Check that everything needed still works. Without confirmation, the hub returns by itself."),
        may_keep=True,
    )


def _what(changed: Iterable[Any]) -> str:
    words = "; ".join(map(in_words, changed))
    return f"{words}." if words else ""


def span_words(seconds: int) -> str:
    """A span of time: "2 minutes", "1 min 52 s", "8 seconds"."""
    minutes, rest = divmod(seconds, 60)
    if not minutes:
        return ngettext("%(count)d second", "%(count)d seconds", rest) % {"count": rest}
    if not rest:
        return ngettext("%(count)d minute", "%(count)d minutes", minutes) % {"count": minutes}
    return f"{minutes} min {rest} s"


def is_through(address: str, member: Membership, instance: Instance) -> bool:
    """Does a request from this address come through the instance's own hub, or from a device connected to it?

    A full tunnel leaves by the server's address, or by the link between hub and server if the portal runs there. A
    split tunnel to a public portal shows the endpoint of the member's device: the hub's firewall does not concern this
    request, but the same person would notice nothing else of a rule that cuts off their device.
    """
    client = parse_address(address)
    if client is None:
        return False
    if any(client in network for network in (instance.network_v4, instance.network_v6, LINKS_V4, LINKS_V6)):
        return True
    if instance.server is not None and any(parse_address(one) == client for one in instance.server.addresses):
        return True
    own = instance.peers.connected().filter(member=member)
    endpoints = PeerObservation.objects.filter(peer__in=own).values_list("endpoint", flat=True)
    return any(parse_address(endpoint) == client for endpoint in endpoints)
