"""Returning an instance to a former revision: its settings, rules, records and routes become what they were.

What does not exist any more is left out and named. What conflicts with the present is refused, and nothing changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from portal.actions.acting import one_act
from portal.actions.quota import lock_organization
from portal.audit.fields import cut
from portal.exceptions import Conflict, InvalidInput, NotPossible
from portal.models import Principal
from vpn.actions.change import lock_changeable
from vpn.actions.firewall.input import missing_ends, present_ends
from vpn.actions.instances.settings import update_instance
from vpn.actions.peers.peer import update_peer
from vpn.actions.revisions.recording import revising
from vpn.actions.sites.overlaps import claims_on, way_of
from vpn.actions.unchanged import same_networks
from vpn.choices import RecordType
from vpn.constants import SUBNET_NESTED
from vpn.desired.ways import Way
from vpn.models import Instance, Peer, Revision, Site
from vpn.revisions.sections import Document, document_of, present_document
from vpn.validators import parse_network

_COLUMNS: Final = ("name", "mtu", "pushed_routes", "public_dns", "split_dns", "domains", "firewall_policy")
_KINDS: Final = {"site": "site", "group": "group", "user": "member"}


def return_to(
    instance: Instance, revision: Revision, *, by: Principal, seen: int | None = None, left_out: list[str] | None = None
) -> Instance:
    """Give an instance the content of one of its revisions; returns the instance as saved.

    `seen` is the number of the newest revision when the plan was shown. Sentences on what does not exist any more are
    added to `left_out`. Raises NotPossible where a newer revision was made since, or where nothing differs; Conflict
    or InvalidInput where something of the revision cannot be restored.
    """
    document, gone = document_of(revision), [] if left_out is None else left_out
    with transaction.atomic(), ExitStack() as stack:
        lock_organization(instance.organization_id)
        wanted = wanted_subnets(instance, document)
        concerned = _lock(instance.pk, [peer.site_id for peer, _ in wanted if peer.site_id is not None])
        locked = lock_changeable(instance.pk)
        _refuse_concurrent_edit(locked, seen)
        watches = {pk: stack.enter_context(revising(pk, by=by)) for pk in concerned}
        watches[locked.pk].note_before(locked)
        watches[locked.pk].returned_to = revision.number
        with one_act(by, "returned", locked) as act:
            gone += _gone_sites(locked, document)
            saved = _restore(locked, document, wanted, gone, by)
            act.on, act.details["revision"] = saved, revision.number
            if gone:
                act.details["left_out"] = cut(gone)
    return saved


def wanted_subnets(instance: Instance, document: Document) -> list[tuple[Peer, list[str]]]:
    """The instance's site peers that advertise other subnets than in the revision, with those."""
    peers = instance.peers.filter(site__in=list(document.sites)).order_by("site__name", "id")
    rows = peers.select_related("site", "instance__server")
    return [
        (peer, document.sites[str(peer.site_id)])
        for peer in rows
        if not same_networks(peer.subnets, document.sites[str(peer.site_id)])
    ]


def _lock(instance_id: UUID, site_ids: list[UUID]) -> list[UUID]:
    """Lock these sites, then the instance and all to which they are connected, in the order of all actions."""
    sites = Site.objects.select_for_update(of=("self",), no_key=True).filter(pk__in=site_ids).order_by("pk")
    list(sites.values_list("pk", flat=True))
    connected = Q(pk=instance_id) | Q(pk__in=Peer.objects.filter(site__in=site_ids).values("instance"))
    rows = Instance.objects.filter(connected).order_by("pk")
    return list(rows.select_for_update(of=("self",)).values_list("pk", flat=True))


def _refuse_concurrent_edit(locked: Instance, seen: int | None) -> None:
    newest = Revision.objects.filter(instance=locked).values_list("number", flat=True).first()
    if seen is not None and seen != newest:
        raise NotPossible(
            _("Another user changed this meanwhile."),
            code="stale",
            next_step=_("Nothing is changed yet. The plan below is a new one: read it before you go on."),
        )


def _restore(
    locked: Instance, document: Document, wanted: list[tuple[Peer, list[str]]], gone: list[str], by: Principal
) -> Instance:
    """Write what differs: sites first, since pushed routes have to lead somewhere."""
    generation = locked.desired_generation
    _restore_sites(wanted, document, by)
    changes = _changes(locked, document, gone)
    saved = update_instance(locked, by=by, **changes)
    if saved.desired_generation == generation and saved.name == locked.name:
        left = _(" What is left of it is there already.") if gone else ""
        raise NotPossible(
            _("Nothing differs from this revision, so there is nothing to return to.%(left)s") % {"left": left}
        )
    return saved


def _restore_sites(wanted: list[tuple[Peer, list[str]]], document: Document, by: Principal) -> None:
    """Give sites their former subnets. First each gives up what it did not have, which another may have had."""
    for peer, subnets in wanted:
        kept = [text for text in peer.subnets if text in subnets]
        if kept and len(kept) < len(peer.subnets):
            _set_subnets(peer, kept, by)
    for peer, subnets in wanted:
        _refuse_new_nesting(peer, subnets, document)
        _set_subnets(peer, subnets, by)


