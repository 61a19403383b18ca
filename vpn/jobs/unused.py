"""Ends of devices: moved once a day where a device was used, and mailed about before."""

from __future__ import annotations

import logging
from typing import Final

from django.utils.translation import gettext_noop

from portal.models import Principal
from vpn.actions.peers.absence import leave_out_absence
from vpn.actions.peers.reminder import remind
from vpn.actions.peers.use import count_use
from vpn.jobs.tick import scheduled

logger = logging.getLogger(__name__)
USE_SECONDS: Final = 300
_SLICE_SECONDS: Final = 2.0
_BY: Final = Principal.portal(gettext_noop("counting when devices were used"))
_ABSENCE: Final = Principal.portal(gettext_noop("the hub was not heard of for a while"))
_REMINDING: Final = Principal.portal(gettext_noop("reminding of the ends of devices"))


@scheduled("use", USE_SECONDS)
def note_use() -> None:
    """Move the ends of devices that were used, then remind of those that come, as far as the time suffices.

    Time without news of their hub is left out first.
    """
    leave_out_absence(by=_ABSENCE)
    if not count_use(_SLICE_SECONDS, by=_BY):
        logger.info("More ends of devices are moved in %d seconds", USE_SECONDS)
    elif not remind(_SLICE_SECONDS, by=_REMINDING):
        logger.info("More reminders are queued in %d seconds", USE_SECONDS)
