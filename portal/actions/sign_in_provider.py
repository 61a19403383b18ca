"""An organization's sign-in provider: set it up, try it, switch it on or off, and remove it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Final

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from portal.actions.acting import acted, one_act
from portal.actions.quota import lock_organization
from portal.audit.fields import values_of
from portal.exceptions import InvalidInput, NotPossible
from portal.models import Group, Organization, Principal, ProviderGroup, ProviderIdentity, ProviderKind, SignInProvider
from portal.models.sign_in_provider import THEIR_GROUP_LENGTH
from portal.told import Told
from portal.web.public_fetch import url_fault
from portal.web.safe_xml import XmlFault
from portal.web.saml_metadata import read_metadata

MOST_GROUPS: Final = 200
MOST_DOMAINS: Final = 20
_DOMAIN: Final = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")
# A change of these makes it another client: it has to be tried again.
_CLIENT: Final = ("issuer", "client_id")


def save_provider(
    organization: Organization, *, by: Principal, values: Mapping[str, Any], secret: str, mapping: Iterable[str]
) -> SignInProvider:
    """Set up an OpenID Connect provider, or change it; an empty `secret` keeps the former one.

    `values` are columns; each line of `mapping` is a group of the provider, “|”, and one of ours. Raises InvalidInput.
    """
    with transaction.atomic():
        lock_organization(organization.pk)
        found = _found(organization, ProviderKind.OIDC)
        if fault := url_fault(values["issuer"]):
            raise InvalidInput.in_field("issuer", fault)
        if found is None and not secret:
            raise InvalidInput.in_field("client_secret", _("Enter the client secret."))
        if found is not None and not secret and found.issuer != values["issuer"]:
            # The new issuer names the address to which the secret is sent.
            raise InvalidInput.in_field("client_secret", _("Enter the client secret for the new issuer."))
        provider = found or SignInProvider(organization=organization)
        _save(provider, values, mapping, secret=secret, by=by, is_new=found is None)
        if found is not None and secret:
            acted(by, "secret replaced", provider)
    return provider


def save_saml_provider(
    organization: Organization, *, by: Principal, values: Mapping[str, Any], metadata: str, mapping: Iterable[str]
) -> SignInProvider:
    """Set up a SAML provider, or change it; an empty `metadata` keeps the former one.

    It may be saved before there is any: most providers first want to know the portal's. Raises InvalidInput.
    """
    with transaction.atomic():
        lock_organization(organization.pk)
        found = _found(organization, ProviderKind.SAML)
        if values["may_join"] and not values["mail_attribute"]:
            raise InvalidInput.in_field("mail_attribute", _("Enter the attribute whose domain says who may join."))
        provider = found or SignInProvider(organization=organization, kind=ProviderKind.SAML)
        wanted = {**values, **_of_metadata(metadata)}
        _save(provider, wanted, mapping, secret="", by=by, is_new=found is None)
    return provider


def note_trial(provider: SignInProvider, *, by: Principal) -> None:
    """Note that an admin signed in at the provider, so that it may be switched on."""
    with transaction.atomic():
        SignInProvider.objects.filter(pk=provider.pk).update(tried_at=timezone.now())
        acted(by, "tried", provider)


def switch_provider(provider: SignInProvider, *, enabled: bool, by: Principal) -> None:
    """Switch it on or off; its sessions end with it. Raises NotPossible if nobody has tried it."""
    with transaction.atomic():
        lock_organization(provider.organization_id)
        fresh = SignInProvider.objects.get(pk=provider.pk)
        if fresh.enabled == enabled:
            return
        if enabled and fresh.tried_at is None:
            raise NotPossible(_("Try the provider first."))
        before = values_of(fresh)
        fresh.enabled = enabled
        fresh.save(update_fields=["enabled"])
        if not enabled:
            _end_sessions(fresh)
        acted(by, "switched on" if enabled else "switched off", fresh, before=before)


def delete_provider(provider: SignInProvider, *, by: Principal) -> None:
    """Remove it with all connections of members; its sessions end."""
    with transaction.atomic():
        lock_organization(provider.organization_id)
        acted(by, "deleted", provider)
        provider.delete()


def note_refusal(provider: SignInProvider, why: Told | str, *, by: Principal) -> None:
    """Record that somebody came from the provider and was not signed in; `why` is as rows keep it."""
    with transaction.atomic():
        acted(by, "sign-in refused", provider, details={"fault": why})


def _found(organization: Organization, kind: ProviderKind) -> SignInProvider | None:
    """The organization's provider. Raises InvalidInput if it is of another kind."""
    found = SignInProvider.objects.filter(organization=organization).first()
    if found is not None and found.kind != kind:
        raise InvalidInput.in_field(
            "name", _("Remove the present provider first: its people connect the new one anew.")
        )
    return found


