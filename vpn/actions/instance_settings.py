"""Changing the settings of an instance."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError

from portal.exceptions import InvalidInput
from vpn.actions.change import changing
from vpn.constants import MOST_DNS_SERVERS, MOST_PUSHED_ROUTES
from vpn.models import Instance
from vpn.validators import parse_dns_server, parse_pushed_route, validate_mtu, validate_name


def update_instance(instance: Instance, **changes: Any) -> Instance:
    """Change `name`, `mtu`, `pushed_routes`, `public_dns`; what is absent stays. Returns the instance as saved."""
    cleaned = _cleaned_settings(changes)
    if set(cleaned) == {"name"}:
        # The name is not known to the hub: nothing to apply.
        Instance.objects.filter(pk=instance.pk).update(name=cleaned["name"])
        return Instance.objects.select_related("region", "server").get(pk=instance.pk)
    with changing(instance.pk) as locked:
        for field, value in cleaned.items():
            setattr(locked, field, value)
    return locked


def _cleaned_settings(changes: dict[str, Any]) -> dict[str, Any]:
    errors = faults_of(
        {
            field: (check, changes[field])
            for field, check in (("name", validate_name), ("mtu", validate_mtu))
            if field in changes
        }
    )
    cleaned: dict[str, Any] = {field: changes[field] for field in ("name", "mtu") if field in changes}
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
    if errors:
        raise InvalidInput(errors)
    return cleaned


def faults_of(checks: dict[str, tuple[Any, Any]]) -> dict[str, list[str]]:
    """What is wrong, by field: each has its check and its value."""
    errors: dict[str, list[str]] = {}
    for field, (check, value) in checks.items():
        try:
            check(value)
        except ValidationError as error:
            errors[field] = error.messages
    return errors
