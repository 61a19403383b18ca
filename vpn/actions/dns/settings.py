"""A hub's DNS settings: records, public resolvers, and servers of single domains.

They are checked together, since each part has to fit the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from portal.actions.acting import acted
from portal.figures import grouped
from portal.models import Principal
from vpn.actions.activity.planning import touch_records
from vpn.actions.dns.records import COLUMNS, FIELD, RecordCheck, RecordFault, Row, Surroundings
from vpn.actions.refusal import InvalidSettings
from vpn.addressing.pools import HUB_HOST
from vpn.choices import RecordType
from vpn.constants import MOST_DNS_RECORDS, MOST_DNS_SERVERS, MOST_DOMAINS
from vpn.dns_names import is_below, parse_dns_domain
from vpn.models import DnsRecord, Instance
from vpn.validators import parse_dns_server

DNS_FIELDS = ("public_dns", "split_dns", "domains", FIELD)


def cleaned_dns(instance: Instance, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The DNS_FIELDS in `changes`, as they are stored; absent ones keep the instance's values.

    `dns_custom` comes as mappings of `name`, `type`, `value` and goes to `replace_records`. Raises InvalidSettings with
    every fault. The caller holds the lock on the instance, so that no peer takes a name meanwhile.
    """
    errors: dict[str, list[str]] = {}
    cleaned: dict[str, Any] = {}
    servers = _server_parser(instance)
    for field, parse, most in (
        ("public_dns", servers, MOST_DNS_SERVERS),
        ("split_dns", servers, MOST_DNS_SERVERS),
        ("domains", _domain_parser(instance), MOST_DOMAINS),
    ):
        if field in changes:
            cleaned[field], messages = _parsed(changes[field], parse, most)
            if messages:
                errors[field] = messages
    if cleaned.get("public_dns") == [] and "public_dns" not in errors:
        errors["public_dns"] = [_("Name at least one server: the hub asks it for every name that it does not know.")]
    if not {"split_dns", "domains"} & errors.keys():
        errors |= _halves(instance, cleaned)
    faults = _check_records(instance, changes, cleaned, errors)
    if errors:
        raise InvalidSettings(errors, record_faults=faults)
    return cleaned


def replace_records(instance: Instance, rows: Iterable[Row], *, by: Principal) -> None:
    """Make these the instance's records. A record that exists already keeps its row."""
    wanted = set(rows)
    removed: list[Row] = []
    for record in DnsRecord.objects.filter(instance=instance):
        row = Row(record.name, record.type, record.value)
        if row in wanted:
            wanted.discard(row)
        else:
            removed.append(row)
            record.delete()
    touch_records(instance.pk, *(sorted((row.name, row.type, row.value) for row in some) for some in (removed, wanted)))
    DnsRecord.objects.bulk_create(
        DnsRecord(instance=instance, name=row.name, type=row.type, value=row.value) for row in wanted
    )
    acted(by, "records replaced", instance)


def records_of(instance: Instance) -> list[dict[str, str]]:
    """The records as the API shows and takes them."""
    return [{column: getattr(record, column) for column in COLUMNS} for record in instance.dns_records.all()]


def are_records(instance: Instance, wanted: Sequence[Mapping[str, str]]) -> bool:
    """Are these the stored records?"""
    return records_of(instance) == [{column: record[column] for column in COLUMNS} for record in wanted]


def unanswered_targets(instance: Instance) -> set[str]:
    """Targets of CNAMEs that no longer resolve: their peer was deleted, is disabled or has expired."""
    records = instance.dns_records.all()
    targets = {record.value for record in records if record.type == RecordType.CNAME}
    targets -= {record.name for record in records} | {instance.full_hostname}
    return targets and targets - set(instance.peers.admitted().dns_names(instance))


def _parsed(texts: Sequence[str], parse: Callable[[str], str], most: int) -> tuple[list[str], list[str]]:
    """The valid values as they are stored, each once, and the faults of the others."""
    if len(texts) > most:
        return [], [_("Name at most %(most)s.") % {"most": most}]
    values: dict[str, None] = {}
    faults: list[str] = []
    for text in texts:
        try:
            values[parse(text)] = None
        except ValidationError as error:
            faults += error.messages
    return list(values), faults


def _server_parser(instance: Instance) -> Callable[[str], str]:
    own = instance.host_addresses(HUB_HOST)

    def parse(text: str) -> str:
        address = parse_dns_server(text)
        if address in own:
            raise ValidationError(
                _("%(address)s is this hub: it would forward queries to itself.") % {"address": address}, code="itself"
            )
        return str(address)

    return parse


def _domain_parser(instance: Instance) -> Callable[[str], str]:
    def parse(text: str) -> str:
        domain = parse_dns_domain(text)
        if is_below(domain, settings.VPN_DOMAIN):
            raise ValidationError(
                _("%(domain)s is answered by this portal's hubs themselves.") % {"domain": domain}, code="own_domain"
            )
        return domain

    return parse


def _halves(instance: Instance, cleaned: Mapping[str, Any]) -> dict[str, list[str]]:
    """Refuse servers without domains, and domains without servers."""
    if not {"split_dns", "domains"} & cleaned.keys():
        return {}
    servers = cleaned.get("split_dns", instance.split_dns)
    domains = cleaned.get("domains", instance.domains)
    if servers and not domains:
        return {"domains": [_("Name at least one domain that these servers answer, or remove the servers.")]}
    if domains and not servers:
        return {"split_dns": [_("Name at least one server that answers these domains, or remove the domains.")]}
    return {}


def _check_records(
    instance: Instance, changes: Mapping[str, Any], cleaned: dict[str, Any], errors: dict[str, list[str]]
) -> list[RecordFault]:
    """Put the rows into `cleaned` and the faults into `errors`; also return the faults by row."""
    if FIELD in changes:
        if len(changes[FIELD]) > MOST_DNS_RECORDS:
            given = len(changes[FIELD])
            errors[FIELD] = [
                _("An instance has at most %(most)s records; these are %(given)s.")
                % {"most": grouped(MOST_DNS_RECORDS), "given": grouped(given)}
            ]
            return []
        check = RecordCheck(changes[FIELD], _surroundings(instance, cleaned))
        cleaned[FIELD] = check.rows
        if check.faults:
            errors[FIELD] = [str(fault) for fault in check.faults]
        return check.faults
    if "domains" in cleaned and (shadowed := _shadowed(instance, cleaned["domains"])):
        errors.setdefault("domains", []).append(
            _("The record %(record)s is in one of these domains, whose own servers answer it. Remove it first.")
            % {"record": shadowed}
        )
    return []


def _shadowed(instance: Instance, domains: Sequence[str]) -> str:
    names = instance.dns_records.values_list("name", flat=True)
    return next((name for name in names if any(is_below(name, domain) for domain in domains)), "")


def _surroundings(instance: Instance, cleaned: Mapping[str, Any]) -> Surroundings:
    return Surroundings(
        hub=instance.full_hostname,
        vpn_domain=settings.VPN_DOMAIN,
        domains=tuple(cleaned.get("domains", instance.domains)),
        peers=frozenset(instance.peers.dns_names(instance)),
    )
