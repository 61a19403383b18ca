"""Changing the settings of an instance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.core.exceptions import ValidationError

from vpn.actions.change import changing
from vpn.actions.firewall import InvalidSettings, RuleFault, cleaned_rules, replace_rules
from vpn.choices import FirewallPolicy
from vpn.constants import MOST_DNS_SERVERS, MOST_PUSHED_ROUTES
from vpn.models import Instance
from vpn.validators import parse_dns_server, parse_pushed_route, validate_mtu, validate_name


def update_instance(instance: Instance, **changes: Any) -> Instance:
    """Change `name`, `mtu`, `pushed_routes`, `public_dns`, `firewall_policy`, `firewall` (rules as in the API).

    What is absent stays. Returns the instance as saved; raises InvalidInput with every fault.
    """
    cleaned = _cleaned_settings(instance, changes)
    if set(cleaned) == {"name"}:
        # The name is not known to the hub: nothing to apply.
        Instance.objects.filter(pk=instance.pk).update(name=cleaned["name"])
        return Instance.objects.select_related("region", "server").get(pk=instance.pk)
    rules = cleaned.pop("firewall", None)
    with changing(instance.pk) as locked:
        for field, value in cleaned.items():
            setattr(locked, field, value)
        if rules is not None:
            replace_rules(locked, rules)
    return locked


def _cleaned_settings(instance: Instance, changes: dict[str, Any]) -> dict[str, Any]:
    errors = faults_of({field: (check, changes[field]) for field, check in _CHECKS.items() if field in changes})
    cleaned: dict[str, Any] = {field: changes[field] for field in _CHECKS if field in changes}
    for field, parse, most in (
        ("pushed_routes", parse_pushed_route, MOST_PUSHED_ROUTES),
        ("public_dns", parse_dns_server, MOST_DNS_SERVERS),
    ):
        if len(changes.get(field, ())) > most:
            errors[field] = [f"Name at most {most}."]
        elif field in changes:
            try:
                cleaned[field] = list(dict.fromkeys(str(parse(text)) for text in changes[field]))
            except ValidationError as error:
                errors[field] = error.messages
    if cleaned.get("public_dns") == []:
        errors["public_dns"] = ["Name at least one DNS server: profiles for all traffic need one."]
    rule_faults: Sequence[RuleFault] = ()
    if "firewall" in changes:
        try:
            cleaned["firewall"] = cleaned_rules(instance, changes["firewall"])
        except InvalidSettings as refusal:
            errors |= refusal.errors
            rule_faults = refusal.rule_faults
    if errors:
        raise InvalidSettings(errors, rule_faults)
    return cleaned


def _validate_policy(value: str) -> None:
    if value not in FirewallPolicy.values:
        raise ValidationError(f"Choose one of {', '.join(FirewallPolicy.values)}.")


_CHECKS: dict[str, Callable[[Any], None]] = {
    "name": validate_name,
    "mtu": validate_mtu,
    "firewall_policy": _validate_policy,
}


def faults_of(checks: dict[str, tuple[Any, Any]]) -> dict[str, list[str]]:
    """What is wrong, by field: each has its check and its value."""
    errors: dict[str, list[str]] = {}
    for field, (check, value) in checks.items():
        try:
            check(value)
        except ValidationError as error:
            errors[field] = error.messages
    return errors
