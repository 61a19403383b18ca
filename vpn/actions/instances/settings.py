"""Changing the settings of an instance."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from portal.actions.acting import one_act
from portal.actions.quota import lock_organization, require_room
from portal.models import Principal, Quota
from vpn.actions.activity.change_words import settings_words
from vpn.actions.activity.planning import planned_change
from vpn.actions.change import Scope, lock_instance
from vpn.actions.dns.records import RecordFault
from vpn.actions.dns.settings import cleaned_dns
from vpn.actions.firewall.input import RuleFault
from vpn.actions.firewall.management import FIELDS as MANAGEMENT
from vpn.actions.firewall.management import cleaned_management
from vpn.actions.firewall.rules import cleaned_rules, prepare_rules
from vpn.actions.instances.pool import cleaned_pool
from vpn.actions.instances.trial import FIELD, TRIED, begin_trial, check_trial, forget_returned, refuse_during_trial
from vpn.actions.instances.written import write_settings
from vpn.actions.peers.input import endpoint_faults
from vpn.actions.refusal import InvalidSettings
from vpn.actions.revisions.recording import revising
from vpn.actions.sites.overlaps import way_of
from vpn.actions.unchanged import differing_settings, without_unchanged_tables
from vpn.addressing.networks import Network, contains
from vpn.choices import FirewallPolicy
from vpn.constants import MOST_PUSHED_ROUTES
from vpn.desired.ways import Way, private_part
from vpn.models import ChangePlan, Instance, RuleRow
from vpn.models.trial import former_settings
from vpn.validators import parse_pushed_route, validate_mtu, validate_name


def update_instance(instance: Instance, *, by: Principal, **changes: Any) -> Instance:
    """Change settings of an instance; absent fields stay, and equal values are no change.

    The fields: `name`, `mtu`, `pool`, `pushed_routes`, `public_dns`, `split_dns`, `domains`, `dns_custom`,
    `firewall_policy`, `firewall` (records and rules as in the API), `management_services`, `management_sources`,
    `members_add_devices`. With `confirm_within` (seconds, or None), the hub
    takes the change back after this time, unless it is confirmed (vpn.actions.instances.trial). Returns the instance as
    saved. Raises InvalidSettings with every fault, NotPossible, or QuotaReached.
    """
    confirm_within: int | None = changes.pop(FIELD, None)
    if "firewall" in changes:
        changes["firewall"] = prepare_rules(changes["firewall"])
    with transaction.atomic():
        if _COUNTED & changes.keys():
            lock_organization(instance.organization_id)
        locked = lock_instance(instance.pk)
        former = RuleRow.all_of(locked) if _WITH_RULES & changes.keys() or confirm_within is not None else []
        rules = [row.values for row in former]
        wanted = differing_settings(locked, rules, _cleaned(locked, without_unchanged_tables(locked, rules, changes)))
        if confirm_within is not None and wanted:
            check_trial(locked, wanted.keys(), confirm_within)
        if wanted.keys() <= _UNKNOWN_TO_THE_HUB:
            with one_act(by, "settings changed", locked, is_change=True), revising(locked.pk, by=by) as watch:
                watch.note_before(locked)
                for field, value in wanted.items():
                    setattr(locked, field, value)
                locked.save(update_fields=sorted(wanted))
                watch.note_after(locked)
            return locked
        refuse_during_trial(locked, wanted.keys())
        _require_room(locked, wanted)
        return _save(locked, former, wanted, confirm_within, by)


def _save(
    locked: Instance, former: Sequence[RuleRow], wanted: Mapping[str, Any], confirm_within: int | None, by: Principal
) -> Instance:
    """Write what differs from the present settings; `former` are the present rules."""
    words = settings_words([row.values for row in former], wanted)
    before = former_settings(locked, former)
    is_small = wanted.keys() <= _BY_DELTA and confirm_within is None
    urgent = not wanted.keys().isdisjoint(_MAY_CLOSE)
    with one_act(by, "settings changed", locked) as act:
        act.details["changed"] = words
        with planned_change(locked.pk, by=by, scope=Scope.RULES if is_small else Scope.WHOLE, urgent=urgent) as locked:
            act.on = locked
            write_settings(locked, former, wanted, by=by)
            if confirm_within is not None:
                act.details["confirm_within"] = confirm_within
                begin_trial(locked, before, words, confirm_within, by=by)
            elif not TRIED.isdisjoint(wanted):
                forget_returned(locked, by=by)
    ChangePlan.objects.filter(instance=locked, generation=locked.desired_generation).update(changed=words)
    return locked


# There is nothing to apply after a change of these.
_UNKNOWN_TO_THE_HUB = {"name", "members_add_devices"}
# Fields that are compared with other rows of the organization, which is locked before the instance.
_COUNTED = {"pool", "firewall", "dns_custom", "members_add_devices"} | MANAGEMENT
# Fields whose change needs the present rules: a plan holds all rules before and after.
_WITH_RULES = {"firewall"} | MANAGEMENT
# Fields that a delta carries, without comparing the whole specification.
_BY_DELTA = {"name", "members_add_devices", "firewall", "firewall_policy"} | MANAGEMENT
# Fields whose change may revoke access.
_MAY_CLOSE = {"firewall", "firewall_policy"} | MANAGEMENT


def _require_room(locked: Instance, wanted: Mapping[str, Any]) -> None:
    """Raise QuotaReached where the organization may not have this many rules or records."""
    for field, quota, present in (
        ("firewall", Quota.RULES, locked.firewall_rules),
        ("dns_custom", Quota.DNS_RECORDS, locked.dns_records),
    ):
        if field in wanted:
            require_room(locked.organization_id, quota, len(wanted[field]) - present.count(), field=field)


def _cleaned(locked: Instance, changes: dict[str, Any]) -> dict[str, Any]:
    """The changes as they are stored; raises InvalidSettings with every fault."""
    return _gathered(
        lambda: _cleaned_settings(changes),
        lambda: _cleaned_routes(locked, changes["pushed_routes"]) if "pushed_routes" in changes else {},
        lambda: cleaned_pool(locked, changes["pool"]) if "pool" in changes else {},
        lambda: cleaned_dns(locked, changes),
        lambda: cleaned_management(locked, changes),
        lambda: {"firewall": cleaned_rules(locked, changes["firewall"])} if "firewall" in changes else {},
    )


def _gathered(*cleaners: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Call all of them and return their results; raises one InvalidSettings with the faults of all."""
    cleaned: dict[str, Any] = {}
    errors: dict[str, list[str]] = {}
    rules: list[RuleFault] = []
    records: list[RecordFault] = []
    for cleaner in cleaners:
        try:
            cleaned |= cleaner()
        except InvalidSettings as refusal:
            errors |= refusal.errors
            rules += refusal.rule_faults
            records += refusal.record_faults
    if errors:
        raise InvalidSettings(errors, rules, records)
    return cleaned


