"""Destroy private keys whose time is over: by due dates in an indexed column, in batches that a next run continues."""

from __future__ import annotations

import logging
from typing import Final

from django.utils.translation import gettext_noop

from portal.models import Principal
from vpn.actions.profiles.custody import destroy_due_keys
from vpn.jobs.tick import scheduled

logger = logging.getLogger(__name__)
CUSTODY_SECONDS: Final = 10
_SLICE_SECONDS: Final = 2.0
_BY: Final = Principal.portal(gettext_noop("destroying private keys whose time is over"))


@scheduled("custody", CUSTODY_SECONDS)
def destroy_keys() -> None:
    """Destroy what is due, as far as the time suffices."""
    if not destroy_due_keys(_SLICE_SECONDS, by=_BY):
        logger.info("More private keys are destroyed in %d seconds", CUSTODY_SECONDS)
