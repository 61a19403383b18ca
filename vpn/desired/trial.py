"""The trial in a spec: the settings to which the hub returns unless the change is confirmed."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from vpn.desired.firewall import document_of_rule
from vpn.desired.ways import opened_behind
from vpn.models import Instance
from vpn.models.trial import running_trial
from vpn.router_services import management_rules
from vpn.wire.documents import RuleDocument, TrialDocument


def trial_of(instance: Instance) -> TrialDocument | None:
    """The trial of the instance's present settings; None if there is none. No query if it was selected along."""
    trial = running_trial(instance)
    if trial is None:
        return None
    before = copy.copy(instance)
    before.pushed_routes = trial.former["pushed_routes"]
    has_server = instance.server is not None and bool(instance.server.addresses)
    return {
        "id": str(trial.pk),
        "seconds": trial.seconds,
        "former": {
            "forwarding": trial.former["firewall_policy"],
            # A rule may name what was deleted since: then it matches nothing.
            "rules": [
                *management_rules(trial.former_services, trial.former_sources),
                *(document_of_rule(pk, values) for pk, values in trial.rules),
            ],
            "pushed_routes": before.pushed_routes,
            "networks": opened_behind(before) if has_server else [],
        },
    }


def named_rules(header: Mapping[str, Any]) -> list[RuleDocument]:
    """All rules of a header that may come into force: peers get the tags of those before a trial, too."""
    trial = header.get("trial")
    return [*header["rules"], *(trial["former"]["rules"] if trial is not None else ())]