def _refuse_new_nesting(peer: Peer, subnets: list[str], document: Document) -> None:
    """Raise Conflict where a subnet would nest with another site's of today: in the revision, nobody confirmed that."""
    networks, advertised = (set(map(parse_network, texts)) for texts in (subnets, peer.subnets))
    others = (texts for pk, texts in document.sites.items() if pk != str(peer.site_id))
    # An equal one is refused with the peer's change.
    known = networks.union(*(map(parse_network, texts) for texts in others))
    for claim in claims_on(peer.instance, list(networks), confirmed=advertised, except_peer=peer):
        if claim.network not in known:
            raise Conflict(
                _("%(peer)s: the subnets of this revision overlap %(network)s of %(owner)s.")
                % {"peer": peer.label, "network": claim.network, "owner": claim.owner},
                code=SUBNET_NESTED,
                next_step=_("Remove that subnet first, or change the sites one by one."),
            )


def _set_subnets(peer: Peer, subnets: list[str], by: Principal) -> None:
    where = peer.site.name if peer.site is not None else ""
    try:
        # Whoever saved the revision confirmed its nested ranges and broad routes.
        update_peer(peer, by=by, subnets=list(subnets), confirm_broad_routes=True)
    except InvalidInput as refusal:
        raise Conflict(f"{where}: {' '.join(refusal.errors.get('subnets', []))}", code="cannot-return") from None
    except Conflict as refusal:
        raise Conflict(f"{where}: {refusal.message}", code=refusal.code) from None


def _changes(locked: Instance, document: Document, gone: list[str]) -> dict[str, Any]:
    """The fields of `update_instance`, without what does not exist any more."""
    present = present_document(locked)
    changes = {name: document.settings[name] for name in _COLUMNS}
    changes = {name: value for name, value in changes.items() if value != present.settings[name]}
    if "pushed_routes" in changes:
        changes["pushed_routes"] = _routes(locked, changes["pushed_routes"], gone)
    if document.settings["pool_v4"] != present.settings["pool_v4"]:
        gone.append(
            _("The pool stays %(settings)s: it cannot be made narrower.") % {"settings": present.settings["pool_v4"]}
        )
    changes |= _management(locked, document, gone)
    changes["firewall"] = _rules(locked, document, gone)
    changes["dns_custom"] = _records(locked, document, gone)
    return changes


def _gone_sites(locked: Instance, document: Document) -> list[str]:
    there = {str(pk) for pk in locked.peers.exclude(site=None).order_by().values_list("site_id", flat=True)}
    gone = sorted(document.names.get(f"site:{pk}", _("a former site")) for pk in document.sites if pk not in there)
    new = Site.objects.filter(pk__in=there - document.sites.keys()).order_by("name").values_list("name", flat=True)
    return [
        *(_("%(name)s is not connected any more: its subnets are left out.") % {"name": name} for name in gone),
        *(_("%(name)s was connected later: it keeps its subnets.") % {"name": name} for name in new),
    ]


def _routes(locked: Instance, routes: Iterable[str], gone: list[str]) -> list[str]:
    """The pushed routes but for those that lead nowhere now."""
    kept = []
    for text in routes:
        if text in locked.pushed_routes or way_of(locked, parse_network(text)) is not Way.NOWHERE:
            kept.append(text)
        else:
            gone.append(_("The pushed route %(text)s is left out: no site advertises it any more.") % {"text": text})
    return kept


def _rules(locked: Instance, document: Document, gone: list[str]) -> list[dict[str, str]]:
    """The rules but for those that name a site, member or group that does not exist any more."""
    lost: dict[int, str] = {}
    for fault in missing_ends(locked.organization_id, document.rules):
        end = getattr(document.rules[fault.number - 1], fault.field)
        lost.setdefault(fault.number, end)
    for number, end in lost.items():
        rule, kind = document.rules[number - 1], _KINDS[end.partition(":")[0]]
        named = f" “{rule.name}”" if rule.name else ""
        what = f"{kind} {document.names[end]}" if end in document.names else kind
        gone.append(
            _("Rule %(number)s%(named)s is left out: the %(what)s does not exist any more.")
            % {"number": number, "named": named, "what": what}
        )
    return [rule._asdict() for number, rule in enumerate(document.rules, 1) if number not in lost]


def _management(locked: Instance, document: Document, gone: list[str]) -> dict[str, list[str]]:
    """Who may manage routers, but for sites and groups that do not exist any more; empty where nothing differs."""
    former = list(document.settings.get("management_sources", ()))
    if former == locked.management_sources and not former:
        return {}
    present = present_ends(locked.organization_id, former)
    sources = [source for source in former if source in present]
    if lost := len(former) - len(sources):
        gone.append(
            _("%(lost)s of those who managed routers are left out: they do not exist any more.") % {"lost": lost}
        )
    services = document.settings.get("management_services", ()) if sources else ()
    return {"management_services": list(services), "management_sources": sources}


def _records(locked: Instance, document: Document, gone: list[str]) -> list[dict[str, str]]:
    """The records but for aliases of names that the hub does not answer any more."""
    records, answered = list(document.records), {locked.full_hostname, *locked.peers.dns_names(locked)}
    while True:
        names = answered | {name for name, _type, _value in records}
        kept = [one for one in records if one[1] != RecordType.CNAME or one[2] in names]
        for name, _type, target in sorted(set(records) - set(kept)):
            gone.append(
                _("The record %(name)s is left out: %(target)s, to which it points, does not exist any more.")
                % {"name": name, "target": target}
            )
        if len(kept) == len(records):
            return [{"name": name, "type": kind, "value": value} for name, kind, value in kept]
        records = kept
