"""The list of instances, and an instance's first page: its peers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_safe

from portal.access import get_member
from portal.htmx import render_page
from portal.models import Membership
from vpn.access import get_instance_of_peers, instances_of
from vpn.choices import InstanceState
from vpn.models import Instance
from vpn.needs import PeerFacts, peer_facts_of
from vpn.presenters.instances.head import head_of, told_to
from vpn.presenters.needs import Notice, notices_of_all, portal_notices
from vpn.presenters.peers.search import FILTERS, PeerSearch
from vpn.presenters.profiles.outdated import outdated_of
from vpn.views.activity.plan_mail import mail_offered

_NO_ID: Final = UUID(int=0)
_UNDER_WAY = {InstanceState.PENDING, InstanceState.PROVISIONING, InstanceState.DELETING}


@dataclass(frozen=True)
class Row:
    """An instance in the list, with its problems and the counts of its peers."""

    instance: Instance
    needs: list[Notice]
    peers: PeerFacts
    for_operator: bool = False

    @property
    def path(self) -> str:
        """The page to open: the progress of a hub that is not there yet, or not for long; operators see its peers."""
        is_there = self.instance.configured and self.instance.state != InstanceState.DELETING
        is_there = is_there or self.for_operator
        return _path("instance" if is_there else "instance_progress").replace(str(_NO_ID), str(self.instance.pk))

    @property
    def online(self) -> int:
        """How many peers are connected."""
        return self.peers.online(self.instance)

    @property
    def total(self) -> int:
        """How many peers there are."""
        return self.peers.total


@require_safe
def instances(request: HttpRequest) -> HttpResponse:
    """All instances, those with problems first.

    A member without rights to manage is redirected to their own devices.
    """
    member = get_member(request)
    if not member.sees_everything and not member.is_operator:
        return redirect("my")
    found = list(instances_of(member).without_keys())
    peers = peer_facts_of(found)
    needs = notices_of_all(found, peers)
    rows = sorted(
        (Row(one, told_to(member, needs[one.pk]), peers[one.pk], member.is_operator) for one in found), key=_urgency
    )
    context = {
        "rows": rows,
        "in_need": sum(bool(row.needs) for row in rows),
        "under_way": sum(row.instance.state in _UNDER_WAY for row in rows),
        "portal_needs": portal_notices() if rows and member.sees_everything else [],
        "may_change": member.is_admin,
        "is_operator": member.is_operator,
    }
    return render_page(request, "vpn/instances/list.html", context, fragment="list")


@require_safe
def instance(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One instance's peers: searched, filtered and paged by the database."""
    member = get_member(request)
    found = get_instance_of_peers(member, pk)
    return render_page(request, "vpn/instances/overview.html", _peers_context(request, member, found), fragment="peers")


@cache
def _path(name: str) -> str:
    """The address of this name with a stand-in for the id: to reverse it for each of many rows takes longer."""
    return reverse(name, args=[_NO_ID])


def _urgency(row: Row) -> tuple[bool, bool, bool, str]:
    is_bad = any(need.tone == "bad" for need in row.needs)
    return not is_bad, not row.needs, row.instance.state not in _UNDER_WAY, row.instance.name.lower()


def _peers_context(request: HttpRequest, member: Membership, instance: Instance) -> dict[str, object]:
    search = PeerSearch.from_query(request.GET)
    head = head_of(member, instance, "peers")
    outdated = outdated_of(instance, head["peers"].delivered)
    number = request.GET.get("page")
    page = search.page(member, instance, head["peers"], number=number, outdated=outdated.ids)
    return {
        **head,
        "search": search,
        "filters": FILTERS,
        "page": page,
        "query": search.as_query(),
        "outdated": outdated,
        "mail_offered": mail_offered(instance, outdated.ids) if outdated.ids and member.is_admin else None,
    }