def _cleaned_settings(changes: dict[str, Any]) -> dict[str, Any]:
    errors = faults_of({field: (check, changes[field]) for field, check in _CHECKS.items() if field in changes})
    cleaned: dict[str, Any] = {field: changes[field] for field in _CHECKS if field in changes}
    if errors:
        raise InvalidSettings(errors)
    return cleaned


def _cleaned_routes(locked: Instance, texts: Sequence[str]) -> dict[str, Any]:
    """The pushed routes as they are stored; raises InvalidSettings with the fault of each."""
    if len(texts) > MOST_PUSHED_ROUTES:
        raise InvalidSettings(
            {"pushed_routes": [_("Name at most %(most_pushed_routes)s.") % {"most_pushed_routes": MOST_PUSHED_ROUTES}]}
        )
    faults: list[str] = []
    networks: dict[Network, None] = {}
    for text in texts:
        try:
            networks[parse_pushed_route(text)] = None
        except ValidationError as error:
            faults += error.messages
    faults += endpoint_faults(locked, networks) + _leading_nowhere(locked, networks)
    if faults:
        raise InvalidSettings({"pushed_routes": faults})
    return {"pushed_routes": [str(network) for network in networks]}


def _leading_nowhere(locked: Instance, networks: Collection[Network]) -> list[str]:
    """Why new routes cannot be pushed: no site or server carries their traffic. Existing ones may stay."""
    new = [network for network in networks if str(network) not in locked.pushed_routes]
    return [_nowhere(network) for network in new if way_of(locked, network) is Way.NOWHERE]


def _nowhere(network: Network) -> str:
    private = private_part(network)
    if private is not None and not contains(private, network):
        return _("%(network)s contains %(private)s, which no site advertises. Push only the parts that you need.") % {
            "network": network,
            "private": private,
        }
    return _(
        "No site advertises %(network)s, so the hub would drop it. Add it to a site, or ask the operator to allow it "
        "on the server."
    ) % {"network": network}


def _validate_policy(value: str) -> None:
    if value not in FirewallPolicy.values:
        raise ValidationError(
            _("Choose one of %(firewallpolicy)s.") % {"firewallpolicy": ", ".join(FirewallPolicy.values)}
        )


def _validate_flag(value: object) -> None:
    if not isinstance(value, bool):
        raise ValidationError(_("Choose true or false."))


_CHECKS: dict[str, Callable[[Any], None]] = {
    "name": validate_name,
    "mtu": validate_mtu,
    "firewall_policy": _validate_policy,
    "members_add_devices": _validate_flag,
}


def faults_of(checks: dict[str, tuple[Any, Any]]) -> dict[str, list[str]]:
    """The faults by field, from each field's check and value."""
    errors: dict[str, list[str]] = {}
    for field, (check, value) in checks.items():
        try:
            check(value)
        except ValidationError as error:
            errors[field] = error.messages
    return errors
