"""The words for failures in the portal's own background work. `%(subject)s` is what the failure is about."""

from __future__ import annotations

from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from vpn import failures
from vpn.wire.finding import Code

WORDS: Final[dict[Code, Promise]] = {
    failures.REGION_WITHOUT_SERVER: _(
        "The region of this instance has no server yet. Choose another region, or ask the operator."
    ),
    failures.NO_SERVER: _("The hub has no server yet."),
    failures.NO_ADDRESS: _("The server has no public address. Set HUB_ADDRESS and start the portal again."),
    failures.UNKNOWN_DRIVER: _("This version of the portal has no driver “%(subject)s” to reach the server with."),
    failures.AGENT_SILENT: _("The agent on this machine does not answer. The log of the portal's worker says why."),
    failures.REPORT_INVALID: _(
        "The agent sent a report that the portal cannot read. The log of the portal's worker says why."
    ),
    failures.KNOCK_IMPOSSIBLE: _("The portal could not knock on the hub from this machine (%(subject)s)."),
    failures.NOT_STARTED: _("The hub has to be started first. Try again."),
    failures.OUT_OF_STEP: _(
        "The server kept answering with another state than the portal's. The portal tries again by itself."
    ),
    failures.OTHER_CONFIRMED: _(
        "The server confirmed another state than it was sent, so it is not known what the hub runs. The portal tries "
        "again by itself. If that does not help, the portal and its agent may be of different versions: restart both."
    ),
    failures.CONCURRENT_CHANGE: _("Changes came faster than they could be applied. The portal tries again by itself."),
    failures.SECRET_UNREADABLE: _(
        "The secret %(subject)s of this hub cannot be opened. Most likely its key is not in SECRET_KEYS any more. "
        "Put that key back, then start the portal again."
    ),
}
