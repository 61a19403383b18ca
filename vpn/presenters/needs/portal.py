"""Problems of the portal itself, and of its hubs, for the operator."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Final

from django.conf import settings
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from vpn.models import Instance
from vpn.needs import Code, needs_of_all
from vpn.presenters.needs.notice import Notice

logger = logging.getLogger(__name__)
_OK: Final = "ok"
# Needs that the operator handles. Each organization's admins handle the others.
_OPERATORS: Final = {
    Code.LOST: gettext_lazy("lost"),
    Code.HUB_SILENT: gettext_lazy("silent"),
    Code.HUB_LATE: gettext_lazy("observed late"),
    Code.HUB_UNREACHABLE: gettext_lazy("not reachable from outside"),
    Code.NAME_UNPUBLISHED: gettext_lazy("without their public name"),
    Code.APPLY_STUCK: gettext_lazy("with changes that were not applied"),
    Code.APPLY_FAILED: gettext_lazy("with changes that were refused"),
    Code.PROVISIONING_FAILED: gettext_lazy("not created"),
    Code.PROVISIONING_STUCK: gettext_lazy("not created in time"),
    Code.DELETION_STUCK: gettext_lazy("not taken down in time"),
}


def portal_notices() -> list[Notice]:
    """Notices on the portal's own failed checks, which are the same as those of /healthz."""
    answers = dict.fromkeys(answer for answer in map(_answer, settings.HEALTH_CHECKS.values()) if answer != _OK)
    if not answers:
        return []
    return [
        Notice(
            Code.PORTAL_DEGRADED,
            _("The portal does not work as it should"),
            " ".join(answers),
            _("What pages say of hubs may be out of date. The portal's operator sees the rest under “healthz”."),
        )
    ]


def hubs_health() -> str:
    """ "ok", or how many hubs need the operator, and why; without names of hubs."""
    instances = list(Instance.objects.select_related("server", "observation", "public_name").only(*_COLUMNS))
    needs = needs_of_all(instances, of_operator=True)
    first = [next((need.code for need in needs[one.pk] if need.code in _OPERATORS), None) for one in instances]
    counts = Counter(code for code in first if code is not None)
    if not counts:
        return _OK
    parts = ", ".join(f"{count} {_OPERATORS[code]}" for code, count in counts.most_common())
    words = _("%(count)d of %(all)d hubs need attention: %(reasons)s.")
    return words % {"count": counts.total(), "all": len(instances), "reasons": parts}


_COLUMNS: Final = (
    "state",
    "failure",
    "server",
    "port_base",
    "public_dns",
    "observation__silent_resolvers",
    "observation__observed_at",
    "hostname",
    "public_name__name",
    "public_name__resolved",
    "public_name__finding",
    "public_name__failing_since",
    "lagging_since",
    "epoch",
    "applied_epoch",
    "applied_generation",
    "desired_generation",
)


def _answer(path: str) -> str:
    try:
        return str(import_string(path)())
    except Exception:
        logger.exception("The health check %s failed", path)
        return _("One of the portal's own checks could not be made.")