def _of_metadata(text: str) -> dict[str, Any]:
    if not text.strip():
        return {}
    try:
        read = read_metadata(text)
    except XmlFault as fault:
        raise InvalidInput.in_field("metadata", str(fault)) from None
    return {"issuer": read.issuer, "sign_in_page": read.page, "certificates": read.certificates}


def _save(
    provider: SignInProvider,
    values: Mapping[str, Any],
    mapping: Iterable[str],
    *,
    secret: str,
    by: Principal,
    is_new: bool,
) -> None:
    wanted = {**values, "domains": _cleaned_domains(values["domains"], may_join=values["may_join"])}
    pairs = _cleaned_mapping(provider.organization, mapping)
    if is_new:
        _write(provider, wanted, secret, pairs)
        acted(by, "created", provider)
    else:
        with one_act(by, "changed", provider, is_change=True):
            _write(provider, wanted, secret, pairs)


def _write(provider: SignInProvider, wanted: Mapping[str, Any], secret: str, pairs: set[tuple[str, Any]]) -> None:
    if any(getattr(provider, name) != wanted[name] for name in _CLIENT if name in wanted):
        provider.tried_at, provider.enabled = None, False
        _end_sessions(provider)
    for name, value in wanted.items():
        setattr(provider, name, value)
    if secret:
        provider.client_secret = secret
    provider.save()
    if {(one.name, one.group_id) for one in provider.groups.all()} != pairs:
        provider.groups.all().delete()
        ProviderGroup.objects.bulk_create(
            ProviderGroup(provider=provider, name=name, group_id=group) for name, group in sorted(pairs)
        )


def _end_sessions(provider: SignInProvider) -> None:
    """End them for good: a session names its identity, which gets another id.

    Otherwise they would count again once the provider is switched on.
    """
    for pk in list(provider.identities.values_list("pk", flat=True)):
        ProviderIdentity.objects.filter(pk=pk).update(id=uuid.uuid4())


def _cleaned_domains(domains: Iterable[str], *, may_join: bool) -> list[str]:
    found = sorted({one.strip().lower().lstrip("@") for one in domains if one.strip()})
    if wrong := next((one for one in found if not _DOMAIN.fullmatch(one)), ""):
        raise InvalidInput.in_field("domains", _("“%s” is not a mail domain such as example.org.") % wrong)
    if len(found) > MOST_DOMAINS:
        raise InvalidInput.in_field("domains", _("Enter at most %s domains.") % MOST_DOMAINS)
    if may_join and not found:
        # A provider that everyone has an account with would let in everyone.
        raise InvalidInput.in_field("domains", _("Enter the mail domains of those who may join."))
    return found


def _cleaned_mapping(organization: Organization, lines: Iterable[str]) -> set[tuple[str, Any]]:
    ours = {group.name.casefold(): group.pk for group in Group.objects.filter(organization=organization)}
    pairs: set[tuple[str, Any]] = set()
    faults = []
    for line in filter(None, (line.strip() for line in lines)):
        theirs, bar, name = (part.strip() for part in line.rpartition("|"))
        if not bar or not 0 < len(theirs) <= THEIR_GROUP_LENGTH or not theirs.isprintable():
            faults.append(_("Write a group of the provider, “|”, and one of yours: %s") % line[:80])
        elif name.casefold() not in ours:
            faults.append(_("You have no group “%s”.") % name[:80])
        else:
            pairs.add((theirs, ours[name.casefold()]))
    if len(pairs) > MOST_GROUPS:
        faults.append(_("Enter at most %s lines.") % MOST_GROUPS)
    if faults:
        raise InvalidInput({"mapping": faults[:5]})
    return pairs
