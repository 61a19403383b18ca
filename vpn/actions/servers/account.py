"""The cloud account of a region: its settings, and the test of its credentials."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from ipaddress import ip_network
from typing import Any, Final
from urllib.parse import urlsplit

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from portal.actions.acting import acted
from portal.exceptions import Conflict, InvalidInput, NotPossible
from portal.models import Principal
from portal.web.exposure import is_loopback
from vpn import doorbell
from vpn.choices import Driver, NodeState
from vpn.clouds import PROVIDERS, Described, known_providers
from vpn.models import CloudAccount, Region
from vpn.wire.finding import Finding

# Printable and without spaces: names and identifiers at providers.
_WORD: Final = re.compile(r"[!-~]{0,120}")
_HOST: Final = re.compile(r"[a-z0-9._:-]+")
_WORDS: Final = ("key", "location", "size", "image", "network", "project", "domain")
# Where the secret is sent, and whose it is.
_OF_SECRET: Final = ("provider", "endpoint", "key")


def set_account(region: Region, *, by: Principal, secret: str = "", **settings: Any) -> CloudAccount:
    """Add or change the cloud account of a region. Without `secret` the former one stays, for the same host and key.

    `settings` are the columns from `provider` to `ssh_from`. Servers that exist stay as they are. Raises InvalidInput,
    or NotPossible if another provider has some.
    """
    if region.driver != Driver.CLOUD:
        raise InvalidInput.in_field(
            "region", _("The servers of %(region)s are not ordered from a cloud.") % {"region": region.name}
        )
    with transaction.atomic():
        Region.objects.select_for_update(no_key=True).get(pk=region.pk)
        account = CloudAccount.objects.filter(region=region).first() or CloudAccount(region=region)
        refuse_other_provider(account, settings["provider"])
        if errors := account_faults(settings, account, secret):
            raise InvalidInput(errors)
        for name, value in settings.items():
            setattr(account, name, value)
        if secret:
            account.secret = secret.strip()
        account.tested_at = account.test_requested_at = account.test_finding = None
        account.save()
        acted(by, "cloud account set", account)
    return account


def refuse_other_provider(account: CloudAccount, provider: str) -> None:
    """Raise NotPossible if the account has servers of another provider."""
    if account.provider not in {"", provider} and account.nodes.exists():
        raise NotPossible(
            _("%(region)s has servers of %(provider)s.")
            % {"region": account.region.name, "provider": account.provider},
            field="provider",
            next_step=_("Delete or move their instances first."),
        )


def account_faults(settings: Mapping[str, Any], former: CloudAccount, secret: str) -> dict[str, list[str]]:
    """The faults of an account's new settings, by column. `secret` is the new one, "" to keep the former one."""
    errors: dict[str, list[str]] = {}
    described = PROVIDERS.get(settings["provider"])
    for name in _WORDS:
        if not _WORD.fullmatch(settings[name]):
            errors[name] = [_("Enter it without spaces, in at most 120 characters.")]
    for name in _needed(settings["provider"]):
        if not settings[name]:
            errors[name] = [_("Enter it: %(what)s.") % {"what": _setting_of(described, name)}]
    if not secret and (fault := _former_secret_fault(settings, former)):
        errors["secret"] = [fault]
    if settings["provider"] not in known_providers():
        errors["provider"] = [_("Enter one of these names: %(names)s.") % {"names": ", ".join(known_providers())}]
    if settings["endpoint"] and not _is_url(settings["endpoint"]):
        errors["endpoint"] = [_("Enter a URL that begins with https://; http:// only at a loopback address.")]
    if settings["capacity"] < 1:
        errors["capacity"] = [_("Enter at least 1.")]
    if faults := [text for text in settings["ssh_from"] if not _is_network(text)]:
        errors["ssh_from"] = [
            _("%(network)s is not an IPv4 network, such as 192.0.2.0/24.") % {"network": text} for text in faults
        ]
    return errors


def _setting_of(described: Described | None, name: str) -> str:
    words = getattr(described, name, "")
    return _(words) if words else name


def _former_secret_fault(settings: Mapping[str, Any], former: CloudAccount) -> str:
    """Return why the account's former secret cannot stay; "" if it can."""
    described = PROVIDERS.get(settings["provider"])
    if not former.secret_sealed:
        return _("Enter it: %(what)s.") % {
            "what": _(described.secret) if described is not None else _("secret key or token")
        }
    if any(settings[name] != getattr(former, name) for name in _OF_SECRET):
        # A secret that is never shown must not be sent to a host of the caller's choice either.
        return _("Enter it again: the provider, the endpoint or the key is another one.")
    return ""


def _needed(provider: str) -> tuple[str, ...]:
    """The settings that a provider cannot do without."""
    if provider == "openstack":
        return ("size", "image", "key", "endpoint", "project")
    described = PROVIDERS.get(provider)
    of_provider = () if described is None else ("key", "location")
    return ("size", "image", *(name for name in of_provider if getattr(described, name)))


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    # Over plain http the secret can be read on the way.
    is_private = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    return is_private and bool(_HOST.fullmatch(host)) and not parts.username and not parts.query


def _is_network(text: object) -> bool:
    try:
        return ip_network(str(text)).version == 4
    except ValueError:
        return False


def request_test(account: CloudAccount, *, by: Principal) -> None:
    """Let a worker test the credentials."""
    with transaction.atomic():
        CloudAccount.objects.filter(pk=account.pk).update(test_requested_at=timezone.now())
        acted(by, "test requested", account)
        transaction.on_commit(partial(doorbell.enqueue_cloud_test, account.pk, account.region_id))


def note_test(account: CloudAccount, finding: Finding | None, *, by: Principal) -> None:
    """Record the result of a test; None if the credentials work."""
    with transaction.atomic():
        why = finding.document() if finding is not None else None
        CloudAccount.objects.filter(pk=account.pk).update(tested_at=timezone.now(), test_finding=why)
        acted(by, "tested", account)


def remove_account(account: CloudAccount, *, by: Principal) -> None:
    """Delete the account of a region. Raises Conflict if it has servers, or something is found that is paid for."""
    with transaction.atomic():
        locked = CloudAccount.objects.select_for_update(no_key=True).get(pk=account.pk)
        if (nodes := list(locked.nodes.all())) and all(node.state == NodeState.REMOVING for node in nodes):
            raise Conflict(
                _("%(account)s has servers that are being removed.") % {"account": locked}, next_step=nodes[0].removal
            )
        if nodes:
            raise Conflict(
                _("%(account)s has servers.") % {"account": locked}, next_step=_("Delete their instances first.")
            )
        if locked.strays.exists():
            raise Conflict(
                _("%(account)s has servers that the portal does not know.") % {"account": locked},
                next_step=_("Remove them first."),
            )
        acted(by, "removed", locked)
        locked.delete()
