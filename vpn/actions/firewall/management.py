"""Management of routers from headquarters: who may reach which of their services through the tunnel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from portal.exceptions import NotPossible
from vpn.actions.firewall.input import present_ends
from vpn.actions.refusal import InvalidSettings
from vpn.models import Instance
from vpn.router_services import MOST_SOURCES, SOURCE_KINDS, RouterService, services_of
from vpn.validators import parse_rule_end
from vpn.wire.rules import FEATURE

SERVICES: Final = "management_services"
SOURCES: Final = "management_sources"
FIELDS: Final = frozenset({SERVICES, SOURCES})


def cleaned_management(locked: Instance, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The services and their users as they are stored; raises InvalidSettings with every fault.

    The caller holds the instance's lock, so no site or group can be deleted before it is saved.
    """
    if FIELDS.isdisjoint(changes):
        return {}
    services: Sequence[str] = changes.get(SERVICES, locked.management_services)
    sources = list(dict.fromkeys(map(_canonical, changes.get(SOURCES, locked.management_sources))))
    errors: dict[str, list[str]] = {}
    if set(services) - set(RouterService.values):
        choices = ", ".join(RouterService.values)
        errors[SERVICES] = [_("Choose one of %(choices)s.") % {"choices": choices}]
    if faults := _source_faults(locked, sources):
        errors[SOURCES] = faults
    if not errors and bool(services) != bool(sources):
        errors = (
            {SOURCES: [_("Choose at least one site or group that may use these services.")]}
            if services
            else {SERVICES: [_("Choose at least one service, or remove all who may manage routers.")]}
        )
    if errors:
        raise InvalidSettings(errors)
    if sources and not locked.management_sources:
        _refuse_old_agent(locked)
    return {SERVICES: [service.value for service in services_of(services)], SOURCES: sources}


def _canonical(source: str) -> str:
    with suppress(ValidationError):
        return parse_rule_end(source)
    return source


def _refuse_old_agent(locked: Instance) -> None:
    features = locked.server.agent_features if locked.server is not None else None
    if features is not None and FEATURE not in features:
        raise NotPossible(
            _("The agent on this hub's server is of an older release and does not know these rules. Nothing is saved."),
            code="agent-too-old",
            next_step=_("Ask the operator to update the server."),
        )


def _source_faults(locked: Instance, sources: Sequence[str]) -> list[str]:
    if len(sources) > MOST_SOURCES:
        return [_("Name at most %(most)s sites and groups.") % {"most": MOST_SOURCES}]
    new = [source for source in sources if source not in locked.management_sources]
    named = [source for source in new if source.partition(":")[0] in SOURCE_KINDS and ":" in source]
    present = present_ends(locked.organization_id, named) if named else set()
    return [
        _("%(source)s is no site or group of this organization.") % {"source": one[:60]}
        for one in new
        if one not in present
    ]
